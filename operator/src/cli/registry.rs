//! How registries are reached: the flags that several verbs share.

use std::{fs, path::PathBuf};

use clap::Args;
use tollkeeper_registry::Settings;

use super::Failure;

/// Registries of plugins.
#[derive(Debug, Args)]
pub(crate) struct RegistryOptions {
    /// Registries that may be spoken to in plain HTTP, as host:port, separated by commas. Those of the loopback interface
    /// always may.
    #[arg(long, env = "TOLLKEEPER_INSECURE_REGISTRIES", value_delimiter = ',', value_name = "HOST:PORT")]
    insecure_registries: Vec<String>,
    /// File with certificates (PEM) of authorities that are trusted besides those of the system.
    #[arg(long, env = "TOLLKEEPER_REGISTRY_CA", value_name = "FILE")]
    registry_ca: Option<PathBuf>,
}

impl RegistryOptions {
    /// As settings of the client.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        let authorities = match &self.registry_ca {
            Some(path) => Some(fs::read(path).map_err(|error| {
                Failure::new(format!("--registry-ca {} cannot be read: {error}", path.display()))
            })?),
            None => None,
        };
        let named = self.insecure_registries.iter().filter(|host| !host.is_empty());
        let plain = named.map(|host| host.to_ascii_lowercase()).collect();
        Ok(Settings { plain, authorities, ..Settings::default() })
    }
}
