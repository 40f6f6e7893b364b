//! The clocks that a server can live on.
#![allow(clippy::disallowed_methods, reason = "the real clock of the server is made here")]

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use tollkeeper_core::clock::Clock;

/// The machine's clock.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep_until(&self, moment: Timestamp) {
        // A moment that has passed makes a negative duration: no wait at all.
        let wait = moment.duration_since(self.now()).try_into().unwrap_or_default();
        tokio::time::sleep(wait).await;
    }
}

/// Stands still until it is set.
#[derive(Debug)]
pub struct ManualClock(watch::Sender<Timestamp>);

impl ManualClock {
    /// Stands at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(watch::Sender::new(start))
    }

    /// Goes to any moment, also back. Whoever awaits it or an earlier one wakes.
    pub fn set(&self, moment: Timestamp) {
        self.0.send_replace(moment);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    async fn sleep_until(&self, moment: Timestamp) {
        // An error is a clock that nobody can move any more; `self` is its sender, so there is none.
        let _ = self.0.subscribe().wait_for(|now| *now >= moment).await;
    }
}

/// The clock of a server's books.
#[derive(Clone)]
pub struct ServerClock {
    clock: Arc<dyn Clock>,
    manual: Option<Arc<ManualClock>>,
}

impl ServerClock {
    /// The machine's clock.
    pub fn real() -> Self {
        Self::following(Arc::new(SystemClock))
    }

    /// A clock that moves through the control endpoint only.
    pub fn manual(start: Timestamp) -> Self {
        let clock = Arc::new(ManualClock::new(start));
        Self { clock: clock.clone(), manual: Some(clock) }
    }

    /// A clock that somebody else moves, such as one that several processes share.
    pub fn following(clock: Arc<dyn Clock>) -> Self {
        Self { clock, manual: None }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) async fn sleep_until(&self, moment: Timestamp) {
        self.clock.sleep_until(moment).await;
    }

    /// The handle that moves it, if it is manual.
    pub(super) fn as_manual(&self) -> Option<&ManualClock> {
        self.manual.as_deref()
    }

    /// The moment that the call quota counts by: the machine's, where the own clock stands still between two settings.
    pub(super) fn pace(&self) -> Timestamp {
        if self.manual.is_some() { SystemClock.now() } else { self.now() }
    }
}
