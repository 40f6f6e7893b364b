//! `tollkeeper plugin check`: what a cluster would refuse and what a buyer would regret, each by a name of its own.

mod behaviour;
mod made_up;
mod statics;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::json;
use tollkeeper_core::identity::Digest;

use super::{component, play::Play, progress, setting::SettingArguments, subject::Subject};
use crate::cli::{
    Failure, Output, print,
    render::{Align, table},
    workshop,
};

/// Check a plugin: imports, size, manifest, configuration, odd and huge inputs, determinism, state.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// File of the component.
    component: PathBuf,
    #[command(flatten)]
    setting: SettingArguments,
    /// JSON lines, each the state of one input from a moment on: with them the checks use inputs that the plugin knows.
    #[arg(long, env = "TOLLKEEPER_TRACE", value_name = "FILE")]
    trace: Option<PathBuf>,
    /// How to print it.
    #[arg(long, env = "TOLLKEEPER_OUTPUT", default_value = "text")]
    output: Output,
}

/// Every check, in the order in which they are made.
pub(super) const CHECKS: [&str; 17] = [
    "component",
    "size",
    "imports",
    "interface",
    "manifest",
    "config-schema",
    "config",
    "unknown-config",
    "no-inputs",
    "unavailable-inputs",
    "empty-inputs",
    "odd-values",
    "huge-inputs",
    "determinism",
    "state",
    "dimensions",
    "trace",
];

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Passed,
    Warned,
    Failed,
}

/// What one check came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Finding {
    name: &'static str,
    status: Verdict,
    /// What was found.
    message: String,
    /// What to do about it; empty where nothing need be done.
    advice: String,
}

impl Finding {
    fn passed(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, status: Verdict::Passed, message: message.into(), advice: String::new() }
    }

    fn warned(name: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, status: Verdict::Warned, message: message.into(), advice: advice.into() }
    }

    fn failed(name: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, status: Verdict::Failed, message: message.into(), advice: advice.into() }
    }
}

impl Check {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let setting = self.setting.read()?;
        let play = self.trace.as_ref().map(|path| Play::of_trace(path, &setting)).transpose()?;
        let bytes = component::read_any(&self.component)?;
        let (mut findings, subject) = statics::check(&bytes, setting.limits)?;
        let bar = progress::bar("checks", CHECKS.len());
        bar.set_position(u64::try_from(findings.len()).unwrap_or_default());
        if let Some(subject) = subject {
            let other = workshop::host()?.with_chance(1);
            let twin = Subject::by(other, &bytes, setting.limits)?.map_err(Failure::new)?;
            let bench = behaviour::Bench::new(&subject, &twin, &setting, play.as_ref());
            for check in bench.checks() {
                findings.push(check(&bench));
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        self.report(&findings, &Digest::of(&bytes))
    }

    fn report(&self, findings: &[Finding], digest: &Digest) -> Result<(), Failure> {
        let count = |status| findings.iter().filter(|finding| finding.status == status).count();
        let failed: Vec<&str> = findings
            .iter()
            .filter(|finding| finding.status == Verdict::Failed)
            .map(|finding| finding.name)
            .collect();
        match self.output {
            Output::Json => print::json(&json!({
                "digest": digest,
                "checks": findings,
                "passed": count(Verdict::Passed),
                "warned": count(Verdict::Warned),
                "failed": failed.len(),
            }))?,
            Output::Text => print::text(text(findings))?,
        }
        if failed.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!(
            "{} of {} checks failed: {}",
            failed.len(),
            findings.len(),
            failed.join(", ")
        )))
    }
}

fn text(findings: &[Finding]) -> String {
    let word = |status| match status {
        Verdict::Passed => "passed",
        Verdict::Warned => "warned",
        Verdict::Failed => "FAILED",
    };
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|finding| {
            vec![word(finding.status).to_owned(), finding.name.to_owned(), finding.message.clone()]
        })
        .collect();
    let mut text = table(&[("", Align::Left), ("CHECK", Align::Left), ("FOUND", Align::Left)], &rows);
    for finding in findings.iter().filter(|finding| !finding.advice.is_empty()) {
        text.push_str(&format!("\n{}: {}\n", finding.name, finding.advice));
    }
    text
}
