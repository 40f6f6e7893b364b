//! A queue of keys to reconcile.
//!
//! A key is never worked on twice at a time; at most [`CONCURRENCY`] are worked on at once; a key that failed waits
//! longer each time, until it succeeds. Waits are those of the [`Clock`], time-outs are real.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    hash::Hash,
    panic::AssertUnwindSafe,
    time::Duration,
};

use futures::{FutureExt as _, Stream, StreamExt as _, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tollkeeper_core::clock::Clock;

use crate::backoff::Backoff;

/// Keys that are worked on at once. Enough to hide the API server's answer times, few enough not to crowd it.
pub const CONCURRENCY: usize = 8;

/// A reconciliation makes a dozen calls of at most ten seconds; one that takes longer than this hangs.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// A key that asks to come back at once comes back after this: a mistake must not become a hot loop.
const SHORTEST_WAIT: SignedDuration = SignedDuration::from_secs(1);

/// What a reconciliation came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// All is done until something changes.
    OnChange,
    /// All is done; look again then, or when something changes.
    At(Timestamp),
    /// Something failed; try again, later each time.
    Failed,
}

/// Reconciles keys until it is stopped, and returns when the last one at work is done.
///
/// `wakes` names the keys that something has happened to. `what` names the queue in log lines.
pub async fn run_keyed<K, F, W>(
    what: &'static str,
    clock: &dyn Clock,
    wakes: impl Stream<Item = K>,
    reconcile: W,
    stop: &CancellationToken,
) where
    K: Ord + Hash + Clone + Display,
    F: Future<Output = Next>,
    W: Fn(K) -> F,
{
    let mut wakes = std::pin::pin!(wakes.fuse());
    let mut queue = Queue::default();
    let mut backoff = Backoff::default();
    let mut jobs = FuturesUnordered::new();
    let job = |key: K| {
        let work = reconcile(key.clone());
        async move {
            let outcome = guarded(what, &key, work).await;
            (key, outcome)
        }
    };
    loop {
        while jobs.len() < CONCURRENCY
            && let Some(key) = queue.pop(clock.now())
        {
            jobs.push(job(key));
        }
        let due = queue.next().filter(|_| jobs.len() < CONCURRENCY);
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some((key, outcome)) = jobs.next(), if !jobs.is_empty() => {
                let now = clock.now();
                let again = match outcome {
                    Next::Failed => Some(backoff.failed(&key, now)),
                    Next::OnChange => { backoff.succeeded(&key); None }
                    Next::At(moment) => { backoff.succeeded(&key); Some(moment.max(now + SHORTEST_WAIT)) }
                };
                queue.done(key, again);
            }
            Some(key) = wakes.next() => queue.add(key, clock.now()),
            () = wait(clock, due) => {}
        }
    }
    while jobs.next().await.is_some() {}
}

async fn wait(clock: &dyn Clock, due: Option<Timestamp>) {
    match due {
        Some(moment) => clock.sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// A reconciliation that ends, whatever happens in it.
async fn guarded<K: Display>(what: &'static str, key: &K, work: impl Future<Output = Next>) -> Next {
    match timeout(TIME_LIMIT, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(next)) => next,
        Ok(Err(_)) => {
            tracing::error!(queue = what, %key, reason = "Panicked", "a reconciliation panicked");
            Next::Failed
        }
        Err(_) => {
            tracing::error!(queue = what, %key, reason = "TimedOut", "not done in {TIME_LIMIT:?}");
            Next::Failed
        }
    }
}

/// Keys by the moment at which they are due. A key that is at work is not due before it is done.
struct Queue<K> {
    order: BTreeSet<(Timestamp, K)>,
    due: BTreeMap<K, Timestamp>,
    /// Keys at work, and when they are to come back.
    at_work: BTreeMap<K, Option<Timestamp>>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self { order: BTreeSet::new(), due: BTreeMap::new(), at_work: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Queue<K> {
    /// Adds a key; the earlier moment counts.
    fn add(&mut self, key: K, moment: Timestamp) {
        if let Some(again) = self.at_work.get_mut(&key) {
            *again = Some(again.map_or(moment, |known| known.min(moment)));
            return;
        }
        if let Some(known) = self.due.get(&key).copied() {
            if known <= moment {
                return;
            }
            self.order.remove(&(known, key.clone()));
        }
        self.due.insert(key.clone(), moment);
        self.order.insert((moment, key));
    }

    /// Takes the key that has been due for longest.
    fn pop(&mut self, now: Timestamp) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.due.remove(&key);
        self.at_work.insert(key.clone(), None);
        Some(key)
    }

    /// A key is not at work any more.
    fn done(&mut self, key: K, again: Option<Timestamp>) {
        let woken = self.at_work.remove(&key).flatten();
        if let Some(moment) = woken.into_iter().chain(again).min() {
            self.add(key, moment);
        }
    }

    fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(moment, _)| *moment)
    }
}

#[cfg(test)]
#[path = "work_tests.rs"]
mod tests;
