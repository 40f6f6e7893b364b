//! The way to the cluster: `KUBECONFIG` and its current context, or the pod's own service account.

use kube::Client;

use super::Failure;

/// A client, and the namespace of its context. The client neither retries nor waits by itself: how often and how long is
/// decided where the outcome is understood.
pub(super) async fn client() -> Result<(Client, String), Failure> {
    let mut config = kube::Config::infer()
        .await
        .map_err(|error| Failure::new(format!("no Kubernetes API server is configured: {error}")))?;
    config.default_retry = false;
    let namespace = config.default_namespace.clone();
    let client = Client::try_from(config)
        .map_err(|error| Failure::new(format!("the Kubernetes client cannot be made: {error}")))?;
    Ok((client, namespace))
}
