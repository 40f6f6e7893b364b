//! What a projected service account token says of its pod. The signature is not verified: the simulator knows no issuer's keys.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::{caller::Pod, error::ApiError};

/// The claims that count here.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    /// `system:serviceaccount:<namespace>:<name>`.
    pub(super) sub: Option<String>,
    /// The issuer's URL.
    pub(super) iss: Option<String>,
    aud: Option<Audience>,
    /// Seconds since the epoch.
    exp: Option<f64>,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Option<Kubernetes>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct Kubernetes {
    namespace: String,
    pod: Option<Object>,
}

#[derive(Debug, Deserialize)]
struct Object {
    name: String,
    uid: String,
}

impl Claims {
    /// Reads and checks a token.
    ///
    /// # Errors
    /// `InvalidIdentityToken` for what is no such token or not for this audience, `ExpiredTokenException` for an old one.
    pub(super) fn read(token: &str, now: Timestamp, audience: Option<&str>) -> Result<Self, ApiError> {
        let claims = decode(token).ok_or_else(|| {
            invalid("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
        })?;
        if claims.sub.as_ref().is_none_or(String::is_empty) {
            return Err(invalid("Missing a required claim: sub"));
        }
        if let Some(audience) = audience
            && !claims.audiences().contains(&audience)
        {
            return Err(invalid("Incorrect token audience"));
        }
        // A cast of a float saturates: an absurd time is far in the future or the past.
        let expires = claims.exp.ok_or_else(|| invalid("Missing a required claim: exp"))? as i64;
        if expires <= now.as_second() {
            let seconds = now.as_second();
            return Err(ApiError::client(
                "ExpiredTokenException",
                format!(
                    "Token expired: current date/time {seconds} must be before the expiration date/time {expires}"
                ),
            ));
        }
        Ok(claims)
    }

    /// The audiences, none where the claim is missing.
    pub(super) fn audiences(&self) -> Vec<&str> {
        match &self.aud {
            None => Vec::new(),
            Some(Audience::One(one)) => vec![one],
            Some(Audience::Several(several)) => several.iter().map(String::as_str).collect(),
        }
    }

    /// The pod that the token is bound to. Its region is the issuer's, if that is EKS.
    pub(super) fn pod(&self) -> Option<Pod> {
        let kubernetes = self.kubernetes.as_ref()?;
        let pod = kubernetes.pod.as_ref()?;
        let region = self.iss.as_deref().and_then(eks_region).map(str::to_owned);
        Some(Pod {
            uid: pod.uid.clone(),
            namespace: kubernetes.namespace.clone(),
            name: pod.name.clone(),
            region,
        })
    }
}

/// Header, claims and signature, each Base64url; header and claims JSON objects.
fn decode(token: &str) -> Option<Claims> {
    let parts: Vec<_> = token.split('.').collect();
    let [header, claims, _signature] = parts.as_slice() else { return None };
    let json = |part: &str| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok();
    serde_json::from_slice::<Value>(&json(header)?).ok()?.as_object()?;
    serde_json::from_slice(&json(claims)?).ok()
}

/// `https://oidc.eks.<region>.amazonaws.com/id/<id>`.
fn eks_region(issuer: &str) -> Option<&str> {
    issuer.strip_prefix("https://oidc.eks.")?.split_once(".amazonaws.com").map(|(region, _)| region)
}

fn invalid(message: &str) -> ApiError {
    ApiError::client("InvalidIdentityToken", message)
}
