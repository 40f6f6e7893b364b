//! What all processes of a run share: time, the store, AWS, the workload, and the schedule of faults.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::{clock::Clock as _, hour::BillingHour};
use tollkeeper_ledger::{
    marks::KeptMarks,
    memory::{MemoryCheckpoints, MemoryLedger, MemoryStatements},
    recording::MemoryRecorder,
};
use tollkeeper_simulator::{Settings, SharedSimulator, Simulator, VirtualClock};

use crate::{
    cell::{Cell, Deed, Step, Successor},
    mutant::Mutant,
    oracle::{Calls, Oracle},
    random::Random,
    schedule::{Fault, Neighbour, Schedule},
    tenant::Tenant,
    workload::Workload,
};

/// The software's first moment, as far as the run knows.
const START: &str = "2026-11-21T14:00:00Z";

/// The state of the world that is not a process.
pub(crate) struct World {
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) ledger: MemoryLedger,
    pub(crate) checkpoints: MemoryCheckpoints,
    pub(crate) statements: MemoryStatements,
    /// On a volume that outlives all processes.
    pub(crate) marks: Arc<KeptMarks>,
    pub(crate) aws: SharedSimulator,
    pub(crate) schedule: Schedule,
    /// What the schedule does to the nth effect of a kind.
    fates: BTreeMap<(Step, u32), Deed>,
    /// Effects with a stale read among their fates.
    pub(crate) stale: BTreeSet<Step>,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) start: Timestamp,
    /// From when on no effect fails any more.
    calm_from: Timestamp,
    state: Mutex<State>,
    is_traced: AtomicBool,
}

/// What changes.
pub(crate) struct State {
    pub(crate) first: Watched,
    pub(crate) neighbour: Watched,
    /// Of both.
    pub(crate) calls: Calls,
    /// The hour of the last failure of the first product's plugin, for a mutant.
    pub(crate) failed_in: Option<BillingHour>,
    pub(crate) random: Random,
    /// Effects so far, by kind.
    counts: BTreeMap<Step, u32>,
    /// Faults that hit something.
    pub(crate) fired: Vec<Cell>,
    pub(crate) api_down_until: Timestamp,
    pub(crate) contended_until: Timestamp,
    /// Whether the last write in a conflict storm met a conflict.
    is_contended: bool,
    pub(crate) aws_down_until: Timestamp,
    pub(crate) throttled_until: Timestamp,
    pub(crate) not_entitled_until: Timestamp,
    /// Whether the product sells the gauge only.
    pub(crate) is_narrow: bool,
    pub(crate) second_binding: SecondBinding,
    /// How far the processes' clocks are off.
    pub(crate) skew: SignedDuration,
    /// What has to happen to processes, by their number.
    pub(crate) orders: Vec<(usize, Order)>,
    /// What the hours of each process were computed from, if that is recorded.
    pub(crate) recorders: Vec<(usize, Arc<MemoryRecorder>)>,
    pub(crate) trace: Vec<String>,
}

/// What one product really does, and who judges what becomes of it.
pub(crate) struct Watched {
    pub(crate) workload: Workload,
    pub(crate) oracle: Oracle,
}

impl Watched {
    fn new(tenant: Tenant, schedule: &Schedule, start: Timestamp) -> Self {
        let workload = Workload::new(tenant, &schedule.setting, schedule.seed, start);
        Self { workload, oracle: Oracle::of(tenant) }
    }
}

impl State {
    pub(crate) fn of(&mut self, tenant: Tenant) -> &mut Watched {
        match tenant {
            Tenant::First => &mut self.first,
            Tenant::Neighbour => &mut self.neighbour,
        }
    }

    pub(crate) fn oracle(&mut self, tenant: Tenant) -> &mut Oracle {
        &mut self.of(tenant).oracle
    }
}

/// How the second of the first product's bindings is seen by processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SecondBinding {
    Usable,
    /// Only what was measured of it counts.
    Unusable,
    Unreadable,
}

/// What becomes of a process in the middle of an effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    Die(Successor),
    Suspend { until: Timestamp, takeover: bool },
}

