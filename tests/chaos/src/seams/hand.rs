//! How one process touches the world: every effect takes time, may fail, and may be the last.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jiff::SignedDuration;
use tollkeeper_core::clock::Clock as _;

use crate::{
    cell::{Deed, Moment, Step, Successor, Takeover},
    tenant::Tenant,
    world::{Order, World},
};

/// As long as a suspended node is away in `ledger.md`'s matrix.
const SUSPENSION: SignedDuration = SignedDuration::from_mins(10);

/// Shorter than the time-out of every call.
const SLOW: SignedDuration = SignedDuration::from_secs(8);

/// One process's way to the world.
#[derive(Clone)]
pub(crate) struct Hand {
    pub(crate) world: Arc<World>,
    /// The number of the process.
    pub(crate) process: usize,
    pub(crate) pod: String,
    pub(crate) epoch: u64,
    /// Set by a death that comes after its effect: at the next one.
    doomed: Arc<AtomicBool>,
}

/// How an effect on the store ends without having been asked.
pub(crate) struct Refusals<E> {
    pub(crate) unavailable: fn() -> E,
    pub(crate) conflict: Option<E>,
}

impl Hand {
    pub(crate) fn new(world: Arc<World>, process: usize, pod: &str, epoch: u64) -> Self {
        Self { world, process, pod: pod.to_owned(), epoch, doomed: Arc::default() }
    }

    /// Up to 40 ms of virtual time, so that effects of several processes interleave.
    async fn latency(&self) {
        let millis = i64::try_from(self.world.state().random.below(40)).unwrap_or_default();
        let until = self.world.now() + SignedDuration::from_millis(millis);
        self.world.clock.sleep_until(until).await;
    }

    /// The first half of an effect. Returns what else the schedule does to it.
    pub(crate) async fn begin(&self, tenant: Tenant, step: Step) -> Option<Deed> {
        if self.doomed.swap(false, Ordering::Relaxed) {
            self.die(Successor::SamePod).await;
        }
        let deed = self.world.fate(tenant, step);
        if !Step::READS.contains(&step) || deed.is_some() {
            self.latency().await;
        }
        match deed {
            Some(Deed::Kill(Moment::Before, next)) => self.die(next).await,
            Some(Deed::Suspend(Moment::Before, takeover)) => self.suspend(takeover).await,
            Some(Deed::Slow) => self.world.clock.sleep_until(self.world.now() + SLOW).await,
            _ => {}
        }
        deed
    }

    /// The second half, after it has happened.
    pub(crate) async fn end(&self, step: Step, deed: Option<Deed>) {
        match deed {
            Some(Deed::Kill(Moment::During, next)) => self.die(next).await,
            Some(Deed::Suspend(Moment::During, takeover)) => self.suspend(takeover).await,
            _ => {}
        }
        if !Step::READS.contains(&step) {
            self.latency().await;
        }
        match deed {
            Some(Deed::Kill(Moment::After, Successor::SamePod)) => self.doomed.store(true, Ordering::Relaxed),
            Some(Deed::Kill(Moment::After, next)) => self.die(next).await,
            Some(Deed::Suspend(Moment::After, takeover)) => self.suspend(takeover).await,
            _ => {}
        }
    }

    /// An effect on the store.
    pub(crate) async fn store<T, E>(
        &self,
        tenant: Tenant,
        step: Step,
        refusals: Refusals<E>,
        effect: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let deed = self.begin(tenant, step).await;
        if self.world.is_api_down() || deed == Some(Deed::Refuse) {
            return Err((refusals.unavailable)());
        }
        if (deed == Some(Deed::Conflict) || self.world.is_contended())
            && let Some(conflict) = refusals.conflict
        {
            return Err(conflict);
        }
        let result = effect.await;
        self.end(step, deed).await;
        if deed == Some(Deed::LoseAnswer) { Err((refusals.unavailable)()) } else { result }
    }

    async fn die(&self, next: Successor) {
        self.world.trace(format_args!("process {} dies", self.process));
        self.world.state().orders.push((self.process, Order::Die(next)));
        std::future::pending::<()>().await;
    }

    async fn suspend(&self, takeover: Takeover) {
        let until = self.world.now() + SUSPENSION;
        self.world.trace(format_args!("process {} is suspended", self.process));
        let order = Order::Suspend { until, takeover: takeover == Takeover::AnotherPod };
        self.world.state().orders.push((self.process, order));
        // The whole process stands still until then; this makes sure that nothing goes on within the same step.
        self.world.clock.sleep_until(until).await;
    }
}
