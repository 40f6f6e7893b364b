//! The high-water mark with faults: its volume may be full, slow, or the last thing a process touches.

use std::sync::Arc;

use async_trait::async_trait;
use tollkeeper_core::{
    identity::ObjectKey,
    mark::{Mark, MarkError, Marks, Note},
};

use super::hand::Hand;
use crate::{
    cell::{Deed, Step},
    tenant::Tenant,
};

pub(crate) struct ChaosMarks {
    pub(crate) hand: Hand,
    pub(crate) own: Arc<dyn Marks>,
}

fn unavailable() -> MarkError {
    MarkError("chaos".to_owned())
}

#[async_trait]
impl Marks for ChaosMarks {
    fn of(&self, product: &ObjectKey) -> Arc<Mark> {
        self.own.of(product)
    }

    async fn raise(&self, product: &ObjectKey, note: Note) -> Result<(), MarkError> {
        let deed = self.hand.begin(Tenant::of(&product.namespace), Step::Mark).await;
        if deed == Some(Deed::Refuse) {
            return Err(unavailable());
        }
        let raised = self.own.raise(product, note).await;
        self.hand.end(Step::Mark, deed).await;
        if deed == Some(Deed::LoseAnswer) { Err(unavailable()) } else { raised }
    }
}
