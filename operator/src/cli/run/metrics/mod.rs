//! Metrics, made from what is known at the moment of the scrape. Labels are products and states: bounded.

mod plugins;
mod units;

use std::fmt;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};
use tollkeeper_controller::{lease::Leadership, meter::QUARANTINED};

use super::Parts;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Product {
    namespace: String,
    product: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Problem {
    namespace: String,
    product: String,
    reason: String,
}

type Gauges = Family<Product, Gauge>;

/// The metrics in OpenMetrics' text format.
pub(super) fn text(parts: &Parts) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("tollkeeper");
    registry.register("build", "The version that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    let leader = Gauge::<i64>::default();
    leader.set(i64::from(matches!(*parts.leadership.borrow(), Leadership::Leader { .. })));
    registry.register("leader", "Whether this process leads (1) or stands by (0)", leader);
    let blocked = Gauge::<i64>::default();
    blocked.set(i64::from(parts.roster.blocked().is_some()));
    registry.register("blocked", "Whether nothing can be sent to AWS (1)", blocked);
    products(parts, &mut registry);
    namespaces(parts, &mut registry);
    plugins::register(&parts.plugins, &mut registry);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Namespace {
    namespace: String,
}

/// Namespaces that a product cannot tell of, because it may not be seen.
fn namespaces(parts: &Parts, registry: &mut Registry) {
    let failing = Family::<Namespace, Gauge>::default();
    for namespace in parts.products.failing().into_iter().chain(parts.bindings.failing()) {
        failing.get_or_create(&Namespace { namespace }).set(1);
    }
    registry.register(
        "watch_failing",
        "Whether products and bindings of a namespace cannot be watched (1); without a name, of all of them",
        failing,
    );
}

fn products(parts: &Parts, registry: &mut Registry) {
    let (metered, unsettled, oldest) = (Gauges::default(), Gauges::default(), Gauges::default());
    let (missed, quarantined, inputs) = (Gauges::default(), Gauges::default(), Gauges::default());
    let problems = Family::<Problem, Gauge>::default();
    let now = parts.clock.now();
    let roster = parts.roster.all();
    let known: Vec<Product> = roster
        .keys()
        .map(|key| Product { namespace: key.namespace.clone(), product: key.name.clone() })
        .collect();
    units::register(&parts.funnel, &known, now, registry);
    for (key, progress) in roster {
        let product = Product { namespace: key.namespace.clone(), product: key.name.clone() };
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        metered.get_or_create(&product).set(i64::from(progress.is_metered));
        unsettled.get_or_create(&product).set(number(progress.unsettled));
        let age = progress.oldest_unsettled.map_or(0, |hour| now.duration_since(hour.end()).as_secs().max(0));
        oldest.get_or_create(&product).set(age);
        missed.get_or_create(&product).set(number(progress.findings.missed.len()));
        let rests = progress.findings.missed.values().filter(|finding| finding.reason == QUARANTINED);
        quarantined.get_or_create(&product).set(number(rests.count()));
        inputs.get_or_create(&product).set(number(progress.findings.unavailable_inputs.len()));
        let findings = &progress.findings;
        let findings =
            findings.storage.iter().chain(&findings.sealed).chain(&findings.clock).chain(&progress.attention);
        let findings =
            findings.chain(&progress.evidence).chain(&progress.unread).chain(&progress.bookkeeping);
        let successor = progress.findings.successor.as_ref().and_then(|successor| successor.problem.as_ref());
        let findings = findings.chain(&progress.plugin).chain(successor);
        for finding in findings.chain(progress.findings.missed.values()) {
            let problem = Problem {
                namespace: key.namespace.clone(),
                product: key.name.clone(),
                reason: finding.reason.to_owned(),
            };
            problems.get_or_create(&problem).set(1);
        }
    }
    registry.register("metered", "Whether a meter runs for the product (1)", metered);
    registry.register(
        "unsettled_records",
        "Records that AWS has neither taken nor refused for good",
        unsettled,
    );
    registry.register(
        "oldest_unsettled_seconds",
        "Seconds since the end of the oldest hour with such a record; 0 if there is none",
        oldest,
    );
    registry.register("bindings_with_missed_tick", "Bindings whose last tick was missed", missed);
    registry.register(
        "plugin_quarantined_bindings",
        "Bindings for which the plugin is left alone because it keeps misbehaving",
        quarantined,
    );
    registry.register("inputs_unavailable", "Inputs that could not be read at the last tick", inputs);
    registry.register("problem", "What is wrong with a product's plugin or metering, by reason", problems);
}
