//! The plugin host of the operator: compiles in a process of its own, grants what its flags say.

use std::{env, path::Path};

use clap::Args;
use tempfile::TempDir;
use tollkeeper_core::{
    plugin::PluginLimits,
    product::{ByteSize, Span},
};
use tollkeeper_plugin_host::{Apart, Compilation, Evaluation, HostSettings, MAX_COMPONENT, WasmHost};

use super::super::Failure;

/// What is running now, whatever lies at its path by the time that it compiles.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// What plugins may use, and where their machine code is kept.
#[derive(Debug, Args)]
pub(crate) struct Plugins {
    /// Bytes of compiled plugins to keep.
    #[arg(long, env = "TOLLKEEPER_CACHE_SIZE", default_value = "512Mi")]
    cache_size: ByteSize,
    // The largest known plugins (Python, StarlingMonkey) take 450 MB; with the operator's own it fits the chart's 768 MiB.
    /// Memory that compiling a plugin may take, in a process of its own.
    #[arg(long, env = "TOLLKEEPER_COMPILE_MEMORY", default_value = "600Mi")]
    compile_memory: ByteSize,
    /// The most memory that a product may ask for its plugin.
    #[arg(long, env = "TOLLKEEPER_MAX_PLUGIN_MEMORY", default_value = "1Gi")]
    max_plugin_memory: ByteSize,
    /// The most time that a product may ask for a call of its plugin.
    #[arg(long, env = "TOLLKEEPER_MAX_PLUGIN_TIME", default_value = "10s")]
    max_plugin_time: Span,
    /// The largest component that a product may ask for.
    #[arg(long, env = "TOLLKEEPER_MAX_PLUGIN_COMPONENT", default_value = "32Mi")]
    max_plugin_component: ByteSize,
}

/// The host, and the folder that goes with it if it is not to outlive the process.
pub(super) struct PluginHome {
    pub(super) host: WasmHost,
    _temporary: Option<TempDir>,
}

impl Plugins {
    /// The largest component in bytes that any product may ask for.
    pub(super) fn max_component(&self) -> u64 {
        self.max_plugin_component.0.min(MAX_COMPONENT)
    }

    /// Starts the host; without a folder for the cache it makes one that ends with it.
    pub(super) fn start(&self, cache_dir: Option<&Path>) -> Result<PluginHome, Failure> {
        let (cache, temporary) = match cache_dir {
            Some(folder) => (folder.to_owned(), None),
            None => {
                let folder = tempfile::Builder::new().prefix("tollkeeper-").tempdir().map_err(|error| {
                    let place = env::temp_dir();
                    Failure::new(format!(
                        "no folder for compiled plugins can be made in {}: {error}; name one with --cache-dir",
                        place.display()
                    ))
                })?;
                (folder.path().to_owned(), Some(folder))
            }
        };
        let host = WasmHost::with(HostSettings {
            evaluation: Evaluation::Thread,
            compilation: Compilation::Apart(Apart {
                program: THIS_PROGRAM.into(),
                arguments: vec!["compile-plugin".to_owned()],
                memory: self.compile_memory.0,
                cache,
                cache_size: self.cache_size.0,
            }),
            maxima: PluginLimits {
                memory: self.max_plugin_memory.0,
                time: self.max_plugin_time.0,
                component: self.max_plugin_component.0,
            },
        })
        .map_err(Failure::new)?;
        Ok(PluginHome { host, _temporary: temporary })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;
    use tollkeeper_core::{identity::Digest, plugin::PluginHost as _};

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        plugins: Plugins,
    }

    #[tokio::test]
    async fn a_product_is_granted_what_the_flags_say_and_no_more() {
        let flags =
            ["", "--max-plugin-memory", "2Mi", "--max-plugin-time", "300ms", "--max-plugin-component", "1Mi"];
        let plugins = Flags::try_parse_from(flags).unwrap().plugins;
        let most = PluginLimits { memory: 2 << 20, time: Duration::from_millis(300), component: 1 << 20 };
        assert_eq!(plugins.max_component(), most.component);
        let home = plugins.start(None).unwrap();
        for (asked, reason) in [
            (most, "InvalidComponent"),
            (PluginLimits { memory: most.memory + 1, ..most }, "PluginLimitsRefused"),
            (PluginLimits { time: Duration::from_millis(301), ..most }, "PluginLimitsRefused"),
            (PluginLimits { component: most.component + 1, ..most }, "PluginLimitsRefused"),
        ] {
            let refused = home.host.load(b"nothing", &Digest::of(b"nothing"), asked).await.err().unwrap();
            assert_eq!(refused.reason(), reason, "{refused}");
        }
    }
}
