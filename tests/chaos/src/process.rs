//! One operator process: the production meter and settler over the seams of chaos.

use std::{
    collections::BTreeMap,
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
    plugin::{Manifest, Plugin, PluginLimits},
    product::{Binding, Dimension, Fold, Interval, Meter, Mode, Policy, Product},
    recording::Recorder,
    statement::Retention,
    tags::TagSet,
    workload::{Selector, Workload as BoundWorkload},
};
use tollkeeper_ledger::recording::MemoryRecorder;
use tollkeeper_simulator::VirtualClock;

use crate::{
    mutant::Mutant,
    schedule::Setting,
    seams::{
        ChaosCheckpoints, ChaosInputs, ChaosLedger, ChaosMarks, ChaosMetering, ChaosPlugin, ChaosRecorder,
        ChaosStatements, Hand, PlainPlugin, ProcessClock,
    },
    tenant::Tenant,
    workload::{COUNTER, GAUGE},
    world::{SecondBinding, World},
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
    /// The first product's, and its neighbour's if there is one.
    meters: Vec<Assigned>,
    /// The meters, the settler, and the clerk.
    tasks: Vec<Task>,
    hand: Hand,
}

/// What a process does for one product.
struct Assigned {
    tenant: Tenant,
    assignment: watch::Sender<Assignment>,
    /// What it says about the product's records.
    attention: Vec<Finding>,
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
            inputs: Arc::new(ChaosInputs { hand: hand.clone(), tenant: Tenant::First }),
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
        let setting = &world.schedule.setting;
        let policy = Policy { ambiguous: setting.ambiguous, late: setting.late };
        let tenants = world.tenants();
        let policies: Policies = tenants.iter().map(|tenant| (tenant.key(), policy)).collect();
        let (roster, sealed) = (Arc::new(Roster::default()), Arc::new(Notify::new()));
        let recorder = recorder(world, number);
        let (mut meters, mut tasks) = (Vec::new(), Vec::new());
        for tenant in tenants.iter().copied() {
            let (assignment, assigned) = watch::channel(assigned(tenant, &hand, plugin));
            let inputs = Arc::new(ChaosInputs { hand: hand.clone(), tenant });
            let house = House { inputs, ..house.clone() };
            let (roster, sealed, stop) = (roster.clone(), sealed.clone(), stop.clone());
            let metering = meter::run(house, roster, sealed, recorder.clone(), assigned, stop);
            tasks.push(Task::new(metering));
            meters.push(Assigned { tenant, assignment, attention: vec![] });
        }
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
            let products: Vec<ObjectKey> = tenants.iter().map(|tenant| tenant.key()).collect();
            async move { statement::run(clerk, || products.clone(), &roster, &stop).await }
        };
        tasks.extend([Task::new(settling), Task::new(bookkeeping)]);
        let pod = pod.to_owned();
        Self {
            number,
            pod,
            suspended_until: None,
            stop,
            term,
            changes: roster.changes(),
            roster,
            meters,
            tasks,
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
            for meter in &mut self.meters {
                let progress = self.roster.of(&meter.tenant.key());
                meter.attention = progress.map(|progress| progress.attention).unwrap_or_default();
            }
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

    /// Changes what it is to do for the first product: nobody touches the neighbour's.
    fn reassign(&self, change: impl Fn(&mut Assignment)) {
        for meter in self.meters.iter().filter(|meter| meter.tenant == Tenant::First) {
            meter.assignment.send_modify(&change);
        }
    }

    /// Hands it another plugin.
    pub(crate) fn take_plugin(&self, plugin: u32) {
        let loaded = loaded(Tenant::First, &self.hand, plugin);
        self.reassign(|assignment| assignment.plugin = loaded.clone());
    }

    /// Hands it the product as it is now.
    pub(crate) fn take_product(&self, is_narrow: bool) {
        let product = product(Tenant::First, &self.hand.world.schedule.setting, is_narrow);
        self.reassign(|assignment| assignment.product = product.clone());
    }

    /// Hands it the bindings that can be used now.
    pub(crate) fn take_bindings(&self, second: SecondBinding) {
        self.reassign(|assignment| assignment.bindings = bindings(Tenant::First, second));
    }

    /// What its own guard has found broken of a product.
    pub(crate) fn breach(&self, tenant: Tenant) -> Option<&str> {
        let found = self.attention(tenant).find(|finding| finding.reason == "InvariantBroken");
        found.map(|finding| finding.message.as_str())
    }

    /// Whether it says that a record of a product needs a person.
    pub(crate) fn is_loud(&self, tenant: Tenant) -> bool {
        self.attention(tenant).next().is_some()
    }

    fn attention(&self, tenant: Tenant) -> impl Iterator<Item = &Finding> {
        let own = self.meters.iter().filter(move |meter| meter.tenant == tenant);
        own.flat_map(|meter| &meter.attention)
    }
}

