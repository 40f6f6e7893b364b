//! Runs the settler in a process: by the clock, and whenever an hour has been sealed.

use std::collections::BTreeMap;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tollkeeper_core::{
    hour::BillingHour,
    identity::ObjectKey,
    ledger::{Entry, Ledger},
    mark::LEDGER_ROLLED_BACK,
    settlement::{Phase, RecordState, RecordStatus},
};

use super::{INVARIANT_BROKEN, Policies, RECORD_AMBIGUOUS, Settler, Teller, Turn};
use crate::{meter::Finding, roster::Roster};

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
    let mut settled: BTreeMap<ObjectKey, Option<BillingHour>> = BTreeMap::new();
    while !stop.is_cancelled() {
        let policies = policies();
        for product in policies.keys() {
            if !settled.contains_key(product)
                && let Some(last) = last_settled(teller.ledger.as_ref(), product).await
            {
                settled.insert(product.clone(), last);
            }
        }
        let turn = settler.turn(&teller, &policies).await;
        if settler.problem().is_none() {
            publish(roster, &settler, &turn, &mut settled);
        }
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

fn publish(
    roster: &Roster,
    settler: &Settler,
    turn: &Turn,
    settled: &mut BTreeMap<ObjectKey, Option<BillingHour>>,
) {
    for entry in turn.changed.iter().filter(|entry| entry.settlement.phase() == Phase::Settled) {
        let last = settled.entry(entry.product()).or_default();
        *last = (*last).max(Some(entry.report.body.hour));
    }
    for (product, last) in settled.iter() {
        let own: Vec<&Entry> = turn.open.iter().filter(|entry| &entry.product() == product).collect();
        let unsettled: usize = own.iter().map(|entry| entry.settlement.unsettled()).sum();
        let oldest = own
            .iter()
            .filter(|entry| !entry.settlement.is_terminal())
            .map(|entry| entry.report.body.hour)
            .min();
        let breach = settler.breach(product).map(|breach| Finding {
            reason: INVARIANT_BROKEN,
            message: format!(
                "nothing is sent any more, because an invariant of the ledger is broken: {breach}; find out who changed it, then restart the operator"
            ),
        });
        let attention = breach.or_else(|| own.iter().find_map(|entry| attention(entry)));
        let is_known = roster.shows(product, |progress| {
            progress.last_settled == *last
                && progress.oldest_unsettled == oldest
                && progress.unsettled == unsettled
                && progress.attention == attention
        });
        if is_known {
            continue;
        }
        roster.update(product, |progress| {
            progress.last_settled = *last;
            progress.oldest_unsettled = oldest;
            progress.unsettled = unsettled;
            progress.attention = attention;
        });
    }
}

fn attention(entry: &Entry) -> Option<Finding> {
    let record = entry.settlement.records.iter().find(|record| record.needs_attention())?;
    let why = record.message.as_deref().unwrap_or("no further detail");
    let message = format!("{} of {} is {:?}: {why}", record.dimension, entry.report.name(), record.state);
    Some(Finding { reason: reason(record), message })
}

/// Reasons of conditions are bounded: AWS's documented refusals and a rollback by their names, all else by the record's state.
fn reason(record: &RecordStatus) -> &'static str {
    const KNOWN: [&str; 9] = [
        "CustomerNotEntitledException",
        "DuplicateRequestException",
        "IdempotencyConflictException",
        "InvalidEndpointRegionException",
        "InvalidProductCodeException",
        "InvalidTagException",
        "InvalidUsageAllocationsException",
        "InvalidUsageDimensionException",
        LEDGER_ROLLED_BACK,
    ];
    let known = KNOWN.into_iter().find(|name| record.reason.as_deref() == Some(name));
    known.unwrap_or(match record.state {
        RecordState::Rejected => "RecordRejected",
        RecordState::Ambiguous => RECORD_AMBIGUOUS,
        RecordState::Expired => "RecordExpired",
        RecordState::Held => "RecordHeld",
        _ => "RecordNeedsAttention",
    })
}
