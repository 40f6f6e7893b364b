//! Runs meters in a process: one task a product, which lives by the clock and obeys the product's reconciler.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tollkeeper_core::{
    identity::ObjectKey,
    product::{Binding, Product},
};

use super::{House, LoadedPlugin, Meter};
use crate::roster::Roster;

/// What a product's meter is to do.
#[derive(Clone)]
pub struct Assignment {
    /// What names the installation in client tokens: the UID of the product's namespace.
    pub cluster: String,
    /// The product.
    pub product: Product,
    /// Its plugin.
    pub plugin: LoadedPlugin,
    /// Its bindings, and whether each is being deleted.
    pub bindings: Vec<(Binding, bool)>,
}

impl PartialEq for Assignment {
    fn eq(&self, other: &Self) -> bool {
        self.cluster == other.cluster
            && self.product == other.product
            && self.plugin.digest == other.plugin.digest
            && self.bindings == other.bindings
    }
}

struct Running {
    assignment: watch::Sender<Assignment>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The meters of this process.
pub struct Meters {
    house: House,
    roster: Arc<Roster>,
    sealed: Arc<Notify>,
    running: Mutex<BTreeMap<ObjectKey, Running>>,
}

impl Meters {
    /// None yet. `house.cluster` is replaced by each assignment's own; `sealed` is told of new reports.
    pub fn new(house: House, roster: Arc<Roster>, sealed: Arc<Notify>) -> Self {
        Self { house, roster, sealed, running: Mutex::default() }
    }

    /// Starts a product's meter, or changes what it does.
    pub fn assign(&self, assignment: Assignment) {
        let key = assignment.product.key.clone();
        let mut running = self.running();
        if let Some(meter) = running.get(&key).filter(|meter| !meter.task.is_finished()) {
            meter.assignment.send_if_modified(|current| {
                let is_new = *current != assignment;
                *current = assignment;
                is_new
            });
            return;
        }
        let (sender, receiver) = watch::channel(assignment);
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(
            self.house.clone(),
            self.roster.clone(),
            self.sealed.clone(),
            receiver,
            stop.clone(),
        ));
        running.insert(key, Running { assignment: sender, stop, task });
    }

    /// Changes what a running meter's bindings are and leaves the rest as it is.
    pub fn rebind(&self, product: &ObjectKey, bindings: &[(Binding, bool)]) {
        if let Some(meter) = self.running().get(product) {
            meter.assignment.send_if_modified(|current| {
                let is_new = current.bindings != bindings;
                current.bindings = bindings.to_vec();
                is_new
            });
        }
    }

    /// Stops a product's meter after it has saved what it knows.
    pub async fn dismiss(&self, product: &ObjectKey) {
        let running = self.running().remove(product);
        if let Some(running) = running {
            running.stop.cancel();
            ended(running.task).await;
        }
        self.roster.update(product, |progress| progress.is_metered = false);
    }

    /// Stops all meters after each has saved what it knows.
    pub async fn stop(&self) {
        let running = std::mem::take(&mut *self.running());
        running.values().for_each(|meter| meter.stop.cancel());
        for meter in running.into_values() {
            ended(meter.task).await;
        }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ended(task: JoinHandle<()>) {
    if let Err(error) = task.await {
        tracing::error!(%error, reason = "MeterPanicked", "a meter ended in a panic");
    }
}

/// Runs one product's meter until it is stopped or its assignments end, and saves what it knows.
pub async fn run(
    house: House,
    roster: Arc<Roster>,
    sealed: Arc<Notify>,
    mut assignments: watch::Receiver<Assignment>,
    stop: CancellationToken,
) {
    let first = assignments.borrow_and_update().clone();
    let house = House { cluster: first.cluster.clone(), ..house };
    let key = first.product.key.clone();
    let mut meter = Meter::new(first.product, first.plugin);
    meter.set_bindings(first.bindings, house.clock.now());
    loop {
        let before = meter.findings().last_sealed;
        let next = meter.turn(&house).await;
        publish(&roster, &key, &meter);
        if meter.findings().last_sealed != before {
            sealed.notify_one();
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            changed = assignments.changed() => {
                if changed.is_err() {
                    break;
                }
                let assignment = assignments.borrow_and_update().clone();
                meter.update(assignment.product, assignment.plugin);
                meter.set_bindings(assignment.bindings, house.clock.now());
            }
            () = house.clock.sleep_until(next) => {}
        }
    }
    meter.save(&house).await;
}

fn publish(roster: &Roster, key: &ObjectKey, meter: &Meter) {
    roster.update(key, |progress| {
        progress.is_metered = true;
        progress.findings = meter.findings().clone();
        progress.bindings = meter.all_progress();
    });
}
