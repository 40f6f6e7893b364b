//! The statements with faults, and what the oracle knows of them.

use async_trait::async_trait;
use tollkeeper_core::{
    ledger::LedgerError,
    statement::{Shelf, Statement, Statements, StoredStatement},
};

use super::hand::{Hand, Refusals};
use crate::{cell::Step, mutant::Mutant, tenant::Tenant};

pub(crate) struct ChaosStatements(pub(crate) Hand);

fn unavailable() -> LedgerError {
    LedgerError::Unavailable("chaos".to_owned())
}

impl ChaosStatements {
    async fn write(
        &self,
        pretended: StoredStatement,
        write: impl Future<Output = Result<StoredStatement, LedgerError>>,
    ) -> Result<StoredStatement, LedgerError> {
        let hand = &self.0;
        if Mutant::believes_statements(hand.world.mutant) {
            return Ok(pretended);
        }
        let refusals = Refusals { unavailable, conflict: Some(LedgerError::Stale(pretended.key())) };
        let written = hand.store(Tenant::of(&pretended.namespace), Step::RollUp, refusals, write).await?;
        hand.world.trace(format_args!(
            "p{} rolled up to {} in {}",
            hand.process,
            written.statement.body.through,
            written.key()
        ));
        Ok(written)
    }
}

#[async_trait]
impl Statements for ChaosStatements {
    async fn all(&self) -> Result<Shelf, LedgerError> {
        if self.0.world.is_api_down() { Err(unavailable()) } else { self.0.world.statements.all().await }
    }

    async fn create(&self, namespace: &str, statement: &Statement) -> Result<StoredStatement, LedgerError> {
        let pretended = StoredStatement {
            namespace: namespace.to_owned(),
            statement: statement.clone(),
            version: "1".to_owned(),
        };
        self.write(pretended, self.0.world.statements.create(namespace, statement)).await
    }

    async fn replace(
        &self,
        stored: &StoredStatement,
        statement: &Statement,
    ) -> Result<StoredStatement, LedgerError> {
        let pretended = StoredStatement { statement: statement.clone(), ..stored.clone() };
        self.write(pretended, self.0.world.statements.replace(stored, statement)).await
    }

    async fn remove(&self, stored: &StoredStatement) -> Result<(), LedgerError> {
        self.0.world.statements.remove(stored).await
    }
}
