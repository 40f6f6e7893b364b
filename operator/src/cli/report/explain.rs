//! `tollkeeper report explain`: how the number that AWS was told came about, step by step.

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;
use serde_json::{Value, json};
use tollkeeper_core::{
    hour::BillingHour,
    identity::DimensionName,
    ledger::Entry,
    plugin::ConfiguredPlugin,
    proof::Material,
    quantity::Quantity,
    report::{SealedRecord, report_name},
    settlement::RecordStatus,
};

use super::{
    block_on,
    place::{Document, Place},
    readings::{Readings, Seen},
};
use crate::cli::{Failure, Output, print};

/// Explain one number: inputs, plugin, readings, fold, remainder, allocations, and what became of it.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The product.
    #[arg(value_name = "PRODUCT")]
    product: String,
    /// The hour, such as 2026-11-21T14:00:00Z.
    #[arg(value_name = "HOUR")]
    hour: BillingHour,
    /// The dimension.
    #[arg(value_name = "DIMENSION")]
    dimension: DimensionName,
    #[command(flatten)]
    place: Place,
    /// Read an export instead of the cluster; `-` for standard input.
    #[arg(long, env = "TOLLKEEPER_EXPORT", value_name = "FILE")]
    export: Option<PathBuf>,
    #[command(flatten)]
    readings: Readings,
    /// How to print the result.
    #[arg(long, short, env = "TOLLKEEPER_OUTPUT", default_value = "text")]
    output: Output,
}

/// One record with all that it came from.
struct Story<'a> {
    entry: &'a Entry,
    record: &'a SealedRecord,
    status: &'a RecordStatus,
    /// What the hour before left; `None` if that report is not there any more.
    remainder_in: Option<Quantity>,
    /// The hour whose record includes this one's usage.
    carried_to: Option<BillingHour>,
    /// What the plugin read, tick by tick; `None` if it was not asked for.
    readings: Option<Vec<Seen>>,
}

impl Explain {
    pub(super) fn run(self) -> Result<(), Failure> {
        let material = match &self.export {
            Some(path) => Document::read(path)?.material().clone(),
            None => block_on(async { self.place.cluster().await?.material(Some(&self.product)).await })?,
        };
        let entries = material.entries();
        let mut story = self.story(&entries, &material)?;
        story.readings = block_on(self.readings.of(&story.entry.report, &self.dimension))?;
        match self.output {
            Output::Json => print::json(&story.json()),
            Output::Text => print::text(story.text()),
        }
    }

    fn story<'a>(&self, entries: &'a [Entry], material: &Material) -> Result<Story<'a>, Failure> {
        let name = report_name(&self.product, self.hour);
        let mut found = entries.iter().filter(|entry| entry.report.name() == name);
        let Some(entry) = found.next() else { return Err(self.nothing(material)) };
        if found.next().is_some() {
            return Err(Failure::new(format!(
                "several namespaces have a report {name}; name one with --namespace"
            )));
        }
        let record = entry.report.record(&self.dimension).zip(entry.settlement.record(&self.dimension));
        let Some((record, status)) = record else {
            let known: Vec<&str> =
                entry.report.body.records.iter().map(|record| record.dimension.as_str()).collect();
            return Err(Failure::new(format!(
                "the report {name} has no record of {}, so nothing of it was used or owed; it has: {}",
                self.dimension,
                known.join(", ")
            )));
        };
        let own = entries.iter().filter(|other| other.product() == entry.product());
        let remainder_in = match &entry.report.body.previous {
            None => Some(Quantity::ZERO),
            Some(previous) => own
                .clone()
                .find(|other| other.report.hash == previous.hash)
                .map(|other| other.report.remainders().get(&self.dimension).copied().unwrap_or_default()),
        };
        let carried_to = own.clone().find(|other| {
            let carrier = other.report.record(&self.dimension);
            carrier.is_some_and(|carrier| carrier.carried_from.iter().any(|from| from.hour == self.hour))
        });
        let carried_to = carried_to.map(|carrier| carrier.report.body.hour);
        Ok(Story { entry, record, status, remainder_in, carried_to, readings: None })
    }

    /// Why there is no such report.
    fn nothing(&self, material: &Material) -> Failure {
        let statements = material.stored_statements();
        let pruned = statements.iter().find(|stored| {
            let body = &stored.statement.body;
            body.product_ref.name == self.product
                && tollkeeper_core::month::Month::of(self.hour) == body.month
                && body.pruned_through.is_some_and(|through| self.hour <= through)
        });
        let why = match pruned {
            Some(stored) => format!("its reports were pruned; the statement {} has the totals", stored.key()),
            None => "either nothing was used in it, or it is not sealed yet".to_owned(),
        };
        Failure::new(format!("there is no report of {} for the hour {}: {why}", self.product, self.hour))
    }
}

