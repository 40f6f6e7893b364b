//! Every CEL rule, with an object that it refuses and one that it lets through.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // Helpers of tests fail by panicking.

mod common;

use common::{binding, product, report, statement, with};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::cel::Validator;
use serde_json::{Value, json};
use tollkeeper_api::{LicenseBinding, MarketplaceProduct, UsageReport, UsageStatement};

fn schema(definition: &CustomResourceDefinition) -> Value {
    let schema = definition.spec.versions[0].schema.as_ref().unwrap();
    serde_json::to_value(schema.open_api_v3_schema.as_ref().unwrap()).unwrap()
}

/// What an API server would say to the object.
fn refusal(definition: &CustomResourceDefinition, object: &Value, old: Option<&Value>) -> String {
    match Validator::new().validate(&schema(definition), object, old) {
        Ok(()) => String::new(),
        Err(errors) => errors.to_string(),
    }
}

#[track_caller]
fn refused(definition: &CustomResourceDefinition, object: &Value, because: &str) {
    let refusal = refusal(definition, object, None);
    assert!(refusal.contains(because), "refused with `{refusal}`, not because `{because}`");
}

#[track_caller]
fn accepted(definition: &CustomResourceDefinition, object: &Value) {
    assert_eq!(refusal(definition, object, None), "");
}

#[track_caller]
fn change_refused(definition: &CustomResourceDefinition, old: &Value, new: &Value, because: &str) {
    let refusal = refusal(definition, new, Some(old));
    assert!(refusal.contains(because), "refused with `{refusal}`, not because `{because}`");
}

#[test]
fn the_examples_pass() {
    accepted(&MarketplaceProduct::crd(), &product());
    accepted(&LicenseBinding::crd(), &binding());
    accepted(&UsageReport::crd(), &report());
    for (definition, object) in [
        (MarketplaceProduct::crd(), product()),
        (LicenseBinding::crd(), binding()),
        (UsageReport::crd(), report()),
        (UsageStatement::crd(), statement()),
    ] {
        assert_eq!(refusal(&definition, &object, Some(&object)), "", "an update that changes nothing");
    }
}

#[test]
fn what_identifies_a_product_cannot_be_changed() {
    let definition = MarketplaceProduct::crd();
    let other = with(product(), "/spec/productCode", json!("other"));
    change_refused(&definition, &product(), &other, "productCode cannot be changed");
    let other = with(product(), "/spec/delivery", json!("SaaS"));
    change_refused(&definition, &product(), &other, "delivery cannot be changed");
    let other = with(product(), "/spec/mode", json!("Shadow"));
    assert_eq!(refusal(&definition, &other, Some(&product())), "");
}

#[test]
fn names_leave_room_for_what_is_made_of_them() {
    let named = |object, length| with(object, "/metadata/name", json!("n".repeat(length)));
    accepted(&MarketplaceProduct::crd(), &named(product(), 63));
    refused(&MarketplaceProduct::crd(), &named(product(), 64), "at most 63 characters");
    accepted(&LicenseBinding::crd(), &named(binding(), 242));
    refused(&LicenseBinding::crd(), &named(binding(), 243), "at most 242 characters");
}

#[test]
fn a_contract_needs_the_product_id() {
    let definition = MarketplaceProduct::crd();
    for pricing in ["Contract", "ContractWithConsumption"] {
        let contract = with(product(), "/spec/pricing", json!(pricing));
        accepted(&definition, &contract);
        refused(&definition, &with(contract, "/spec/productId", Value::Null), "productId is required");
    }
}

#[test]
fn hourly_pricing_needs_the_public_key() {
    let definition = MarketplaceProduct::crd();
    let hourly = with(product(), "/spec/pricing", json!("Hourly"));
    accepted(&definition, &hourly);
    refused(&definition, &with(hourly, "/spec/publicKey", Value::Null), "publicKey is required");
}

#[test]
fn a_plugin_is_signed_by_a_key_or_by_an_identity() {
    let definition = MarketplaceProduct::crd();
    let plugin = |field: &str| format!("/spec/meter/plugin/{field}");
    let identity = json!({"issuer": "https://token.example.com", "subject": "release@example.com"});
    let both = with(product(), &plugin("identity"), identity);
    refused(&definition, &both, "not by both");
    let keyless = with(both, &plugin("publicKeyPem"), Value::Null);
    accepted(&definition, &keyless);
    let from_file = with(keyless.clone(), &plugin("source"), json!({"file": "/plugins/vecdb.wasm"}));
    refused(&definition, &from_file, "identity needs source.oci");
    accepted(&definition, &with(from_file, &plugin("identity"), Value::Null));
}

