//! `tollkeeper simulate`: product, binding and plugin through any stretch of time, in seconds.
//!
//! The meter, the planner, the ledger's state machine and the plugin host are those of `run`; only time, inputs and AWS
//! are made up. The same files give the same output, byte for byte.

pub(super) mod bill;
mod money;
mod notable;
mod page;
mod result;
mod stage;
pub(super) mod trace;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use tollkeeper_controller::{
    meter::Meter,
    report::{Endless, Policies, Settler, Teller},
};
use tollkeeper_core::{
    clock::Clock,
    hour::BillingHour,
    identity::ObjectKey,
    ledger::{Entry, Ledger as _},
    pace::Pace,
    plan::submission::Sender,
    recording::Recorder,
    trace::Trace,
};
use tollkeeper_ledger::{
    marks::KeptMarks,
    memory::MemoryLedger,
    recording::{Bounds, FileRecorder},
};
use tollkeeper_simulator::{
    Caller, FaultScript, Settings, SharedSimulator, SimulatedMetering, Simulator, VirtualClock,
};

use self::{
    result::Simulation,
    stage::{Books, Stage, bindings, stages},
};
use super::{Failure, Output, print, progress};
use crate::manifest::Manifests;

/// The pod that the simulated AWS sees.
const POD: &str = "simulated-pod";

/// How long after the last tick the run goes on: the submission window of the last hour, and its seal.
const AFTERMATH: SignedDuration = SignedDuration::from_hours(7);

/// Run products, bindings and plugins through a trace of signals on a virtual clock, with a simulated AWS: no cluster, no account.
#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// YAML files with MarketplaceProducts, LicenseBindings and the ConfigMaps of plugins.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// JSON lines, each the state of one input from a moment on.
    #[arg(long, env = "TOLLKEEPER_SIGNALS", value_name = "FILE")]
    signals: PathBuf,
    /// Start (RFC 3339); by default the hour of the first line of the trace.
    #[arg(long, env = "TOLLKEEPER_FROM", value_name = "TIME")]
    from: Option<Timestamp>,
    /// End (RFC 3339); by default the end of the hour of the last line of the trace.
    #[arg(long, env = "TOLLKEEPER_TO", value_name = "TIME")]
    to: Option<Timestamp>,
    /// Script of faults of the simulated AWS (YAML or JSON).
    #[arg(long, env = "TOLLKEEPER_FAULTS", value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Seed of the script's chances.
    #[arg(long, env = "TOLLKEEPER_SEED")]
    seed: Option<u64>,
    /// Folder with the component files that products name by their path in the operator's image.
    #[arg(long, env = "TOLLKEEPER_PLUGINS", value_name = "FOLDER")]
    plugins: Option<PathBuf>,
    /// Leave recordings of all hours in this folder, as `run --record-inputs` does.
    #[arg(long, env = "TOLLKEEPER_RECORD_DIR", value_name = "FOLDER")]
    record_dir: Option<PathBuf>,
    /// Write the bill as a page, too.
    #[arg(long, env = "TOLLKEEPER_HTML", value_name = "FILE")]
    html: Option<PathBuf>,
    /// How to print the result.
    #[arg(long, env = "TOLLKEEPER_OUTPUT", default_value = "text")]
    output: Output,
}

impl Simulate {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let spinner = progress::spinner("playing the trace".to_owned());
        let manifests = Manifests::read(&self.files).map_err(Failure::new)?;
        let inputs: BTreeSet<String> = manifests
            .products
            .values()
            .filter_map(|(product, _)| product.metered.as_ref())
            .flat_map(|metered| metered.product.meter.inputs.iter().map(|input| input.name.clone()))
            .collect();
        let trace = trace::read(&self.signals, Some(&inputs))?;
        let span = self.span(&trace)?;
        let (simulator, recorder) = (self.simulator()?, self.recorder()?);
        let simulation = play(&manifests, &trace, span, &simulator, self.plugins.as_deref(), recorder)?;
        spinner.finish_and_clear();
        self.report(&simulation, &manifests)
    }

    fn span(&self, trace: &Trace) -> Result<(Timestamp, Timestamp), Failure> {
        let (first, last) = trace.span();
        let from = self.from.unwrap_or_else(|| BillingHour::of(first).start());
        let last_hour = BillingHour::of(last);
        let rounded_up = if last_hour.start() == last { last } else { last_hour.end() };
        let to = self.to.unwrap_or(rounded_up);
        if to <= from {
            return Err(Failure::new(format!(
                "the simulation would end at {to}, not after its start at {from}; set --from and --to, or let the trace span more than one moment"
            )));
        }
        Ok((from, to))
    }

    fn simulator(&self) -> Result<SharedSimulator, Failure> {
        let mut simulator = Simulator::new(Settings::default());
        if let Some(path) = &self.faults {
            let named = |error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", path.display()));
            let text = fs::read_to_string(path).map_err(|error| named(&error))?;
            let mut script = FaultScript::parse(&text).map_err(|error| named(&error))?;
            if let Some(seed) = self.seed {
                script.seed = seed;
            }
            simulator.set_faults(script);
        }
        Ok(SharedSimulator::new(simulator))
    }

    fn recorder(&self) -> Result<Option<Arc<dyn Recorder>>, Failure> {
        let Some(folder) = &self.record_dir else { return Ok(None) };
        // Whoever simulates knows how long, and has asked for all of it.
        let bounds = Bounds { hours: u32::MAX, bytes: u64::MAX };
        let recorder = FileRecorder::open(folder, bounds).map_err(|error| {
            Failure::new(format!("{error}; set --record-dir to a folder that can be written"))
        })?;
        Ok(Some(Arc::new(recorder)))
    }

    fn report(&self, simulation: &Simulation, manifests: &Manifests) -> Result<(), Failure> {
        match self.output {
            Output::Json => print::json(&simulation.json())?,
            Output::Text => print::text(bill::text(simulation, manifests))?,
        }
        if let Some(path) = &self.html {
            fs::write(path, page::html(simulation, manifests))
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        }
        match simulation.violations.as_slice() {
            [] => Ok(()),
            [first, rest @ ..] => {
                Err(Failure::new(format!("{} invariants are broken; the first: {first}", rest.len() + 1)))
            }
        }
    }
}

