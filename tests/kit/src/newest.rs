//! Custom resources from a newer API server than everything else: Kubernetes' own server for them, behind the aggregation layer.
//!
//! No package registry has a newer kube-apiserver with its sources; Debian's newest suite has this part of it. It checks CRDs,
//! their schemas and CEL rules, and serves their objects; access is still decided by the API server in front of it.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use crate::control_plane::{client_of, until};
use crate::server::Server;
use crate::{Failure, Result, free_port};

/// The variable that names the server's program.
const VARIABLE: &str = "TOLLKEEPER_TEST_CUSTOM_RESOURCES";

/// The kubeconfig of the server that has the definitions, in the folder of a run that has one.
pub(crate) const KUBECONFIG: &str = "definitions.kubeconfig";

/// The program, if custom resources are to be served by it.
pub(crate) fn program() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// What makes the API server hand requests on, under the administrator's certificate.
pub(crate) fn front_args(folder: &Path) -> Vec<String> {
    let at = |name: &str| folder.join(name).display().to_string();
    vec![
        format!("--requestheader-client-ca-file={}", at("ca.crt")),
        "--requestheader-allowed-names=admin".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        format!("--proxy-client-cert-file={}", at("admin.crt")),
        format!("--proxy-client-key-file={}", at("admin.key")),
    ]
}

/// Starts it and returns its address. It shares etcd with the API server, under another prefix.
pub(crate) async fn start(
    program: &Path,
    folder: &Path,
    etcd_url: &str,
    front: &Path,
    watched: u32,
) -> Result<(Server, u16)> {
    let (port, at) = (free_port()?, |name: &str| folder.join(name).display().to_string());
    let front_config = front.display();
    let args = [
        format!("--etcd-servers={etcd_url}"),
        "--etcd-prefix=/custom-resources".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={}", at("server.crt")),
        format!("--tls-private-key-file={}", at("server.key")),
        format!("--client-ca-file={}", at("ca.crt")),
        format!("--kubeconfig={front_config}"),
        format!("--authentication-kubeconfig={front_config}"),
        format!("--authorization-kubeconfig={front_config}"),
        // These ask the API server in front for kinds that an old one does not have.
        "--enable-priority-and-fairness=false".to_owned(),
        "--disable-admission-plugins=MutatingAdmissionPolicy,ValidatingAdmissionPolicy".to_owned(),
    ];
    let log = folder.join("custom-resources.log");
    Ok((Server::start("custom-resources", program, &args, log, watched, None)?, port))
}

/// Sends everybody who asks the API server for a group of ours to the other one.
pub(crate) async fn route(front: &Path, group: &str, version: &str, port: u16) -> Result {
    let client = client_of(front).await?;
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": "custom-resources"},
        // Endpoints of the loopback interface are refused; a name of it is not.
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }))?;
    Api::namespaced(client.clone(), "default").create(&PostParams::default(), &service).await?;
    let name = format!("{version}.{group}");
    let api_service: APIService = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "group": group,
            "version": version,
            "service": {"name": "custom-resources", "namespace": "default", "port": port},
            "insecureSkipTLSVerify": true,
            "groupPriorityMinimum": 1000,
            "versionPriority": 100,
        },
    }))?;
    let api_services: Api<APIService> = Api::all(client);
    api_services.create(&PostParams::default(), &api_service).await?;
    until(format!("{name} is available"), async || {
        let status = api_services.get(&name).await?.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let is_available = conditions.iter().any(|one| one.type_ == "Available" && one.status == "True");
        if is_available { Ok(()) } else { Err(Failure::new(format!("{conditions:?}"))) }
    })
    .await
}
