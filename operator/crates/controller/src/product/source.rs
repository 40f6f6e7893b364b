//! Where the bytes of a plugin and the credentials for them are read: ConfigMaps, Secrets, files.
//!
//! Secrets are read by name only, never listed: the operator is granted no more.

use std::path::Path;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use tollkeeper_api::convert::ObjectName;
use tollkeeper_core::artifact::PullSecret;

use super::ProductHouse;
use crate::{
    calls::{CallError, call},
    meter::Finding,
};

/// The largest component file that is read; the plugin host has the exact limit.
const MAX_COMPONENT: u64 = 32 << 20;

/// Where Secrets of the types kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg have their credentials.
const DOCKER_CONFIG_KEYS: [&str; 2] = [".dockerconfigjson", ".dockercfg"];

/// What was read, or what a person has to mend.
type Read<T> = Result<Result<T, Finding>, CallError>;

/// A component in a file of the operator's image.
pub(super) async fn file(path: &Path) -> Result<Vec<u8>, Finding> {
    let refused = |problem: String| Finding {
        reason: "PluginFileUnreadable",
        message: format!("{}: {problem}", path.display()),
    };
    let length = tokio::fs::metadata(path).await.map_err(|error| refused(error.to_string()))?.len();
    if length > MAX_COMPONENT {
        return Err(refused(format!(
            "{length} bytes are more than the {MAX_COMPONENT} of the largest component"
        )));
    }
    tokio::fs::read(path).await.map_err(|error| refused(error.to_string()))
}

/// A component in a ConfigMap.
pub(super) async fn config_map(
    namespace: &str,
    name: &str,
    key: &str,
    house: &ProductHouse,
) -> Read<Vec<u8>> {
    let refused = |reason, message: String| Ok(Err(Finding { reason, message }));
    let api: Api<ConfigMap> = Api::namespaced(house.client.clone(), namespace);
    let map = match call(api.get_opt(name)).await {
        Ok(Some(map)) => map,
        Ok(None) => {
            return refused(
                "ConfigMapNotFound",
                format!("there is no ConfigMap {name} in {namespace}; create it"),
            );
        }
        Err(error) if error.passes_by_itself() => return Err(error),
        Err(error) => return refused(error.reason(), format!("the ConfigMap {name}: {error}")),
    };
    match map.binary_data.unwrap_or_default().remove(key) {
        Some(bytes) => Ok(Ok(bytes.0)),
        None => refused(
            "ConfigMapKeyNotFound",
            format!("the ConfigMap {name} has no key `{key}` in its binaryData; add the component there"),
        ),
    }
}

/// The credentials for a registry, in the product's order.
pub(super) async fn pull_secrets(
    namespace: &str,
    names: &[ObjectName],
    house: &ProductHouse,
) -> Read<Vec<PullSecret>> {
    let mut secrets = Vec::new();
    for name in names {
        match pull_secret(namespace, name.as_str(), house).await? {
            Ok(secret) => secrets.push(secret),
            Err(finding) => return Ok(Err(finding)),
        }
    }
    Ok(Ok(secrets))
}

async fn pull_secret(namespace: &str, name: &str, house: &ProductHouse) -> Read<PullSecret> {
    let refused = |reason, message: String| Ok(Err(Finding { reason, message }));
    let api: Api<Secret> = Api::namespaced(house.client.clone(), namespace);
    let secret = match call(api.get_opt(name)).await {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            return refused(
                "PullSecretNotFound",
                format!(
                    "there is no Secret {name} in {namespace}; create it with `kubectl create secret docker-registry`"
                ),
            );
        }
        Err(error @ CallError::Forbidden(_)) => {
            return refused(
                error.reason(),
                format!(
                    "the operator may not read the Secret {name}; grant it Secrets in this namespace (chart value secretNamespaces or watchNamespaces)"
                ),
            );
        }
        Err(error) if error.passes_by_itself() => return Err(error),
        Err(error) => return refused(error.reason(), format!("the Secret {name}: {error}")),
    };
    let mut data = secret.data.unwrap_or_default();
    match DOCKER_CONFIG_KEYS.into_iter().find_map(|key| data.remove(key)) {
        Some(docker_config) => Ok(Ok(PullSecret { name: name.to_owned(), docker_config: docker_config.0 })),
        None => refused(
            "PullSecretInvalid",
            format!(
                "the Secret {name} has no credentials of a registry; create it with `kubectl create secret docker-registry`"
            ),
        ),
    }
}
