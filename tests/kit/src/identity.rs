//! Service accounts, their tokens, and kubeconfig files: how a test becomes somebody with fewer rights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::base64::Engine as _;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{ObjectMeta, PostParams};
use kube::config::Kubeconfig;
use kube::{Api, Client};
use serde_json::json;

use crate::control_plane::client_of;
use crate::{ControlPlane, Failure, Namespace, Result};

impl ControlPlane {
    /// A token of a service account, as the kubelet would get it for a pod.
    ///
    /// Without audiences it is for the API server. Bound to a pod, it ends with the pod.
    pub async fn token_for(
        &self,
        namespace: &str,
        service_account: &str,
        audiences: &[&str],
        pod: Option<&str>,
    ) -> Result<String> {
        let client = self.client().await?;
        let bound_object_ref = match pod {
            None => None,
            Some(name) => {
                let pod = Api::<Pod>::namespaced(client.clone(), namespace).get(name).await?;
                Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(name.to_owned()),
                    uid: pod.metadata.uid,
                })
            }
        };
        let audiences = audiences.iter().map(ToString::to_string).collect();
        let request = TokenRequest {
            metadata: ObjectMeta::default(),
            spec: TokenRequestSpec { audiences, bound_object_ref, expiration_seconds: Some(3600) },
            status: None,
        };
        let accounts = Api::<ServiceAccount>::namespaced(client, namespace);
        let answer = accounts.create_token_request(service_account, &PostParams::default(), &request).await?;
        let status = answer.status.ok_or_else(|| Failure::new("the API server answered without a token"))?;
        Ok(status.token)
    }

    /// A client that is the service account and may do what its roles say.
    pub async fn client_as(&self, namespace: &str, service_account: &str) -> Result<Client> {
        let token = self.token_for(namespace, service_account, &[], None).await?;
        client_of(&self.kubeconfig_with(&token, namespace)?).await
    }

    /// A kubeconfig file with that token and default namespace; it lies there until the run ends.
    pub fn kubeconfig_with(&self, token: &str, namespace: &str) -> Result<PathBuf> {
        let (_, file) = tempfile::Builder::new()
            .prefix(&format!("{namespace}-"))
            .suffix(".kubeconfig")
            .tempfile_in(&self.run.folder)?
            .keep()?;
        let (server, ca) = self.endpoint()?;
        write_kubeconfig(&file, &server, &ca, json!({ "token": token }), namespace)?;
        Ok(file)
    }

    /// The API server's URL and the PEM of the CA that signed its certificate.
    pub fn endpoint(&self) -> Result<(String, String)> {
        let broken = || Failure::new("the kubeconfig of the control plane names no cluster");
        let admin = Kubeconfig::read_from(self.kubeconfig())?;
        let cluster = admin.clusters.into_iter().find_map(|named| named.cluster).ok_or_else(broken)?;
        let (server, ca) = cluster.server.zip(cluster.certificate_authority_data).ok_or_else(broken)?;
        Ok((server, String::from_utf8(::base64::engine::general_purpose::STANDARD.decode(ca)?)?))
    }
}

impl Namespace {
    /// Makes a service account with these annotations.
    pub async fn service_account(&self, name: &str, annotations: &[(&str, &str)]) -> Result<ServiceAccount> {
        let annotations: BTreeMap<_, _> =
            annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let account = ServiceAccount {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        Ok(self.api().create(&PostParams::default(), &account).await?)
    }
}

pub(crate) fn base64(text: &str) -> String {
    ::base64::engine::general_purpose::STANDARD.encode(text)
}

/// JSON is YAML, and every client reads it.
pub(crate) fn write_kubeconfig(
    file: &Path,
    server: &str,
    ca: &str,
    user: serde_json::Value,
    namespace: &str,
) -> Result {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{ "name": "test", "cluster": { "server": server, "certificate-authority-data": base64(ca) } }],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": namespace } }],
    });
    std::fs::write(file, serde_json::to_vec_pretty(&config)?)?;
    Ok(())
}
