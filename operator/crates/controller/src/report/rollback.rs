//! What an older backup of the ledger shows as unsent is not sent.

use tollkeeper_core::{
    identity::ObjectKey,
    ledger::{Entry, LedgerError},
    mark::{LEDGER_ROLLED_BACK, MarkError, Note},
    settlement::RecordState,
};

use super::{Settler, Teller};
use crate::rollback;

impl Settler {
    /// The entry with what is in doubt made `Ambiguous`.
    pub(super) async fn doubt(&mut self, teller: &Teller, entry: Entry) -> Result<Entry, LedgerError> {
        let product = entry.product();
        if would_be_sent_or_carried(&entry) && !is_head(teller, &product, &entry) {
            rollback::look(teller.marks.as_ref(), teller.ledger.as_ref(), &product, teller.clock.now())
                .await?;
        }
        let Some(settlement) = teller.marks.of(&product).doubted(&entry) else { return Ok(entry) };
        tracing::error!(report = %entry.key(), reason = LEDGER_ROLLED_BACK, "records that may have been sent are in doubt");
        self.guard.forget_report(&entry.key());
        teller.ledger.compare_and_swap(&entry, &settlement).await
    }

    /// Raises the mark before these records are sent.
    pub(super) async fn mark(
        &self,
        teller: &Teller,
        entry: &Entry,
        indices: impl Iterator<Item = usize>,
    ) -> Result<(), MarkError> {
        let product = entry.product();
        match Note::of_sending(&teller.marks.of(&product), entry, indices) {
            Some(note) => teller.marks.raise(&product, note).await,
            None => Ok(()),
        }
    }
}

/// What is there is not lost.
fn is_head(teller: &Teller, product: &ObjectKey, entry: &Entry) -> bool {
    teller.marks.of(product).head().is_some_and(|head| head.hash == entry.report.hash)
}

fn would_be_sent_or_carried(entry: &Entry) -> bool {
    let states = entry.settlement.records.iter().map(|record| record.state);
    states.into_iter().any(|state| matches!(state, RecordState::Sealed | RecordState::Expired))
}