impl Story<'_> {
    /// What was carried in as late usage.
    fn late(&self) -> Quantity {
        self.record.carried_from.iter().map(|from| from.quantity).sum()
    }

    /// What the hour's own readings came to.
    fn folded(&self) -> Option<Quantity> {
        self.remainder_in.map(|rest| self.record.measured.saturating_sub(rest + self.late()))
    }

    fn json(&self) -> Value {
        let body = &self.entry.report.body;
        json!({
            "report": self.entry.report.name(),
            "namespace": self.entry.namespace,
            "product": body.product_ref.name,
            "productCode": body.product_code,
            "hour": body.hour,
            "dimension": self.record.dimension,
            "evidence": body.evidence,
            "readings": self.readings.as_ref().map(|seen| seen.iter().map(Seen::json).collect::<Vec<_>>()),
            "folded": self.folded(),
            "remainderIn": self.remainder_in,
            "carriedFrom": self.record.carried_from,
            "measured": self.record.measured,
            "quantity": self.record.quantity,
            "remainder": self.record.remainder,
            "allocations": self.record.allocations,
            "timestamp": body.timestamp,
            "clientToken": self.record.client_token,
            "status": self.status,
            "carriedTo": self.carried_to,
            "previous": body.previous,
            "hash": self.entry.report.hash,
        })
    }

    fn text(&self) -> String {
        let body = &self.entry.report.body;
        let mut out =
            format!("{} of {} in the hour {}\n\n", self.record.dimension, body.product_ref.name, body.hour);
        for (step, what) in self.measuring().into_iter().chain(self.settling()) {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "  {step:<12} {what}");
        }
        out
    }

    fn measuring(&self) -> Vec<(&'static str, String)> {
        let body = &self.entry.report.body;
        let (evidence, record) = (&body.evidence, self.record);
        let mut steps = vec![(
            "inputs",
            format!("{} of {} ticks, {} missed", evidence.inputs, evidence.ticks, evidence.missed),
        )];
        let last = ConfiguredPlugin { plugin: evidence.plugin.clone(), config: evidence.config.clone() };
        steps.extend(
            evidence
                .earlier
                .iter()
                .chain([&last])
                .map(|one| ("plugin", format!("{} with the configuration {}", one.plugin, one.config))),
        );
        match (&self.readings, record.allocations.as_slice()) {
            (Some(readings), _) => steps.extend(readings.iter().map(|seen| ("reading", seen.text()))),
            (None, []) => steps.push((
                "readings",
                "untagged; those of each tick are in a recording (`run --record-inputs`, then `--recordings`)"
                    .into(),
            )),
            (None, parts) => steps.push(("readings", format!("of {} tag sets", parts.len()))),
        }
        steps.push(match self.folded() {
            Some(folded) => ("folded", format!("{} measured in this hour", amount(folded))),
            None => ("folded", "not known alone: the report before was pruned".to_owned()),
        });
        if let Some(rest) = self.remainder_in.filter(|rest| !rest.is_zero()) {
            let from = body.previous.as_ref().map(|link| link.name.as_str()).unwrap_or_default();
            steps.push(("+ remainder", format!("{} from {from}", amount(rest))));
        }
        for from in &record.carried_from {
            steps.push(("+ carried", format!("{} late, of {}", amount(from.quantity), from.hour)));
        }
        steps.push(("measured", amount(record.measured)));
        steps.push(("billed", format!("{:>13}        whole units", record.quantity)));
        steps.push(("remainder", format!("{} to the next hour", amount(record.remainder))));
        for part in &record.allocations {
            let tags = part.tags.to_string();
            let tags = if tags.is_empty() { "untagged".to_owned() } else { tags };
            steps.push(("allocation", format!("{:>13}        {tags}", part.quantity)));
        }
        steps
    }

    fn settling(&self) -> Vec<(&'static str, String)> {
        let (body, status) = (&self.entry.report.body, self.status);
        let mut steps = vec![
            ("sealed in", format!("{}, {}", self.entry.report.name(), self.entry.report.hash)),
            (
                "follows",
                body.previous.as_ref().map_or_else(
                    || "nothing: the product's first report".to_owned(),
                    |link| format!("{}, {}", link.name, link.hash),
                ),
            ),
            ("told AWS", format!("timestamp {}, client token {}", body.timestamp, self.record.client_token)),
        ];
        if let Some(claim) = &status.claim {
            steps.push((
                "claimed",
                format!("by the pod {} in epoch {} at {}", claim.pod, claim.epoch, claim.at),
            ));
        }
        let reason = status.reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
        let attempts = match status.attempts {
            1 => "1 attempt".to_owned(),
            many => format!("{many} attempts"),
        };
        steps.push(("state", format!("{:?}{reason} after {attempts}", status.state)));
        if let Some(id) = &status.metering_record_id {
            steps.push(("record id", id.clone()));
        }
        if let Some(message) = &status.message {
            steps.push(("because", message.clone()));
        }
        if let Some(hour) = self.carried_to {
            steps.push(("carried to", hour.to_string()));
        }
        steps.extend(status.decisions.iter().map(|decision| ("decided", decision.to_string())));
        steps
    }
}

/// Under each other by their points.
fn amount(quantity: Quantity) -> String {
    format!("{:>20}", quantity.to_string())
}
