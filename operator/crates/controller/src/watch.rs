//! Watches: what the API server holds of one kind, and a stream of the objects that change.
//!
//! Each namespace in care has a stream with a back-off of its own, so one that is refused holds up no other. An object
//! that cannot be decoded is kept as such beside the good ones. kube's reflector is not used because it forgets
//! silently what was deleted while a watch was down; here that is a change like any other.
#![allow(
    clippy::disallowed_methods,
    reason = "outages and pauses of watches are real, whatever the clock says"
)]

mod seen;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use futures::{Stream, StreamExt as _, future, stream};
use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    sync::{broadcast, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tollkeeper_core::identity::ObjectKey;

use self::seen::{Guarded, Keeping, differs};
pub use self::seen::{Seen, Undecodable};

/// Seconds after which the API server ends a watch. Load balancers drop silent connections after 240 s or later without
/// telling, and kube notices a dead watch five seconds after this.
const WATCH_TIMEOUT: u32 = 230;

/// Objects a page when listing.
const PAGE: u32 = 100;

/// A page of a list that has not come by then never will; longer than the longest back-off of a watch, which is 30 s.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);

/// Changes that a slow reader may fall behind by before it is told of everything again.
const CHANGES: usize = 1024;

/// Failures that lie further apart than this are not one outage.
const OUTAGE_GAP: Duration = Duration::from_secs(90);

/// The namespaces in care.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// All.
    Cluster,
    /// These only.
    Namespaces(Vec<String>),
}

/// How far the first list of a namespace is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Listing {
    Awaited,
    Refused,
    Done,
}

/// Consecutive failures.
struct Outage {
    since: Instant,
    last: Instant,
    problem: String,
}

/// What the API server holds of one kind.
pub struct Watched<K> {
    objects: RwLock<BTreeMap<ObjectKey, Seen<K>>>,
    changes: broadcast::Sender<ObjectKey>,
    /// The namespaces in care, empty for all of them at once; `None` before the watch runs.
    listings: watch::Sender<Option<BTreeMap<String, Listing>>>,
    outages: Mutex<BTreeMap<String, Outage>>,
    keeping: Keeping<K>,
}

