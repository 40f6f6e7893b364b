//! Recordings in memory: for tests that compute hours again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tollkeeper_core::{
    hour::BillingHour,
    identity::ObjectKey,
    product::{Binding, Product},
    recording::{RecordedTick, Recorder, Recording, Seal},
    usage::Tally,
};

use super::{hours::Hours, unpacked};

/// Records what [`super::FileRecorder`] does and keeps the very bytes that it would write.
#[derive(Default)]
pub struct MemoryRecorder(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    open: Hours,
    sealed: Vec<Vec<u8>>,
}

impl MemoryRecorder {
    /// The recordings of all hours that were sealed, in the order of their seals, as a reader of the files sees them.
    /// Those that cannot be read are left out.
    pub fn recordings(&self) -> Vec<Recording> {
        let kept = self.kept();
        let texts = kept.sealed.iter().filter_map(|bytes| unpacked(bytes).ok());
        texts.filter_map(|text| Recording::parse(&text).ok()).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder for MemoryRecorder {
    fn restored(&self, product: &ObjectKey, binding: &Binding, tally: &Tally) {
        self.kept().open.restored(product, binding, tally);
    }

    fn before(&self, product: &Product, tick: Timestamp, bindings: &[(&Binding, &Tally)]) {
        self.kept().open.before(product, tick, bindings);
    }

    fn after(&self, product: &ObjectKey, tick: RecordedTick) {
        self.kept().open.after(product, &tick);
    }

    fn sealed(&self, product: &ObjectKey, hour: BillingHour, seal: Seal) {
        let mut kept = self.kept();
        let finished = kept.open.sealed(product, hour, seal);
        kept.sealed.extend(finished);
    }
}