impl World {
    /// A world in which effects fail for so long.
    pub(crate) fn new(schedule: &Schedule, mutant: Option<Mutant>, troubled_for: SignedDuration) -> Self {
        let start: Timestamp = START.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let start = start + SignedDuration::from_secs(i64::from(schedule.setting.starts_after));
        let settings = match mutant {
            Some(mutant) => mutant.settings(),
            None => Settings::default(),
        };
        Self {
            clock: Arc::new(VirtualClock::starting_at(start)),
            ledger: MemoryLedger::default(),
            checkpoints: MemoryCheckpoints::default(),
            statements: MemoryStatements::default(),
            marks: Arc::new(KeptMarks::in_memory()),
            aws: SharedSimulator::new(Simulator::new(settings)),
            schedule: schedule.clone(),
            fates: fates(schedule),
            stale: fates(schedule)
                .into_iter()
                .filter(|(_, deed)| *deed == Deed::Stale)
                .map(|((step, _), _)| step)
                .collect(),
            mutant,
            start,
            calm_from: start + troubled_for,
            state: Mutex::new(State {
                first: Watched::new(Tenant::First, schedule, start),
                neighbour: Watched::new(Tenant::Neighbour, schedule, start),
                calls: Calls::default(),
                failed_in: None,
                random: Random::new(schedule.seed ^ 0x4C41_5445),
                counts: BTreeMap::new(),
                fired: Vec::new(),
                api_down_until: start,
                contended_until: start,
                is_contended: false,
                aws_down_until: start,
                throttled_until: start,
                not_entitled_until: start,
                is_narrow: false,
                second_binding: SecondBinding::Usable,
                skew: SignedDuration::ZERO,
                orders: Vec::new(),
                recorders: Vec::new(),
                trace: Vec::new(),
            }),
            is_traced: AtomicBool::new(false),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn skew(&self) -> SignedDuration {
        self.state().skew
    }

    /// The products that are metered.
    pub(crate) fn tenants(&self) -> &'static [Tenant] {
        match self.schedule.setting.neighbour {
            Neighbour::Nobody => &[Tenant::First],
            Neighbour::Judged | Neighbour::Compared => &Tenant::BOTH,
        }
    }

    /// Counts an effect of the first product and returns what the schedule does to it.
    pub(crate) fn fate(&self, tenant: Tenant, step: Step) -> Option<Deed> {
        if tenant != Tenant::First {
            return None;
        }
        let mut state = self.state();
        let count = state.counts.entry(step).or_default();
        *count += 1;
        let number = *count;
        let deed = self.fates.get(&(step, number)).copied().filter(|_| self.now() < self.calm_from);
        if let Some(deed) = deed {
            state.fired.push(Cell::At(step, deed));
            drop(state);
            self.trace(format_args!("FAULT {step:?} {number}: {deed:?}"));
        }
        deed
    }

    pub(crate) fn is_api_down(&self) -> bool {
        self.now() < self.state().api_down_until
    }

    /// Whether this write meets another one: every other does in a conflict storm.
    pub(crate) fn is_contended(&self) -> bool {
        let now = self.now();
        let mut state = self.state();
        state.is_contended = now < state.contended_until && !state.is_contended;
        state.is_contended
    }

    /// Remembers every event from now on.
    pub(crate) fn trace_on(&self) {
        self.is_traced.store(true, Ordering::Relaxed);
    }

    pub(crate) fn trace(&self, event: impl Display) {
        if self.is_traced.load(Ordering::Relaxed) {
            let line = format!("{} {event}", self.now());
            self.state().trace.push(line);
        }
    }
}

/// The first fault of an effect is its fate; it has only one.
fn fates(schedule: &Schedule) -> BTreeMap<(Step, u32), Deed> {
    let mut fates = BTreeMap::new();
    for fault in &schedule.faults {
        if let Fault::At { step, nth, deed } = *fault {
            fates.entry((step, nth)).or_insert(deed);
        }
    }
    fates
}