#[test]
fn what_is_measured_needs_a_meter() {
    let definition = MarketplaceProduct::crd();
    let unmetered = with(product(), "/spec/meter", Value::Null);
    refused(&definition, &unmetered, "meter is required with the pricing Usage");
    let contract = with(unmetered, "/spec/pricing", json!("Contract"));
    refused(&definition, &contract, "meter is required for dimensions whose license is Drawdown");
    accepted(&definition, &with(contract, "/spec/dimensions/0/license/kind", json!("Tier")));
}

#[test]
fn a_license_that_is_counted_needs_a_unit() {
    let definition = MarketplaceProduct::crd();
    let unitless = with(product(), "/spec/dimensions/0/license/unit", Value::Null);
    refused(&definition, &unitless, "unit is required");
    accepted(&definition, &with(unitless, "/spec/dimensions/0/license/kind", json!("Tier")));
}

#[test]
fn an_interval_divides_the_hour() {
    let definition = MarketplaceProduct::crd();
    for good in ["10s", "60s", "5m", "1h", "3600s", "12m", "1m30s"] {
        accepted(&definition, &with(product(), "/spec/meter/interval", json!(good)));
    }
    for bad in ["0s", "9s", "7s", "55s", "7m", "2h", "3601s", "99h"] {
        let bad = with(product(), "/spec/meter/interval", json!(bad));
        refused(&definition, &bad, "interval must be 10s to 3600s");
    }
}

#[test]
fn limits_have_limits() {
    let definition = MarketplaceProduct::crd();
    let memory = |size: &str| with(product(), "/spec/meter/plugin/limits/memory", json!(size));
    for good in ["1", "64Mi", "1Gi", "1024Mi", "1048576Ki", "1073741824", "1073741k", "1073M", "1G"] {
        accepted(&definition, &memory(good));
    }
    for bad in ["0", "0Mi", "2Gi", "1025Mi", "1048577Ki", "1073741825", "1073742k", "1074M", "2G"] {
        refused(&definition, &memory(bad), "memory must be more than 0 and at most 1Gi");
    }
    let component = |size: &str| with(product(), "/spec/meter/plugin/limits", json!({"component": size}));
    for good in ["1", "4Mi", "32Mi", "33554432", "33M"] {
        accepted(&definition, &component(good));
    }
    for bad in ["0", "33Mi", "33554433", "1Gi", "34M"] {
        refused(&definition, &component(bad), "component must be more than 0 and at most 32Mi");
    }
    let time = |span: &str| with(product(), "/spec/meter/plugin/limits/time", json!(span));
    for good in ["1ms", "500ms", "10s", "9s999ms"] {
        accepted(&definition, &time(good));
    }
    for bad in ["0s", "0ms", "11s", "10s1ms"] {
        refused(&definition, &time(bad), "time must be more than 0 and at most 10s");
    }
}

#[test]
fn a_plugin_has_one_source() {
    let definition = MarketplaceProduct::crd();
    let source = |source| with(product(), "/spec/meter/plugin/source", source);
    accepted(&definition, &source(json!({"file": "/plugins/vecdb.wasm"})));
    accepted(&definition, &source(json!({"configMap": {"name": "vecdb-meter", "key": "meter.wasm"}})));
    refused(&definition, &source(json!({})), "source needs exactly one of");
    refused(&definition, &source(json!({"oci": "a/b:1", "file": "/b"})), "source needs exactly one of");
}

#[test]
fn an_input_has_one_source() {
    let definition = MarketplaceProduct::crd();
    let bare = with(product(), "/spec/meter/inputs/3/http", Value::Null);
    refused(&definition, &bare, "an input needs exactly one of");
    let double = with(product(), "/spec/meter/inputs/3/promql", json!({"url": "http://a", "query": "b"}));
    refused(&definition, &double, "an input needs exactly one of");
}

#[test]
fn tolerance_is_two_hours_at_least() {
    let definition = MarketplaceProduct::crd();
    accepted(&definition, &with(product(), "/spec/policy/tolerance", json!("2h30m")));
    for bad in ["1h", "119m", "7199s"] {
        let bad = with(product(), "/spec/policy/tolerance", json!(bad));
        refused(&definition, &bad, "tolerance must be 2h or more");
    }
}

#[test]
fn what_identifies_a_binding_cannot_be_changed() {
    let definition = LicenseBinding::crd();
    let other = with(binding(), "/spec/productRef/name", json!("other"));
    change_refused(&definition, &binding(), &other, "productRef cannot be changed");
    let other = with(binding(), "/spec/buyer/accountId", json!("210987654321"));
    change_refused(&definition, &binding(), &other, "buyer cannot be changed");
    let none = with(binding(), "/spec/buyer", Value::Null);
    change_refused(&definition, &binding(), &none, "buyer cannot be added or removed");
    change_refused(&definition, &none, &binding(), "buyer cannot be added or removed");
    accepted(&definition, &none);
}

