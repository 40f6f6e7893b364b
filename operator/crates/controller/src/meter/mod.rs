//! Measures one product: runs its ticks, checkpoints them, seals its hours.
//!
//! [`Meter::turn`] does whatever is due and says when to come back; `tollkeeper run` and `tollkeeper simulate` drive it
//! alike. Nothing in it waits for AWS, so a slow submission never costs a tick.

mod act;
mod doubt;
mod drive;
mod finding;
mod observe;
mod quarantine;
mod replay;
mod takeover;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::{
    checkpoint::Checkpoints,
    clock::Clock,
    hour::BillingHour,
    identity::{Digest, DimensionName, ObjectKey},
    input::Inputs,
    ledger::Ledger,
    mark::Marks,
    plan::seal,
    plugin::Plugin,
    product::{Binding, Interval, Product},
    quantity::Quantity,
    recording::Recorder,
    report::SealedReport,
    usage::Tally,
};

pub(crate) use self::quarantine::Quarantine;
use self::{doubt::SecondOpinion, takeover::Candidate};
pub use self::{
    drive::{Assignment, Meters, run},
    finding::{Finding, Findings},
    quarantine::QUARANTINED,
    replay::{ReplayError, replay},
    takeover::Successor,
};

/// How often usage is checkpointed: what a crash can cost is the gauge samples of this long, and they are held at their
/// last value. More often would be felt in etcd.
pub const CHECKPOINT_INTERVAL: SignedDuration = SignedDuration::from_mins(5);

/// After the API server failed, the next attempt is this much later.
const RETRY: SignedDuration = SignedDuration::from_secs(15);

/// What a meter works with.
#[derive(Clone)]
pub struct House {
    /// Names the installation; part of every client token. In a cluster the UID of the product's namespace.
    pub cluster: String,
    /// The present moment.
    pub clock: Arc<dyn Clock>,
    /// Reads the product's inputs.
    pub inputs: Arc<dyn Inputs>,
    /// Holds the sealed hours.
    pub ledger: Arc<dyn Ledger>,
    /// What is known to have been sent, whatever the ledger says.
    pub marks: Arc<dyn Marks>,
    /// Holds the open ones.
    pub checkpoints: Arc<dyn Checkpoints>,
}

/// A plugin and the digest it was loaded by.
#[derive(Clone)]
pub struct LoadedPlugin {
    /// Its component's digest.
    pub digest: Digest,
    /// The plugin.
    pub plugin: Arc<dyn Plugin>,
}

/// A binding while it is metered.
struct Metered {
    binding: Binding,
    tally: Tally,
    /// No tick before this one is due.
    first_tick: Timestamp,
    /// Whether its checkpoint has been looked for.
    restored: bool,
    duty: Duty,
    /// Whether the tally has changed since the last checkpoint.
    unsaved: bool,
    /// Whether the plugin is left alone because it misbehaves on it.
    quarantine: Quarantine,
}

/// What a binding is kept for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Duty {
    /// It is measured.
    Ticks,
    /// It has no further ticks, only hours to seal: it is being deleted, or another binding measures its workload.
    Hours,
    /// The same, and nobody asks for it any more: it goes when its hours are sealed.
    Farewell,
}

/// Tells a binding from another one of the same name.
type Identity = (ObjectKey, String);

/// What has been sealed already.
struct Chain {
    last: Option<SealedReport>,
}

/// Measures one product.
pub struct Meter {
    product: Product,
    plugin: LoadedPlugin,
    /// Takes over at the next hour: an hour is measured by one plugin.
    next_plugin: Option<Candidate>,
    /// The hour that `plugin` measures.
    plugin_hour: Option<BillingHour>,
    bindings: BTreeMap<Identity, Metered>,
    chain: Option<Chain>,
    /// The hour whose report was to be created, and may be there although nobody has heard so. No tick adds to it any more: what
    /// that report does not hold would be lost.
    sealing: Option<BillingHour>,
    next_checkpoint: Option<Timestamp>,
    /// What the last save told about the time.
    second_opinion: Option<SecondOpinion>,
    /// When the last turn was, and when the next one was to be.
    expected: Option<(Timestamp, Timestamp)>,
    /// No tick after this one is due.
    until: Option<Timestamp>,
    findings: Findings,
    recorder: Option<Arc<dyn Recorder>>,
}

