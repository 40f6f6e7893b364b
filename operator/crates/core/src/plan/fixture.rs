//! A product, a binding and an hour of usage for the tests of plans.

use crate::{
    hour::BillingHour,
    identity::{Digest, ObjectKey},
    ledger::Entry,
    plan::seal,
    plugin::{ConfiguredPlugin, PluginLimits},
    product::{
        AmbiguousPolicy, Binding, Dimension, Fold, Interval, LatePolicy, Meter, Mode, Policy, Product,
        Rounding,
    },
    reading::{Measurement, Reading, Value},
    settlement::Settlement,
    tags::TagSet,
    usage::{Tally, TickOrigin},
    workload::{Selector, Workload},
};

pub(crate) const HOUR: &str = "2026-11-21T14:00:00Z";

pub(crate) fn hour() -> BillingHour {
    HOUR.parse().unwrap()
}

pub(crate) fn tags(pairs: &[(&str, &str)]) -> TagSet {
    TagSet::new(pairs.iter().map(|(key, value)| (key.to_string(), value.to_string()))).unwrap()
}

pub(crate) fn policy() -> Policy {
    Policy { ambiguous: AmbiguousPolicy::NeverDoubleBill, late: LatePolicy::CarryForward }
}

pub(crate) fn product(rounding: Rounding) -> Product {
    Product {
        key: ObjectKey::new("vecdb", "vecdb"),
        code: "4pz5x3sgbjnq7t3hb1kqe3v0w".parse().unwrap(),
        dimensions: ["gb_hours", "scans"]
            .map(|name| Dimension {
                name: name.parse().unwrap(),
                fold: Fold::Last,
                rounding,
                zero_records: false,
            })
            .into(),
        meter: Meter {
            interval: Interval::from_seconds(3600).unwrap(),
            plugin: Digest::of(b"plugin"),
            limits: PluginLimits::default(),
            config: "{}".into(),
            inputs: vec![],
        },
        policy: policy(),
        mode: Mode::Live,
    }
}

pub(crate) fn binding(tags: TagSet) -> Binding {
    Binding {
        key: ObjectKey::new("vecdb", "prod"),
        uid: "u".into(),
        workload: Workload { namespaces: vec!["vecdb".into()], selector: Selector::default() },
        tags,
    }
}

pub(crate) fn origin() -> TickOrigin {
    let measured_by = ConfiguredPlugin { plugin: Digest::of(b"plugin"), config: Digest::of(b"{}") };
    TickOrigin { measured_by, inputs: Digest::of(b"inputs"), is_complete: true }
}

/// Usage of `gb_hours` in the hour, by tag set.
pub(crate) fn tally(values: &[(&str, TagSet)]) -> Tally {
    tally_of(&product(Rounding::Carry), values)
}

/// The same of a product of its own.
pub(crate) fn tally_of(product: &Product, values: &[(&str, TagSet)]) -> Tally {
    let readings = values
        .iter()
        .map(|(value, tags)| Reading {
            dimension: "gb_hours".parse().unwrap(),
            value: Value::Gauge(value.parse().unwrap()),
            tags: tags.clone(),
        })
        .collect();
    let mut tally = Tally::default();
    let measurement = Measurement { readings, ..Measurement::default() };
    tally.commit(hour().start(), product.rules(), &measurement, &origin());
    tally
}

/// A report of the hour with this usage of `gb_hours`, just sealed.
pub(crate) fn entry(values: &[(&str, TagSet)], mode: Mode) -> Entry {
    let (product, binding, tally) = (product(Rounding::Carry), binding(TagSet::default()), tally(values));
    let observed = seal::Observed {
        cluster: "cluster",
        product: &product,
        hour: hour(),
        usage: &[(&binding, tally.hour(hour()).unwrap())],
        previous: None,
        late: &[],
    };
    let report = seal::plan(&observed).report.unwrap();
    let settlement = Settlement::of(&report, mode);
    Entry { namespace: "vecdb".into(), report, settlement, version: "1".into() }
}
