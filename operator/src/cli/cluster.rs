//! The way to the cluster: `KUBECONFIG` and its current context, or the pod's own service account.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{Api, Client, api::PostParams, config::Kubeconfig};

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

/// The person behind the client.
pub(super) struct Person {
    pub(super) name: String,
    /// Whether the API server says so, and not just their kubeconfig.
    pub(super) is_verified: bool,
}

/// Asks the API server who is asking. Servers before 1.28 do not tell; then it is the user of the current context.
pub(super) async fn person(client: &Client) -> Result<Person, Failure> {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let reviewed = api.create(&PostParams::default(), &SelfSubjectReview::default()).await;
    let told = match reviewed {
        Ok(review) => review.status.and_then(|status| status.user_info).and_then(|user| user.username),
        Err(kube::Error::Api(status)) if status.code < 500 => None,
        Err(error) => return Err(Failure::new(format!("the API server does not say who you are: {error}"))),
    };
    Ok(match told {
        Some(name) => Person { name, is_verified: true },
        None => Person { name: configured_user(), is_verified: false },
    })
}

fn configured_user() -> String {
    let user = Kubeconfig::read().ok().and_then(|config| {
        let current = config.current_context?;
        config.contexts.into_iter().find(|context| context.name == current)?.context?.user
    });
    user.unwrap_or_else(|| "a pod's service account".to_owned())
}
