//! The examples of the documentation, and small changes to them.
#![allow(dead_code)] // Each test file uses its part.

use serde_json::Value;

pub(crate) fn product() -> Value {
    example(include_str!("../examples/product.yaml"))
}

pub(crate) fn binding() -> Value {
    example(include_str!("../examples/binding.yaml"))
}

pub(crate) fn report() -> Value {
    example(include_str!("../examples/report.yaml"))
}

pub(crate) fn statement() -> Value {
    example(include_str!("../examples/statement.yaml"))
}

fn example(yaml: &str) -> Value {
    serde_yaml::from_str(yaml).unwrap()
}

/// The object with a value set; null takes the field away.
pub(crate) fn with(mut object: Value, path: &str, value: Value) -> Value {
    let (parent, field) = path.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("no {path}"));
    match (parent, value) {
        (Value::Object(parent), Value::Null) => drop(parent.remove(field)),
        (Value::Object(parent), value) => drop(parent.insert(field.to_owned(), value)),
        (Value::Array(parent), value) => parent[field.parse::<usize>().unwrap()] = value,
        _ => panic!("no {path}"),
    }
    object
}
