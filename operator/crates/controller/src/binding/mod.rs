//! Keeps bindings: provisions their access, says how they are, and lets them go when their usage is settled.
//!
//! Provisioned objects are read by name at every look and every half minute: a watch would need the right to list
//! Secrets, which the operator does not have. What an edit or a deletion spoils is repaired within that time.

pub mod access;
pub mod act;
pub mod objects;
pub mod observe;
pub mod plan;
mod remains;
pub mod report;
pub mod settle;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, stream};
use jiff::SignedDuration;
use kube::Client;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tollkeeper_api::{LicenseBinding, MarketplaceProduct};
use tollkeeper_core::{clock::Clock, identity::ObjectKey, ledger::Ledger};

use crate::{
    events::Events,
    roster::Roster,
    watch::{Seen, Watched, changed_keys},
    work::{Next, run_keyed},
};

pub use self::{
    observe::{DELETION_ANNOTATION, PROVISIONED_ANNOTATION},
    report::CONDITIONS,
};

/// How often provisioned objects are looked at. Real time: people edit them in real time.
const RESYNC: Duration = Duration::from_secs(30);

/// How much later a binding is looked at again whose product may not have been seen yet.
const UNLISTED: SignedDuration = SignedDuration::from_mins(1);

/// What keeping bindings takes.
#[derive(Clone)]
pub struct House {
    /// The API server.
    pub client: Client,
    /// The present moment.
    pub clock: Arc<dyn Clock>,
    /// What is known of the products.
    pub roster: Arc<Roster>,
    /// The reports, looked at before a binding goes.
    pub ledger: Arc<dyn Ledger>,
    /// Tells people.
    pub events: Events,
    /// The bindings, from [`watched`].
    pub bindings: Arc<Watched<LicenseBinding>>,
    /// The products.
    pub products: Arc<Watched<MarketplaceProduct>>,
}

/// A watch of bindings that leaves out their checkpoints, and keeps what it can of those that cannot be decoded.
pub fn watched() -> Arc<Watched<LicenseBinding>> {
    Watched::with_remains(report::prune, remains::remains)
}

/// Keeps all bindings until it is stopped. The two watches must be running.
pub async fn run(house: &House, stop: &CancellationToken) {
    // Before the lists, so that nothing is missed in between.
    let wakes = wakes(house);
    tokio::select! {
        () = stop.cancelled() => return,
        () = house.products.wait_until_ready() => {}
    }
    tokio::select! {
        () = stop.cancelled() => return,
        () = house.bindings.wait_until_ready() => {}
    }
    run_keyed("bindings", &*house.clock, wakes, |key| reconcile(house, key), stop).await;
}

/// Looks after one binding once.
pub async fn reconcile(house: &House, key: ObjectKey) -> Next {
    let Some(seen) = house.bindings.get(&key) else { return Next::OnChange };
    if !house.products.is_listed(&key.namespace) {
        // Its product would be taken for gone.
        return Next::At(house.clock.now() + UNLISTED);
    }
    let observed = match observe::observe(house, &key, &seen).await {
        Ok(observed) => observed,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(binding = %key, reason = error.reason(), cause, "{error}");
            return Next::Failed;
        }
    };
    let plan = plan::plan(&observed, house.clock.now());
    let acted = act::act(house, &observed.subject, &plan).await;
    report::report(house, &observed, &plan, &acted).await
}

/// Everything that is a reason to look at a binding.
fn wakes(house: &House) -> impl Stream<Item = ObjectKey> + Send + 'static {
    let of_product = |bindings: Arc<Watched<LicenseBinding>>| {
        move |product: ObjectKey| {
            let keys = bindings.all().into_iter().filter(move |(key, seen)| is_of(key, seen, &product));
            stream::iter(keys.map(|(key, _)| key).collect::<Vec<_>>())
        }
    };
    let bindings = || Arc::clone(&house.bindings);
    let roster = Arc::clone(&house.roster);
    let progress = changed_keys(roster.changes(), move || roster.all().into_keys().collect());
    let resync = {
        let bindings = bindings();
        ticks().flat_map(move |()| {
            let keys = bindings.all().into_iter().filter(|(_, seen)| is_kept(seen)).map(|(key, _)| key);
            stream::iter(keys.collect::<Vec<_>>())
        })
    };
    stream::select_all([
        house.bindings.changes().boxed(),
        house.products.changes().flat_map(of_product(bindings())).boxed(),
        progress.flat_map(of_product(bindings())).boxed(),
        resync.boxed(),
    ])
}

fn ticks() -> impl Stream<Item = ()> + Send + 'static {
    let mut ticks = interval(RESYNC);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold(ticks, async |mut ticks| {
        ticks.tick().await;
        Some(((), ticks))
    })
}

fn is_of(key: &ObjectKey, seen: &Seen<LicenseBinding>, product: &ObjectKey) -> bool {
    seen.readable().is_some_and(|binding| {
        key.namespace == product.namespace && binding.spec.product_ref.name == product.name
    })
}

/// Whether something may change about it that nothing tells of: its objects, or the ledger it waits for.
fn is_kept(seen: &Seen<LicenseBinding>) -> bool {
    match seen {
        Seen::Object(binding) => {
            let metadata = &binding.metadata;
            let has_objects = metadata
                .annotations
                .as_ref()
                .is_some_and(|annotations| annotations.contains_key(PROVISIONED_ANNOTATION));
            binding.spec.access.is_some() || has_objects || metadata.deletion_timestamp.is_some()
        }
        Seen::Undecodable(broken) => broken.metadata.deletion_timestamp.is_some(),
    }
}
