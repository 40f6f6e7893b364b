//! What can be told of a binding that cannot be decoded: enough to seal what was measured of it while it could be.

use kube::Resource as _;
use serde_json::{Map, Value, json};
use tollkeeper_api::LicenseBinding;

/// The binding with its product, its tags and its checkpoint alone; `None` if these cannot be decoded either.
pub(super) fn remains(stored: &Value) -> Option<LicenseBinding> {
    let part = |pointer: &str| stored.pointer(pointer).cloned();
    let spec = ["productRef", "tags"]
        .into_iter()
        .filter_map(|field| Some((field.to_owned(), part(&format!("/spec/{field}"))?)))
        .collect::<Map<String, Value>>();
    let object = json!({
        "apiVersion": LicenseBinding::api_version(&()), "kind": LicenseBinding::kind(&()),
        "metadata": part("/metadata"), "spec": spec, "status": {"checkpoint": part("/status/checkpoint")},
    });
    serde_json::from_value(object).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(status: &Value) -> Value {
        json!({
            "apiVersion": "tollkeeper.dev/v1alpha1", "kind": "LicenseBinding",
            "metadata": {"name": "prod", "namespace": "vecdb", "uid": "uid"},
            "spec": {"productRef": {"name": "vecdb"}, "tags": {"env": "prod"}, "evidence": "Oracle", "access": 7},
            "status": status,
        })
    }

    #[test]
    fn a_binding_of_a_newer_version_still_tells_its_product_and_its_checkpoint() {
        let checkpoint =
            json!({"at": "2026-11-21T14:20:00Z", "hour": "2026-11-21T14:00:00Z", "data": "H4sI"});
        let stored = stored(&json!({"checkpoint": checkpoint, "entitlement": "odd"}));
        assert!(serde_json::from_value::<LicenseBinding>(stored.clone()).is_err());
        let remains = remains(&stored).unwrap();
        assert_eq!(remains.metadata.uid.as_deref(), Some("uid"));
        assert_eq!(
            (remains.spec.product_ref.name.as_str(), remains.spec.tags["env"].as_str()),
            ("vecdb", "prod")
        );
        assert_eq!(remains.status.unwrap().checkpoint.unwrap().data, "H4sI");
    }

    #[test]
    fn a_binding_that_was_never_measured_has_no_checkpoint() {
        assert_eq!(remains(&stored(&json!(null))).unwrap().status.unwrap().checkpoint, None);
    }

    #[test]
    fn nothing_remains_of_a_binding_whose_product_cannot_be_told() {
        assert_eq!(remains(&json!({"metadata": {"name": "prod"}, "spec": {"productRef": "vecdb"}})), None);
        assert_eq!(remains(&json!("a text")), None);
    }
}
