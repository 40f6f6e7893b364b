//! Checkpoints in the status of their `LicenseBinding`: no further object, no further permission.
//!
//! A checkpoint is written only over the one that this process read or wrote last; a process that was
//! suspended while another one metered notices there that it is out.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::timeout;
use tollkeeper_core::{
    checkpoint::{Checkpoint, CheckpointError, Checkpoints, Saved},
    clock::Clock,
    hour::BillingHour,
    product::Binding,
    usage::Tally,
};

use super::{CALL_TIMEOUT, FIELD_MANAGER, Object, resource};

/// A checkpoint that unpacks to more than this was not written here: plugin state is at most 64 KiB, and ten thousand
/// sources take about two megabytes.
const MAX_UNPACKED: u64 = 16 << 20;

/// A checkpoint as it is stored. The moment is part of it: a process that takes over writes what it read, and whoever
/// wrote it first must notice.
#[derive(Clone, PartialEq, Eq)]
struct Version {
    at: String,
    data: String,
}

/// The checkpoints in the API server.
pub struct KubernetesCheckpoints {
    client: Client,
    clock: Arc<dyn Clock>,
    /// What this process knows to be stored, by the binding's UID: one value, or several after a write whose answer
    /// was lost.
    known: Mutex<BTreeMap<String, Vec<Option<Version>>>>,
    tells_time: bool,
}

impl KubernetesCheckpoints {
    /// Checkpoints of any binding that the client may write.
    pub fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        Self { client, clock, known: Mutex::default(), tells_time: true }
    }

    /// The same for a process that does not live in the API server's time.
    #[must_use]
    pub fn without_time(self) -> Self {
        Self { tells_time: false, ..self }
    }

    fn bindings(&self, namespace: &str) -> Api<Object> {
        Api::namespaced_with(self.client.clone(), namespace, &resource("LicenseBinding", "licensebindings"))
    }

    async fn read(&self, binding: &Binding) -> Result<Object, CheckpointError> {
        let api = self.bindings(&binding.key.namespace);
        let object = timeout(CALL_TIMEOUT, api.get_opt(&binding.key.name))
            .await
            .map_err(|_| no_answer())?
            .map_err(|error| CheckpointError::Unavailable(error.to_string()))?;
        object
            .filter(|object| object.metadata.uid.as_deref() == Some(&binding.uid))
            .ok_or_else(|| CheckpointError::Gone(binding.key.clone()))
    }

    fn remember(&self, binding: &Binding, stored: Option<Version>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(binding.uid.clone(), vec![stored]);
    }

    /// A write was sent whose answer may be lost: both values may be stored.
    fn remember_attempt(&self, binding: &Binding, version: Version) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(binding.uid.clone()).or_default().push(Some(version));
    }

    fn is_known(&self, binding: &Binding, stored: &Option<Version>) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&binding.uid).is_some_and(|known| known.contains(stored))
    }
}

fn no_answer() -> CheckpointError {
    CheckpointError::Unavailable(format!("the API server did not answer in {CALL_TIMEOUT:?}"))
}

fn stored(object: &Object) -> Option<Version> {
    let text = |name| object.data.pointer(name).and_then(Value::as_str).map(str::to_owned);
    Some(Version {
        at: text("/status/checkpoint/at").unwrap_or_default(),
        data: text("/status/checkpoint/data")?,
    })
}

/// The moment of the write by the API server's clock, to the second: it dates what our field manager wrote.
fn written_at(object: &Object) -> Option<Timestamp> {
    let fields = object.metadata.managed_fields.iter().flatten();
    let own = fields.filter(|fields| fields.manager.as_deref() == Some(FIELD_MANAGER));
    own.filter_map(|fields| fields.time.as_ref()).map(|time| time.0).max()
}

fn pack(tally: &Tally) -> std::io::Result<String> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&serde_json::to_vec(tally)?)?;
    Ok(STANDARD.encode(gzip.finish()?))
}

fn unpack(text: &str) -> Result<Tally, String> {
    let packed = STANDARD.decode(text).map_err(|error| error.to_string())?;
    let mut json = Vec::new();
    let mut gzip = GzDecoder::new(packed.as_slice()).take(MAX_UNPACKED);
    gzip.read_to_end(&mut json).map_err(|error| error.to_string())?;
    serde_json::from_slice(&json).map_err(|error| error.to_string())
}

#[async_trait]
impl Checkpoints for KubernetesCheckpoints {
    async fn load(&self, binding: &Binding) -> Result<Option<Tally>, CheckpointError> {
        let object = self.read(binding).await?;
        let version = stored(&object);
        let tally = version
            .as_ref()
            .map(|version| unpack(&version.data))
            .transpose()
            .map_err(|problem| CheckpointError::Damaged { binding: binding.key.clone(), problem })?;
        self.remember(binding, version);
        Ok(tally)
    }

    async fn save(&self, binding: &Binding, checkpoint: &Checkpoint) -> Result<Saved, CheckpointError> {
        let object = self.read(binding).await?;
        let version = stored(&object);
        if !self.is_known(binding, &version) {
            return Err(CheckpointError::Superseded(binding.key.clone()));
        }
        self.remember(binding, version);
        let data =
            pack(&checkpoint.tally).map_err(|error| CheckpointError::Unavailable(error.to_string()))?;
        let current = checkpoint.current.as_ref().map(|(hour, usage)| {
            let usage: Vec<_> = usage
                .iter()
                .map(|(dimension, quantity)| json!({"dimension": dimension, "quantity": quantity}))
                .collect();
            json!({"hour": hour, "usage": usage})
        });
        let now = self.clock.now();
        let version = Version { at: now.to_string(), data };
        let hour = checkpoint.current.as_ref().map_or_else(|| BillingHour::of(now), |(hour, _)| *hour);
        let patch = json!({
            "metadata": {"resourceVersion": object.metadata.resource_version},
            "status": {
                "checkpoint": {"at": version.at, "hour": hour, "data": version.data},
                "currentHour": current,
            },
        });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.bindings(&binding.key.namespace);
        self.remember_attempt(binding, version.clone());
        let patched =
            timeout(CALL_TIMEOUT, api.patch_status(&binding.key.name, &params, &Patch::Merge(&patch)))
                .await
                .map_err(|_| no_answer())?;
        match patched {
            Ok(object) => {
                self.remember(binding, Some(version));
                Ok(Saved { at: self.tells_time.then(|| written_at(&object)).flatten() })
            }
            Err(kube::Error::Api(status)) if status.code == 404 => {
                Err(CheckpointError::Gone(binding.key.clone()))
            }
            // Somebody changed the binding in between; the next attempt reads it again and tells whether it was us.
            Err(error) => Err(CheckpointError::Unavailable(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_what_was_packed() {
        let tally = Tally::default();
        assert_eq!(unpack(&pack(&tally).unwrap()), Ok(tally));
    }

    #[test]
    fn a_checkpoint_that_somebody_edited_is_refused() {
        assert!(unpack("bm90IGd6aXA=").is_err());
        assert!(unpack("%").is_err());
    }
}