impl<K> Watched<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + DeserializeOwned
        + Clone
        + PartialEq
        + Debug
        + Send
        + Sync
        + 'static,
{
    /// Nothing yet. `prune` takes away what is large and not needed; `managedFields` go anyway.
    pub fn new(prune: fn(&mut K)) -> Arc<Self> {
        Self::with_remains(prune, |_| None)
    }

    /// The same; `remains` tells from what is stored what can be read of an object that cannot be decoded.
    pub fn with_remains(prune: fn(&mut K), remains: fn(&Value) -> Option<K>) -> Arc<Self> {
        Arc::new(Self {
            objects: RwLock::default(),
            changes: broadcast::channel(CHANGES).0,
            listings: watch::Sender::new(None),
            outages: Mutex::default(),
            keeping: Keeping { prune, remains },
        })
    }

    /// Watches until it is stopped.
    pub async fn run(&self, client: &Client, scope: &Scope, stop: &CancellationToken) {
        let parts: Vec<(Option<String>, Api<Guarded<K>>)> = match scope {
            Scope::Cluster => vec![(None, Api::all(client.clone()))],
            Scope::Namespaces(names) => names
                .iter()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .map(|name| (Some(name.clone()), Api::namespaced(client.clone(), name)))
                .collect(),
        };
        let names = parts.iter().map(|(namespace, _)| namespace.clone().unwrap_or_default());
        self.listings.send_replace(Some(names.map(|name| (name, Listing::Awaited)).collect()));
        let follow = future::join_all(parts.into_iter().map(|(namespace, api)| self.follow(namespace, api)));
        tokio::select! {
            () = stop.cancelled() => {}
            _ = follow => stop.cancelled().await,
        }
    }

    /// Whether everything has been listed once.
    pub fn is_ready(&self) -> bool {
        let listings = self.listings.borrow();
        listings.as_ref().is_some_and(|listings| listings.values().all(|listing| *listing == Listing::Done))
    }

    /// Whether a namespace has been listed once: what is not there before may be there all the same.
    pub fn is_listed(&self, namespace: &str) -> bool {
        self.listings.borrow().as_ref().is_none_or(|listings| {
            let listing = listings.get(namespace).or_else(|| listings.get(""));
            listing.is_some_and(|listing| *listing == Listing::Done)
        })
    }

    /// Returns when every namespace has been listed once, except for those that refuse while others do not: nothing may be
    /// concluded about these, see [`Watched::is_listed`].
    pub async fn wait_until_ready(&self) {
        let is_ready = |listings: &Option<BTreeMap<String, Listing>>| {
            listings.as_ref().is_some_and(|listings| {
                let any = |wanted| listings.values().any(|listing| *listing == wanted);
                !any(Listing::Awaited) && (any(Listing::Done) || listings.is_empty())
            })
        };
        // The sender is our own, so it never closes.
        let _ = self.listings.subscribe().wait_for(is_ready).await;
    }

    /// For how long watching has failed everywhere without a break, and why at last; `None` if all is well somewhere: a namespace
    /// that is refused alone is nothing that a restart would help.
    pub fn failing_for(&self) -> Option<(Duration, String)> {
        let parts = self.listings.borrow().as_ref().map_or(0, BTreeMap::len);
        let outages = lock(&self.outages);
        let current = outages.values().filter(|outage| outage.last.elapsed() < OUTAGE_GAP);
        if current.clone().count() < parts {
            return None;
        }
        let latest = current.max_by_key(|outage| outage.since)?;
        Some((latest.since.elapsed(), latest.problem.clone()))
    }

    /// The namespaces whose watch fails at present; the empty name stands for all of them at once.
    pub fn failing(&self) -> Vec<String> {
        let outages = lock(&self.outages);
        let current = outages.iter().filter(|(_, outage)| outage.last.elapsed() < OUTAGE_GAP);
        current.map(|(namespace, _)| namespace.clone()).collect()
    }

    /// An object.
    pub fn get(&self, key: &ObjectKey) -> Option<Seen<K>> {
        self.read().get(key).cloned()
    }

    /// All objects.
    pub fn all(&self) -> Vec<(ObjectKey, Seen<K>)> {
        self.read().iter().map(|(key, seen)| (key.clone(), seen.clone())).collect()
    }

    /// The keys of all objects.
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.read().keys().cloned().collect()
    }

    /// Objects that are there now, then those that are added, changed or deleted. A reader that falls behind is told of
    /// everything again.
    pub fn changes(self: &Arc<Self>) -> impl Stream<Item = ObjectKey> + Send + 'static {
        let watched = Arc::clone(self);
        let receiver = self.changes.subscribe();
        stream::iter(self.keys()).chain(changed_keys(receiver, move || watched.keys()))
    }

    /// As if the API server had told it.
    #[cfg(test)]
    pub(crate) fn put(&self, key: ObjectKey, object: Option<K>) {
        self.set(key, object.map(|object| Guarded::Object(object).kept(&self.keeping)));
    }

    async fn follow(&self, namespace: Option<String>, api: Api<Guarded<K>>) {
        let name = namespace.as_deref().unwrap_or_default();
        loop {
            let config = watcher::Config::default().timeout(WATCH_TIMEOUT).page_size(PAGE);
            let mut events = std::pin::pin!(watcher(api.clone(), config).default_backoff());
            // The list that is being read, if one is.
            let mut listing: Option<BTreeMap<ObjectKey, Seen<K>>> = None;
            loop {
                let next = match &listing {
                    Some(_) => timeout(LIST_TIMEOUT, events.next()).await,
                    None => Ok(events.next().await),
                };
                match next {
                    Ok(Some(Ok(event))) => {
                        lock(&self.outages).remove(name);
                        if self.take(namespace.as_deref(), &mut listing, event) {
                            self.note_listing(name, Listing::Done);
                        }
                    }
                    Ok(Some(Err(error))) => {
                        listing = None;
                        self.failed(namespace.as_deref(), &error.to_string());
                    }
                    Ok(None) | Err(_) => break,
                }
            }
            self.failed(namespace.as_deref(), &format!("a list was not finished in {LIST_TIMEOUT:?}"));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Takes an event; returns whether it ended a list.
    fn take(
        &self,
        namespace: Option<&str>,
        listing: &mut Option<BTreeMap<ObjectKey, Seen<K>>>,
        event: Event<Guarded<K>>,
    ) -> bool {
        match event {
            Event::Init => *listing = Some(BTreeMap::new()),
            Event::InitApply(object) => {
                let (key, seen) = self.seen(object);
                listing.get_or_insert_default().insert(key, seen);
            }
            Event::InitDone => {
                self.replace(namespace, listing.take().unwrap_or_default());
                return true;
            }
            Event::Apply(object) => {
                let (key, seen) = self.seen(object);
                self.set(key, Some(seen));
            }
            Event::Delete(object) => self.set(key_of(object.meta()), None),
        }
        false
    }

    fn seen(&self, object: Guarded<K>) -> (ObjectKey, Seen<K>) {
        (key_of(object.meta()), object.kept(&self.keeping))
    }

    /// A list has been read: what it does not hold is gone.
    fn replace(&self, namespace: Option<&str>, listed: BTreeMap<ObjectKey, Seen<K>>) {
        let is_ours = |key: &ObjectKey| namespace.is_none_or(|namespace| namespace == key.namespace);
        let gone: Vec<ObjectKey> =
            self.keys().into_iter().filter(|key| is_ours(key) && !listed.contains_key(key)).collect();
        for key in gone {
            self.set(key, None);
        }
        for (key, seen) in listed {
            self.set(key, Some(seen));
        }
    }

    fn set(&self, key: ObjectKey, seen: Option<Seen<K>>) {
        let before = match seen.clone() {
            Some(seen) => self.write().insert(key.clone(), seen),
            None => self.write().remove(&key),
        };
        if differs(before.as_ref(), seen.as_ref()) {
            if let Some(Seen::Undecodable(broken)) = &seen {
                let kind = K::kind(&());
                tracing::error!(object = %key, %kind, problem = %broken.problem, "an object cannot be decoded");
            }
            // No reader is no error.
            let _ = self.changes.send(key);
        }
    }

    /// Notes how the first list of a namespace went. While it is awaited everybody waits; those who did not wait for one that was
    /// refused, and have not believed a part of it, look again.
    fn note_listing(&self, namespace: &str, listing: Listing) {
        let mut before = Listing::Done;
        self.listings.send_if_modified(|listings| {
            let known = listings.as_mut().and_then(|listings| listings.get_mut(namespace));
            let Some(known) = known.filter(|known| **known != Listing::Done) else { return false };
            before = std::mem::replace(known, listing);
            before != listing
        });
        if (before, listing) == (Listing::Refused, Listing::Done) {
            let keys = self.keys().into_iter();
            for key in keys.filter(|key| namespace.is_empty() || key.namespace == namespace) {
                let _ = self.changes.send(key);
            }
        }
    }

    fn failed(&self, namespace: Option<&str>, problem: &str) {
        tracing::warn!(kind = %K::kind(&()), namespace, problem, "a watch failed; it will be tried again");
        let now = Instant::now();
        let mut outages = lock(&self.outages);
        let known = outages.get(namespace.unwrap_or_default());
        let since =
            known.filter(|outage| outage.last.elapsed() < OUTAGE_GAP).map_or(now, |outage| outage.since);
        let outage = Outage { since, last: now, problem: problem.to_owned() };
        outages.insert(namespace.unwrap_or_default().to_owned(), outage);
        drop(outages);
        self.note_listing(namespace.unwrap_or_default(), Listing::Refused);
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<ObjectKey, Seen<K>>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<ObjectKey, Seen<K>>> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys that a channel tells of; all of them if some were missed.
pub fn changed_keys(
    receiver: broadcast::Receiver<ObjectKey>,
    all: impl Fn() -> Vec<ObjectKey> + Send + 'static,
) -> impl Stream<Item = ObjectKey> + Send + 'static {
    stream::unfold((receiver, all), async |(mut receiver, all)| {
        let keys = match receiver.recv().await {
            Ok(key) => vec![key],
            Err(broadcast::error::RecvError::Lagged(_)) => all(),
            Err(broadcast::error::RecvError::Closed) => return None,
        };
        Some((stream::iter(keys), (receiver, all)))
    })
    .flatten()
}

fn key_of(metadata: &ObjectMeta) -> ObjectKey {
    ObjectKey::new(metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
