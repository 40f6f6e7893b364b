//! Whose token it is: the claims that Kubernetes writes into a ServiceAccount's projected token, for reporting only.
//!
//! AWS tells one pod's records from another's, presumably by these claims. Nothing is verified here; STS does that.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    credentials::{CredentialProblem, WebIdentity},
    environment::AwsEnvironment,
    web_identity::read_token,
};

/// What a projected token says about its bearer. Holds nothing secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenIdentity {
    /// Of pod and ServiceAccount.
    pub namespace: String,
    /// The ServiceAccount's name.
    pub service_account: String,
    /// The pod's name; none in a token that is not bound to a pod.
    pub pod_name: Option<String>,
    /// The pod's UID; none in a token that is not bound to a pod.
    pub pod_uid: Option<String>,
    /// Who vouches for it: the cluster's OpenID issuer.
    pub issuer: Option<String>,
    /// Who may take the token; `sts.amazonaws.com` for IRSA.
    pub audiences: Vec<String>,
    /// When the kubelet must have replaced it.
    pub expires: Option<Timestamp>,
}

impl TokenIdentity {
    /// Reads the token that the environment's web identity stands on.
    ///
    /// # Errors
    /// There is no web identity, or its token cannot be read or was not made by Kubernetes.
    pub async fn of(env: &AwsEnvironment) -> Result<Self, CredentialProblem> {
        let WebIdentity { token_file, .. } = WebIdentity::of(env)?;
        let token = read_token(&token_file).await?;
        Self::parse(&token).ok_or_else(|| not_kubernetes(&token_file))
    }

    /// From the text of a token; none where it is no JWT with Kubernetes' claims.
    pub fn parse(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        let claims: Claims = serde_json::from_slice(&payload).ok()?;
        let (pod_name, pod_uid) = claims.kubernetes.pod.map(|pod| (pod.name, pod.uid)).unzip();
        Some(Self {
            namespace: claims.kubernetes.namespace,
            service_account: claims.kubernetes.serviceaccount.name,
            pod_name,
            pod_uid,
            issuer: claims.iss,
            audiences: match claims.aud {
                Audience::One(audience) => vec![audience],
                Audience::Many(audiences) => audiences,
            },
            expires: claims.exp.and_then(|seconds| Timestamp::from_second(seconds as i64).ok()),
        })
    }

    /// One sentence where the token is another pod's than the one whose UID is given; none where they agree or the token names no
    /// pod. Records would be claimed under one UID and deduplicated by AWS under another.
    pub fn disagreement(&self, pod_uid: &str) -> Option<String> {
        let theirs = self.pod_uid.as_deref().filter(|theirs| *theirs != pod_uid)?;
        let name = self.pod_name.as_deref().unwrap_or_default();
        Some(format!(
            "the web identity token belongs to the pod {}/{name} with the UID {theirs}, but this pod is said to have the UID {pod_uid}",
            self.namespace
        ))
    }
}

fn not_kubernetes(path: &Path) -> CredentialProblem {
    CredentialProblem::TokenUnreadable {
        path: path.to_owned(),
        cause: "is not a ServiceAccount token of Kubernetes".into(),
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    #[serde(default)]
    aud: Audience,
    /// Seconds since the epoch; a JWT may have fractions of them. A cast of a float saturates.
    exp: Option<f64>,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Kubernetes,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

#[derive(Deserialize)]
struct Kubernetes {
    namespace: String,
    pod: Option<Named>,
    serviceaccount: Named,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    uid: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    const POD: &str = r#"{"aud":["sts.amazonaws.com"],"exp":1795226400.5,"iss":"https://oidc.example/id/1",
        "kubernetes.io":{"namespace":"vecdb","node":{"name":"n1","uid":"9"},"pod":{"name":"tollkeeper-0","uid":"u-1"},
        "serviceaccount":{"name":"tollkeeper","uid":"s-1"}},"sub":"system:serviceaccount:vecdb:tollkeeper"}"#;

    #[test]
    fn a_projected_token_names_its_pod() {
        let identity = TokenIdentity::parse(&token(POD)).unwrap();
        assert_eq!(identity.namespace, "vecdb");
        assert_eq!(identity.service_account, "tollkeeper");
        assert_eq!(identity.pod_name.as_deref(), Some("tollkeeper-0"));
        assert_eq!(identity.audiences, ["sts.amazonaws.com"]);
        assert_eq!(identity.expires, Some("2026-11-21T02:00:00Z".parse().unwrap()));
        assert_eq!(identity.disagreement("u-1"), None);
        assert_eq!(
            identity.disagreement("u-2").unwrap(),
            "the web identity token belongs to the pod vecdb/tollkeeper-0 with the UID u-1, but this pod is said to have the UID u-2"
        );
    }

    #[test]
    fn a_token_that_is_bound_to_no_pod_disagrees_with_none() {
        let unbound = r#"{"aud":"sts.amazonaws.com","kubernetes.io":{"namespace":"a","serviceaccount":{"name":"b","uid":"c"}}}"#;
        let identity = TokenIdentity::parse(&token(unbound)).unwrap();
        assert_eq!((identity.pod_uid.as_deref(), identity.expires), (None, None));
        assert_eq!(identity.disagreement("u-2"), None);
    }

    #[test]
    fn what_kubernetes_did_not_write_is_not_read() {
        for text in ["", "a.b", "a.b.c", "e30.!!.c2ln", &token("{}"), &token("[1]"), "no dots at all"] {
            assert_eq!(TokenIdentity::parse(text), None, "{text}");
        }
    }
}
