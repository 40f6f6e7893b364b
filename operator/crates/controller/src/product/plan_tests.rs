use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use tollkeeper_core::workload::{Selector, Workload};

use super::*;
use crate::{meter::Progress, roster::ProductProgress};

fn now() -> Timestamp {
    "2026-11-21T14:20:00Z".parse().unwrap()
}

fn binding(name: &str) -> ObservedBinding {
    ObservedBinding {
        binding: Binding {
            key: ObjectKey::new("vecdb", name),
            uid: name.to_owned(),
            workload: Workload { namespaces: vec![name.to_owned()], selector: Selector::default() },
            tags: Default::default(),
        },
        is_ending: false,
        has_checkpoint: true,
        created: None,
    }
}

/// A product that is being deleted, of which everything is settled and nothing is open.
fn departing() -> Observed {
    let object = json!({
        "apiVersion": "tollkeeper.dev/v1alpha1", "kind": "MarketplaceProduct",
        "metadata": {"name": "vecdb", "namespace": "vecdb"},
        "spec": {
            "productCode": "4pz5x3sgbjnq7t3hb1kqe3v0w", "pricing": "Usage", "delivery": "Container",
            "dimensions": [{"name": "nodes", "fold": "Max"}],
            "meter": {"inputs": [], "plugin": {
                "digest": format!("sha256:{}", "0".repeat(64)), "source": {"file": "/meter.wasm"},
            }},
        },
    });
    let object: Arc<tollkeeper_api::MarketplaceProduct> = Arc::new(serde_json::from_value(object).unwrap());
    let checked = CheckedProduct::try_from(object.as_ref());
    assert!(checked.is_ok(), "{:?}", checked.err());
    let progress = Progress { has_open_hours: false, last_hour: None };
    Observed {
        key: ObjectKey::new("vecdb", "vecdb"),
        checked,
        object,
        plugin: Some(Err(Finding { reason: "PullNotFound", message: "gone".to_owned() })),
        manifest: None,
        bindings: vec![binding("prod")],
        rival: None,
        cluster: "cluster".to_owned(),
        progress: ProductProgress {
            bindings: [(ObjectKey::new("vecdb", "prod"), progress)].into(),
            ..ProductProgress::default()
        },
        is_owed: false,
        blocked: None,
        is_deleted: true,
        has_finalizer: true,
        deleted_since: Some(now()),
        now: now(),
    }
}

#[test]
fn a_deleted_product_goes_when_everything_is_settled() {
    assert_eq!(plan(&departing()).finalizer, Finalizer::Remove);
}

#[test]
fn a_deleted_product_stays_while_anything_is_open_or_nobody_knows_whether_it_is() {
    type Change = fn(&mut Observed);
    let changes: [(&str, Change); 3] = [
        ("a record has no outcome", |observed| observed.is_owed = true),
        ("an hour is not sealed", |observed| {
            observed.progress.bindings.values_mut().for_each(|progress| progress.has_open_hours = true);
        }),
        ("a checkpoint has not been read", |observed| observed.progress.bindings.clear()),
    ];
    for (why, change) in changes {
        let mut observed = departing();
        change(&mut observed);
        assert_eq!(plan(&observed).finalizer, Finalizer::Keep, "{why}");
        observed.now = now() + LONGEST_FAREWELL;
        assert_eq!(plan(&observed).finalizer, Finalizer::Remove, "{why}, but AWS takes nothing any more");
    }
}

#[test]
fn a_binding_that_was_never_measured_keeps_no_product() {
    let mut observed = departing();
    observed.bindings.iter_mut().for_each(|one| one.has_checkpoint = false);
    observed.progress.bindings.clear();
    assert_eq!(plan(&observed).finalizer, Finalizer::Remove);
}

#[test]
fn a_product_whose_meter_was_taken_out_waits_for_nobody_to_read_its_checkpoints() {
    let mut observed = departing();
    observed.plugin = None;
    observed.progress.bindings.clear();
    assert_eq!(plan(&observed).finalizer, Finalizer::Remove);
}

#[test]
fn of_two_bindings_of_one_workload_the_younger_is_not_measured() {
    let created = |minute: u32| {
        let text = format!("2026-11-21T14:{minute:02}:00Z");
        serde_json::from_value(json!(text)).ok()
    };
    let of = |name: &str, minute| ObservedBinding {
        binding: Binding { key: ObjectKey::new("vecdb", name), ..binding("same").binding },
        created: created(minute),
        ..binding("same")
    };
    let (old, young) = (of("zebra", 1), of("aardvark", 2));
    let key = |name| ObjectKey::new("vecdb", name);
    assert_eq!(overlapping(&[young.clone(), old.clone()]), [(key("aardvark"), key("zebra"))].into());
    let leaving = ObservedBinding { is_ending: true, ..old };
    assert_eq!(overlapping(&[young, leaving]), BTreeMap::new(), "one that goes is in nobody's way");
}
