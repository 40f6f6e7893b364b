//! Resolves the API version and kind that an input declares to the resource that the API server lists.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use kube::{
    Client,
    core::GroupVersionKind,
    discovery::{ApiResource, Scope, pinned_kind, verbs},
    error::DiscoveryError,
};

use super::trouble;

/// Declarations are few; more kinds than this are not remembered but resolved anew.
const REMEMBERED: usize = 1024;

/// A resource that can be listed.
#[derive(Clone, Debug)]
pub(super) struct Listable {
    pub(super) resource: ApiResource,
    pub(super) namespaced: bool,
}

impl Listable {
    /// Pods need no discovery.
    pub(super) fn pods() -> Self {
        let gvk = GroupVersionKind::gvk("", "v1", "Pod");
        Self { resource: ApiResource::from_gvk_with_plural(&gvk, "pods"), namespaced: true }
    }
}

/// The kinds that have been resolved. Unknown ones are asked for again each time: their
/// CustomResourceDefinition may come later.
#[derive(Default)]
pub(super) struct Kinds(Mutex<HashMap<(String, String), Listable>>);

impl Kinds {
    /// The resource of a kind, from memory or by discovery.
    pub(super) async fn resolve(
        &self,
        client: &Client,
        api_version: &str,
        kind: &str,
    ) -> Result<Listable, String> {
        let key = (api_version.to_owned(), kind.to_owned());
        if let Some(known) = self.known().get(&key) {
            return Ok(known.clone());
        }
        let gvk = group_version(api_version)
            .map(|(group, version)| GroupVersionKind::gvk(group, version, kind))
            .ok_or_else(|| format!("`{api_version}` is no API version such as `v1` or `apps/v1`"))?;
        let (resource, capabilities) =
            pinned_kind(client, &gvk).await.map_err(|error| unknown(api_version, kind, &error))?;
        if !capabilities.supports_operation(verbs::LIST) {
            return Err(format!("objects of kind {kind} ({api_version}) cannot be listed"));
        }
        let listable = Listable { resource, namespaced: capabilities.scope == Scope::Namespaced };
        let mut known = self.known();
        if known.len() < REMEMBERED {
            known.insert(key, listable.clone());
        }
        Ok(listable)
    }

    /// Forgets a kind that the API server does not serve any more as it was.
    pub(super) fn forget(&self, api_version: &str, kind: &str) {
        self.known().remove(&(api_version.to_owned(), kind.to_owned()));
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Listable>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Group and version; `None` for what would not be one path segment each.
fn group_version(api_version: &str) -> Option<(&str, &str)> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    let whole = api_version.contains('/') != group.is_empty() && !version.is_empty();
    (whole && plain(group) && plain(version) && !api_version.contains("..")).then_some((group, version))
}

fn unknown(api_version: &str, kind: &str, error: &kube::Error) -> String {
    match error {
        kube::Error::Discovery(DiscoveryError::MissingKind(_)) => {
            format!("the API server serves no kind {kind} in {api_version}")
        }
        kube::Error::Api(status) if status.code == 404 => format!(
            "the API server does not serve {api_version}, so it knows no kind {kind}: \
             is its CustomResourceDefinition installed?"
        ),
        kube::Error::Api(status) if status.code == 403 => format!(
            "the API server forbids discovery of {api_version}: Tollkeeper's ServiceAccount needs the \
             ClusterRole system:discovery"
        ),
        error => format!("the kind {kind} ({api_version}) cannot be resolved: {}", trouble::api(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::group_version;

    #[test]
    fn an_api_version_is_a_version_with_or_without_a_group() {
        assert_eq!(group_version("v1"), Some(("", "v1")));
        assert_eq!(group_version("metrics.k8s.io/v1beta1"), Some(("metrics.k8s.io", "v1beta1")));
        for wrong in ["", "/v1", "apps/", "a/b/c", "v1?x=y", "../v1", "..", "v1 "] {
            assert_eq!(group_version(wrong), None, "{wrong}");
        }
    }
}
