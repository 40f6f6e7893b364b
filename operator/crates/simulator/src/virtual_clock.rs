//! Virtual time: it stands still while anything can go on, then jumps to the next moment that somebody waits for.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use async_trait::async_trait;
use jiff::Timestamp;
use tollkeeper_core::clock::Clock;

/// A clock for one thread, driven by [`VirtualClock::drive`], or step by step by whoever polls several futures.
pub struct VirtualClock(Mutex<State>);

struct State {
    now: Timestamp,
    /// The earliest moment that somebody waits for.
    awaited: Option<Timestamp>,
}

impl State {
    fn awaits(&mut self, moment: Timestamp) {
        self.awaited = Some(self.awaited.map_or(moment, |earliest| earliest.min(moment)));
    }
}

impl VirtualClock {
    /// A clock that shows this moment until it is driven.
    pub fn starting_at(now: Timestamp) -> Self {
        Self(Mutex::new(State { now, awaited: None }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a future to its end. `None` if it waits for something that is not a moment: nobody would ever wake it.
    pub fn drive<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        loop {
            self.forget_waits();
            if let Poll::Ready(output) = poll_once(future.as_mut()) {
                return Some(output);
            }
            self.advance()?;
        }
    }

    /// Forgets what was waited for: whoever still waits says so when it is polled again.
    pub fn forget_waits(&self) {
        self.state().awaited = None;
    }

    /// Notes that nothing before this moment must be jumped over.
    pub fn await_moment(&self, moment: Timestamp) {
        self.state().awaits(moment);
    }

    /// The earliest moment that somebody waits for.
    pub fn awaited(&self) -> Option<Timestamp> {
        self.state().awaited
    }

    /// Jumps to the next moment that somebody waits for; `None` if nobody waits.
    pub fn advance(&self) -> Option<Timestamp> {
        let mut state = self.state();
        state.now = state.awaited?.max(state.now);
        Some(state.now)
    }
}

/// Polls a future once, without a waker: whoever drives a virtual clock polls everything at every step.
pub fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    async fn sleep_until(&self, moment: Timestamp) {
        poll_fn(|_| {
            let mut state = self.state();
            if state.now >= moment {
                Poll::Ready(())
            } else {
                state.awaits(moment);
                Poll::Pending
            }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn time_jumps_to_the_next_moment_that_anybody_waits_for() {
        let start: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        let clock = VirtualClock::starting_at(start);
        let wait = async |seconds| {
            clock.sleep_until(start + SignedDuration::from_secs(seconds)).await;
            clock.now().duration_since(start).as_secs()
        };
        let ends = clock.drive(async { futures::join!(wait(30), wait(10), wait(20)) });
        assert_eq!(ends, Some((30, 10, 20)));
    }

    #[test]
    fn a_future_that_nobody_would_wake_ends_the_run() {
        let clock = VirtualClock::starting_at(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.drive(std::future::pending::<()>()), None);
    }
}
