//! One operator process: the production meter and settler over the seams of chaos.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tollkeeper_controller::{
    meter::{self, Assignment, Finding, House, LoadedPlugin},
    report::{self, Policies, Settler, Teller, Term},
    roster::Roster,
    statement::{self, Clerk},
};
use tollkeeper_core::{
    clock::Clock as _,
    identity::{Digest, ObjectKey},
    mark::Marks,
    pace::Pace,
    plan::submission::Sender,
    plugin::{Manifest, PluginLimits},
    product::{Binding, Dimension, Fold, Interval, Meter, Mode, Policy, Product},
    statement::Retention,
    tags::TagSet,
    workload::{Selector, Workload as BoundWorkload},
};
use tollkeeper_simulator::VirtualClock;

use crate::{
    mutant::Mutant,
    schedule::Setting,
    seams::{
        ChaosCheckpoints, ChaosInputs, ChaosLedger, ChaosMarks, ChaosMetering, ChaosPlugin, ChaosStatements,
        Hand, ProcessClock,
    },
    workload::{COUNTER, GAUGE, NAMESPACES},
    world::World,
};

/// The shortest that `tollkeeper run` takes.
const RETENTION: Retention = Retention { reports: SignedDuration::from_hours(54), statements: 13 };

/// A process that runs.
pub(crate) struct Process {
    pub(crate) number: usize,
    pub(crate) pod: String,
    pub(crate) suspended_until: Option<Timestamp>,
    pub(crate) stop: CancellationToken,
    pub(crate) term: Arc<ProcessTerm>,
    roster: Arc<Roster>,
    changes: broadcast::Receiver<ObjectKey>,
    attention: Vec<Finding>,
    assignment: watch::Sender<Assignment>,
    /// The meter, the settler, and the clerk.
    tasks: [Task; 3],
    hand: Hand,
}

/// One task of a process: polled when its moment has come or something has woken it.
struct Task {
    /// `None` once it has ended.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    woken: Arc<Woken>,
    waker: Waker,
    due: Option<Timestamp>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Task {
    fn new(future: impl Future<Output = ()> + 'static) -> Self {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        Self { future: Some(Box::pin(future)), waker: woken.clone().into(), woken, due: None }
    }

    fn poll(&mut self, clock: &VirtualClock) {
        let is_due = self.due.is_some_and(|due| due <= clock.now());
        let is_woken = self.woken.0.swap(false, Ordering::Relaxed);
        let Some(future) = self.future.as_mut().filter(|_| is_due || is_woken) else { return };
        clock.forget_waits();
        if future.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready() {
            self.future = None;
        }
        self.due = clock.awaited().filter(|_| self.future.is_some());
    }
}

/// A term that ends when the lease would.
pub(crate) struct ProcessTerm {
    world: Arc<World>,
    stop: CancellationToken,
    until: Mutex<Option<Timestamp>>,
}

impl ProcessTerm {
    /// Another process has taken the lease: this one's own reckoning ends at this moment.
    pub(crate) fn ends_at(&self, moment: Timestamp) {
        self.until.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(moment);
    }

    /// Whether no end is in sight.
    pub(crate) fn is_open(&self) -> bool {
        self.until.lock().unwrap_or_else(PoisonError::into_inner).is_none() && !self.stop.is_cancelled()
    }
}

impl Term for ProcessTerm {
    fn is_current(&self) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        !self.stop.is_cancelled() && until.is_none_or(|until| self.world.now() < until)
    }
}

impl Process {
    pub(crate) fn start(world: &Arc<World>, number: usize, pod: &str, plugin: u32) -> Self {
        let epoch = u64::try_from(number).unwrap_or_default() + 1;
        let hand = Hand::new(world.clone(), number, pod, epoch);
        let clock = Arc::new(ProcessClock(world.clone()));
        let ledger = Arc::new(ChaosLedger::new(hand.clone()));
        let marks: Arc<dyn Marks> = Arc::new(ChaosMarks { hand: hand.clone(), own: Mutant::marks(world) });
        let house = House {
            cluster: "cluster".to_owned(),
            clock: clock.clone(),
            inputs: Arc::new(ChaosInputs(hand.clone())),
            ledger: ledger.clone(),
            marks: marks.clone(),
            checkpoints: Arc::new(ChaosCheckpoints {
                hand: hand.clone(),
                own: world.checkpoints.of_another_process(),
            }),
        };
        let stop = CancellationToken::new();
        let term =
            Arc::new(ProcessTerm { world: world.clone(), stop: stop.clone(), until: Mutex::default() });
        let teller = Teller {
            clock: clock.clone(),
            ledger: ledger.clone(),
            metering: Arc::new(ChaosMetering::new(hand.clone())),
            pace: Arc::new(Pace::meter_usage(clock.clone())),
            marks,
            term: term.clone(),
        };
        let settler = Settler::new(Sender { pod: Mutant::claimant(world.mutant, pod), epoch });
        let product = product(&world.schedule.setting, world.state().is_narrow);
        let policies: Policies = [(product.key.clone(), product.policy)].into_iter().collect();
        let (assignment, assigned) = watch::channel(assigned(product, &hand, plugin));
        let (roster, sealed) = (Arc::new(Roster::default()), Arc::new(Notify::new()));
        let metering = meter::run(house, roster.clone(), sealed.clone(), None, assigned, stop.clone());
        let settling = {
            let (roster, stop) = (roster.clone(), stop.clone());
            async move { report::run(settler, teller, || policies.clone(), &roster, &sealed, &stop).await }
        };
        let bookkeeping = {
            let clerk = Clerk {
                clock,
                ledger,
                statements: Arc::new(ChaosStatements(hand.clone())),
                retention: RETENTION,
            };
            let (roster, stop) = (roster.clone(), stop.clone());
            async move { statement::run(clerk, || vec![product_key()], &roster, &stop).await }
        };
        let pod = pod.to_owned();
        Self {
            number,
            pod,
            suspended_until: None,
            stop,
            term,
            changes: roster.changes(),
            roster,
            attention: vec![],
            assignment,
            tasks: [Task::new(metering), Task::new(settling), Task::new(bookkeeping)],
            hand,
        }
    }

