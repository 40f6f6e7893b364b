use std::collections::{BTreeMap, btree_map::Entry};

use proptest::prelude::*;

use super::*;
use crate::TokenScope;

#[test]
fn an_identical_request_gets_the_same_record() {
    let mut aws = Simulator::default();
    let first = call(&mut aws, json!({})).unwrap();
    assert_eq!(call(&mut aws, json!({})).unwrap(), first);
    // Another token and another minute of the same hour: identical once the timestamp is rounded down.
    assert_eq!(
        call(&mut aws, json!({"ClientToken": "t-2", "Timestamp": 1_795_269_600 + 3599})).unwrap(),
        first
    );
    assert_eq!(call(&mut aws, json!({"ClientToken": null})).unwrap(), first);
    let view = aws.view();
    assert_eq!((view.accepted.len(), view.accepted[0].repeats), (1, 3));
    assert!(view.rejected.is_empty());
}

#[test]
fn the_first_quantity_of_an_hour_stays() {
    let mut aws = Simulator::default();
    call(&mut aws, json!({"UsageQuantity": 0})).unwrap();
    let error = call(&mut aws, json!({"ClientToken": "t-2"})).unwrap_err();
    assert_eq!((error.code.as_ref(), error.status), ("DuplicateRequestException", 400));
    assert!(error.message.contains("already been emitted by the same EKS pod"), "{error}");
    let view = serde_json::to_value(aws.view()).unwrap();
    assert_eq!(view["totals"][0]["quantity"], 0);
    assert_eq!(view["rejected"][0]["reason"], "DuplicateRequestException");
    assert_eq!(view["rejected"][0]["quantity"], 812);
}

#[test]
fn quantities_are_compared_by_value() {
    let mut aws = Simulator::default();
    let first = call(&mut aws, json!({"UsageQuantity": 17})).unwrap();
    for decimal in ["17", "17.0", "17.00"] {
        let changes = json!({"UsageQuantity": null, "UsageQuantityAsDecimal": decimal});
        assert_eq!(call(&mut aws, changes).unwrap(), first);
    }
}

#[test]
fn allocations_are_part_of_the_comparison_and_their_order_is_not() {
    let mut aws = Simulator::default();
    let part = |quantity: u32, team: &str| json!({"AllocatedUsageQuantity": quantity, "Tags": [{"Key": "team", "Value": team}]});
    let first =
        call(&mut aws, json!({"UsageAllocations": [part(800, "a"), part(12, "b")], "ClientToken": null}));
    let turned =
        call(&mut aws, json!({"UsageAllocations": [part(12, "b"), part(800, "a")], "ClientToken": null}));
    assert_eq!(first, turned);
    let other =
        call(&mut aws, json!({"UsageAllocations": [part(801, "a"), part(11, "b")], "ClientToken": null}));
    assert_eq!(other.unwrap_err().code, "DuplicateRequestException");
}

