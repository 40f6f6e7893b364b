//! What the shared control plane promises to tests.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use k8s_openapi::api::rbac::v1::{ClusterRole, Role, RoleBinding};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tollkeeper_kit::{ControlPlane, Failure, Part, Program, Result, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);

fn object<K: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<K> {
    Ok(serde_json::from_value(value)?)
}

#[tokio::test]
async fn every_test_has_a_namespace_of_its_own() -> Result {
    let control_plane = ControlPlane::shared().await?;
    let (one, other) = (control_plane.namespace("same").await?, control_plane.namespace("same").await?);
    assert_ne!(one.name(), other.name());
    assert!(one.name().starts_with("same-"));
    Api::<Namespace>::all(one.client()).get(one.name()).await?;
    Ok(())
}

#[tokio::test]
async fn what_an_owner_owned_is_collected_with_it() -> Result {
    let control_plane = ControlPlane::shared().await?;
    control_plane.needs_controllers()?;
    let namespace = control_plane.namespace("collected").await?;
    let maps = namespace.api::<ConfigMap>();
    let owner = maps.create(&PostParams::default(), &object(json!({"metadata": {"name": "owner"}}))?).await?;
    let owned = object(json!({"metadata": {"name": "owned", "ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid},
    ]}}))?;
    maps.create(&PostParams::default(), &owned).await?;
    maps.delete("owner", &DeleteParams::background()).await?;
    wait_until("the owned object is gone", PATIENCE, async || match maps.get_opt("owned").await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
}

#[tokio::test]
async fn a_deleted_namespace_ends() -> Result {
    let control_plane = ControlPlane::shared().await?;
    control_plane.needs_controllers()?;
    let namespace = control_plane.namespace("ended").await?;
    let namespaces = Api::<Namespace>::all(namespace.client());
    namespaces.delete(namespace.name(), &DeleteParams::default()).await?;
    wait_until("the namespace is gone", PATIENCE, async || match namespaces.get_opt(namespace.name()).await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
}

#[tokio::test]
async fn a_service_account_may_do_what_its_role_says_and_nothing_more() -> Result {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.namespace("roles").await?;
    let name = namespace.name();
    namespace.service_account("reader", &[("kit.tollkeeper.dev/why", "a test")]).await?;
    let reader = control_plane.client_as(name, "reader").await?;
    let maps = Api::<ConfigMap>::namespaced(reader.clone(), name);
    let refused = maps.list(&ListParams::default()).await;
    assert!(matches!(&refused, Err(kube::Error::Api(refusal)) if refusal.code == 403), "{refused:?}");

    let role: Role = object(json!({"metadata": {"name": "reads"}, "rules": [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]},
    ]}))?;
    namespace.api().create(&PostParams::default(), &role).await?;
    let binding: RoleBinding = object(json!({
        "metadata": {"name": "reads"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reads"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": name}],
    }))?;
    namespace.api().create(&PostParams::default(), &binding).await?;
    wait_until("the role is in force", PATIENCE, async || maps.list(&ListParams::default()).await).await?;

    let refused = maps.create(&PostParams::default(), &object(json!({"metadata": {"name": "no"}}))?).await;
    assert!(matches!(&refused, Err(kube::Error::Api(refusal)) if refusal.code == 403), "{refused:?}");
    assert!(Api::<ClusterRole>::all(reader).list(&ListParams::default()).await.is_err());

    let refusals = control_plane.refusals(name, "reader")?;
    let configmaps = format!("/api/v1/namespaces/{name}/configmaps");
    assert!(
        refusals.iter().any(|refusal| refusal.starts_with(&format!("create {configmaps}"))),
        "{refusals:?}"
    );
    assert!(refusals.last().is_some_and(|refusal| refusal.contains("/clusterroles")), "{refusals:?}");
    assert_eq!(control_plane.refusals(name, "somebody else")?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_token_is_bound_to_its_audience_and_its_pod() -> Result {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.namespace("tokens").await?;
    namespace.service_account("meter", &[]).await?;
    let pod: Pod = object(json!({"metadata": {"name": "engine"}, "spec": {
        "serviceAccountName": "meter", "containers": [{"name": "engine", "image": "engine"}],
    }}))?;
    let pod = namespace.api().create(&PostParams::default(), &pod).await?;
    let token = control_plane
        .token_for(namespace.name(), "meter", &["sts.amazonaws.com"], Some(&pod.name_any()))
        .await?;
    let payload = token.split('.').nth(1).ok_or_else(|| Failure::new("the token is no JWT"))?;
    let claims: serde_json::Value = serde_json::from_slice(&base64url(payload)?)?;
    assert_eq!(claims["aud"], json!(["sts.amazonaws.com"]));
    assert_eq!(claims["kubernetes.io"]["pod"]["uid"], json!(pod.metadata.uid));
    Ok(())
}

fn base64url(text: &str) -> Result<Vec<u8>> {
    use base64::Engine as _;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text)?)
}