    /// Lets it go on until it waits. Whether it has ended.
    pub(crate) fn poll(&mut self) -> bool {
        for task in &mut self.tasks {
            task.poll(&self.hand.world.clock);
        }
        if !self.changes.is_empty() {
            self.changes = self.changes.resubscribe();
            self.attention =
                self.roster.of(&product_key()).map(|progress| progress.attention).unwrap_or_default();
        }
        self.tasks.iter().all(|task| task.future.is_none())
    }

    /// Something happened that it may notice, whatever it waits for.
    pub(crate) fn wake(&self) {
        self.tasks.iter().for_each(|task| task.waker.wake_by_ref());
    }

    /// The next moment that it waits for.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.suspended_until.or_else(|| self.tasks.iter().filter_map(|task| task.due).min())
    }

    /// Hands it another plugin.
    pub(crate) fn take_plugin(&self, plugin: u32) {
        let loaded = loaded(&self.hand, plugin);
        self.assignment.send_modify(|assignment| assignment.plugin = loaded);
    }

    /// Hands it the product as it is now.
    pub(crate) fn take_product(&self, is_narrow: bool) {
        let product = product(&self.hand.world.schedule.setting, is_narrow);
        self.assignment.send_modify(|assignment| assignment.product = product);
    }

    /// Hands it the bindings that can be used now.
    pub(crate) fn take_bindings(&self, is_unbound: bool) {
        self.assignment.send_modify(|assignment| assignment.bindings = bindings(is_unbound));
    }

    /// What its own guard has found broken.
    pub(crate) fn breach(&self) -> Option<&str> {
        let found = self.attention.iter().find(|finding| finding.reason == "InvariantBroken");
        found.map(|finding| finding.message.as_str())
    }

    /// Whether it says that a record needs a person.
    pub(crate) fn is_loud(&self) -> bool {
        !self.attention.is_empty()
    }
}

/// The one product.
pub(crate) fn product_key() -> ObjectKey {
    ObjectKey::new("vecdb", "vecdb")
}

fn product(setting: &Setting, is_narrow: bool) -> Product {
    let dimension = |name: &str, fold| {
        let name = name.parse().ok()?;
        Some(Dimension { name, fold, rounding: setting.rounding, zero_records: setting.zero_records })
    };
    let counter = dimension(COUNTER, Fold::Sum).filter(|_| !is_narrow);
    let dimensions = [dimension(GAUGE, Fold::TimeWeighted), counter];
    Product {
        key: product_key(),
        code: code(),
        dimensions: dimensions.into_iter().flatten().collect(),
        meter: Meter {
            interval: interval(setting),
            plugin: digest(0),
            limits: PluginLimits::default(),
            config: "{}".into(),
            inputs: vec![],
        },
        policy: Policy { ambiguous: setting.ambiguous, late: setting.late },
        mode: Mode::Live,
    }
}

#[allow(clippy::expect_used, reason = "a constant")]
fn code() -> tollkeeper_core::identity::ProductCode {
    "4pz5x3sgbjnq7t3hb1kqe3v0w".parse().expect("a product code")
}

#[allow(
    clippy::expect_used,
    reason = "schedules hold divisors of an hour; any other is a mistake in the file"
)]
fn interval(setting: &Setting) -> Interval {
    Interval::from_seconds(u64::from(setting.interval)).expect("an interval")
}

fn digest(plugin: u32) -> Digest {
    Digest::of(&plugin.to_be_bytes())
}

fn loaded(hand: &Hand, plugin: u32) -> LoadedPlugin {
    let manifest = Manifest {
        name: "chaos".to_owned(),
        version: plugin.to_string(),
        dimensions: vec![],
        inputs: vec![],
        config_schema: "{}".to_owned(),
    };
    LoadedPlugin { digest: digest(plugin), plugin: Arc::new(ChaosPlugin { hand: hand.clone(), manifest }) }
}

fn assigned(product: Product, hand: &Hand, plugin: u32) -> Assignment {
    Assignment {
        cluster: "cluster".to_owned(),
        product,
        plugin: loaded(hand, plugin),
        bindings: bindings(hand.world.state().is_unbound),
    }
}

/// The bindings that can be used.
fn bindings(is_unbound: bool) -> Vec<(Binding, bool)> {
    let namespaces =
        NAMESPACES.iter().copied().filter(|namespace| !is_unbound || *namespace != NAMESPACES[1]);
    let bindings = namespaces.map(|namespace| {
        let workload =
            BoundWorkload { namespaces: vec![namespace.to_owned()], selector: Selector::default() };
        let tags = TagSet::new([("Team".to_owned(), namespace.to_owned())]).unwrap_or_default();
        let key = ObjectKey::new(namespace, namespace);
        (Binding { key, uid: namespace.to_owned(), workload, tags }, false)
    });
    bindings.collect()
}