fn product(tenant: Tenant, setting: &Setting, is_narrow: bool) -> Product {
    let dimension = |name: &str, fold| {
        let name = name.parse().ok()?;
        Some(Dimension { name, fold, rounding: setting.rounding, zero_records: setting.zero_records })
    };
    let counter = dimension(COUNTER, Fold::Sum).filter(|_| !is_narrow);
    let dimensions = [dimension(GAUGE, Fold::TimeWeighted), counter];
    Product {
        key: tenant.key(),
        code: tenant.code(),
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

fn manifest(plugin: u32) -> Manifest {
    Manifest {
        name: "chaos".to_owned(),
        version: plugin.to_string(),
        dimensions: vec![],
        inputs: vec![],
        config_schema: "{}".to_owned(),
    }
}

fn loaded(tenant: Tenant, hand: &Hand, plugin: u32) -> LoadedPlugin {
    let own = ChaosPlugin { hand: hand.clone(), tenant, manifest: manifest(plugin) };
    LoadedPlugin { digest: digest(plugin), plugin: Arc::new(own) }
}

/// The first plugin and those that came after it, by their digests, as they are when nothing goes wrong.
pub(crate) fn plugins(newest: u32) -> BTreeMap<Digest, LoadedPlugin> {
    let plain = |plugin: u32| {
        let own: Arc<dyn Plugin> = Arc::new(PlainPlugin(manifest(plugin)));
        (digest(plugin), LoadedPlugin { digest: digest(plugin), plugin: own })
    };
    (0..=newest).map(plain).collect()
}

/// Where a process leaves what its hours are computed from.
fn recorder(world: &World, process: usize) -> Option<Arc<dyn Recorder>> {
    world.schedule.setting.is_recorded.then(|| -> Arc<dyn Recorder> {
        let own = Arc::new(MemoryRecorder::default());
        world.state().recorders.push((process, own.clone()));
        Arc::new(ChaosRecorder { mutant: world.mutant, own })
    })
}

/// What a process is to do when it starts: the first product as it is then, and its neighbour as it always is.
fn assigned(tenant: Tenant, hand: &Hand, plugin: u32) -> Assignment {
    let (plugin, is_narrow, second) = match tenant {
        Tenant::First => {
            let state = hand.world.state();
            (plugin, state.is_narrow, state.second_binding)
        }
        Tenant::Neighbour => (0, false, SecondBinding::Usable),
    };
    Assignment {
        cluster: "cluster".to_owned(),
        product: product(tenant, &hand.world.schedule.setting, is_narrow),
        plugin: loaded(tenant, hand, plugin),
        bindings: bindings(tenant, second),
    }
}

/// The bindings that can be read, and whether each has hours to seal only.
fn bindings(tenant: Tenant, second: SecondBinding) -> Vec<(Binding, bool)> {
    let left = if second == SecondBinding::Unreadable { 1 } else { usize::MAX };
    let namespaces = tenant.namespaces().iter().copied().take(left).enumerate();
    let bindings = namespaces.map(|(index, namespace)| {
        let workload =
            BoundWorkload { namespaces: vec![namespace.to_owned()], selector: Selector::default() };
        let tags = TagSet::new([("Team".to_owned(), namespace.to_owned())]).unwrap_or_default();
        let key = ObjectKey::new(namespace, namespace);
        let is_ending = index == 1 && second == SecondBinding::Unusable;
        (Binding { key, uid: namespace.to_owned(), workload, tags }, is_ending)
    });
    bindings.collect()
}
