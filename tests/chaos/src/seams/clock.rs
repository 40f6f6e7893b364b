//! The clock of a node: the world's, or off by as much as the schedule says.

use std::{future::poll_fn, sync::Arc, task::Poll};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::clock::Clock;

use crate::world::World;

/// Production's clock naps so long at a time, so that a clock that is set is noticed.
const NAP: SignedDuration = SignedDuration::from_mins(1);

pub(crate) struct ProcessClock(pub(crate) Arc<World>);

#[async_trait]
impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        self.0.now() + self.0.skew()
    }

    async fn sleep_until(&self, moment: Timestamp) {
        let world = &self.0;
        let mut nap = Nap { since: world.now(), skew: world.skew() };
        poll_fn(|_| {
            let (now, skew) = (world.now(), world.skew());
            loop {
                let wake = nap.end(moment, skew, now);
                if now < wake {
                    world.clock.await_moment(wake);
                    return Poll::Pending;
                }
                if now + skew >= moment {
                    return Poll::Ready(());
                }
                nap = Nap { since: now, skew };
            }
        })
        .await;
    }
}

/// One nap after another. While nobody sets the clock they end in nothing and are not waited for one by one; once somebody
/// has, it is noticed at the end of the nap in which it happened.
struct Nap {
    since: Timestamp,
    skew: SignedDuration,
}

impl Nap {
    /// The true moment at which something is noticed that matters.
    fn end(&self, moment: Timestamp, skew: SignedDuration, now: Timestamp) -> Timestamp {
        let planned = moment.checked_sub(self.skew).unwrap_or(Timestamp::MAX);
        if skew == self.skew {
            return planned;
        }
        let slept = now.duration_since(self.since).as_nanos();
        let naps = i64::try_from(slept.div_euclid(NAP.as_nanos())).unwrap_or(i64::MAX);
        let last = self.since + SignedDuration::from_secs(NAP.as_secs().saturating_mul(naps));
        planned.min(if last == now { now } else { last + NAP })
    }
}
