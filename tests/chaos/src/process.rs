//! One operator process: the production meter and settler over the seams of chaos.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
};

use jiff::Timestamp;
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tollkeeper_controller::{
    meter::{self, Assignment, Finding, House, LoadedPlugin},
    report::{self, Policies, Settler, Teller, Term},
    roster::Roster,
};
use tollkeeper_core::{
    identity::{Digest, ObjectKey},
    pace::Pace,
    plan::submission::Sender,
    plugin::{Manifest, PluginLimits},
    product::{Binding, Dimension, Fold, Interval, Meter, Mode, Policy, Product},
    tags::TagSet,
    workload::{Selector, Workload as BoundWorkload},
};
use tollkeeper_simulator::poll_once;

use crate::{
    mutant::Mutant,
    schedule::Setting,
    seams::{ChaosCheckpoints, ChaosInputs, ChaosLedger, ChaosMetering, ChaosPlugin, Hand, ProcessClock},
    workload::{COUNTER, GAUGE, NAMESPACES},
    world::World,
};

/// A process that runs.
pub(crate) struct Process {
    pub(crate) number: usize,
    pub(crate) pod: String,
    pub(crate) suspended_until: Option<Timestamp>,
    pub(crate) stop: CancellationToken,
    pub(crate) term: Arc<ProcessTerm>,
    roster: Arc<Roster>,
    changes: broadcast::Receiver<ObjectKey>,
    attention: Option<Finding>,
    assignment: watch::Sender<Assignment>,
    future: Pin<Box<dyn Future<Output = ()>>>,
    hand: Hand,
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
        let house = House {
            cluster: "cluster".to_owned(),
            clock: clock.clone(),
            inputs: Arc::new(ChaosInputs(hand.clone())),
            ledger: ledger.clone(),
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
            ledger,
            metering: Arc::new(ChaosMetering::new(hand.clone())),
            pace: Arc::new(Pace::meter_usage(clock)),
            term: term.clone(),
        };
        let settler = Settler::new(Sender { pod: Mutant::claimant(world.mutant, pod), epoch });
        let product = product(&world.schedule.setting);
        let policies: Policies = [(product.key.clone(), product.policy)].into();
        let (assignment, assigned) = watch::channel(assigned(product, &hand, plugin));
        let (roster, sealed) = (Arc::new(Roster::default()), Arc::new(Notify::new()));
        let future = {
            let (roster, stop) = (roster.clone(), stop.clone());
            async move {
                let metering =
                    meter::run(house, roster.clone(), sealed.clone(), None, assigned, stop.clone());
                let settling = report::run(settler, teller, || policies.clone(), &roster, &sealed, &stop);
                futures::join!(metering, settling);
            }
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
            attention: None,
            assignment,
            future: Box::pin(future),
            hand,
        }
    }

    /// Lets it go on until it waits. Whether it has ended.
    pub(crate) fn poll(&mut self) -> bool {
        let has_ended = matches!(poll_once(self.future.as_mut()), Poll::Ready(()));
        if !self.changes.is_empty() {
            self.changes = self.changes.resubscribe();
            self.attention = self.roster.of(&product_key()).and_then(|progress| progress.attention);
        }
        has_ended
    }

    /// Hands it another plugin.
    pub(crate) fn take_plugin(&self, plugin: u32) {
        let loaded = loaded(&self.hand, plugin);
        self.assignment.send_modify(|assignment| assignment.plugin = loaded);
    }

    /// What its own guard has found broken.
    pub(crate) fn breach(&self) -> Option<&str> {
        let found = self.attention.as_ref().filter(|finding| finding.reason == "InvariantBroken");
        found.map(|finding| finding.message.as_str())
    }

    /// Whether it says that a record needs a person.
    pub(crate) fn is_loud(&self) -> bool {
        self.attention.is_some()
    }
}

/// The one product.
pub(crate) fn product_key() -> ObjectKey {
    ObjectKey::new("vecdb", "vecdb")
}

fn product(setting: &Setting) -> Product {
    let dimension = |name: &str, fold| {
        let name = name.parse().ok()?;
        Some(Dimension { name, fold, rounding: setting.rounding, zero_records: setting.zero_records })
    };
    let dimensions = [dimension(GAUGE, Fold::TimeWeighted), dimension(COUNTER, Fold::Sum)];
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
    let bindings = NAMESPACES.map(|namespace| {
        let workload =
            BoundWorkload { namespaces: vec![namespace.to_owned()], selector: Selector::default() };
        let tags = TagSet::new([("Team".to_owned(), namespace.to_owned())]).unwrap_or_default();
        let key = ObjectKey::new(namespace, namespace);
        (Binding { key, uid: namespace.to_owned(), workload, tags }, false)
    });
    Assignment {
        cluster: "cluster".to_owned(),
        product,
        plugin: loaded(hand, plugin),
        bindings: bindings.into(),
    }
}
