//! `tollkeeper report replay`: computes recorded hours again, with the code of `run`, and compares.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use serde_json::{Value, json};
use tollkeeper_controller::meter::{LoadedPlugin, replay};
use tollkeeper_core::{
    difference::{Difference, first_difference},
    identity::Digest,
    plugin::PluginHost as _,
    recording::{Entry, Recording},
    report::SealedReport,
};
use tollkeeper_ledger::recording;
use tollkeeper_plugin_host::{Evaluation, WasmHost};

use super::{block_on, place::Document};
use crate::cli::{
    Failure, Output, print,
    recorded::{Recorded, refusal},
    render::{self, Align},
};

/// Compute recorded hours again from their inputs, and compare with the reports that were sealed, bit for bit.
///
/// Recordings are made by `run --record-inputs`. Ends with 1 and names the first difference if there is one.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    recorded: Recorded,
    /// Compare with the reports of this export, too; `-` for standard input.
    #[arg(long, env = "TOLLKEEPER_EXPORT", value_name = "FILE")]
    export: Option<PathBuf>,
    /// How to print the result.
    #[arg(long, short, env = "TOLLKEEPER_OUTPUT", default_value = "text")]
    output: Output,
}

/// One hour, computed again.
struct Row {
    recording: Recording,
    ticks: usize,
    hash: Option<Digest>,
    /// What is wrong; `None` if it is the same.
    problem: Option<String>,
}

impl Replay {
    pub(super) fn run(self) -> Result<(), Failure> {
        let export = self.export.as_deref().map(Document::read).transpose()?;
        let sealed: Option<Vec<SealedReport>> = export
            .map(|document| document.material().entries().into_iter().map(|entry| entry.report).collect());
        let components = self.recorded.components()?;
        let host = WasmHost::new(Evaluation::Inline).map_err(Failure::new)?;
        let mut rows = Vec::new();
        for path in self.recorded.files()? {
            let recording = recording::read(&path).map_err(|error| Failure::new(refusal(&error)))?;
            rows.push(block_on(replayed(recording, &host, &components, sealed.as_deref()))?);
        }
        match self.output {
            Output::Json => print::json(&json!({"hours": rows.iter().map(json).collect::<Vec<_>>()}))?,
            Output::Text => print::text(text(&rows))?,
        }
        let wrong: Vec<&Row> = rows.iter().filter(|row| row.problem.is_some()).collect();
        match wrong.as_slice() {
            [] => Ok(()),
            [first, ..] => Err(Failure::new(format!(
                "{} of {} hours are not what was sealed; the first: {} of {}: {}",
                wrong.len(),
                rows.len(),
                first.recording.header.hour,
                first.recording.header.product,
                first.problem.as_deref().unwrap_or_default()
            ))),
        }
    }
}

async fn replayed(
    recording: Recording,
    host: &WasmHost,
    components: &BTreeMap<Digest, Vec<u8>>,
    sealed: Option<&[SealedReport]>,
) -> Result<Row, Failure> {
    let ticks = recording.entries.iter().filter(|entry| matches!(entry, Entry::Tick(_))).count();
    let plugins = loaded(&recording, host, components).await?;
    let (hash, problem) = match replay(&recording, &plugins).await {
        Ok(again) => (again.as_ref().map(|report| report.hash.clone()), compared(&recording, again, sealed)),
        Err(error) => (None, Some(error.to_string())),
    };
    Ok(Row { recording, ticks, hash, problem })
}

/// The components, with the limits that they measured under.
pub(super) async fn loaded(
    recording: &Recording,
    host: &WasmHost,
    components: &BTreeMap<Digest, Vec<u8>>,
) -> Result<BTreeMap<Digest, LoadedPlugin>, Failure> {
    let terms = recording.entries.iter().rev().find_map(|entry| match entry {
        Entry::Terms(terms) => Some(terms.limits),
        Entry::Tick(_) | Entry::Start(_) | Entry::Seal(_) => None,
    });
    let mut plugins = BTreeMap::new();
    for (digest, component) in components {
        let plugin = host.load(component, digest, terms.unwrap_or_default()).await.map_err(Failure::new)?;
        plugins.insert(digest.clone(), LoadedPlugin { digest: digest.clone(), plugin });
    }
    Ok(plugins)
}

/// What differs from the report that was sealed, as the recording knows it and as the ledger does.
fn compared(
    recording: &Recording,
    again: Option<SealedReport>,
    ledger: Option<&[SealedReport]>,
) -> Option<String> {
    let recorded = recording.seal().and_then(|seal| seal.report.as_ref());
    let header = &recording.header;
    let difference = difference(recorded, again.as_ref()).map(|found| format!("{}: {found}", found.path));
    difference.or_else(|| {
        let name = tollkeeper_core::report::report_name(&header.product.name, header.hour);
        let exported = ledger?.iter().find(|report| report.name() == name);
        difference_of_export(exported, again.as_ref())
    })
}

fn difference_of_export(exported: Option<&SealedReport>, again: Option<&SealedReport>) -> Option<String> {
    match (exported, again) {
        (None, Some(_)) => Some("the export has no such report".to_owned()),
        _ => difference(exported, again).map(|found| format!("in the export, {}: {found}", found.path)),
    }
}

/// Where one report differs from the other. The hash differs with everything, so it is named only if nothing else does.
fn difference(was: Option<&SealedReport>, is: Option<&SealedReport>) -> Option<Difference> {
    let body = |report: Option<&SealedReport>| json!({"spec": report.map(|report| &report.body)});
    let whole = |report: Option<&SealedReport>| json!({"spec": report});
    first_difference(&body(was), &body(is)).or_else(|| first_difference(&whole(was), &whole(is)))
}

fn json(row: &Row) -> Value {
    json!({
        "namespace": row.recording.header.product.namespace,
        "product": row.recording.header.product.name,
        "hour": row.recording.header.hour,
        "ticks": row.ticks,
        "same": row.problem.is_none(),
        "hash": row.hash,
        "problem": row.problem,
    })
}

fn text(rows: &[Row]) -> String {
    let heads = [
        ("PRODUCT", Align::Left),
        ("HOUR", Align::Left),
        ("TICKS", Align::Right),
        ("RESULT", Align::Left),
        ("HASH", Align::Left),
    ];
    let cells = rows.iter().map(|row| {
        vec![
            row.recording.header.product.to_string(),
            row.recording.header.hour.to_string(),
            row.ticks.to_string(),
            if row.problem.is_none() { "same" } else { "DIFFERS" }.to_owned(),
            row.hash.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        ]
    });
    render::table(&heads, &cells.collect::<Vec<_>>())
}
