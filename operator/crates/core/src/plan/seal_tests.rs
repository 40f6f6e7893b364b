use proptest::prelude::*;

use super::*;
use crate::{
    plan::fixture::{binding, hour, origin, product, tags, tally, tally_of},
    tags::TagSet,
};

fn seal(
    rounding: Rounding,
    value: &str,
    previous: Option<&SealedReport>,
    late: &[LateUsage],
) -> Option<SealedReport> {
    let (binding, product) = (binding(TagSet::default()), product(rounding));
    let tally = tally_of(&product, &[(value, TagSet::default())]);
    let usage = [(&binding, tally.hour(hour()).unwrap())];
    let observed = Observed {
        cluster: "cluster",
        product: &product,
        hour: previous.map_or(hour(), |report| report.body.hour.next()),
        usage: &usage,
        previous,
        late,
    };
    plan(&observed).report
}

fn record(report: &SealedReport) -> (u32, String, String) {
    let record = &report.body.records[0];
    (record.quantity, record.measured.to_string(), record.remainder.to_string())
}

#[test]
fn carry_rounds_down_and_keeps_the_rest_for_the_next_hour() {
    let first = seal(Rounding::Carry, "812.25", None, &[]).unwrap();
    assert_eq!(record(&first), (812, "812.250000".into(), "0.250000".into()));
    let second = seal(Rounding::Carry, "0.8", Some(&first), &[]).unwrap();
    assert_eq!(record(&second), (1, "1.050000".into(), "0.050000".into()));
    assert_eq!(second.body.previous, Some(first.link()));
}

#[test]
fn up_and_nearest_carry_nothing() {
    assert_eq!(record(&seal(Rounding::Up, "1.000001", None, &[]).unwrap()).0, 2);
    assert_eq!(record(&seal(Rounding::Nearest, "1.5", None, &[]).unwrap()).0, 2);
    let report = seal(Rounding::Nearest, "1.4", None, &[]).unwrap();
    assert_eq!(record(&report), (1, "1.400000".into(), "0.000000".into()));
}

#[test]
fn more_than_one_record_holds_is_carried_under_every_rounding() {
    for rounding in [Rounding::Carry, Rounding::Up, Rounding::Nearest] {
        let report = seal(rounding, "2147483652", None, &[]).unwrap();
        assert_eq!(record(&report), (2_147_483_647, "2147483652.000000".into(), "5.000000".into()));
    }
}

#[test]
fn an_hour_without_usage_has_no_report_and_loses_no_remainder() {
    let first = seal(Rounding::Carry, "0.25", None, &[]).unwrap();
    assert_eq!(record(&first).0, 0);
    assert_eq!(seal(Rounding::Carry, "0", Some(&first), &[]), None);
}

#[test]
fn a_dimension_without_a_record_keeps_its_remainder_in_the_report() {
    let first = seal(Rounding::Carry, "0.25", None, &[]).unwrap();
    let product = product(Rounding::Carry);
    let mut tally = crate::usage::Tally::default();
    let reading = crate::reading::Reading {
        dimension: "scans".parse().unwrap(),
        value: crate::reading::Value::Gauge("3".parse().unwrap()),
        tags: TagSet::default(),
    };
    let measurement = crate::reading::Measurement { readings: vec![reading], ..Default::default() };
    tally.commit(hour().end(), product.rules(), &measurement, &origin());
    let binding = binding(TagSet::default());
    let usage = [(&binding, tally.hour(hour().next()).unwrap())];
    let second = plan(&Observed {
        cluster: "cluster",
        product: &product,
        hour: hour().next(),
        usage: &usage,
        previous: Some(&first),
        late: &[],
    })
    .report
    .unwrap();
    assert_eq!(second.body.records.len(), 1);
    let gb_hours: DimensionName = "gb_hours".parse().unwrap();
    assert_eq!(second.remainders().get(&gb_hours), Some(&"0.25".parse().unwrap()));
}

#[test]
fn late_usage_is_billed_with_the_hour_and_named() {
    let late = LateUsage {
        dimension: "gb_hours".parse().unwrap(),
        hour: "2026-11-21T03:00:00Z".parse().unwrap(),
        quantity: Quantity::from_units(3),
    };
    let report = seal(Rounding::Carry, "0", None, std::slice::from_ref(&late)).unwrap();
    assert_eq!(record(&report), (3, "3.000000".into(), "0.000000".into()));
    assert_eq!(report.body.records[0].carried_from[0].hour, late.hour);
}

#[test]
fn the_first_partial_hour_is_stamped_with_its_first_tick() {
    let mut product = product(Rounding::Carry);
    product.meter.interval = crate::product::Interval::from_seconds(60).unwrap();
    let mut tally = crate::usage::Tally::default();
    let reading = crate::reading::Reading {
        dimension: "gb_hours".parse().unwrap(),
        value: crate::reading::Value::Gauge("3".parse().unwrap()),
        tags: TagSet::default(),
    };
    let measurement = crate::reading::Measurement { readings: vec![reading], ..Default::default() };
    let first: Timestamp = "2026-11-21T14:07:00Z".parse().unwrap();
    tally.commit(first, product.rules(), &measurement, &origin());
    let binding = binding(TagSet::default());
    let usage = [(&binding, tally.hour(hour()).unwrap())];
    let observed = Observed {
        cluster: "cluster",
        product: &product,
        hour: hour(),
        usage: &usage,
        previous: None,
        late: &[],
    };
    let report = plan(&observed).report.unwrap();
    assert_eq!(report.body.timestamp, first);
    assert_eq!(report.body.hour, hour());
}

