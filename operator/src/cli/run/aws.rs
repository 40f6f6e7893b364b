//! The way to AWS: found once the process leads, looked for again until it is there.

use std::{env, sync::Arc};

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use tollkeeper_controller::meter::Finding;
use tollkeeper_core::{evidence::Trail, metering::Metering};
use tollkeeper_marketplace::{
    connect as connect_to_aws, credentials::AllowCredentials, environment::AwsEnvironment,
    token::TokenIdentity,
};

use super::{Credentials, Parts, Run};

/// How often the way to AWS is looked for while there is none: a person has to change the pod, which restarts it anyway.
const RETRY: SignedDuration = SignedDuration::from_secs(60);

/// AWS as this process has it.
pub(super) struct Aws {
    pub(super) metering: Arc<dyn Metering>,
    pub(super) trail: Arc<dyn Trail>,
    /// The UID of the pod that AWS will see.
    pub(super) pod: String,
}

/// Connects. `None` if the term ended first.
pub(super) async fn connect(
    parts: &Parts,
    run: &Run,
    pod_uid: Option<String>,
    term: &CancellationToken,
) -> Option<Aws> {
    let environment = AwsEnvironment::from_vars(env::vars());
    loop {
        let pod = pod(run, &environment, pod_uid.clone()).await;
        let connected = match pod {
            Ok(pod) => attempt(run, &environment, pod).await,
            Err(finding) => Err(finding),
        };
        match connected {
            Ok(connected) => {
                parts.roster.set_blocked(None);
                return Some(connected);
            }
            Err(finding) => {
                tracing::error!(
                    reason = finding.reason,
                    message = finding.message,
                    "nothing can be sent to AWS"
                );
                parts.roster.set_blocked(Some(finding));
            }
        }
        tokio::select! {
            () = term.cancelled() => return None,
            () = parts.clock.sleep_until(parts.clock.now() + RETRY) => {}
        }
    }
}

async fn attempt(run: &Run, environment: &AwsEnvironment, pod: String) -> Result<Aws, Finding> {
    let allowed = match run.allow_credentials {
        Credentials::WebIdentity => AllowCredentials::WebIdentity,
        Credentials::Any => AllowCredentials::Any,
    };
    match connect_to_aws(environment, allowed).await {
        Ok(connection) => {
            let metering = connection.metering();
            if let Some(warning) = metering.warning() {
                tracing::warn!(reason = warning.reason(), %warning, "AWS may refuse usage from here");
            }
            tracing::info!(region = %metering.region(), "usage goes to AWS");
            Ok(Aws { metering: Arc::new(metering), trail: Arc::new(connection.trail()), pod })
        }
        Err(problem) => Err(Finding { reason: problem.reason(), message: problem.to_string() }),
    }
}

/// The pod that AWS will see. A claim names it, so it must be the truth: a wrong one could bill an hour twice.
async fn pod(run: &Run, environment: &AwsEnvironment, pod_uid: Option<String>) -> Result<String, Finding> {
    let Some(pod) = pod_uid else {
        if run.allow_credentials == Credentials::Any {
            // Nobody shares it, so nobody sends again what this process has claimed.
            let pod = uuid::Uuid::new_v4().to_string();
            tracing::warn!(%pod, "TOLLKEEPER_POD_UID is not set; this process is a pod of its own");
            return Ok(pod);
        }
        return Err(Finding {
            reason: "PodIdentityUnknown",
            message: "TOLLKEEPER_POD_UID is not set; take it from the downward API (metadata.uid), as the chart does"
                .to_owned(),
        });
    };
    if let Ok(identity) = TokenIdentity::of(environment).await
        && let Some(disagreement) = identity.disagreement(&pod)
    {
        return Err(Finding { reason: "PodIdentityMismatch", message: disagreement });
    }
    Ok(pod)
}
