//! Checkpoints with faults.

use async_trait::async_trait;
use tollkeeper_core::{
    checkpoint::{Checkpoint, CheckpointError, Checkpoints, Saved},
    product::Binding,
    usage::Tally,
};
use tollkeeper_ledger::memory::MemoryCheckpoints;

use super::hand::{Hand, Refusals};
use crate::{cell::Step, tenant::Tenant};

pub(crate) struct ChaosCheckpoints {
    pub(crate) hand: Hand,
    pub(crate) own: MemoryCheckpoints,
}

fn unavailable() -> CheckpointError {
    CheckpointError::Unavailable("chaos".to_owned())
}

#[async_trait]
impl Checkpoints for ChaosCheckpoints {
    async fn load(&self, binding: &Binding) -> Result<Option<Tally>, CheckpointError> {
        let refusals = Refusals { unavailable, conflict: None };
        let tenant = Tenant::of(&binding.key.namespace);
        self.hand.store(tenant, Step::Restore, refusals, self.own.load(binding)).await
    }

    async fn save(&self, binding: &Binding, checkpoint: &Checkpoint) -> Result<Saved, CheckpointError> {
        let tenant = Tenant::of(&binding.key.namespace);
        let conflict = Some(CheckpointError::Superseded(binding.key.clone()));
        let refusals = Refusals { unavailable, conflict };
        self.hand
            .store(tenant, Step::Checkpoint, refusals, async {
                self.own.save(binding, checkpoint).await?;
                let world = &self.hand.world;
                world.state().oracle(tenant).note_checkpoint(binding, &checkpoint.tally, world.now());
                world.trace(format_args!(
                    "p{} checkpoint {} {:?}",
                    self.hand.process,
                    binding.key,
                    checkpoint.tally.last_tick()
                ));
                Ok(Saved { at: Some(world.now()) })
            })
            .await
    }
}
