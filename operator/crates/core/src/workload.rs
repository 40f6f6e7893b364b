//! Whose usage is meant: a binding's namespaces and label selector, and how they narrow a product's inputs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Labels of a Kubernetes object.
pub type Labels = BTreeMap<String, String>;

/// A Kubernetes label selector. The empty one selects everything.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    /// Labels that must be there with these values.
    pub match_labels: Labels,
    /// Requirements that must all hold.
    pub match_expressions: Vec<Requirement>,
}

/// One requirement of a selector.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// What must hold for it.
    pub operator: Operator,
    /// For `In` and `NotIn`.
    #[serde(default)]
    pub values: Vec<String>,
}

/// The operators of label selectors (Kubernetes API reference, LabelSelectorRequirement).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label has none of the values or is absent.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl Selector {
    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.holds(labels))
    }
}

impl Requirement {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

/// A binding's part of the cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Workload {
    /// Its namespaces; at least one.
    pub namespaces: Vec<String>,
    /// Narrows them further.
    pub selector: Selector,
}

impl Workload {
    /// Whether an object may belong to both. Only selectors that ask for different values of one label are surely apart.
    pub fn may_overlap(&self, other: &Self) -> bool {
        let shares_namespace = self.namespaces.iter().any(|own| other.namespaces.contains(own));
        let is_apart =
            self.selector.match_labels.iter().any(|(key, value)| {
                other.selector.match_labels.get(key).is_some_and(|theirs| theirs != value)
            });
        shares_namespace && !is_apart
    }

    /// Whether a namespaced object belongs to it.
    pub fn holds(&self, namespace: &str, labels: &Labels) -> bool {
        self.namespaces.iter().any(|own| own == namespace) && self.selector.matches(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn workloads_overlap_unless_one_label_tells_them_apart() {
        let workload = |namespace: &str, app: &str| Workload {
            namespaces: vec![namespace.into()],
            selector: Selector { match_labels: labels(&[("app", app)]), ..Selector::default() },
        };
        assert!(workload("a", "db").may_overlap(&workload("a", "db")));
        assert!(!workload("a", "db").may_overlap(&workload("b", "db")));
        assert!(!workload("a", "db").may_overlap(&workload("a", "web")));
        let everything = Workload { namespaces: vec!["a".into()], selector: Selector::default() };
        assert!(workload("a", "db").may_overlap(&everything));
    }

    #[test]
    fn a_selector_needs_all_of_its_requirements() {
        let requirement = |operator, values: &[&str]| Selector {
            match_expressions: vec![Requirement {
                key: "tier".into(),
                operator,
                values: values.iter().map(ToString::to_string).collect(),
            }],
            ..Selector::default()
        };
        let hot = labels(&[("tier", "hot")]);
        let none = labels(&[]);
        assert!(requirement(Operator::In, &["hot"]).matches(&hot));
        assert!(!requirement(Operator::In, &["hot"]).matches(&none));
        assert!(!requirement(Operator::NotIn, &["hot"]).matches(&hot));
        assert!(requirement(Operator::NotIn, &["hot"]).matches(&none));
        assert!(requirement(Operator::Exists, &[]).matches(&hot));
        assert!(requirement(Operator::DoesNotExist, &[]).matches(&none));
        assert!(Selector::default().matches(&none));
    }
}
