//! What became of each component: compiled and in use, or refused for good.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use tollkeeper_core::{identity::Digest, plugin::PluginFailure};

use crate::{plugin::Prepared, usage::PluginInUse};

/// Refused components that are remembered, so that a product which names one does not have it compiled every minute. A
/// cluster has a few; past this many, all are tried again.
const MAX_REFUSED: usize = 1_000;

#[derive(Default)]
pub(crate) struct Library {
    in_use: BTreeMap<Digest, Weak<Prepared>>,
    refused: BTreeMap<Digest, PluginFailure>,
}

impl Library {
    pub(crate) fn find(&self, digest: &Digest) -> Option<Result<Arc<Prepared>, PluginFailure>> {
        let prepared = self.in_use.get(digest).and_then(Weak::upgrade).map(Ok);
        prepared.or_else(|| self.refused.get(digest).cloned().map(Err))
    }

    /// Components that a plugin uses.
    pub(crate) fn in_use(&self) -> Vec<PluginInUse> {
        let plugins = self.in_use.iter().filter_map(|(digest, prepared)| {
            Some(PluginInUse { digest: digest.clone(), usage: prepared.upgrade()?.usage() })
        });
        plugins.collect()
    }

    pub(crate) fn note(&mut self, digest: &Digest, outcome: &Result<Arc<Prepared>, PluginFailure>) {
        match outcome {
            Ok(prepared) => {
                self.in_use.retain(|_, old| old.strong_count() > 0);
                self.in_use.insert(digest.clone(), Arc::downgrade(prepared));
            }
            Err(failure) if lies_in_the_bytes(failure) => {
                if self.refused.len() >= MAX_REFUSED {
                    self.refused.clear();
                }
                self.refused.insert(digest.clone(), failure.clone());
            }
            Err(_) => {}
        }
    }
}

/// Whether the same component fails the same way however often it is tried.
fn lies_in_the_bytes(failure: &PluginFailure) -> bool {
    matches!(
        failure,
        PluginFailure::InvalidComponent(_)
            | PluginFailure::ForbiddenImport(_)
            | PluginFailure::UnsupportedInterface(_)
    )
}
