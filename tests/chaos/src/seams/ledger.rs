//! The ledger with faults, watched by the oracle.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tollkeeper_core::{
    hour::BillingHour,
    identity::ObjectKey,
    ledger::{Created, Entry, Ledger, LedgerError, Scan},
    report::SealedReport,
    settlement::{RecordState, Settlement},
};

use super::hand::{Hand, Refusals};
use crate::{
    cell::{Deed, Step},
    mutant::Mutant,
    tenant::Tenant,
};

pub(crate) struct ChaosLedger {
    hand: Hand,
    /// What the last scan and the last history returned, for stale reads: kept if there will be one.
    last_scan: Mutex<Vec<Entry>>,
    last_history: Mutex<Vec<Entry>>,
}

fn unavailable() -> LedgerError {
    LedgerError::Unavailable("chaos".to_owned())
}

fn refusals() -> Refusals<LedgerError> {
    Refusals { unavailable, conflict: None }
}

impl ChaosLedger {
    pub(crate) fn new(hand: Hand) -> Self {
        Self { hand, last_scan: Mutex::default(), last_history: Mutex::default() }
    }

    /// A read of several entries: what is there, or what was there at the last such read.
    async fn read(
        &self,
        tenant: Tenant,
        step: Step,
        last: &Mutex<Vec<Entry>>,
        read: impl Future<Output = Result<Vec<Entry>, LedgerError>>,
    ) -> Result<Vec<Entry>, LedgerError> {
        let deed = self.hand.begin(tenant, step).await;
        if self.hand.world.is_api_down() || deed == Some(Deed::Refuse) {
            return Err(unavailable());
        }
        let found = read.await?;
        if tenant != Tenant::First || !self.hand.world.stale.contains(&step) {
            return Ok(found);
        }
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *last, found.clone());
        Ok(if deed == Some(Deed::Stale) { before } else { found })
    }
}

/// A swap that claims something is followed by a send; all others write down what has become of a record.
fn step_of(before: &Settlement, after: &Settlement) -> Step {
    let claims =
        before.records.iter().zip(&after.records).any(|(before, after)| {
            before.state != RecordState::Sending && after.state == RecordState::Sending
        });
    if claims { Step::Claim } else { Step::Record }
}

#[async_trait]
impl Ledger for ChaosLedger {
    async fn create_if_absent(
        &self,
        namespace: &str,
        report: &SealedReport,
        settlement: &Settlement,
    ) -> Result<Created, LedgerError> {
        let world = &self.hand.world;
        let tenant = Tenant::of(namespace);
        let conflict = Some(LedgerError::Unavailable("chaos: a conflict".to_owned()));
        let believed = Mutant::believes_sealed(world.mutant).then(|| Entry {
            namespace: namespace.to_owned(),
            report: report.clone(),
            settlement: settlement.clone(),
            version: "1".to_owned(),
        });
        let created = self
            .hand
            .store(tenant, Step::Seal, Refusals { unavailable, conflict }, async {
                let created = world.ledger.create_if_absent(namespace, report, settlement).await?;
                if let Created::Existing(entry) = &created
                    && entry.report != *report
                {
                    world.state().oracle(tenant).note_other_seal(&entry.report, self.hand.process);
                }
                if let Created::New(entry) = &created {
                    world.trace(format_args!("p{} sealed {}", self.hand.process, entry.key()));
                    let history = world.ledger.history(&entry.product(), entry.report.body.hour).await?;
                    let mut state = world.state();
                    state.oracle(tenant).note_seal(entry, &history, self.hand.process, world.now());
                }
                Ok(created)
            })
            .await;
        match (created, believed) {
            (Err(_), Some(believed)) => Ok(Created::New(believed)),
            (created, _) => created,
        }
    }

    async fn compare_and_swap(&self, entry: &Entry, settlement: &Settlement) -> Result<Entry, LedgerError> {
        let world = &self.hand.world;
        let step = step_of(&entry.settlement, settlement);
        if let Some(pretended) = Mutant::swap(world, step, entry, settlement) {
            return Ok(pretended);
        }
        let tenant = Tenant::of(&entry.namespace);
        let conflict = Some(LedgerError::Stale(entry.key()));
        self.hand
            .store(tenant, step, Refusals { unavailable, conflict }, async {
                let before = world.ledger.get(&entry.key()).await?;
                let written = world.ledger.compare_and_swap(entry, settlement).await?;
                if let Some(before) = before {
                    for (old, new) in before.settlement.records.iter().zip(&written.settlement.records) {
                        if old.state != new.state {
                            let (process, key, dimension) = (self.hand.process, entry.key(), &new.dimension);
                            world.trace(format_args!(
                                "p{process} {key} {dimension}: {:?} -> {:?} {:?}",
                                old.state, new.state, new.reason
                            ));
                        }
                    }
                    let mut state = world.state();
                    state.oracle(tenant).note_swap(&before, &written, self.hand.epoch, world.now());
                }
                Ok(written)
            })
            .await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Entry>, LedgerError> {
        self.hand
            .store(Tenant::of(&key.namespace), Step::Reread, refusals(), self.hand.world.ledger.get(key))
            .await
    }

    async fn scan_unsettled(&self) -> Result<Scan, LedgerError> {
        let scan = async { Ok(self.hand.world.ledger.scan_unsettled().await?.open) };
        let found = self.read(Tenant::First, Step::Scan, &self.last_scan, scan).await?;
        Ok(Scan { open: Mutant::scan(&self.hand.world, found), ..Scan::default() })
    }

    async fn history(&self, product: &ObjectKey, since: BillingHour) -> Result<Vec<Entry>, LedgerError> {
        let read = self.hand.world.ledger.history(product, since);
        self.read(Tenant::of(&product.namespace), Step::History, &self.last_history, read).await
    }

    async fn prune(&self, entries: &[Entry]) -> Result<usize, LedgerError> {
        let world = &self.hand.world;
        let refusals = || Refusals { unavailable, conflict: Some(unavailable()) };
        let mut pruned = 0;
        for entry in entries {
            let tenant = Tenant::of(&entry.namespace);
            let one = std::slice::from_ref(entry);
            pruned += self
                .hand
                .store(tenant, Step::Prune, refusals(), async {
                    let count = world.ledger.prune(one).await?;
                    if count > 0 {
                        world.trace(format_args!("p{} pruned {}", self.hand.process, entry.key()));
                        let statements: Vec<_> = world.statements.backup().into_values().collect();
                        world.state().oracle(tenant).note_prune(entry, &statements, world.now());
                    }
                    Ok(count)
                })
                .await?;
        }
        Ok(pruned)
    }
}
