//! Runs the settler in a process: by the clock, and whenever an hour has been sealed.

use std::collections::BTreeMap;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tollkeeper_core::{
    hour::BillingHour,
    identity::ObjectKey,
    ledger::{Entry, Ledger},
    settlement::Phase,
};

use super::{Policies, Settler, Teller, Turn};
use crate::{
    attention::{self, INVARIANT_BROKEN},
    meter::Finding,
    roster::Roster,
};

/// The last settled hour of each product; the outer `None` if the ledger could not be asked for it yet.
pub(super) type Settled = BTreeMap<ObjectKey, Option<Option<BillingHour>>>;

/// Settles until it is told to stop; what is being sent then is finished first. `policies` are those of all products,
/// metered or not: what was sealed is owed.
pub async fn run(
    mut settler: Settler,
    teller: Teller,
    policies: impl Fn() -> Policies,
    roster: &Roster,
    sealed: &Notify,
    stop: &CancellationToken,
) {
    let mut settled = Settled::new();
    while !stop.is_cancelled() {
        let policies = policies();
        for product in policies.products() {
            if settled.get(product).is_none_or(Option::is_none) {
                settled.insert(product.clone(), last_settled(teller.ledger.as_ref(), product).await);
            }
        }
        let turn = settler.turn(&teller, &policies).await;
        publish(roster, &settler, &turn, &mut settled);
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = sealed.notified() => {}
            () = teller.clock.sleep_until(turn.next) => {}
        }
    }
    settler.write_down_all(&teller).await;
}

/// The last settled hour that the ledger knows; `None` if it could not be asked.
async fn last_settled(ledger: &dyn Ledger, product: &ObjectKey) -> Option<Option<BillingHour>> {
    let history = ledger.history(product, BillingHour::of(jiff::Timestamp::UNIX_EPOCH)).await.ok()?;
    let settled = history.iter().filter(|entry| entry.settlement.phase() == Phase::Settled);
    Some(settled.map(|entry| entry.report.body.hour).max())
}

pub(super) fn publish(roster: &Roster, settler: &Settler, turn: &Turn, settled: &mut Settled) {
    for entry in turn.changed.iter().filter(|entry| entry.settlement.phase() == Phase::Settled) {
        let last = settled.entry(entry.product()).or_default();
        *last = Some(last.flatten().max(Some(entry.report.body.hour)));
    }
    for (product, last) in settled.iter() {
        let breach = settler.breach(product).map(|breach| Finding {
            reason: INVARIANT_BROKEN,
            message: format!(
                "nothing is sent any more, because an invariant of the ledger is broken: {breach}; find out who changed it, then restart the operator"
            ),
        });
        if let Some(error) = turn.unread(product) {
            // What was known of its records stands: that they are not seen does not make them settled.
            let unread = Some(Finding::new(error.reason(), error));
            if !roster.shows(product, |progress| progress.unread == unread) {
                roster.update(product, |progress| progress.unread = unread);
            }
            continue;
        }
        let own: Vec<&Entry> = turn.open.iter().filter(|entry| &entry.product() == product).collect();
        let unsettled: usize = own.iter().map(|entry| entry.settlement.unsettled()).sum();
        let oldest = own
            .iter()
            .filter(|entry| !entry.settlement.is_terminal())
            .map(|entry| entry.report.body.hour)
            .min();
        let attention: Vec<Finding> =
            breach.into_iter().chain(attention::of_records(own.iter().copied())).collect();
        let is_known = roster.shows(product, |progress| {
            last.is_none_or(|last| progress.last_settled == last)
                && progress.oldest_unsettled == oldest
                && progress.unsettled == unsettled
                && progress.attention == attention
                && progress.unread.is_none()
        });
        if is_known {
            continue;
        }
        roster.update(product, |progress| {
            progress.last_settled = last.unwrap_or(progress.last_settled);
            progress.oldest_unsettled = oldest;
            progress.unsettled = unsettled;
            progress.attention = attention;
            progress.unread = None;
        });
    }
}
