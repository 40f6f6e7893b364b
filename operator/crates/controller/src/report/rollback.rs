//! What an older backup of the ledger shows as unsent is not sent.

use tollkeeper_core::{
    ledger::{Entry, LedgerError},
    mark::{LEDGER_ROLLED_BACK, MarkError, Note},
    settlement::RecordState,
};

use super::{Settler, Teller};
use crate::rollback;

impl Settler {
    /// The entry after what is in doubt was made `Ambiguous`; `None` if nothing is.
    pub(super) async fn doubt(
        &mut self,
        teller: &Teller,
        entry: &Entry,
    ) -> Result<Option<Entry>, LedgerError> {
        let product = entry.product();
        let mark = teller.marks.of(&product);
        let is_head = mark.head().is_some_and(|head| head.hash == entry.report.hash);
        if would_be_sent_or_carried(entry) && !is_head {
            let (ledger, now) = (teller.ledger.as_ref(), teller.clock.now());
            rollback::look(teller.marks.as_ref(), ledger, &product, now).await?;
        }
        let Some(settlement) = teller.marks.of(&product).doubted(entry) else { return Ok(None) };
        tracing::error!(report = %entry.key(), reason = LEDGER_ROLLED_BACK, "records that may have been sent are in doubt");
        self.guard.forget_report(&entry.key());
        teller.ledger.compare_and_swap(entry, &settlement).await.map(Some)
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

fn would_be_sent_or_carried(entry: &Entry) -> bool {
    let mut states = entry.settlement.records.iter().map(|record| record.state);
    states.any(|state| matches!(state, RecordState::Sealed | RecordState::Expired))
}
