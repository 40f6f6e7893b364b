//! What plugins and their compiler have cost. One series a loaded plugin: bounded by the products.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use tollkeeper_plugin_host::{CompilerUsage, PluginInUse, WasmHost};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Plugin {
    digest: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Failure {
    digest: String,
    reason: &'static str,
}

type Seconds = Counter<f64, AtomicU64>;

#[derive(Default)]
struct Costs {
    calls: Family<Plugin, Counter>,
    failures: Family<Failure, Counter>,
    fuel: Family<Plugin, Counter>,
    seconds: Family<Plugin, Seconds>,
    longest: Family<Plugin, Gauge<f64, AtomicU64>>,
    memory: Family<Plugin, Gauge>,
    lines: Family<Plugin, Counter>,
}

/// Adds the metrics of all plugins in use.
pub(super) fn register(host: &WasmHost, registry: &mut Registry) {
    let costs = Costs::default();
    for plugin in host.plugins() {
        costs.note(&plugin);
    }
    costs.register(registry);
    if let Some(compiler) = host.compiler() {
        register_compiler(compiler, registry);
    }
}

impl Costs {
    fn note(&self, plugin: &PluginInUse) {
        let (usage, label) = (&plugin.usage, Plugin { digest: plugin.digest.to_string() });
        self.calls.get_or_create(&label).inc_by(usage.calls);
        self.fuel.get_or_create(&label).inc_by(usage.fuel);
        self.seconds.get_or_create(&label).inc_by(usage.time.as_secs_f64());
        self.longest.get_or_create(&label).set(usage.longest.as_secs_f64());
        self.memory.get_or_create(&label).set(i64::try_from(usage.most_memory).unwrap_or(i64::MAX));
        self.lines.get_or_create(&label).inc_by(usage.log_lines);
        for (reason, count) in &usage.failures {
            let failure = Failure { digest: label.digest.clone(), reason };
            self.failures.get_or_create(&failure).inc_by(*count);
        }
    }

    fn register(self, registry: &mut Registry) {
        registry.register("plugin_calls", "Calls of a plugin since it was loaded", self.calls);
        registry.register("plugin_failures", "Ticks of a plugin without readings, by reason", self.failures);
        registry.register("plugin_fuel", "Fuel that a plugin has burnt", self.fuel);
        registry.register_with_unit("plugin_call", "Time inside of a plugin", Unit::Seconds, self.seconds);
        registry.register_with_unit(
            "plugin_longest_call",
            "The longest call of a plugin",
            Unit::Seconds,
            self.longest,
        );
        registry.register_with_unit(
            "plugin_memory_max",
            "The most memory that a call of a plugin had",
            Unit::Bytes,
            self.memory,
        );
        registry.register("plugin_log_lines", "Lines that a plugin has logged, kept or dropped", self.lines);
    }
}

fn register_compiler(usage: CompilerUsage, registry: &mut Registry) {
    let (compiled, found, cached) =
        (Counter::<u64>::default(), Counter::<u64>::default(), Gauge::<i64>::default());
    compiled.inc_by(usage.compiled);
    found.inc_by(usage.found);
    cached.set(i64::try_from(usage.cached).unwrap_or(i64::MAX));
    registry.register(
        "plugin_compilations",
        "Plugins that were compiled or refused by the compiler",
        compiled,
    );
    registry.register("plugin_cache_hits", "Plugins whose machine code was in the cache", found);
    registry.register_with_unit("plugin_cache", "Machine code in the cache", Unit::Bytes, cached);
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use tollkeeper_core::{
        identity::Digest,
        plugin::{PluginHost as _, PluginLimits},
    };
    use tollkeeper_plugin_host::Evaluation;

    use super::*;

    const VECDB: &[u8] = include_bytes!("../../../../../plugins/examples/vecdb/vecdb.wasm");

    #[tokio::test]
    async fn a_plugin_in_use_has_its_costs_and_one_that_is_gone_has_none() {
        let host = WasmHost::new(Evaluation::Inline).unwrap();
        let digest = Digest::of(VECDB);
        let plugin = host.load(VECDB, &digest, PluginLimits::default()).await.unwrap();
        plugin.validate_config("{}").await.unwrap();
        let text = || {
            let mut registry = Registry::with_prefix("tollkeeper");
            register(&host, &mut registry);
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        // The manifest and the configuration.
        assert!(
            text().contains(&format!("tollkeeper_plugin_calls_total{{digest=\"{digest}\"}} 2\n")),
            "{}",
            text()
        );
        assert!(text().contains("tollkeeper_plugin_memory_max_bytes{"), "{}", text());
        drop(plugin);
        assert!(!text().contains("digest="), "{}", text());
    }
}
