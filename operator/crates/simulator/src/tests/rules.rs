use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn tagged(quantity: u32, tags: &[(&str, &str)]) -> Value {
    let tags: Vec<_> = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    json!({"AllocatedUsageQuantity": quantity, "Tags": tags})
}

fn allocated(parts: Vec<Value>) -> Value {
    json!({ "UsageAllocations": parts })
}

#[test]
fn usage_of_the_last_six_hours_is_taken() {
    let moment = now().as_second();
    for timestamp in [moment, moment - 6 * 3600] {
        assert!(call(&mut Simulator::default(), json!({"Timestamp": timestamp})).is_ok());
    }
    for timestamp in [moment + 1, moment - 6 * 3600 - 1] {
        assert_eq!(refused(json!({"Timestamp": timestamp})), "TimestampOutOfBoundsException");
    }
}

#[test]
fn a_late_repeat_of_a_record_is_out_of_bounds_and_not_a_repeat() {
    let mut aws = Simulator::default();
    call(&mut aws, json!({})).unwrap();
    let late = aws.meter_usage(at(SignedDuration::from_hours(6)), &Caller::pod("a"), &request(json!({})));
    assert_eq!(late.unwrap_err().code, "TimestampOutOfBoundsException");
    assert_eq!(aws.view().accepted.len(), 1);
}

#[test]
fn only_known_products_and_dimensions_are_taken_where_some_are_known() {
    let settings = || Settings {
        products: BTreeMap::from([
            ("vecdb".to_owned(), BTreeSet::from(["gb_hours".to_owned()])),
            ("free".to_owned(), BTreeSet::new()),
        ]),
        ..Settings::default()
    };
    let mut aws = Simulator::new(settings());
    assert!(call(&mut aws, json!({})).is_ok());
    assert!(
        call(&mut aws, json!({"ProductCode": "free", "UsageDimension": "x", "ClientToken": "t"})).is_ok()
    );
    assert_eq!(refused_by(settings(), json!({"ProductCode": "other"})), "InvalidProductCodeException");
    assert_eq!(refused_by(settings(), json!({"UsageDimension": "x"})), "InvalidUsageDimensionException");
}

#[test]
fn bounds_of_the_api_model_are_validation_errors() {
    for change in [
        json!({"ProductCode": "no spaces"}),
        json!({"ProductCode": "a".repeat(256)}),
        json!({"UsageDimension": ""}),
        json!({"UsageDimension": "d".repeat(256)}),
        json!({"ClientToken": ""}),
        json!({"ClientToken": "t".repeat(65)}),
    ] {
        assert_eq!(refused(change), "ValidationException");
    }
}

#[test]
fn good_allocations_are_taken() {
    for parts in [
        vec![json!({"AllocatedUsageQuantity": 812})],
        vec![tagged(812, &[("aZ0 +-=._:/@", "aZ0 +-=._:/@")])],
        vec![tagged(800, &[("k", "v")]), json!({"AllocatedUsageQuantity": 12})],
        vec![tagged(812, &[("k", "v")]), tagged(0, &[("k", "w")])],
        vec![tagged(812, &[("1", "v"), ("2", "v"), ("3", "v"), ("4", "v"), ("5", "v")])],
        vec![tagged(812, &[(&"k".repeat(100), &"v".repeat(256))])],
    ] {
        assert!(call(&mut Simulator::default(), allocated(parts)).is_ok());
    }
}

#[test]
fn tags_out_of_their_bounds_are_invalid_tags() {
    for tags in [
        &[("", "v")][..],
        &[("k", "")],
        &[("k!", "v")],
        &[("k", "a,b")],
        &[("k", "ü")],
        &[(&"k".repeat(101), "v")],
        &[("k", &"v".repeat(257))],
        &[("k", "v"), ("k", "w")],
        &[("1", "v"), ("2", "v"), ("3", "v"), ("4", "v"), ("5", "v"), ("6", "v")],
        &[],
    ] {
        assert_eq!(refused(allocated(vec![tagged(812, tags)])), "InvalidTagException", "{tags:?}");
    }
}

#[test]
fn a_record_has_at_most_five_tag_keys() {
    let parts = ["1", "2", "3", "4", "5", "6"].map(|key| tagged(u32::from(key == "1") * 812, &[(key, "v")]));
    assert_eq!(refused(allocated(parts.to_vec())), "InvalidTagException");
}

