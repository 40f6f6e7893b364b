//! Time as an effect: whoever needs to know or to await a moment is handed a clock.

use async_trait::async_trait;
use jiff::Timestamp;

/// The only source of the present moment.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Returns at `moment` or after it; at once if it has passed.
    async fn sleep_until(&self, moment: Timestamp);
}
