//! Where the units of usage are: the funnel from the seal to their end, and how long is left.

use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use tollkeeper_controller::funnel::SharedFunnel;
use tollkeeper_core::{funnel::Stage, quantity::Quantity, settlement::RecordState};

use super::Product;

/// States in which a record has not ended. All of them are told of each dimension, so that a state that was left reads zero.
const OPEN: [RecordState; 5] = [
    RecordState::Sealed,
    RecordState::Sending,
    RecordState::Ambiguous,
    RecordState::Expired,
    RecordState::Held,
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Passed {
    namespace: String,
    product: String,
    dimension: String,
    stage: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Open {
    namespace: String,
    product: String,
    dimension: String,
    state: String,
}

/// Adds what the funnel knows at one moment: the numbers of one scrape fit each other.
pub(super) fn register(funnel: &SharedFunnel, products: &[Product], now: Timestamp, registry: &mut Registry) {
    let (flows, deadlines) = {
        let funnel = funnel.lock();
        (funnel.flows(), funnel.deadlines())
    };
    let passed = Family::<Passed, Counter<f64, AtomicU64>>::default();
    let open = Family::<Open, Gauge<f64, AtomicU64>>::default();
    let ambiguous = Family::<Product, Counter>::default();
    let left = Family::<Product, Gauge>::default();
    for product in products {
        ambiguous.get_or_create(product).inc_by(0);
    }
    for ((product, dimension), flow) in flows {
        let (namespace, name, dimension) = (product.namespace, product.name, dimension.to_string());
        for stage in Stage::ALL {
            let label = Passed {
                namespace: namespace.clone(),
                product: name.clone(),
                dimension: dimension.clone(),
                stage: stage.label(),
            };
            passed.get_or_create(&label).inc_by(units(flow.passed.get(&stage)));
        }
        for state in OPEN {
            let label = Open {
                namespace: namespace.clone(),
                product: name.clone(),
                dimension: dimension.clone(),
                state: format!("{state:?}"),
            };
            open.get_or_create(&label).set(units(flow.open.get(&state)));
        }
        ambiguous.get_or_create(&Product { namespace, product: name }).inc_by(flow.ambiguous);
    }
    for (product, deadline) in deadlines {
        let label = Product { namespace: product.namespace, product: product.name };
        left.get_or_create(&label).set(deadline.duration_since(now).as_secs());
    }
    registry.register("units", "Units of usage that passed a stage in this process", passed);
    registry.register("open_units", "Units of usage in records that have not ended, by state", open);
    registry.register("ambiguous", "Records that became Ambiguous in this process", ambiguous);
    registry.register_with_unit(
        "deadline",
        "Time left for the most urgent record that AWS may not have; negative if it has passed, absent if there is none",
        Unit::Seconds,
        left,
    );
}

/// A double holds whole units exactly up to nine quadrillion.
fn units(quantity: Option<&Quantity>) -> f64 {
    quantity.map_or(0.0, |quantity| quantity.micros() as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use tollkeeper_core::{ledger::Ledger as _, product::Mode, settlement::Settlement};
    use tollkeeper_ledger::{conformance::report, memory::MemoryLedger};

    use super::*;

    fn text(funnel: &SharedFunnel, now: &str) -> String {
        let products = [Product { namespace: "vecdb".into(), product: "quiet".into() }];
        let (mut registry, mut text) = (Registry::with_prefix("tollkeeper"), String::new());
        register(funnel, &products, now.parse().unwrap(), &mut registry);
        encode(&mut text, &registry).unwrap();
        text
    }

    #[tokio::test]
    async fn a_sealed_hour_is_in_the_funnel_and_its_time_runs() {
        let funnel = SharedFunnel::default();
        let ledger = tollkeeper_controller::funnel::CountedLedger::new(
            std::sync::Arc::new(MemoryLedger::default()),
            funnel.clone(),
        );
        let report = report("vecdb", "2026-11-21T14:00:00Z".parse().unwrap(), 5);
        ledger.create_if_absent("vecdb", &report, &Settlement::of(&report, Mode::Live)).await.unwrap();
        let text = text(&funnel, "2026-11-21T19:00:00Z");
        let of = "namespace=\"vecdb\",product=\"vecdb\"";
        for line in [
            format!("tollkeeper_units_total{{{of},dimension=\"units\",stage=\"measured\"}} 5.25\n"),
            format!("tollkeeper_units_total{{{of},dimension=\"units\",stage=\"sealed\"}} 5.0\n"),
            format!("tollkeeper_units_total{{{of},dimension=\"units\",stage=\"accepted\"}} 0.0\n"),
            format!("tollkeeper_open_units{{{of},dimension=\"units\",state=\"Sealed\"}} 5.0\n"),
            format!("tollkeeper_open_units{{{of},dimension=\"units\",state=\"Ambiguous\"}} 0.0\n"),
            format!("tollkeeper_ambiguous_total{{{of}}} 0\n"),
            "tollkeeper_ambiguous_total{namespace=\"vecdb\",product=\"quiet\"} 0\n".to_owned(),
            format!("tollkeeper_deadline_seconds{{{of}}} 3000\n"),
        ] {
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(
            !text.contains("tollkeeper_deadline_seconds{namespace=\"vecdb\",product=\"quiet\"}"),
            "{text}"
        );
    }
}
