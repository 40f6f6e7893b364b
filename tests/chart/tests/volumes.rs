//! Where the operator of the chart keeps what is not in the API server.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use serde_json::{Value, json};
use tollkeeper_chart_tests::{of_kind, rendered};

/// The volume that is mounted where the operator is told to keep its state.
fn state(settings: &[&str]) -> Value {
    let objects = rendered(settings);
    let pod = &of_kind(&objects, "Deployment").next().unwrap()["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let find = |list: &Value, field: &str, value: &Value| {
        list.as_array().unwrap().iter().find(|one| one[field] == *value).unwrap().clone()
    };
    let folder = find(&container["env"], "name", &json!("TOLLKEEPER_STATE_DIR"))["value"].clone();
    let mount = find(&container["volumeMounts"], "mountPath", &folder);
    find(&pod["volumes"], "name", &mount["name"])
}

#[test]
fn the_high_water_mark_lies_on_a_volume_of_the_pod() {
    assert_eq!(state(&[]), json!({"name": "state", "emptyDir": {"sizeLimit": "64Mi"}}));
}

#[test]
fn the_high_water_mark_lies_on_a_claim_if_one_is_named() {
    let claim = json!({"claimName": "marks"});
    assert_eq!(
        state(&[r#"state={"existingClaim": "marks"}"#]),
        json!({"name": "state", "persistentVolumeClaim": claim})
    );
}
