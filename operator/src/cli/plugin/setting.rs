//! What a plugin runs with: its product's configuration, interval, limits and inputs, or the defaults of one.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use clap::Args;
use tollkeeper_core::{
    identity::DimensionName,
    input::InputDeclaration,
    plugin::PluginLimits,
    product::{ByteSize, Interval, Product, Span},
};

use crate::{cli::Failure, manifest::Manifests};

/// Where the setting comes from.
#[derive(Debug, Args)]
pub(super) struct SettingArguments {
    /// YAML file with the MarketplaceProduct that uses the plugin: its config, inputs, interval and limits hold.
    #[arg(long, env = "TOLLKEEPER_PRODUCT", value_name = "FILE")]
    product: Option<PathBuf>,
    /// Configuration as JSON, instead of the product's.
    #[arg(long, env = "TOLLKEEPER_CONFIG", value_name = "JSON")]
    config: Option<String>,
    /// Memory of a call, such as 64Mi, instead of the product's.
    #[arg(long, env = "TOLLKEEPER_MEMORY")]
    memory: Option<ByteSize>,
    /// Time of a call, such as 500ms, instead of the product's.
    #[arg(long, env = "TOLLKEEPER_TIME")]
    time: Option<Span>,
}

/// A product as far as its plugin is concerned.
pub(super) struct Setting {
    /// The product's name.
    pub(super) product: String,
    /// JSON.
    pub(super) config: Arc<str>,
    pub(super) interval: Interval,
    pub(super) limits: PluginLimits,
    /// `None` without a product: then everything in a trace is shown.
    pub(super) inputs: Option<Vec<InputDeclaration>>,
    /// `None` without a product.
    pub(super) dimensions: Option<BTreeSet<DimensionName>>,
}

impl SettingArguments {
    /// Reads the product, if one is named.
    pub(super) fn read(&self) -> Result<Setting, Failure> {
        let mut setting = match &self.product {
            Some(path) => Setting::of(&product(path)?),
            None => Setting::without_product()?,
        };
        if let Some(config) = &self.config {
            let parsed: serde_json::Map<String, serde_json::Value> = serde_json::from_str(config)
                .map_err(|error| Failure::new(format!("--config is not a JSON object: {error}")))?;
            setting.config = Arc::from(serde_json::Value::from(parsed).to_string());
        }
        if let Some(ByteSize(memory)) = self.memory {
            setting.limits.memory = memory;
        }
        if let Some(Span(time)) = self.time {
            setting.limits.time = time;
        }
        Ok(setting)
    }
}

fn product(path: &PathBuf) -> Result<Product, Failure> {
    let manifests = Manifests::read(std::slice::from_ref(path)).map_err(Failure::new)?;
    let mut metered = manifests.products.into_values().filter_map(|(product, _)| product.metered);
    match (metered.next(), metered.next()) {
        (Some(metered), None) => Ok(metered.product),
        (None, _) => Err(Failure::new(format!(
            "{}: there is no MarketplaceProduct with spec.meter in it; add one",
            path.display()
        ))),
        (Some(_), Some(_)) => Err(Failure::new(format!(
            "{}: there are several MarketplaceProducts with spec.meter in it; keep the one that uses the plugin",
            path.display()
        ))),
    }
}

impl Setting {
    fn of(product: &Product) -> Self {
        Self {
            product: product.key.name.clone(),
            config: product.meter.config.clone(),
            interval: product.meter.interval,
            limits: product.meter.limits,
            inputs: Some(product.meter.inputs.clone()),
            dimensions: Some(product.dimensions.iter().map(|dimension| dimension.name.clone()).collect()),
        }
    }

    fn without_product() -> Result<Self, Failure> {
        Ok(Self {
            product: "product".to_owned(),
            config: Arc::from("{}"),
            interval: Interval::from_seconds(60).map_err(Failure::new)?,
            limits: PluginLimits::default(),
            inputs: None,
            dimensions: None,
        })
    }
}
