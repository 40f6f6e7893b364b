//! The operator's rights: what the chart grants, exactly as `helm template` renders it.

use std::process::Command;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::json;
use tollkeeper_kit::{Namespace, Program};

use crate::stage::repository;

/// The two ways to install the chart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rights {
    /// In the operator's own namespace only, and to read nodes.
    Namespaced,
    /// As the chart's values are when nobody changes them.
    ClusterWide,
}

/// Grants the operator in `home` what the chart does.
pub(crate) async fn install(home: &Namespace, rights: Rights) {
    let name = home.name();
    let watched = format!("watchNamespaces={{{name}}}");
    let settings: &[&str] = match rights {
        Rights::Namespaced => &["--set", "inputs.nodes=true", "--set", &watched],
        Rights::ClusterWide => &[],
    };
    let rendered = Command::new(Program::Helm.path().unwrap())
        .args(["template", "tollkeeper", "charts/tollkeeper", "--namespace", name])
        .args(settings)
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    let text = String::from_utf8(rendered.stdout).unwrap();
    for document in text.split("\n---").filter(|document| document.contains("kind:")) {
        let object: DynamicObject = match serde_yaml::from_str(document) {
            Ok(object) => object,
            Err(error) => panic!("{error} in {document}"),
        };
        let kind = object.types.clone().unwrap().kind;
        if !["ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]
            .contains(&kind.as_str())
        {
            continue;
        }
        apply(home, apart(object, name)).await;
    }
    let account: Api<ServiceAccount> = home.api();
    account.get("tollkeeper").await.unwrap();
}

/// Tests share the cluster, so what is not in a namespace gets its name as a suffix.
fn apart(mut object: DynamicObject, namespace: &str) -> DynamicObject {
    let kind = object.types.as_ref().map(|types| types.kind.clone()).unwrap_or_default();
    if kind.starts_with("Cluster") {
        object.metadata.name = object.metadata.name.map(|name| format!("{name}-{namespace}"));
        if let Some(role) = object.data.pointer_mut("/roleRef/name") {
            *role = json!(format!("{}-{namespace}", role.as_str().unwrap_or_default()));
        }
    }
    object
}

async fn apply(namespace: &Namespace, object: DynamicObject) {
    let types = object.types.clone().unwrap();
    let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &types.kind));
    let api: Api<DynamicObject> = if types.kind.starts_with("Cluster") {
        Api::all_with(namespace.client(), &resource)
    } else {
        let place = object.metadata.namespace.as_deref().unwrap_or(namespace.name());
        Api::namespaced_with(namespace.client(), place, &resource)
    };
    let params = PatchParams::apply("test").force();
    api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await.unwrap();
}