#[tokio::test]
async fn crds_can_be_applied_again_and_are_served_at_once() -> Result {
    let control_plane = ControlPlane::shared().await?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crds");
    control_plane.apply_crds(&folder).await?;
    control_plane.apply_crds(&folder).await?;
    let namespace = control_plane.namespace("crds").await?;
    let kind = kube::core::GroupVersionKind::gvk("kit.tollkeeper.dev", "v1", "Toll");
    let kind = kube::core::ApiResource::from_gvk(&kind);
    let tolls = Api::<kube::api::DynamicObject>::namespaced_with(namespace.client(), namespace.name(), &kind);
    let toll = |name: &str, amount: i32| {
        object(json!({"apiVersion": "kit.tollkeeper.dev/v1", "kind": "Toll",
            "metadata": {"name": name}, "spec": {"amount": amount}}))
    };
    tolls.create(&PostParams::default(), &toll("fair", 5)?).await?;
    let refused = tolls.create(&PostParams::default(), &toll("free", 0)?).await;
    assert!(matches!(&refused, Err(kube::Error::Api(refusal)) if refusal.code == 422), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn kubectl_reaches_it_through_the_kubeconfig_file() -> Result {
    let control_plane = ControlPlane::shared().await?;
    let output = tokio::process::Command::new(Program::Kubectl.path()?)
        .args(["get", "namespaces", "-o", "name", "--kubeconfig"])
        .arg(control_plane.kubeconfig())
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("namespace/kube-system"), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn a_control_plane_of_ones_own_can_lose_its_servers_and_go_back_in_time() -> Result {
    let control_plane = ControlPlane::alone().await?;
    let namespace = control_plane.namespace("lost").await?;
    let maps = namespace.api::<ConfigMap>();
    let map = |name: &str| object::<ConfigMap>(json!({"metadata": {"name": name}}));
    maps.create(&PostParams::default(), &map("before")?).await?;

    let folder = tempfile::tempdir()?;
    let kept = folder.path().join("kept");
    control_plane.stop(Part::Etcd).await?;
    control_plane.keep_etcd(&kept).await?;
    control_plane.start_again(Part::Etcd).await?;
    wait_until("a write is taken again", PATIENCE, async || {
        maps.create(&PostParams::default(), &map("after").map_err(|error| error.to_string())?)
            .await
            .map_err(|error| error.to_string())
    })
    .await?;

    control_plane.stop(Part::ApiServer).await?;
    assert!(maps.get("before").await.is_err());
    control_plane.stop(Part::Etcd).await?;
    control_plane.restore_etcd(&kept).await?;
    control_plane.start_again(Part::Etcd).await?;
    control_plane.start_again(Part::ApiServer).await?;
    maps.get("before").await?;
    assert!(maps.get_opt("after").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn the_servers_of_all_are_taken_from_nobody() -> Result {
    let refused = ControlPlane::shared().await?.stop(Part::Etcd).await.unwrap_err();
    assert!(refused.to_string().contains("other tests"), "{refused}");
    Ok(())
}
