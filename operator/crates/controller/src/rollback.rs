//! Whether the ledger is an older one: looked for before anything is measured from it or sent by it.

use jiff::Timestamp;
use tollkeeper_core::{
    identity::ObjectKey,
    ledger::{Ledger, LedgerError},
    mark::{LEDGER_ROLLED_BACK, Marks, Note},
    report::report_name,
};

/// Compares what the ledger shows with what is known to have been sent, and notes a rollback.
pub(crate) async fn look(
    marks: &dyn Marks,
    ledger: &dyn Ledger,
    product: &ObjectKey,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let mark = marks.of(product);
    let Some(head) = mark.head() else { return Ok(()) };
    let key = ObjectKey::new(product.namespace.clone(), report_name(&product.name, head.hour));
    let shown = ledger.get(&key).await?;
    if let Some(rollback) = mark.compare(shown.as_ref().map(|entry| &entry.report), now) {
        tracing::error!(
            %product, reason = LEDGER_ROLLED_BACK, through = %rollback.through,
            "the ledger does not show what has been sent: an older backup was restored, and what it has forgotten is not sent again"
        );
        marks.raise(product, Note::RolledBack(rollback)).await?;
    }
    Ok(())
}
