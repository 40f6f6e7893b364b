//! How registries are reached and whom they are trusted by: what several verbs share.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use tollkeeper_registry::{InvalidRoots, Roots, Settings};

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

/// The roots of trust in a file; without one, those of the public sigstore, which are part of this binary: nothing is fetched.
/// `None` if the binary was built without what uses them.
pub(crate) fn roots(file: Option<&Path>) -> Result<Option<Roots>, Failure> {
    let Some(path) = file else {
        return match Roots::public() {
            Ok(roots) => Ok(Some(roots)),
            Err(InvalidRoots::NotBuilt) => Ok(None),
            Err(malformed) => Err(Failure::new(malformed)),
        };
    };
    let json = fs::read_to_string(path).map_err(|error| {
        Failure::new(format!("--trusted-root {} cannot be read: {error}", path.display()))
    })?;
    let roots = Roots::parse(&json);
    roots.map(Some).map_err(|error| Failure::new(format!("--trusted-root {}: {error}", path.display())))
}
