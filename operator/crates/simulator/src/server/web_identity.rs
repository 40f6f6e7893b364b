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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-11-21T15:30:00Z";

    fn token(claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(&json!({"alg": "RS256"})), part(claims))
    }

    fn claims() -> Value {
        json!({"iss": "https://oidc.eks.eu-west-1.amazonaws.com/id/0A", "sub": "system:serviceaccount:ns:sa",
            "aud": "sts.amazonaws.com", "exp": NOW.parse::<Timestamp>().unwrap().as_second() + 1,
            "kubernetes.io": {"namespace": "ns", "pod": {"name": "p-0", "uid": "u-0"},
                "serviceaccount": {"name": "sa", "uid": "u-1"}}})
    }

    fn read(token: &str) -> Result<Claims, String> {
        Claims::read(token, NOW.parse().unwrap(), Some("sts.amazonaws.com"))
            .map_err(|error| format!("{}: {}", error.code, error.message))
    }

    #[test]
    fn a_token_tells_its_pod_and_an_eks_issuer_its_region() {
        let pod = |name: &str| Pod {
            uid: "u-0".into(),
            namespace: "ns".into(),
            name: "p-0".into(),
            region: (!name.is_empty()).then(|| name.into()),
        };
        assert_eq!(read(&token(&claims())).unwrap().pod(), Some(pod("eu-west-1")));
        let mut elsewhere = claims();
        elsewhere["iss"] = json!("https://kubernetes.default.svc");
        assert_eq!(read(&token(&elsewhere)).unwrap().pod(), Some(pod("")));
    }

    #[test]
    fn a_token_that_is_bound_to_no_pod_is_still_a_token() {
        for bound in [json!(null), json!({"namespace": "ns"})] {
            let mut claims = claims();
            claims["kubernetes.io"] = bound;
            assert_eq!(read(&token(&claims)).unwrap().pod(), None);
        }
    }

    #[test]
    fn what_is_not_a_token_is_invalid() {
        let good = token(&claims());
        for wrong in ["", "a.b", "a.b.c", &format!("{good}.x"), &good.replacen("ey", "!!", 1)] {
            assert!(read(wrong).unwrap_err().starts_with("InvalidIdentityToken: The ID Token"), "{wrong}");
        }
    }

    #[test]
    fn a_token_has_its_claims_its_audience_and_its_time() {
        for (claim, value, says) in [
            ("sub", json!(""), "InvalidIdentityToken: Missing a required claim: sub"),
            ("exp", json!(null), "InvalidIdentityToken: Missing a required claim: exp"),
            ("aud", json!(["other"]), "InvalidIdentityToken: Incorrect token audience"),
            ("aud", json!(null), "InvalidIdentityToken: Incorrect token audience"),
            ("exp", json!(0), "ExpiredTokenException: Token expired"),
        ] {
            let mut claims = claims();
            claims[claim] = value;
            let error = read(&token(&claims)).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
        let mut several = claims();
        several["aud"] = json!(["other", "sts.amazonaws.com"]);
        assert!(read(&token(&several)).is_ok());
        assert!(Claims::read(&token(&several), NOW.parse().unwrap(), None).is_ok());
    }
}