#[test]
fn a_buyer_has_one_identity() {
    let definition = LicenseBinding::crd();
    let buyer = |buyer| with(binding(), "/spec/buyer", buyer);
    accepted(&definition, &buyer(json!({"customerIdentifier": "X01EXAMPLE"})));
    let both = with(binding(), "/spec/buyer/customerIdentifier", json!("X01EXAMPLE"));
    for bad in [both, buyer(json!({})), buyer(json!({"accountId": "123456789012"}))] {
        refused(&definition, &bad, "buyer needs either accountId and licenseArn, or customerIdentifier");
    }
}

#[test]
fn there_is_one_way_to_aws() {
    let definition = LicenseBinding::crd();
    let irsa = json!({"roleArn": "arn:aws:iam::123456789012:role/vecdb", "serviceAccountName": "vecdb"});
    accepted(&definition, &with(binding(), "/spec/access", json!({"irsa": irsa})));
    refused(&definition, &with(binding(), "/spec/access", json!({})), "access needs exactly one of");
    refused(&definition, &with(binding(), "/spec/access/irsa", irsa), "access needs exactly one of");
}

#[test]
fn a_license_token_has_one_origin() {
    let definition = LicenseBinding::crd();
    let create = json!({"licenseArn": "arn:aws:license-manager::294406891311:license:l-0123"});
    let none = with(binding(), "/spec/access/licenseToken/tokenSecretRef", Value::Null);
    refused(&definition, &none, "licenseToken needs exactly one of");
    accepted(&definition, &with(none, "/spec/access/licenseToken/createToken", create.clone()));
    let both = with(binding(), "/spec/access/licenseToken/createToken", create);
    refused(&definition, &both, "licenseToken needs exactly one of");
}

#[test]
fn the_keys_of_tags_are_those_that_aws_takes() {
    let definition = LicenseBinding::crd();
    let tags = |key: &str| with(binding(), "/spec/tags", json!({key: "1"}));
    for good in ["a", "Cost Center", "a+b-c=d._:/@", &"k".repeat(100)] {
        accepted(&definition, &tags(good));
    }
    for bad in ["", "a!", "ä", "a,b", &"k".repeat(101)] {
        refused(&definition, &tags(bad), "a tag's key must be");
    }
}

#[test]
fn a_sealed_report_cannot_be_changed() {
    let definition = UsageReport::crd();
    let forged = with(report(), "/spec/records/0/quantity", json!(1));
    change_refused(&definition, &report(), &forged, "a sealed report cannot be changed");
    let advanced = with(report(), "/status/phase", json!("NeedsAttention"));
    assert_eq!(refusal(&definition, &advanced, Some(&report())), "");
}

#[test]
fn only_saas_reports_name_a_binding_and_a_buyer() {
    let definition = UsageReport::crd();
    let half = with(report(), "/spec/bindingRef", json!({"name": "vecdb-prod"}));
    refused(&definition, &half, "both or neither");
    accepted(&definition, &with(half, "/spec/buyer", json!({"customerIdentifier": "X01EXAMPLE"})));
}

#[test]
fn what_aws_accepted_stays_accepted() {
    let schema = schema(&UsageReport::crd());
    let record = &schema["properties"]["status"]["properties"]["records"]["items"];
    let change = |from: &str, to: &str| {
        let state = |state| json!({"dimension": "gb_hours", "state": state, "attempts": 1});
        Validator::new().validate(record, &state(to), Some(&state(from)))
    };
    assert!(change("Sending", "Accepted").is_ok());
    assert!(change("Accepted", "Accepted").is_ok());
    assert!(change("Accepted", "Sealed").is_err());
}

#[test]
fn a_decision_is_never_taken_away() {
    let schema = schema(&UsageReport::crd());
    let record = &schema["properties"]["status"]["properties"]["records"]["items"];
    let decision = json!({
        "kind": "WriteOff", "from": "Held", "by": "alice", "verified": true, "at": "2026-11-21T15:05:00Z", "reason": "agreed",
    });
    let status = |decisions: usize| {
        let mut status = json!({"dimension": "gb_hours", "state": "WrittenOff", "attempts": 1});
        if decisions > 0 {
            status["decisions"] = json!(vec![decision.clone(); decisions]);
        }
        status
    };
    let change = |from: usize, to: usize| Validator::new().validate(record, &status(to), Some(&status(from)));
    for (from, to) in [(0, 0), (0, 1), (1, 1), (1, 2)] {
        assert!(change(from, to).is_ok(), "{from} to {to}");
    }
    assert!(change(1, 0).is_err());
    assert!(change(2, 1).is_err());
}

#[test]
fn a_statement_stays_with_its_month() {
    let definition = UsageStatement::crd();
    let statement = statement();
    accepted(&definition, &statement);
    let changes = [
        ("/spec/month", json!("2026-12"), "its month"),
        ("/spec/productCode", json!("other"), "its product code"),
        ("/spec/productRef", json!({"name": "other"}), "its product"),
    ];
    for (path, value, because) in changes {
        change_refused(&definition, &statement, &with(statement.clone(), path, value), because);
    }
}