/// Runs products through a trace. Relative component files are looked for in `plugins` first.
pub(super) fn play(
    manifests: &Manifests,
    trace: &Trace,
    (from, to): (Timestamp, Timestamp),
    simulator: &SharedSimulator,
    plugins: Option<&Path>,
    recorder: Option<Arc<dyn Recorder>>,
) -> Result<Simulation, Failure> {
    let clock = Arc::new(VirtualClock::starting_at(from));
    let books = Books { ledger: Arc::default(), marks: Arc::new(KeptMarks::in_memory()) };
    let mut stages = stages(manifests, trace, &clock, &books, plugins)?;
    let bindings = bindings(manifests, &stages)?;
    for (key, stage) in &mut stages {
        let own = bindings.get(key).cloned().unwrap_or_default();
        stage.meter.set_bindings(own.into_iter().map(|binding| (binding, false)).collect(), from);
        stage.meter.stop_after(to);
        recorder.iter().for_each(|recorder| stage.meter.record(recorder.clone()));
    }
    let teller = teller(&clock, &books, simulator);
    let policies: Policies =
        stages.iter().map(|(key, stage)| (key.clone(), stage.meter.product().policy)).collect();

    let mut problems = BTreeSet::new();
    // `--to` may be the end of time.
    let end = to.checked_add(AFTERMATH).unwrap_or(Timestamp::MAX);
    let turns = turns(&clock, &mut stages, &teller, &policies, end, &mut problems);
    clock.drive(turns).ok_or_else(|| Failure::new("the simulation came to a stop before its end"))?;

    let entries = entries(&clock, &books.ledger, stages.keys())?;
    Ok(Simulation::new(entries, simulator.lock().view(), problems, (from, to)))
}

fn teller(clock: &Arc<VirtualClock>, books: &Books, simulator: &SharedSimulator) -> Teller {
    let clock: Arc<dyn Clock> = clock.clone();
    Teller {
        ledger: books.ledger.clone(),
        metering: Arc::new(SimulatedMetering::new(simulator.clone(), clock.clone(), Caller::pod(POD))),
        pace: Arc::new(Pace::meter_usage(clock.clone())),
        marks: books.marks.clone(),
        term: Arc::new(Endless),
        clock,
    }
}

/// Meters and settles side by side, as `run` does, until every hour is settled or its window is over.
async fn turns(
    clock: &VirtualClock,
    stages: &mut BTreeMap<ObjectKey, Stage>,
    teller: &Teller,
    policies: &Policies,
    end: Timestamp,
    problems: &mut BTreeSet<String>,
) {
    let is_metered = AtomicBool::new(false);
    let metering = async {
        while clock.now() < end {
            let mut next = Timestamp::MAX;
            for stage in stages.values_mut() {
                next = next.min(stage.meter.turn(&stage.house).await);
                note_problems(&stage.meter, problems);
            }
            if next == Timestamp::MAX {
                break;
            }
            clock.sleep_until(next.min(end)).await;
        }
        is_metered.store(true, std::sync::atomic::Ordering::Release);
    };
    let settling = async {
        let mut settler = Settler::new(Sender { pod: POD.to_owned(), epoch: 1 });
        while clock.now() < end {
            let turn = settler.turn(teller, policies).await;
            let is_done = is_metered.load(std::sync::atomic::Ordering::Acquire);
            if is_done && turn.open.iter().all(|entry| entry.settlement.is_terminal()) {
                break;
            }
            clock.sleep_until(turn.next.min(end)).await;
        }
    };
    futures::join!(metering, settling);
}

fn note_problems(meter: &Meter, problems: &mut BTreeSet<String>) {
    let findings = meter.findings();
    for (input, why) in &findings.unavailable_inputs {
        problems.insert(format!("the input {input} was unavailable: {why}"));
    }
    for (binding, finding) in &findings.missed {
        problems.insert(format!("ticks of {binding} were missed: {}: {}", finding.reason, finding.message));
    }
    for key in &findings.dropped_tag_keys {
        problems.insert(format!("the tag {key} was dropped: a record has at most five keys"));
    }
}

fn entries<'a>(
    clock: &VirtualClock,
    ledger: &MemoryLedger,
    products: impl Iterator<Item = &'a ObjectKey>,
) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    for product in products {
        let history = clock
            .drive(ledger.history(product, BillingHour::of(Timestamp::UNIX_EPOCH)))
            .ok_or_else(|| Failure::new("the ledger did not answer"))?;
        entries.extend(history.map_err(Failure::new)?);
    }
    Ok(entries)
}
