//! YAML's own tags (`!name`): an API server is handed JSON, which has none, so nobody knows what they would mean.

use serde_yaml::Value;

/// A tag of a document that is not one of YAML's types. A document that cannot be read has none.
pub(super) fn unknown(text: &str) -> Option<String> {
    let value = text.contains('!').then(|| serde_yaml::from_str(text).ok()).flatten()?;
    of(&value)
}

fn of(value: &Value) -> Option<String> {
    match value {
        Value::Tagged(tagged) => Some(tagged.tag.to_string()),
        Value::Sequence(values) => values.iter().find_map(of),
        Value::Mapping(entries) => entries.iter().find_map(|(key, value)| of(key).or_else(|| of(value))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_wherever_it_stands() {
        for text in ["!secret x", "a: !secret x", "a: [b, {!secret c: d}]", "{a, !secret , b}"] {
            assert_eq!(unknown(text).as_deref(), Some("!secret"), "{text}");
        }
        for text in ["a: !!str 1", "a: '!secret'", "a: b!", "# !secret", "{"] {
            assert_eq!(unknown(text), None, "{text}");
        }
    }
}
