//! The clock of a node: the world's, or off by as much as the schedule says.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tollkeeper_core::clock::Clock;

use crate::world::World;

pub(crate) struct ProcessClock(pub(crate) Arc<World>);

#[async_trait]
impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        self.0.now() + self.0.state().skew
    }

    async fn sleep_until(&self, moment: Timestamp) {
        // As production's, which naps for a minute at a time so that a clock that is set is noticed.
        while self.now() < moment {
            let skew = self.0.state().skew;
            let true_moment = moment.checked_sub(skew).unwrap_or(Timestamp::MAX);
            let nap = self.0.now() + jiff::SignedDuration::from_mins(1);
            self.0.clock.sleep_until(true_moment.min(nap)).await;
        }
    }
}
