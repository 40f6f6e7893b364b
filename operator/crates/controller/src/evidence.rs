//! Looks for proof of ambiguous records in CloudTrail, apart from the settling: what CloudTrail does or does not do holds nothing up.
//!
//! One look serves all products: the event history can be asked by the name of the call only, and has the calls of the whole
//! account. What was found proves or proves nothing ([`tollkeeper_core::evidence`]); nothing is ever sent because of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tollkeeper_core::{
    clock::Clock,
    evidence::{self, CallResult, MeteredCall, Trail, TrailError, Verdict},
    identity::{DimensionName, ObjectKey},
    ledger::{Entry, Ledger, LedgerError},
    pace::Pace,
    settlement::RecordState,
};

use crate::{meter::Finding, roster::Roster};

/// Calls of `LookupEvents` that AWS takes in one second from one account in one region (API reference of CloudTrail). People
/// and other tools of the account draw on it, too.
pub const LOOKUPS_PER_SECOND: u32 = 2;

/// How often the ledger is looked through for ambiguous records: they have hours.
const SCAN_INTERVAL: SignedDuration = SignedDuration::from_secs(30);

/// How long what CloudTrail said counts, answer or refusal. It delivers calls in the order of minutes, and a look is many pages.
const LOOK_INTERVAL: SignedDuration = SignedDuration::from_mins(5);

/// The most pages of one look: 5,000 calls. An account that makes more in six hours is looked through from the newest on.
const MAX_PAGES: usize = 100;

/// What looking for proof takes.
pub struct Inquiry {
    /// The present moment.
    pub clock: Arc<dyn Clock>,
    /// The reports.
    pub ledger: Arc<dyn Ledger>,
    /// CloudTrail.
    pub trail: Arc<dyn Trail>,
    /// How fast it may be asked: one for all that this process asks.
    pub pace: Arc<Pace>,
}

/// Looks for proof until it is told to stop. `allowed` are the products whose buyers allow it.
pub async fn run(
    inquiry: Inquiry,
    allowed: impl Fn() -> BTreeSet<ObjectKey>,
    roster: &Roster,
    stop: &CancellationToken,
) {
    let looks = async {
        loop {
            let next = inquiry.pass(&allowed(), roster).await;
            inquiry.clock.sleep_until(next).await;
        }
    };
    // In the middle of a look, too: it can take minutes, and what it has not written down is found again.
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = looks => {}
    }
}

impl Inquiry {
    /// Looks once, if there is anything to look for, and says when to come back.
    pub async fn pass(&self, allowed: &BTreeSet<ObjectKey>, roster: &Roster) -> Timestamp {
        let now = self.clock.now();
        let entries = match self.ledger.scan_unsettled().await {
            Ok(scan) => scan.open,
            Err(error) => {
                tracing::warn!(reason = error.reason(), %error, "ambiguous records cannot be looked for");
                return now + SCAN_INTERVAL;
            }
        };
        let open: Vec<Entry> = entries.into_iter().filter(|entry| is_open(entry, allowed)).collect();
        let Some(from) = open.iter().map(|entry| entry.report.body.hour.end()).min() else {
            publish(roster, &BTreeMap::new());
            return now + SCAN_INTERVAL;
        };
        let findings = match self.calls(from).await {
            Ok(calls) => self.decide(&open, &calls).await,
            Err(error) => {
                tracing::warn!(reason = error.reason(), %error, "no evidence of ambiguous records");
                let finding = Finding::new(error.reason(), error);
                open.iter().map(|entry| (entry.product(), finding.clone())).collect()
            }
        };
        publish(roster, &findings);
        self.clock.now() + LOOK_INTERVAL
    }

    /// The calls since a moment, the newest first.
    async fn calls(&self, from: Timestamp) -> Result<Vec<MeteredCall>, TrailError> {
        let (mut calls, mut next) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            self.pace.turn().await;
            let page = self.trail.look_up(from, next.as_deref()).await?;
            calls.extend(page.events.iter().filter_map(|event| MeteredCall::read(event)));
            next = page.next;
            if next.is_none() {
                return Ok(calls);
            }
        }
        // What was not looked at may be older and may have been taken: then a later refusal proves nothing.
        calls.retain(|call: &MeteredCall| matches!(call.result, CallResult::Taken { .. }));
        Ok(calls)
    }

    /// Writes down what is proved, and returns what is not, by product.
    async fn decide(&self, open: &[Entry], calls: &[MeteredCall]) -> BTreeMap<ObjectKey, Finding> {
        let mut findings = BTreeMap::new();
        for entry in open {
            let plan = evidence::plan(entry, calls, self.trail.issuer(), self.clock.now());
            if let Some((dimension, verdict)) = plan.undecided.first() {
                findings.entry(entry.product()).or_insert_with(|| finding(entry, dimension, verdict));
            }
            let Some(settlement) = plan.write else { continue };
            match self.ledger.compare_and_swap(entry, &settlement).await {
                Ok(written) => log_proved(entry, &written),
                // Somebody else was faster: the next look sees what is left.
                Err(LedgerError::Stale(_)) => {}
                Err(error) => {
                    tracing::warn!(report = %entry.key(), reason = error.reason(), %error, "evidence is not written down yet");
                }
            }
        }
        findings
    }
}

fn is_open(entry: &Entry, allowed: &BTreeSet<ObjectKey>) -> bool {
    let is_ambiguous = entry.settlement.records.iter().any(|record| record.state == RecordState::Ambiguous);
    is_ambiguous && allowed.contains(&entry.product())
}

/// Tells of each product what keeps its records ambiguous, and of all others that nothing does.
fn publish(roster: &Roster, findings: &BTreeMap<ObjectKey, Finding>) {
    for product in roster.all().into_keys() {
        let finding = findings.get(&product).cloned();
        roster.update(&product, |progress| progress.evidence = finding);
    }
}

fn finding(entry: &Entry, dimension: &DimensionName, verdict: &Verdict) -> Finding {
    let record = format!("{dimension} of {}", entry.report.name());
    match verdict {
        Verdict::Contradictory(ids) => {
            let ids: Vec<_> = ids.iter().map(String::as_str).collect();
            let message = format!(
                "CloudTrail has calls with the content of {record} under several record ids ({}): another cluster's, or a second charge; decide by `tollkeeper report`",
                ids.join(", ")
            );
            Finding::new("EvidenceContradictory", message)
        }
        Verdict::Silent => Finding::new(
            "EvidenceMissing",
            format!(
                "CloudTrail has no call that proves what became of {record}, which does not prove that there was none"
            ),
        ),
        Verdict::Pending => Finding::new(
            "EvidencePending",
            format!("CloudTrail may not have delivered the calls of {record} yet"),
        ),
        // Proved, but the record takes no more decisions or the id is no id.
        Verdict::Taken { event, .. } | Verdict::Refused { event, .. } => Finding::new(
            "EvidenceUnusable",
            format!(
                "CloudTrail's event {event} proves what became of {record}, but it cannot be noted there; decide by `tollkeeper report`"
            ),
        ),
    }
}

fn log_proved(before: &Entry, after: &Entry) {
    let report = after.key();
    for (was, is) in before.settlement.records.iter().zip(&after.settlement.records) {
        if was.state != is.state {
            let (dimension, state) = (&is.dimension, is.state);
            tracing::info!(%report, %dimension, ?state, message = is.message.as_deref(), "proved by CloudTrail");
        }
    }
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
