//! The readings that a number was folded from: the recording of its hour is played again, with an eye on the plugin.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use tollkeeper_controller::meter::{LoadedPlugin, replay};
use tollkeeper_core::{
    identity::DimensionName,
    input::Input,
    plugin::{Manifest, Plugin, PluginFailure, Tick},
    reading::{Measurement, Reading, Value},
    recording::Recording,
    report::SealedReport,
};
use tollkeeper_ledger::recording;
use tollkeeper_plugin_host::{Evaluation, WasmHost};

use super::replay::loaded;
use crate::cli::{
    Failure,
    recorded::{Recorded, refusal},
};

/// Where the readings are found.
#[derive(Debug, Args)]
pub(super) struct Readings {
    /// Show the readings, too, from the hour's recording (`run --record-inputs`); a file or a folder.
    #[arg(long, env = "TOLLKEEPER_RECORDINGS", value_name = "FILE", requires = "plugin")]
    recordings: Option<PathBuf>,
    /// The component that measured; several if it was replaced.
    #[arg(long, env = "TOLLKEEPER_PLUGIN", value_name = "FILE", value_delimiter = ',')]
    plugin: Vec<PathBuf>,
}

/// A reading of one tick.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    at: Timestamp,
    reading: Reading,
}

impl Readings {
    /// The readings of a dimension that led to this report; `None` if they were not asked for.
    pub(super) async fn of(
        &self,
        report: &SealedReport,
        dimension: &DimensionName,
    ) -> Result<Option<Vec<Seen>>, Failure> {
        let Some(place) = &self.recordings else { return Ok(None) };
        let recorded = Recorded::of(vec![place.clone()], self.plugin.clone());
        let recording = find(&recorded, report)?;
        let host = WasmHost::new(Evaluation::Inline).map_err(Failure::new)?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut plugins = loaded(&recording, &host, &recorded.components()?).await?;
        for loaded in plugins.values_mut() {
            let witness =
                Witness { plugin: loaded.plugin.clone(), dimension: dimension.clone(), seen: seen.clone() };
            *loaded = LoadedPlugin { digest: loaded.digest.clone(), plugin: Arc::new(witness) };
        }
        let again = replay(&recording, &plugins).await.map_err(Failure::new)?;
        if again.map(|again| again.hash).as_ref() != Some(&report.hash) {
            return Err(Failure::new(format!(
                "the recording of {} comes to another report than {}; `tollkeeper report replay` names the difference",
                report.body.hour,
                report.name()
            )));
        }
        let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Some(seen))
    }
}

/// The recording of the report's hour.
fn find(recorded: &Recorded, report: &SealedReport) -> Result<Recording, Failure> {
    let (hour, product) = (report.body.hour, &report.body.product_ref.name);
    // As recordings are named; a single file may have any name.
    let ending = format!("_{product}_{}.jsonl.gz", hour.compact());
    let files = recorded.files()?;
    for path in &files {
        if files.len() > 1 && !path.to_string_lossy().ends_with(&ending) {
            continue;
        }
        let recording = recording::read(path).map_err(|error| Failure::new(refusal(&error)))?;
        if recording.header.hour == hour && &recording.header.product.name == product {
            return Ok(recording);
        }
    }
    Err(Failure::new(format!("there is no recording of {product} for the hour {hour} in --recordings")))
}

/// A plugin whose readings of one dimension are kept.
struct Witness {
    plugin: Arc<dyn Plugin>,
    dimension: DimensionName,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[async_trait]
impl Plugin for Witness {
    fn manifest(&self) -> &Manifest {
        self.plugin.manifest()
    }

    async fn validate_config(&self, config: &str) -> Result<(), PluginFailure> {
        self.plugin.validate_config(config).await
    }

    async fn measure(&self, tick: Tick, inputs: Vec<Input>) -> Result<Measurement, PluginFailure> {
        let at = tick.at;
        let measurement = self.plugin.measure(tick, inputs).await?;
        let own = measurement.readings.iter().filter(|reading| reading.dimension == self.dimension);
        let own = own.map(|reading| Seen { at, reading: reading.clone() });
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
        Ok(measurement)
    }
}

impl Seen {
    /// The amount, and what it is of.
    pub(super) fn text(&self) -> String {
        let amount = match &self.reading.value {
            Value::Counter { total, .. } | Value::Gauge(total) => total.to_string(),
        };
        let source = match &self.reading.value {
            Value::Counter { source, .. } => format!("counted so far by {source}"),
            Value::Gauge(_) => "until the next tick".to_owned(),
        };
        let tags = self.reading.tags.to_string();
        let tags = if tags.is_empty() { "untagged".to_owned() } else { tags };
        format!("{amount:>20} at {}, {source}, {tags}", self.at)
    }

    pub(super) fn json(&self) -> Json {
        let (kind, amount, source) = match &self.reading.value {
            Value::Counter { total, source } => ("counter", total, Some(source)),
            Value::Gauge(amount) => ("gauge", amount, None),
        };
        json!({"at": self.at, "kind": kind, "amount": amount, "source": source, "tags": self.reading.tags})
    }
}
