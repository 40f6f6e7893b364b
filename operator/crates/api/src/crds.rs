//! The definitions of all kinds, as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::CustomResourceExt;

use crate::{
    binding::LicenseBinding, product::MarketplaceProduct, report::UsageReport, schema::finished,
    statement::UsageStatement,
};

/// Why a definition could not be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("the definition of {kind} cannot be written as YAML: {cause}")]
pub struct Unwritable {
    kind: String,
    cause: serde_yaml::Error,
}

impl MarketplaceProduct {
    /// The definition as it is installed. Goes before the one of `CustomResourceExt`, which lacks the last touches.
    pub fn crd() -> CustomResourceDefinition {
        finished(<Self as CustomResourceExt>::crd())
    }
}

impl LicenseBinding {
    /// The definition as it is installed. Goes before the one of `CustomResourceExt`, which lacks the last touches.
    pub fn crd() -> CustomResourceDefinition {
        finished(<Self as CustomResourceExt>::crd())
    }
}

impl UsageReport {
    /// The definition as it is installed. Goes before the one of `CustomResourceExt`, which has a status subresource:
    /// with one, a claim and the label that announces it would be two writes, and a crash could come between them.
    pub fn crd() -> CustomResourceDefinition {
        let mut definition = finished(<Self as CustomResourceExt>::crd());
        for version in &mut definition.spec.versions {
            version.subresources = None;
        }
        definition
    }
}

impl UsageStatement {
    /// The definition as it is installed. Goes before the one of `CustomResourceExt`, which lacks the last touches.
    pub fn crd() -> CustomResourceDefinition {
        finished(<Self as CustomResourceExt>::crd())
    }
}

/// The definitions of all kinds.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![MarketplaceProduct::crd(), LicenseBinding::crd(), UsageReport::crd(), UsageStatement::crd()]
}

/// File name and YAML of every definition, as in the folder `crds/`.
pub fn crds_yaml() -> Result<Vec<(String, String)>, Unwritable> {
    crds()
        .iter()
        .map(|definition| {
            let kind = &definition.spec.names.kind;
            let yaml = serde_yaml::to_string(definition)
                .map_err(|cause| Unwritable { kind: kind.clone(), cause })?;
            Ok((format!("{}.yaml", definition.spec.names.plural), yaml))
        })
        .collect()
}
