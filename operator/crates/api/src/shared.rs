//! What several kinds are made of: references, selectors, buyers, tags.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollkeeper_core::workload::{Operator, Requirement, Selector};

use crate::schema;

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Names an object of the same namespace.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct LocalRef {
    /// Name of the object, in the same namespace.
    #[schemars(regex(pattern = schema::OBJECT_NAME), length(min = 1, max = 253))]
    pub name: String,
}

impl LocalRef {
    /// To the object of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

/// Names a key of an object of the same namespace.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct KeyRef {
    /// Name of the object, in the same namespace.
    #[schemars(regex(pattern = schema::OBJECT_NAME), length(min = 1, max = 253))]
    pub name: String,
    /// Key of its data.
    #[schemars(regex(pattern = "^[-._a-zA-Z0-9]+$"), length(min = 1, max = 253))]
    pub key: String,
}

/// Selects objects by their labels. All requirements must hold; the empty selector selects everything.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Default, Debug)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that an object must have, with exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements that must all hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub match_expressions: Vec<LabelRequirement>,
}

/// One requirement of a label selector.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct LabelRequirement {
    /// The label that it is about.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// In and NotIn compare with `values`; Exists and DoesNotExist look for the label only.
    pub operator: LabelOperator,
    /// The values of In and NotIn; empty for Exists and DoesNotExist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The names are those of Kubernetes; the field says what they mean.
pub enum LabelOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl From<&LabelSelector> for Selector {
    fn from(selector: &LabelSelector) -> Self {
        Self {
            match_labels: selector.match_labels.clone(),
            match_expressions: selector
                .match_expressions
                .iter()
                .map(|requirement| Requirement {
                    key: requirement.key.clone(),
                    operator: match requirement.operator {
                        LabelOperator::In => Operator::In,
                        LabelOperator::NotIn => Operator::NotIn,
                        LabelOperator::Exists => Operator::Exists,
                        LabelOperator::DoesNotExist => Operator::DoesNotExist,
                    },
                    values: requirement.values.clone(),
                })
                .collect(),
        }
    }
}

/// A buyer of a SaaS product, as AWS Marketplace names them: `accountId` with `licenseArn`, or `customerIdentifier` alone
/// for products from before June 2026.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Default, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Buyer {
    /// AWS account of the buyer: 12 digits. Goes together with `licenseArn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9]{12}$"), length(min = 12, max = 12))]
    pub account_id: Option<String>,
    /// The license that the buyer holds, as ResolveCustomer gave it. Goes together with `accountId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = schema::LICENSE_ARN), length(max = 255))]
    pub license_arn: Option<String>,
    /// The buyer's identifier from ResolveCustomer, for older products only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[a-zA-Z0-9_-]+$"), length(min = 1, max = 255))]
    pub customer_identifier: Option<String>,
}
