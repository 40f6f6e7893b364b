//! The first place at which two JSON documents differ.

use std::fmt;

use serde_json::Value;

/// One place, and what either side says there.
#[derive(Clone, PartialEq, Debug)]
pub struct Difference {
    /// Such as `.records[1].quantity`.
    pub path: String,
    /// What was there; `None` if nothing was.
    pub was: Option<Value>,
    /// What is there; `None` if nothing is.
    pub is: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |value: &Option<Value>| {
            value.as_ref().map_or("nothing".to_owned(), |value| {
                let text = value.to_string();
                let short: String = text.chars().take(120).collect();
                if short.len() < text.len() { format!("{short}…") } else { short }
            })
        };
        write!(f, "it was {} and is {}", said(&self.was), said(&self.is))
    }
}

/// Members in the order of their names, items in their own.
pub fn first_difference(was: &Value, is: &Value) -> Option<Difference> {
    match (was, is) {
        (Value::Object(before), Value::Object(after)) => {
            let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            names.into_iter().find_map(|name| {
                between(before.get(name), after.get(name)).map(|found| found.under(&format!(".{name}")))
            })
        }
        (Value::Array(before), Value::Array(after)) => (0..before.len().max(after.len())).find_map(|index| {
            between(before.get(index), after.get(index)).map(|found| found.under(&format!("[{index}]")))
        }),
        _ if was == is => None,
        _ => Some(Difference { path: String::new(), was: Some(was.clone()), is: Some(is.clone()) }),
    }
}

fn between(was: Option<&Value>, is: Option<&Value>) -> Option<Difference> {
    match (was, is) {
        (Some(was), Some(is)) => first_difference(was, is),
        (None, None) => None,
        _ => Some(Difference { path: String::new(), was: was.cloned(), is: is.cloned() }),
    }
}

impl Difference {
    fn under(self, parent: &str) -> Self {
        Self { path: format!("{parent}{}", self.path), ..self }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_is_named_by_its_path() {
        let was = json!({"records": [{"quantity": 1}, {"quantity": 5, "tags": {"a": "b"}}]});
        assert_eq!(first_difference(&was, &was), None);
        let mut is = was.clone();
        is["records"][1]["quantity"] = json!(6);
        let found = first_difference(&was, &is).unwrap();
        assert_eq!(
            (found.path.as_str(), found.to_string().as_str()),
            (".records[1].quantity", "it was 5 and is 6")
        );
        let fewer = json!({"records": [{"quantity": 1}]});
        assert_eq!(first_difference(&was, &fewer).unwrap().path, ".records[1]");
        assert!(first_difference(&fewer, &was).unwrap().to_string().starts_with("it was nothing and is {"));
    }
}
