//! What people write becomes what the domain knows, or an error that helps.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // Helpers of tests fail by panicking.

mod common;

use std::time::Duration;

use common::{binding, product, report, statement, with};
use serde_json::{Value, json};
use tollkeeper_api::{
    LicenseBinding, MarketplaceProduct, UsageReport,
    convert::{
        Access, CheckedBinding, CheckedBuyer, CheckedProduct, InvalidBinding, InvalidProduct, PluginSource,
        TokenOrigin,
    },
    dimension::LicenseKind,
    report::{Phase, RecordState},
};
use tollkeeper_core::{
    input::InputSource,
    product::{AmbiguousPolicy, Fold, LatePolicy, Mode, Rounding},
    signer::{Signer, SignerIdentity},
};

fn checked(object: Value) -> Result<CheckedProduct, InvalidProduct> {
    let object: MarketplaceProduct = serde_json::from_value(object).unwrap();
    CheckedProduct::try_from(&object)
}

fn checked_binding(object: Value) -> Result<CheckedBinding, InvalidBinding> {
    let object: LicenseBinding = serde_json::from_value(object).unwrap();
    CheckedBinding::try_from(&object)
}

#[test]
fn the_product_of_the_documentation_converts() {
    let product = checked(product()).unwrap();
    assert_eq!(product.key.to_string(), "vecdb/vecdb");
    assert_eq!(product.tolerance, Duration::from_secs(7200));
    assert_eq!(product.dimensions[0].license.as_ref().unwrap().kind, LicenseKind::Drawdown);
    assert_eq!(product.dimensions[0].price.unwrap().to_string(), "0.025000");
    assert_eq!(product.unusual_dimension_count(), None);
    let metered = product.metered.unwrap();
    let meter = &metered.product.meter;
    assert_eq!(metered.product.dimensions.len(), 2);
    assert_eq!(meter.interval.seconds(), 60);
    assert_eq!(meter.limits.memory, 64 << 20);
    assert_eq!(meter.limits.time, Duration::from_millis(500));
    assert_eq!(meter.limits.component, 4 << 20);
    assert_eq!(&*meter.config, r#"{"a":null,"z":[1,{"a":1,"b":2}]}"#, "the same JSON whatever its order");
    assert_eq!(meter.inputs.len(), 4);
    assert!(matches!(&meter.inputs[1].source, InputSource::Scrape { port: 9090, .. }));
    assert_eq!(metered.plugin.source, PluginSource::Oci("registry.example.com/vecdb/meter:1.4.0".to_owned()));
    assert_eq!(metered.plugin.pull_secrets[0].as_str(), "registry-credentials");
}

#[test]
fn a_short_product_gets_the_defaults() {
    let short = |delivery: &str| {
        checked(json!({
            "apiVersion": "tollkeeper.dev/v1alpha1", "kind": "MarketplaceProduct", "metadata": {"name": "a"},
            "spec": {
                "productCode": "code", "delivery": delivery, "pricing": "Usage", "dimensions": [{"name": "users"}],
                "meter": {"plugin": {"source": {"file": "/a.wasm"}, "digest": format!("sha256:{}", "0".repeat(64))}},
            },
        }))
        .unwrap()
    };
    let container = short("Container").metered.unwrap().product;
    assert_eq!(container.key.namespace, "default");
    assert_eq!(container.mode, Mode::Live);
    assert_eq!(container.policy.ambiguous, AmbiguousPolicy::NeverDoubleBill);
    assert_eq!(container.policy.late, LatePolicy::CarryForward);
    assert_eq!(container.meter.interval.seconds(), 60);
    assert_eq!(&*container.meter.config, "{}");
    assert_eq!(container.meter.limits, tollkeeper_core::plugin::PluginLimits::default());
    let dimension = &container.dimensions[0];
    assert_eq!((dimension.fold, dimension.rounding), (Fold::TimeWeighted, Rounding::Carry));
    assert!(!dimension.zero_records);
    assert!(short("SaaS").metered.unwrap().product.dimensions[0].zero_records);
}

#[test]
fn a_product_without_usage_needs_no_meter() {
    let free = with(with(product(), "/spec/meter", Value::Null), "/spec/pricing", json!("Free"));
    let free = with(free, "/spec/dimensions/0/license", Value::Null);
    assert_eq!(checked(free).unwrap().metered, None);
}

#[test]
fn a_refused_product_says_what_is_wrong_where() {
    let dimension = |name: &str| json!({"name": name});
    let many: Vec<_> = (0..201).map(|number| dimension(&format!("d{number}"))).collect();
    let input = json!({"name": "nodes", "http": {"url": "http://a"}});
    let cases = [
        ("/metadata/name", Value::Null, "NameMissing", "metadata.name"),
        ("/metadata/name", json!("n".repeat(64)), "NameTooLong", "metadata.name"),
        ("/spec/productCode", json!("a b"), "InvalidProductCode", "spec.productCode"),
        ("/spec/productId", json!("a b"), "InvalidProductId", "spec.productId"),
        ("/spec/publicKey/pem", json!("nonsense"), "InvalidPublicKey", "spec.publicKey"),
        ("/spec/publicKey/version", json!(0), "InvalidPublicKey", "spec.publicKey"),
        ("/spec/dimensions", json!([]), "InvalidDimension", "spec.dimensions has 0"),
        ("/spec/dimensions", json!(many), "InvalidDimension", "spec.dimensions has 201"),
        ("/spec/dimensions/1/name", json!("1st"), "InvalidDimension", "spec.dimensions[1].name"),
        ("/spec/dimensions/1/name", json!("gb_hours"), "DuplicateDimension", "`gb_hours`"),
        (
            "/spec/dimensions/0/description",
            json!("x".repeat(71)),
            "InvalidDimension",
            "[gb_hours].description",
        ),
        ("/spec/dimensions/0/price", json!("1,5"), "InvalidDimension", "[gb_hours].price"),
        ("/spec/dimensions/0/license/unit", Value::Null, "InvalidDimension", "[gb_hours].license.unit"),
        ("/spec/dimensions/0/license/unit", json!("Pounds"), "InvalidDimension", "[gb_hours].license.unit"),
        ("/spec/meter", Value::Null, "MeterMissing", "spec.meter is missing"),
        ("/spec/meter/interval", json!("soon"), "InvalidInterval", "spec.meter.interval"),
        ("/spec/meter/interval", json!("7m"), "InvalidInterval", "divisor of one hour"),
        ("/spec/meter/interval", json!("10s500ms"), "InvalidInterval", "divisor of one hour"),
        ("/spec/meter/plugin/digest", json!("sha1:0"), "InvalidPluginDigest", "spec.meter.plugin.digest"),
        ("/spec/meter/plugin/source", json!({}), "InvalidPluginSource", "names 0 places"),
        ("/spec/meter/plugin/source/file", json!("/a"), "InvalidPluginSource", "names 2 places"),
        ("/spec/meter/plugin/source", json!({"file": "a"}), "InvalidPluginSource", "source.file"),
        ("/spec/meter/plugin/source", json!({"oci": "a b"}), "InvalidPluginSource", "source.oci"),
        ("/spec/meter/plugin/pullSecrets/0/name", json!("A"), "InvalidPluginSource", "pullSecrets[0]"),
        ("/spec/meter/plugin/publicKeyPem", json!("x"), "InvalidPluginKey", "publicKeyPem"),
        ("/spec/meter/plugin/limits/memory", json!("2Gi"), "InvalidPluginLimits", "limits.memory"),
        ("/spec/meter/plugin/limits/memory", json!("much"), "InvalidPluginLimits", "limits.memory"),
        (
            "/spec/meter/plugin/limits",
            json!({"component": "33Mi"}),
            "InvalidPluginLimits",
            "limits.component",
        ),
        ("/spec/meter/plugin/limits", json!({"component": "all"}), "InvalidPluginLimits", "limits.component"),
        ("/spec/meter/plugin/limits/time", json!("11s"), "InvalidPluginLimits", "limits.time"),
        ("/spec/meter/plugin/limits/time", json!("0s"), "InvalidPluginLimits", "limits.time"),
        ("/spec/meter/inputs/3", input, "InvalidInput", "two inputs named `nodes`"),
        ("/spec/meter/inputs/3/http", Value::Null, "InvalidInput", "inputs[seats]"),
        ("/spec/meter/inputs/3/http/url", json!("ftp://a"), "InvalidInput", "inputs[seats].http.url"),
        ("/spec/meter/inputs/1/scrape/port", json!(0), "InvalidInput", "inputs[engine].scrape.port"),
        ("/spec/meter/inputs/1/name", json!("1"), "InvalidInput", "inputs[1].name"),
        ("/spec/policy/tolerance", json!("1h"), "InvalidTolerance", "spec.policy.tolerance"),
    ];
    for (path, value, reason, text) in cases {
        let error = checked(with(product(), path, value)).unwrap_err();
        assert_eq!(error.reason(), reason, "{path}: {error}");
        assert!(error.to_string().contains(text), "{path}: {error}");
    }
}

#[test]
fn a_plugin_is_signed_by_a_key_or_by_an_identity() {
    let origin = |object| checked(object).map(|checked| checked.metered.unwrap().plugin.signer);
    let refused = |object| {
        let error = origin(object).unwrap_err();
        (error.reason(), error.to_string())
    };
    let (issuer, subject) = ("https://token.example.com", "release@example.com");
    let identity = json!({"issuer": issuer, "subject": subject});
    assert!(matches!(origin(product()), Ok(Some(Signer::Key(_)))));

    let both = with(product(), "/spec/meter/plugin/identity", identity);
    let (reason, sentence) = refused(both.clone());
    assert_eq!(reason, "InvalidPluginIdentity");
    assert!(sentence.contains("publicKeyPem and identity"), "{sentence}");

    let keyless = with(both, "/spec/meter/plugin/publicKeyPem", Value::Null);
    let expected = SignerIdentity::new(issuer, subject).unwrap();
    assert_eq!(origin(keyless.clone()), Ok(Some(Signer::Identity(expected))));
    for (path, value, text) in [
        ("identity/issuer", json!("token.example.com"), "issuer is not an address"),
        ("identity/subject", json!("a b"), "subject is not one word"),
        ("source", json!({"file": "/plugins/vecdb.wasm"}), "source.oci is not"),
    ] {
        let (reason, sentence) = refused(with(keyless.clone(), &format!("/spec/meter/plugin/{path}"), value));
        assert_eq!(reason, "InvalidPluginIdentity", "{path}: {sentence}");
        assert!(sentence.contains(text), "{path}: {sentence}");
    }
    assert_eq!(origin(with(keyless, "/spec/meter/plugin/identity", Value::Null)), Ok(None));
}

#[test]
fn what_the_pricing_needs_is_asked_for() {
    let priced = |pricing: &str, without: &str| {
        checked(with(with(product(), "/spec/pricing", json!(pricing)), without, Value::Null))
            .unwrap_err()
            .reason()
    };
    assert_eq!(priced("Contract", "/spec/productId"), "ProductIdMissing");
    assert_eq!(priced("ContractWithConsumption", "/spec/productId"), "ProductIdMissing");
    assert_eq!(priced("Hourly", "/spec/publicKey"), "PublicKeyMissing");
    assert_eq!(priced("Contract", "/spec/meter"), "MeterMissing");
}

#[test]
fn the_binding_of_the_documentation_converts() {
    let binding = checked_binding(binding()).unwrap();
    assert_eq!(binding.product.to_string(), "vecdb/vecdb");
    assert_eq!(binding.binding.uid, "7f3c");
    assert_eq!(binding.binding.tags.to_string(), "CostCenter=42");
    assert_eq!(binding.binding.workload.namespaces, ["vecdb"]);
    assert!(matches!(binding.buyer, Some(CheckedBuyer::License { .. })));
    let Some(Access::LicenseToken(token)) = binding.access else { panic!("no license token") };
    assert!(matches!(token.origin, TokenOrigin::Secret { ref key, .. } if key == "token"));
    assert_eq!(binding.entitlements[1].quantity, Some(10));
}

#[test]
fn a_short_binding_means_its_own_namespace() {
    let short = checked_binding(json!({
        "apiVersion": "tollkeeper.dev/v1alpha1", "kind": "LicenseBinding",
        "metadata": {"name": "a", "namespace": "blue"}, "spec": {"productRef": {"name": "vecdb"}},
    }))
    .unwrap();
    assert_eq!(short.binding.workload.namespaces, ["blue"]);
    assert_eq!(short.access, None);
    assert!(!short.suspended);
}

#[test]
fn a_refused_binding_says_what_is_wrong_where() {
    let six: Value =
        (0..6).map(|number| (format!("k{number}"), json!("1"))).collect::<serde_json::Map<_, _>>().into();
    let token = "/spec/access/licenseToken";
    let cases = [
        ("/metadata/name".to_owned(), Value::Null, "NameMissing", "metadata.name"),
        ("/metadata/name".to_owned(), json!("n".repeat(243)), "NameTooLong", "metadata.name"),
        ("/spec/productRef/name".to_owned(), json!(""), "InvalidProductRef", "spec.productRef"),
        ("/spec/buyer".to_owned(), json!({}), "InvalidBuyer", "spec.buyer"),
        ("/spec/buyer/customerIdentifier".to_owned(), json!("X01"), "InvalidBuyer", "spec.buyer"),
        ("/spec/buyer/accountId".to_owned(), json!("12"), "InvalidBuyer", "spec.buyer.accountId"),
        ("/spec/buyer/licenseArn".to_owned(), json!("l-1"), "InvalidBuyer", "spec.buyer.licenseArn"),
        ("/spec/workload/namespaces/0".to_owned(), json!("A"), "InvalidWorkload", "`A`"),
        ("/spec/tags".to_owned(), six, "InvalidTags", "spec.tags: 6 tags"),
        ("/spec/tags".to_owned(), json!({"a!": "1"}), "InvalidTags", "spec.tags"),
        ("/spec/access".to_owned(), json!({}), "InvalidAccess", "names 0 ways"),
        (format!("{token}/roleArn"), json!("role"), "InvalidAccess", "spec.access.licenseToken.roleArn"),
        (format!("{token}/tokenSecretRef"), Value::Null, "InvalidAccess", "names 0 origins"),
        (format!("{token}/tokenSecretRef/key"), json!(""), "InvalidAccess", "tokenSecretRef.key"),
        ("/spec/entitlements/0/name".to_owned(), json!("1"), "InvalidEntitlement", "spec.entitlements[0]"),
        ("/spec/entitlements/0/name".to_owned(), json!("users"), "InvalidEntitlement", "`users` twice"),
        ("/spec/entitlements/1/quantity".to_owned(), json!(0), "InvalidEntitlement", "[users].quantity"),
    ];
    for (path, value, reason, text) in cases {
        let error = checked_binding(with(binding(), &path, value)).unwrap_err();
        assert_eq!(error.reason(), reason, "{path}: {error}");
        assert!(error.to_string().contains(text), "{path}: {error}");
    }
}

#[test]
fn a_report_is_written_as_it_was_read() {
    let object: UsageReport = serde_json::from_value(report()).unwrap();
    assert_eq!(serde_json::to_value(&object).unwrap(), report());
    let bare =
        with(with(report(), "/spec/previous", Value::Null), "/spec/records/0/carriedFrom", Value::Null);
    let bare = with(with(bare, "/spec/records/0/allocations", Value::Null), "/status", Value::Null);
    let object: UsageReport = serde_json::from_value(bare.clone()).unwrap();
    assert_eq!(serde_json::to_value(&object).unwrap(), bare, "what is absent stays absent");
}

#[test]
fn the_columns_of_a_report_are_counted() {
    let object: UsageReport = serde_json::from_value(report()).unwrap();
    let mut status = object.status.unwrap();
    for state in [RecordState::Sealed, RecordState::Ambiguous, RecordState::WrittenOff] {
        let mut record = status.records[0].clone();
        record.state = state;
        status.records.push(record);
    }
    status.count();
    assert_eq!((status.accepted, status.unsettled), (1, 2));
    assert_eq!(serde_json::to_value(Phase::NeedsAttention).unwrap(), Phase::NeedsAttention.as_str());
}

/// The core writes statements, and records with their decisions, as JSON of its own: it must be that of the kinds.
#[test]
fn what_the_core_writes_is_what_the_kinds_say() {
    let object = statement();
    let written: tollkeeper_core::statement::Statement =
        serde_json::from_value(object["spec"].clone()).unwrap();
    let kind: tollkeeper_api::UsageStatementSpec = serde_json::from_value(object["spec"].clone()).unwrap();
    assert_eq!(serde_json::to_value(&written).unwrap(), object["spec"]);
    assert_eq!(serde_json::to_value(&kind).unwrap(), object["spec"]);

    let record = serde_json::json!({
        "dimension": "gb_hours", "state": "WrittenOff", "attempts": 1, "reason": "Decided",
        "decisions": [{
            "kind": "WriteOff", "from": "Held", "by": "alice", "verified": false, "at": "2026-11-21T15:05:00Z",
            "reason": "the buyer agrees",
        }],
    });
    let written: tollkeeper_core::settlement::RecordStatus = serde_json::from_value(record.clone()).unwrap();
    let kind: tollkeeper_api::report::RecordStatus = serde_json::from_value(record.clone()).unwrap();
    assert_eq!(serde_json::to_value(&written).unwrap(), record);
    assert_eq!(serde_json::to_value(&kind).unwrap(), record);
}
