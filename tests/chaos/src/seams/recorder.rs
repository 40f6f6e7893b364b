//! What is recorded of an hour, on its way to the production recorder.

use std::sync::Arc;

use jiff::Timestamp;
use tollkeeper_core::{
    hour::BillingHour,
    identity::ObjectKey,
    product::{Binding, Product},
    recording::{RecordedTick, Recorder, Seal},
    usage::Tally,
};
use tollkeeper_ledger::recording::MemoryRecorder;

use crate::mutant::Mutant;

pub(crate) struct ChaosRecorder {
    pub(crate) mutant: Option<Mutant>,
    pub(crate) own: Arc<MemoryRecorder>,
}

impl Recorder for ChaosRecorder {
    fn restored(&self, product: &ObjectKey, binding: &Binding, tally: &Tally) {
        self.own.restored(product, binding, tally);
    }

    fn before(&self, product: &Product, tick: Timestamp, bindings: &[(&Binding, &Tally)]) {
        self.own.before(product, tick, bindings);
    }

    fn after(&self, product: &ObjectKey, tick: RecordedTick) {
        self.own.after(product, Mutant::recorded(self.mutant, tick));
    }

    fn sealed(&self, product: &ObjectKey, hour: BillingHour, seal: Seal) {
        self.own.sealed(product, hour, seal);
    }
}
