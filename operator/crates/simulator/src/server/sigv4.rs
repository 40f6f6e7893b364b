//! The caller's credentials as the Signature Version 4 header names them. The signature itself is not verified.
#![allow(clippy::disallowed_methods, reason = "signatures live in real time, whatever the clock says")]

use super::{Aws, Request, sessions::Session};
use crate::{
    caller::{Caller, Pod},
    error::ApiError,
    settings::EXAMPLE_ACCOUNT,
};

/// The credential and its scope: `<key id>/<date>/<region>/<service>/aws4_request`.
#[derive(Debug, PartialEq, Eq)]
struct Scope<'a> {
    key_id: &'a str,
    region: &'a str,
    service: &'a str,
}

/// Who signed, and for which region.
///
/// # Errors
/// The common errors of AWS for a missing, malformed, unknown or expired credential.
pub(super) fn authenticate(aws: &Aws, request: &Request, service: &str) -> Result<Caller, ApiError> {
    let Some(header) = request.header("authorization") else {
        return Err(ApiError::client(
            "MissingAuthenticationTokenException",
            "The request is not signed: it has no Authorization header.",
        ));
    };
    let scope = scope(header).ok_or_else(|| {
        ApiError::client(
            "IncompleteSignatureException",
            "The Authorization header is not a Signature Version 4 with Credential, SignedHeaders and Signature.",
        )
    })?;
    if scope.service != service {
        return Err(ApiError::client(
            "InvalidSignatureException",
            format!("Credential should be scoped to correct service: '{service}'."),
        ));
    }
    let now = jiff::Timestamp::now();
    let token = request.header("x-amz-security-token");
    // Read first: the sessions are locked inside the simulator's lock elsewhere, so never the other way round.
    let allow_any = aws.simulator.lock().settings().allow_any_credentials;
    match aws.sessions().find(scope.key_id) {
        Some(session) if token != Some(session.token.as_str()) => Err(unrecognized()),
        Some(session) if session.expires <= now => Err(ApiError::client(
            "ExpiredTokenException",
            "The security token included in the request is expired.",
        )),
        Some(session) => Ok(of_session(session, scope.region)),
        None if allow_any => Ok(of_key(&scope)),
        None => Err(unrecognized()),
    }
}

fn unrecognized() -> ApiError {
    ApiError::client("UnrecognizedClientException", "The security token included in the request is invalid.")
}

fn of_session(session: &Session, region: &str) -> Caller {
    Caller {
        account: session.account.clone(),
        role_arn: session.role_arn.clone(),
        region: region.to_owned(),
        pod: session.pod.clone(),
    }
}

/// A pod named after the access key.
fn of_key(scope: &Scope<'_>) -> Caller {
    let key_id = scope.key_id.to_owned();
    Caller {
        account: EXAMPLE_ACCOUNT.to_owned(),
        role_arn: format!("arn:aws:iam::{EXAMPLE_ACCOUNT}:user/{key_id}"),
        region: scope.region.to_owned(),
        pod: Some(Pod { uid: key_id.clone(), name: key_id, namespace: "default".to_owned(), region: None }),
    }
}

fn scope(header: &str) -> Option<Scope<'_>> {
    let fields = header.trim().strip_prefix("AWS4-HMAC-SHA256")?;
    let field = |name: &str| {
        let of_name = |field: &&str| field.split('=').next() == Some(name);
        let field = fields.split(',').map(str::trim).find(of_name)?;
        field.split_once('=').map(|(_, value)| value).filter(|value| !value.is_empty())
    };
    field("SignedHeaders")?;
    field("Signature")?;
    let parts: Vec<_> = field("Credential")?.split('/').collect();
    match parts.as_slice() {
        [key_id, _date, region, service, "aws4_request"] if !key_id.is_empty() => {
            Some(Scope { key_id, region, service })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_is_read_from_a_complete_header_only() {
        let header = "AWS4-HMAC-SHA256 Credential=ASIA1/20261121/eu-west-1/aws-marketplace/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=00ff";
        let read = Scope { key_id: "ASIA1", region: "eu-west-1", service: "aws-marketplace" };
        assert_eq!(scope(header), Some(read));
        assert_eq!(scope(&header.replace(", ", ",")), scope(header));
        for broken in [
            header.replace("Signature=00ff", ""),
            header.replace("SignedHeaders", "Headers"),
            header.replace("/aws4_request", ""),
            header.replace("AWS4-HMAC-SHA256", "Bearer"),
            header.replace("ASIA1", ""),
        ] {
            assert_eq!(scope(&broken), None, "{broken}");
        }
    }
}