/// What people may know of a binding's metering.
#[derive(Clone, PartialEq, Debug)]
pub struct Progress {
    /// Whether hours of it wait for their seal.
    pub has_open_hours: bool,
    /// The last hour that it has usage in.
    pub last_hour: Option<BillingHour>,
}

impl Meter {
    /// A meter without bindings.
    pub fn new(product: Product, plugin: LoadedPlugin) -> Self {
        Self {
            product,
            plugin,
            next_plugin: None,
            plugin_hour: None,
            bindings: BTreeMap::new(),
            chain: None,
            sealing: None,
            next_checkpoint: None,
            second_opinion: None,
            expected: None,
            until: None,
            findings: Findings::default(),
            recorder: None,
        }
    }

    /// Leaves what it sees with this recorder.
    pub fn record(&mut self, recorder: Arc<dyn Recorder>) {
        self.recorder = Some(recorder);
    }

    /// The product.
    pub fn product(&self) -> &Product {
        &self.product
    }

    /// Takes a changed product; if it names another plugin, from the next hour on. Mode and policy hold at once.
    pub fn update(&mut self, product: Product, plugin: LoadedPlugin) {
        if plugin.digest != self.plugin.digest {
            self.product.mode = product.mode;
            self.product.policy = product.policy;
            self.next_plugin = Some(Candidate::new(product, plugin));
        } else {
            if product != self.product {
                self.forgive();
            }
            self.product = product;
            self.plugin = plugin;
            self.next_plugin = None;
        }
    }

    /// A changed plugin or specification is judged anew.
    fn forgive(&mut self) {
        self.bindings.values_mut().for_each(|metered| metered.quarantine.end());
    }

    /// Has no tick after this moment: the end of a simulation.
    pub fn stop_after(&mut self, last: Timestamp) {
        self.until = Some(last);
    }

    /// Sets the bindings to meter, and those of which only open hours are to be sealed. Of others, what is open is sealed before
    /// they are forgotten.
    pub fn set_bindings(&mut self, bindings: Vec<(Binding, bool)>, now: Timestamp) {
        let interval = self.product.meter.interval;
        let mut known = std::mem::take(&mut self.bindings);
        for (binding, ending) in bindings {
            let duty = if ending { Duty::Hours } else { Duty::Ticks };
            let metered = match known.remove(&identity(&binding)) {
                Some(known) => Metered { binding, duty, ..known },
                None => Metered {
                    binding,
                    tally: Tally::default(),
                    first_tick: first_tick(interval, now),
                    restored: false,
                    duty,
                    unsaved: false,
                    quarantine: Quarantine::default(),
                },
            };
            self.bindings.insert(identity(&metered.binding), metered);
        }
        let rest = known.into_iter();
        self.bindings.extend(rest.map(|(key, rest)| (key, Metered { duty: Duty::Farewell, ..rest })));
        self.let_go();
    }

    /// Forgets the bindings that nobody asks for and that have nothing to seal or to save any more.
    fn let_go(&mut self) {
        self.bindings.retain(|_, metered| {
            metered.duty != Duty::Farewell
                || !metered.restored
                || metered.unsaved
                || metered.tally.hours().next().is_some()
        });
    }

