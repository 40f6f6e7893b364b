//! What pruning keeps of an object.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::collect::fields::Fields;

fn pruned(object: &Value, paths: &[&str]) -> Value {
    let text = Fields::new(paths.iter().copied()).prune(&object.to_string()).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn declared_paths_stay_nested_as_in_the_object() {
    let node = json!({
        "metadata": {"name": "a", "labels": {"x": "y"}},
        "status": {"capacity": {"cpu": "4", "memory": "8Gi"}, "phase": "Up"},
    });
    assert_eq!(
        pruned(&node, &["status.capacity.cpu", ".status.phase"]),
        json!({"status": {"capacity": {"cpu": "4"}, "phase": "Up"}})
    );
}

#[test]
fn without_declared_fields_nothing_leaves_the_object() {
    assert_eq!(pruned(&json!({"spec": 1}), &[]), json!({}));
    assert_eq!(pruned(&json!({"spec": 1}), &["", ".", " "]), json!({}));
}

#[test]
fn a_missing_path_is_absent() {
    let object = json!({"status": {"capacity": {"cpu": "4"}}, "spec": null, "kind": "Node"});
    let paths = ["status.capacity.gpu", "spec.size", "kind.of", "nothing.at.all"];
    assert_eq!(pruned(&object, &paths), json!({}));
}

#[test]
fn null_and_empty_values_at_the_end_of_a_path_are_kept() {
    let object = json!({"spec": {"a": null, "b": {}, "c": []}});
    assert_eq!(pruned(&object, &["spec.a", "spec.b", "spec.c"]), object);
}

#[test]
fn arrays_along_a_path_keep_their_elements_reduced_to_the_rest_of_it() {
    let pod = json!({"spec": {"containers": [
        {"name": "a", "resources": {"limits": {"cpu": "1"}}},
        {"name": "b"},
    ]}});
    let expected = json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "1"}}}, {}]}});
    for path in ["spec.containers.resources.limits", "spec.containers[*].resources.limits.cpu"] {
        assert_eq!(pruned(&pod, &[path]), expected);
    }
}

#[test]
fn arrays_of_arrays_and_of_scalars_are_walked_too() {
    let object = json!({"a": [[{"b": 1, "c": 2}], 3, "x", null], "d": [1, 2]});
    assert_eq!(pruned(&object, &["a[*][*].b", "d[*]"]), json!({"a": [[{"b": 1}]], "d": [1, 2]}));
}

#[test]
fn a_dot_inside_a_key_is_escaped() {
    let object = json!({"status": {"capacity": {"nvidia.com/gpu": "2", "cpu": "4"}}});
    assert_eq!(
        pruned(&object, &[r"status.capacity.nvidia\.com/gpu"]),
        json!({"status": {"capacity": {"nvidia.com/gpu": "2"}}})
    );
}

#[test]
fn the_shorter_of_two_paths_wins_in_either_order() {
    let object = json!({"status": {"a": 1, "b": 2}});
    assert_eq!(pruned(&object, &["status.a", "status"]), object);
    assert_eq!(pruned(&object, &["status", "status.a"]), object);
}

#[test]
fn numbers_keep_their_text() {
    let text = Fields::new(["spec.size"]).prune(r#"{"spec":{"size":1.10000000000000000001}}"#).unwrap();
    assert_eq!(text, r#"{"spec":{"size":1.10000000000000000001}}"#);
}

#[test]
fn something_that_is_no_object_is_pruned_to_nothing() {
    for text in ["[]", "1", "\"a\"", "null"] {
        assert_eq!(Fields::new(["a"]).prune(text).unwrap(), "{}");
    }
}

/// The same rules over a parsed value: `None` where nothing is left.
fn oracle(value: &Value, path: &[&str]) -> Option<Value> {
    let Some((key, rest)) = path.split_first() else { return Some(value.clone()) };
    match value {
        Value::Array(elements) => {
            Some(Value::Array(elements.iter().filter_map(|element| oracle(element, path)).collect()))
        }
        Value::Object(map) => {
            let left = map.get(*key).and_then(|child| oracle(child, rest));
            let left = left.filter(|left| rest.is_empty() || left != &json!({}));
            Some(left.map_or_else(|| json!({}), |left| json!({ *key: left })))
        }
        _ => None,
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn pruning_by_one_path_is_what_the_rules_say(
        object in json_value(),
        path in proptest::collection::vec("[a-c]", 1..4),
    ) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let expected = match oracle(&object, &path) {
            Some(map @ Value::Object(_)) => map,
            _ => json!({}),
        };
        prop_assert_eq!(pruned(&object, &[&path.join(".")]), expected);
    }

    #[test]
    fn arbitrary_text_and_paths_never_panic(text in ".{0,200}", paths in proptest::collection::vec(".{0,40}", 0..4)) {
        let _ = Fields::new(paths.iter().map(String::as_str)).prune(&text);
    }

    #[test]
    fn arbitrary_objects_and_paths_never_panic(
        object in json_value(),
        paths in proptest::collection::vec(r"[a-c.\\\[\]*]{0,12}", 0..4),
    ) {
        let pruned = Fields::new(paths.iter().map(String::as_str)).prune(&object.to_string());
        prop_assert!(serde_json::from_str::<Value>(&pruned.unwrap()).unwrap().is_object());
    }
}

#[test]
fn deep_objects_and_paths_do_not_overflow_the_stack() {
    let deep = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let path = vec!["a"; 100_000].join(".");
    assert_eq!(Fields::new([path.as_str()]).prune(&deep).unwrap(), "{}");
    let path = ["a"; 127].join(".");
    let kept = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    assert_eq!(Fields::new([path.as_str()]).prune(&deep).unwrap(), kept);
    assert_eq!(Fields::new(["b"]).prune(&deep).unwrap(), "{}");
    let arrays = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Fields::new(["a.b"]).prune(&arrays).is_err());
}
