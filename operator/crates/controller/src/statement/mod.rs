//! Keeps the books: rolls reports up into statements once a day, and prunes what nothing needs any more.
//!
//! Observe, plan (in the core), act. Pruning comes after every statement is durable, and takes only the versions that
//! were counted: wherever the process dies, the next pass finds the same things left to do.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tollkeeper_core::{
    clock::Clock,
    hour::BillingHour,
    identity::ObjectKey,
    ledger::{Ledger, LedgerError},
    statement::{Plan, Retention, Statements, StoredStatement, plan},
};

use crate::{meter::Finding, roster::Roster};

/// How often the books are looked at. They change once a day, and whenever a person has decided about an old record.
const INTERVAL: SignedDuration = SignedDuration::from_hours(1);

/// After a failure: what it says of a product stands until the next look, and an outage is usually over by then.
const RETRY: SignedDuration = SignedDuration::from_mins(5);

/// What keeping the books takes.
#[derive(Clone)]
pub struct Clerk {
    /// The present moment.
    pub clock: Arc<dyn Clock>,
    /// The reports.
    pub ledger: Arc<dyn Ledger>,
    /// The statements.
    pub statements: Arc<dyn Statements>,
    /// How long both are kept.
    pub retention: Retention,
}

/// What a pass has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Done {
    /// Statements written.
    pub written: usize,
    /// Reports deleted.
    pub pruned: usize,
    /// Statements deleted.
    pub forgotten: usize,
}

/// Keeps the books until it is told to stop. `products` are those that exist; products that are gone are found by their
/// statements.
pub async fn run(
    clerk: Clerk,
    products: impl Fn() -> Vec<ObjectKey>,
    roster: &Roster,
    stop: &CancellationToken,
) {
    while !stop.is_cancelled() {
        let is_done = clerk.pass(products(), roster).await;
        let next = clerk.clock.now() + if is_done { INTERVAL } else { RETRY };
        tokio::select! {
            () = stop.cancelled() => break,
            () = clerk.clock.sleep_until(next) => {}
        }
    }
}

impl Clerk {
    /// Looks at the books of all products once. One that fails keeps no other from being done, and says so. Whether all are
    /// up to date.
    pub async fn pass(&self, products: Vec<ObjectKey>, roster: &Roster) -> bool {
        let shelf = match self.statements.all().await {
            Ok(shelf) => shelf,
            Err(error) => {
                products.iter().for_each(|product| note(product, Some(&error), roster));
                return false;
            }
        };
        let mut of_product: BTreeMap<ObjectKey, Vec<StoredStatement>> = BTreeMap::new();
        for statement in shelf.statements {
            of_product.entry(statement.product()).or_default().push(statement);
        }
        let known: BTreeSet<ObjectKey> = products.into_iter().chain(of_product.keys().cloned()).collect();
        let mut is_done = true;
        for product in known {
            let outcome = match shelf.unread.get(&product.namespace) {
                Some(error) => Err(error.clone()),
                None => self.keep(&product, &of_product.remove(&product).unwrap_or_default()).await,
            };
            if let Some(done) = outcome.as_ref().ok().filter(|done| **done != Done::default()) {
                tracing::info!(%product, written = done.written, pruned = done.pruned, "the books are up to date");
            }
            is_done &= outcome.is_ok();
            note(&product, outcome.err().as_ref(), roster);
        }
        is_done
    }

    /// The books of one product.
    async fn keep(&self, product: &ObjectKey, statements: &[StoredStatement]) -> Result<Done, LedgerError> {
        let history = self.ledger.history(product, BillingHour::of(Timestamp::UNIX_EPOCH)).await?;
        let plan = plan(&history, statements, self.retention, self.clock.now());
        self.act(product, &plan).await
    }

    async fn act(&self, product: &ObjectKey, plan: &Plan) -> Result<Done, LedgerError> {
        for (old, statement) in &plan.write {
            match old {
                Some(old) => self.statements.replace(old, statement).await?,
                None => self.statements.create(&product.namespace, statement).await?,
            };
        }
        let pruned = self.ledger.prune(&plan.prune).await?;
        for statement in &plan.forget {
            self.statements.remove(statement).await?;
        }
        Ok(Done { written: plan.write.len(), pruned, forgotten: plan.forget.len() })
    }
}

/// Says what is wrong with the books of a product, or that nothing is.
fn note(product: &ObjectKey, error: Option<&LedgerError>, roster: &Roster) {
    if let Some(error) = error {
        tracing::warn!(%product, reason = error.reason(), %error, "the books are not up to date");
    }
    // Somebody else was faster: there is nothing wrong with that.
    let problem = error.filter(|error| !matches!(error, LedgerError::Stale(_)));
    let problem = problem.map(|error| Finding::new(error.reason(), error));
    // A product that is gone does not come back by its statements.
    if problem.is_some() || roster.of(product).is_some() {
        roster.update(product, |progress| progress.bookkeeping = problem);
    }
}
