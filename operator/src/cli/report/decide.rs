//! `tollkeeper report resolve`, `write-off`, `release` and `acknowledge`: a person's decision about one record.
//!
//! Written with the person's own rights, by compare-and-swap over the report that was read. Decisions are only ever added.

use clap::Args;
use serde_json::json;
use tollkeeper_core::{
    decision::{Author, Decision, Wish},
    identity::{DimensionName, ObjectKey},
    ledger::{Entry, Ledger, LedgerError},
    settlement::{RecordState, RecordStatus},
};

use super::{block_on, place::Place};
use crate::{
    cli::{Failure, Output, cluster, print},
    clock, settings,
};

/// What every decision needs.
#[derive(Debug, Args)]
struct Subject {
    /// Name of the report, such as vecdb-2026112114.
    #[arg(value_name = "REPORT")]
    report: String,
    /// The dimension whose record it is about.
    #[arg(value_name = "DIMENSION")]
    dimension: DimensionName,
    /// Why; it stays in the report with your name.
    #[arg(long, env = "TOLLKEEPER_REASON", value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    place: Place,
    /// How to print the result.
    #[arg(long, short, env = "TOLLKEEPER_OUTPUT", default_value = "text")]
    output: Output,
}

/// Say that AWS has taken an ambiguous record: you have found it in CloudTrail or on the bill.
#[derive(Debug, Args)]
pub(crate) struct Resolve {
    #[command(flatten)]
    subject: Subject,
    /// AWS's id of the record.
    #[arg(long, env = "TOLLKEEPER_RECORD_ID", value_name = "ID")]
    record_id: String,
}

/// Give up the usage of an ambiguous or held record.
#[derive(Debug, Args)]
pub(crate) struct WriteOff {
    #[command(flatten)]
    subject: Subject,
}

/// Have a record billed after all: an ambiguous one is sent again, a held one goes into the next hour's record.
#[derive(Debug, Args)]
pub(crate) struct Release {
    #[command(flatten)]
    subject: Subject,
    /// Needed for an ambiguous record: AWS may have taken it, and will then bill it a second time.
    #[arg(long)]
    i_accept_a_second_charge: bool,
}

/// Say that a rejected record has been seen. It stays rejected, and no longer keeps the product from being well.
#[derive(Debug, Args)]
pub(crate) struct Acknowledge {
    #[command(flatten)]
    subject: Subject,
}

impl Resolve {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.subject.decide(&Wish::Resolve { record_id: self.record_id })
    }
}

impl WriteOff {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.subject.decide(&Wish::WriteOff)
    }
}

impl Release {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.subject.decide(&Wish::Release { accepts_second_charge: self.i_accept_a_second_charge })
    }
}

impl Acknowledge {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.subject.decide(&Wish::Acknowledge)
    }
}

impl Subject {
    fn decide(&self, wish: &Wish) -> Result<(), Failure> {
        let (was, is) = block_on(self.write(wish))?;
        let Some(decision) = is.decisions.last() else {
            return Err(Failure::new(
                "the API server has not kept the decision: install the CRDs of this version",
            ));
        };
        self.print(&was, &is, decision)
    }

    /// The record before and after the decision.
    async fn write(&self, wish: &Wish) -> Result<(RecordStatus, RecordStatus), Failure> {
        let cluster = self.place.cluster().await?;
        let Some(namespace) = &cluster.namespace else {
            return Err(Failure::new("a decision is about one report: name its namespace with --namespace"));
        };
        let ledger = cluster.ledger();
        let key = ObjectKey::new(namespace.as_str(), self.report.as_str());
        let entry = ledger.get(&key).await.map_err(Failure::new)?;
        let entry = entry.ok_or_else(|| {
            Failure::new(format!("there is no report {key}; `tollkeeper report list` shows them"))
        })?;
        let record = self.record(&entry)?;
        let person = cluster::person(&cluster.client).await?;
        let clock = clock::of_process(settings::test_clock().map_err(Failure::new)?);
        let author = Author {
            name: person.name,
            is_verified: person.is_verified,
            reason: self.reason.clone(),
            at: clock.now(),
        };
        let decided = record.decided(wish, &author).map_err(Failure::new)?;
        if record.state == RecordState::Expired {
            self.refuse_what_is_carried(&ledger, &entry).await?;
        }
        let settlement = entry.settlement.clone().with(decided);
        let written = ledger.compare_and_swap(&entry, &settlement).await.map_err(|error| match error {
            LedgerError::Stale(_) => {
                Failure::new(format!("{error} while you decided; look at it again and decide again"))
            }
            other => Failure::new(format!("the decision was not written: {other}")),
        })?;
        Ok((record, self.record(&written)?))
    }

    /// A report that carries an expired record is created before the record says so.
    async fn refuse_what_is_carried(&self, ledger: &impl Ledger, entry: &Entry) -> Result<(), Failure> {
        let hour = entry.report.body.hour;
        let later = ledger.history(&entry.product(), hour).await.map_err(Failure::new)?;
        let carrier = later.iter().find(|later| {
            let record = later.report.record(&self.dimension);
            record.is_some_and(|record| record.carried_from.iter().any(|from| from.hour == hour))
        });
        carrier.map_or(Ok(()), |carrier| {
            Err(Failure::new(format!("{} is billed with {}", self.dimension, carrier.key())))
        })
    }

    fn record(&self, entry: &Entry) -> Result<RecordStatus, Failure> {
        entry.settlement.record(&self.dimension).cloned().ok_or_else(|| {
            let known: Vec<&str> =
                entry.settlement.records.iter().map(|record| record.dimension.as_str()).collect();
            Failure::new(format!(
                "the report {} has no record of {}; it has: {}",
                entry.key(),
                self.dimension,
                known.join(", ")
            ))
        })
    }

    fn print(&self, was: &RecordStatus, is: &RecordStatus, decision: &Decision) -> Result<(), Failure> {
        match self.output {
            Output::Json => print::json(&json!({
                "report": self.report,
                "dimension": is.dimension,
                "from": was.state,
                "to": is.state,
                "decision": decision,
            })),
            Output::Text => print::text(format_args!(
                "{} {}: {:?} -> {:?}\n{decision}\n",
                self.report, is.dimension, was.state, is.state
            )),
        }
    }
}