#[test]
fn allocations_that_do_not_make_up_the_quantity_are_invalid() {
    for parts in [
        vec![],
        vec![tagged(811, &[("k", "v")])],
        vec![tagged(800, &[("k", "v")]), tagged(12, &[("k", "v")])],
        vec![tagged(800, &[("a", "1"), ("b", "2")]), tagged(12, &[("b", "2"), ("a", "1")])],
        vec![json!({"AllocatedUsageQuantity": 800}), json!({"AllocatedUsageQuantity": 12})],
    ] {
        assert_eq!(refused(allocated(parts)), "InvalidUsageAllocationsException");
    }
}

#[test]
fn a_record_has_at_most_2500_allocations() {
    let parts = |count: u32| -> Vec<_> {
        (0..count).map(|n| tagged(u32::from(n == 0) * 812, &[("k", &n.to_string())])).collect()
    };
    assert!(call(&mut Simulator::default(), allocated(parts(2500))).is_ok());
    assert_eq!(refused(allocated(parts(2501))), "InvalidUsageAllocationsException");
}

#[test]
fn a_dry_run_tells_the_permission_and_bills_nothing() {
    let role = Caller::pod("a").role_arn;
    let denied = || Settings { denied_roles: BTreeSet::from([role.clone()]), ..Settings::default() };
    assert_eq!(refused(json!({"DryRun": true})), "DryRunOperation");
    assert_eq!(refused_by(denied(), json!({"DryRun": true})), "UnauthorizedException");
    assert_eq!(refused_by(denied(), json!({})), "AccessDeniedException");
    let mut aws = Simulator::new(Settings {
        not_entitled: BTreeSet::from(["vecdb".to_owned()]),
        ..Settings::default()
    });
    assert_eq!(call(&mut aws, json!({"DryRun": true})).unwrap_err().code, "DryRunOperation");
    assert!(aws.view().accepted.is_empty() && aws.view().rejected.is_empty());
}

#[test]
fn the_subscription_is_looked_at_until_it_was_valid_once() {
    let lapsed = Settings { not_entitled: BTreeSet::from(["vecdb".to_owned()]), ..Settings::default() };
    let mut aws = Simulator::new(lapsed.clone());
    for _ in 0..2 {
        assert_eq!(call(&mut aws, json!({})).unwrap_err().code, "CustomerNotEntitledException");
    }
    aws.set_settings(Settings::default());
    call(&mut aws, json!({})).unwrap();
    aws.set_settings(lapsed);
    assert!(call(&mut aws, json!({"UsageDimension": "other", "ClientToken": "t-2"})).is_ok());
    let new_pod = aws.meter_usage(now(), &Caller::pod("b"), &request(json!({})));
    assert_eq!(new_pod.unwrap_err().code, "CustomerNotEntitledException");
}

#[test]
fn an_account_has_ten_calls_a_second_in_a_region() {
    let mut aws = Simulator::default();
    for _ in 0..10 {
        call(&mut aws, json!({})).unwrap();
    }
    assert_eq!(call(&mut aws, json!({})).unwrap_err().code, "ThrottlingException");
    // Another pod of the account shares the quota.
    let shared = aws.meter_usage(now(), &Caller::pod("b"), &request(json!({})));
    assert_eq!(shared.unwrap_err().code, "ThrottlingException");
    let later = at(SignedDuration::from_millis(100));
    assert!(aws.meter_usage(later, &Caller::pod("a"), &request(json!({}))).is_ok());
}

#[test]
fn a_pod_calls_the_endpoint_of_its_own_region() {
    let settings = Settings { pod_region: Some("eu-west-1".into()), ..Settings::default() };
    assert_eq!(refused_by(settings.clone(), json!({})), "InvalidEndpointRegionException");
    let mut aws = Simulator::new(settings);
    let caller = |region: &str| Caller { region: region.into(), ..Caller::pod("a") };
    assert!(aws.meter_usage(now(), &caller("eu-west-1"), &request(json!({}))).is_ok());
    // What the pod's own token says goes before what is configured.
    let mut caller = caller("us-east-1");
    caller.pod.as_mut().unwrap().region = Some("us-east-1".into());
    assert!(aws.meter_usage(now(), &caller, &request(json!({}))).is_ok());
}

#[test]
fn credentials_without_a_pod_are_no_supported_platform() {
    let caller = Caller { pod: None, ..Caller::pod("a") };
    let outcome = Simulator::default().meter_usage(now(), &caller, &request(json!({})));
    assert_eq!(outcome.unwrap_err().code, "PlatformNotSupportedException");
}