#[test]
fn a_report_knows_when_it_has_been_edited() {
    let mut report = seal(Rounding::Carry, "812.25", None, &[]).unwrap();
    assert!(report.is_intact());
    report.body.records[0].quantity -= 1;
    assert!(!report.is_intact());
}

#[test]
fn usage_is_allocated_to_the_tags_of_readings_and_binding() {
    let binding = binding(tags(&[("CostCenter", "42")]));
    let tally = tally(&[("7", tags(&[("Namespace", "blue")])), ("1", TagSet::default())]);
    let product = product(Rounding::Carry);
    let usage = [(&binding, tally.hour(hour()).unwrap())];
    let observed = Observed {
        cluster: "cluster",
        product: &product,
        hour: hour(),
        usage: &usage,
        previous: None,
        late: &[],
    };
    let report = plan(&observed).report.unwrap();
    let parts: Vec<_> = report.body.records[0]
        .allocations
        .iter()
        .map(|part| (part.tags.to_string(), part.quantity))
        .collect();
    assert_eq!(parts, [("CostCenter=42".to_owned(), 1), ("CostCenter=42,Namespace=blue".to_owned(), 7)]);
}

fn dimension(name: &str, fold: Fold, rounding: Rounding) -> Dimension {
    Dimension { name: name.parse().unwrap(), fold, rounding, zero_records: false }
}

/// An hour with 2.5 of a gauge of `gb_hours`, measured by this dimension, sealed by a product that sells only `seats`.
fn sealed_without(measured_by: &[Dimension], ticks: i64, late: &[LateUsage]) -> Plan {
    let mut product = product(Rounding::Carry);
    product.dimensions = measured_by.to_vec();
    product.meter.interval = crate::product::Interval::from_seconds(600).unwrap();
    let mut tally = crate::usage::Tally::default();
    let reading = crate::reading::Reading {
        dimension: "gb_hours".parse().unwrap(),
        value: crate::reading::Value::Gauge("2.5".parse().unwrap()),
        tags: TagSet::default(),
    };
    let measurement = crate::reading::Measurement { readings: vec![reading], ..Default::default() };
    for tick in 0..ticks {
        let at = hour().start() + SignedDuration::from_mins(10 * tick);
        tally.commit(at, product.rules(), &measurement, &origin());
    }
    product.dimensions = vec![dimension("seats", Fold::Max, Rounding::Up)];
    let binding = binding(TagSet::default());
    let usage = [(&binding, tally.hour(hour()).unwrap())];
    let (previous, hour) = (None, hour());
    plan(&Observed { cluster: "cluster", product: &product, hour, usage: &usage, previous, late })
}

#[test]
fn an_hour_is_sealed_by_the_dimensions_that_it_was_measured_by() {
    let plan = sealed_without(&[dimension("gb_hours", Fold::Sum, Rounding::Up)], 3, &[]);
    assert_eq!(record(&plan.report.unwrap()), (8, "7.500000".into(), "0.000000".into()));
    assert_eq!(plan.unknown, BTreeSet::new());
}

#[test]
fn usage_that_nobody_knows_how_to_bill_is_named() {
    // As an older version leaves it in a checkpoint.
    let plan = sealed_without(&[], 3, &[]);
    assert_eq!(plan.report, None);
    assert_eq!(plan.unknown, BTreeSet::from(["gb_hours".parse().unwrap()]));
}

#[test]
fn late_usage_of_what_is_sold_no_more_is_billed_behind_the_others() {
    let late = LateUsage {
        dimension: "scans".parse().unwrap(),
        hour: "2026-11-21T03:00:00Z".parse().unwrap(),
        quantity: Quantity::from_units(3),
    };
    let plan = sealed_without(&[dimension("gb_hours", Fold::Max, Rounding::Carry)], 3, &[late]);
    let records = plan.report.unwrap().body.records;
    let billed: Vec<_> = records.iter().map(|one| (one.dimension.as_str(), one.quantity)).collect();
    assert_eq!(billed, [("gb_hours", 2), ("scans", 3)]);
}

#[test]
fn the_rest_of_what_is_sold_no_more_is_billed_as_far_as_it_is_whole_units() {
    let first = seal(Rounding::Carry, "2147483649.25", None, &[]).unwrap();
    let mut product = product(Rounding::Carry);
    product.dimensions = vec![dimension("scans", Fold::Last, Rounding::Carry)];
    let binding = binding(TagSet::default());
    let next = |previous: &SealedReport| {
        let tally = tally_of(&product, &[]);
        let usage = [(&binding, tally.hour(hour()).unwrap())];
        let (previous, hour) = (Some(previous), previous.body.hour.next());
        plan(&Observed { cluster: "cluster", product: &product, hour, usage: &usage, previous, late: &[] })
    };
    let second = next(&first).report.unwrap();
    let gb_hours = second.record(&"gb_hours".parse().unwrap()).unwrap();
    assert_eq!((gb_hours.quantity, gb_hours.remainder.to_string()), (2, "0.250000".into()));
    let third = next(&second);
    assert_eq!(third.report, None);
}

proptest! {
    #[test]
    fn over_any_hours_billed_and_carried_equal_measured(values in prop::collection::vec(0u128..10u128.pow(12), 1..30)) {
        let mut previous: Option<SealedReport> = None;
        let mut billed = Quantity::ZERO;
        let mut used = Quantity::ZERO;
        for micros in values {
            let value = Quantity::from_micros(micros);
            used += value;
            if let Some(report) = seal(Rounding::Carry, &value.to_string(), previous.as_ref(), &[]) {
                billed += Quantity::from_units(report.body.records[0].quantity);
                previous = Some(report);
            }
        }
        let left: Quantity = previous.map(|report| report.remainders().into_values().sum()).unwrap_or_default();
        prop_assert_eq!(billed + left, used);
    }
}