    /// How far the bindings are; those whose checkpoint has not been read yet are left out.
    pub fn all_progress(&self) -> BTreeMap<ObjectKey, Progress> {
        self.bindings
            .iter()
            .filter(|(_, metered)| metered.restored)
            .map(|((key, _), metered)| (key, metered.tally.hours().map(|(hour, _)| hour).last()))
            .fold(BTreeMap::new(), |mut all: BTreeMap<_, Progress>, (key, hour)| {
                // Two of the same name are one to whoever asks.
                let last_hour = all.get(key).and_then(|other| other.last_hour).max(hour);
                all.insert(key.clone(), Progress { has_open_hours: last_hour.is_some(), last_hour });
                all
            })
    }

    /// What conditions and events should say.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Does whatever is due and returns when to come back.
    pub async fn turn(&mut self, house: &House) -> Timestamp {
        let now = house.clock.now();
        self.restore(house).await;
        if self.should_ask_for_the_time(now) {
            self.is_sure_of_the_time(house, now).await;
        }
        if !self.doubts_the_time() {
            if self.sealing.is_some() {
                // First, because ticks wait for it.
                self.seal_due(house, now).await;
            }
            self.take_over(house, now).await;
            self.run_ticks(house, now).await;
        }
        if self.next_checkpoint.is_none_or(|due| now >= due) {
            self.checkpoint(house, now).await;
            self.let_go();
        }
        self.seal_due(house, now).await;
        let next = self.next_turn(now);
        self.expected = Some((now, next));
        next
    }

    /// Saves everything that is not saved: the last act before the process ends.
    pub async fn save(&mut self, house: &House) {
        let now = house.clock.now();
        self.checkpoint(house, now).await;
    }

    /// The open hour's usage of a binding, as if it ended now.
    fn current(&self, metered: &Metered) -> Option<(BillingHour, Vec<(DimensionName, Quantity)>)> {
        let (hour, usage) = metered.tally.hours().last()?;
        let usage = usage.measured_by().iter().filter_map(|dimension| {
            let parts = usage.folded(&dimension.name, dimension.fold);
            (!parts.is_empty())
                .then(|| (dimension.name.clone(), parts.iter().map(|part| part.quantity).sum()))
        });
        Some((hour, usage.collect()))
    }

    fn next_turn(&self, now: Timestamp) -> Timestamp {
        let interval = self.product.meter.interval;
        let tick = interval.after(interval.tick_at_or_before(now));
        let has_ticks = self.bindings.values().any(|metered| metered.duty == Duty::Ticks)
            && self.until.is_none_or(|until| tick <= until);
        let seal = self.open_hours().first().map(|hour| seal::due(*hour));
        let wanted = [
            has_ticks.then_some(tick).filter(|_| !self.doubts_the_time()),
            self.next_checkpoint.filter(|_| self.bindings.values().any(|metered| metered.unsaved)),
            seal.map(|due| if due <= now { now + RETRY } else { due }).filter(|_| !self.doubts_the_time()),
            self.bindings.values().any(|metered| !metered.restored).then(|| now + RETRY),
            self.chain.is_none().then(|| now + RETRY),
            self.next_question(),
        ];
        wanted.into_iter().flatten().min().unwrap_or(Timestamp::MAX)
    }

    /// Hours that have usage and no report, oldest first. The last tick of a simulation closes an hour and opens none.
    fn open_hours(&self) -> Vec<BillingHour> {
        let is_over = |hour: &BillingHour| self.until.is_some_and(|until| hour.start() >= until);
        let hours: std::collections::BTreeSet<BillingHour> =
            self.bindings.values().flat_map(|metered| metered.tally.hours().map(|(hour, _)| hour)).collect();
        hours.into_iter().filter(|hour| !is_over(hour)).collect()
    }
}

fn identity(binding: &Binding) -> Identity {
    (binding.key.clone(), binding.uid.clone())
}

/// The first tick that is not before `now`.
fn first_tick(interval: Interval, now: Timestamp) -> Timestamp {
    let tick = interval.tick_at_or_before(now);
    if tick == now { tick } else { interval.after(tick) }
}