#[test]
fn products_dimensions_hours_and_pods_have_their_own_records() {
    let mut aws = Simulator::default();
    let mut ids = vec![
        call(&mut aws, json!({})).unwrap(),
        call(&mut aws, json!({"ProductCode": "other", "ClientToken": null})).unwrap(),
        call(&mut aws, json!({"UsageDimension": "other", "ClientToken": null})).unwrap(),
        call(&mut aws, json!({"Timestamp": 1_795_269_600 - 1, "ClientToken": null})).unwrap(),
        aws.meter_usage(now(), &Caller::pod("b"), &request(json!({"ClientToken": null}))).unwrap(),
    ];
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

#[test]
fn a_token_repeats_its_request_and_nothing_else() {
    let mut aws = Simulator::default();
    let first = call(&mut aws, json!({})).unwrap();
    assert_eq!(call(&mut aws, json!({})).unwrap(), first);
    for change in [
        json!({"UsageQuantity": 813}),
        json!({"UsageDimension": "other"}),
        json!({"ProductCode": "other"}),
        json!({"Timestamp": 1_795_269_600 + 1}),
        json!({"UsageAllocations": [{"AllocatedUsageQuantity": 812}]}),
    ] {
        assert_eq!(call(&mut aws, change).unwrap_err().code, "IdempotencyConflictException");
    }
    assert_eq!(aws.view().accepted.len(), 1);
}

#[test]
fn a_refused_request_does_not_use_up_its_token() {
    let mut aws = Simulator::default();
    assert!(call(&mut aws, json!({"Timestamp": 4_000_000_000_u32})).is_err());
    assert!(call(&mut aws, json!({})).is_ok());
}

#[test]
fn one_hour_through_two_pods_is_a_double_bill() {
    let mut aws = Simulator::default();
    call(&mut aws, json!({})).unwrap();
    call(&mut aws, json!({"Timestamp": 1_795_269_600 - 3600, "ClientToken": null})).unwrap();
    assert!(aws.view().double_bills.is_empty());
    aws.meter_usage(now(), &Caller::pod("b"), &request(json!({}))).unwrap();
    let double = serde_json::to_value(&aws.view().double_bills[0]).unwrap();
    assert_eq!(double["billed"], 1624);
    assert_eq!(double["hour"], "2026-11-21T14:00:00Z");
    assert_eq!(double["records"][0]["pod"], "a");
    assert_eq!(double["records"][1]["pod"], "b");
    assert_eq!(aws.view().double_bills.len(), 1);
}

#[test]
fn one_hour_of_two_buyers_is_no_double_bill() {
    let mut aws = Simulator::default();
    call(&mut aws, json!({})).unwrap();
    let other = Caller { account: "210987654321".into(), ..Caller::pod("b") };
    aws.meter_usage(now(), &other, &request(json!({}))).unwrap();
    assert!(aws.view().double_bills.is_empty());
}

#[test]
fn tokens_of_a_whole_account_protect_it_from_a_second_pod() {
    let settings = Settings { token_scope: TokenScope::Account, ..Settings::default() };
    let mut aws = Simulator::new(settings);
    let first = call(&mut aws, json!({})).unwrap();
    assert_eq!(aws.meter_usage(now(), &Caller::pod("b"), &request(json!({}))).unwrap(), first);
    assert!(aws.view().double_bills.is_empty());
}

#[test]
fn the_same_calls_make_the_same_books() {
    let run = || {
        let mut aws = Simulator::default();
        call(&mut aws, json!({})).unwrap();
        call(&mut aws, json!({"UsageQuantity": 1})).unwrap_err();
        serde_json::to_string(&aws.view()).unwrap()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_reset_empties_the_books_and_keeps_the_settings() {
    let mut aws = Simulator::new(Settings { calls_a_second: 1, ..Settings::default() });
    call(&mut aws, json!({})).unwrap();
    assert_eq!(call(&mut aws, json!({})).unwrap_err().code, "ThrottlingException");
    aws.reset();
    assert!(aws.view().accepted.is_empty() && aws.view().rejected.is_empty());
    call(&mut aws, json!({"UsageQuantity": 1})).unwrap();
    assert_eq!(call(&mut aws, json!({})).unwrap_err().code, "ThrottlingException");
}

proptest! {
    #[test]
    fn whatever_is_sent_each_pod_is_billed_for_its_first_write(
        calls in prop::collection::vec((0..2_usize, 0..2_usize, 0..3_i64, 0..3_u32), 0..40)
    ) {
        let mut aws = Simulator::new(Settings { calls_a_second: 0, ..Settings::default() });
        let mut first = BTreeMap::new();
        for (pod, dimension, hour, quantity) in calls {
            let (pod, dimension) = (["a", "b"][pod], ["d", "e"][dimension]);
            let changes = json!({"UsageDimension": dimension, "Timestamp": 1_795_269_600 - hour * 3600,
                "UsageQuantity": quantity, "ClientToken": null});
            let outcome = aws.meter_usage(now(), &Caller::pod(pod), &request(changes));
            match first.entry((pod, dimension, hour)) {
                Entry::Vacant(slot) => {
                    slot.insert((quantity, outcome.unwrap()));
                }
                Entry::Occupied(slot) if slot.get().0 == quantity => {
                    prop_assert_eq!(&outcome.unwrap(), &slot.get().1);
                }
                Entry::Occupied(_) => {
                    prop_assert_eq!(outcome.unwrap_err().code, "DuplicateRequestException");
                }
            }
        }
        let view = serde_json::to_value(aws.view()).unwrap();
        let billed: u64 = view["totals"].as_array().unwrap().iter().map(|t| t["quantity"].as_u64().unwrap()).sum();
        prop_assert_eq!(billed, first.values().map(|(quantity, _)| u64::from(*quantity)).sum::<u64>());
        prop_assert_eq!(view["accepted"].as_array().unwrap().len(), first.len());
        let doubled = first.keys().filter(|(pod, dimension, hour)| *pod == "a" && first.contains_key(&("b", dimension, *hour)));
        prop_assert_eq!(view["doubleBills"].as_array().unwrap().len(), doubled.count());
    }
}
