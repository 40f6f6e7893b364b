//! STS `AssumeRoleWithWebIdentity`: unsigned, Query protocol in, XML out. Trust policies are not evaluated.
#![allow(
    clippy::disallowed_methods,
    reason = "tokens and sessions live in real time, whatever the clock says"
)]

use std::collections::BTreeMap;

use axum::response::Response;
use jiff::{SignedDuration, Timestamp};

use super::{
    Aws, Request,
    reply::{self, Written, escaped},
    sessions::Issued,
    web_identity::Claims,
};
use crate::{
    error::ApiError,
    faults::{Call, Operation},
    simulator::Simulator,
};

/// API model: `DurationSeconds` is 900 to 43200, 3600 by default.
const DURATIONS: std::ops::RangeInclusive<i64> = 900..=43_200;
const DEFAULT_DURATION: i64 = 3600;

/// The form's members, or the URL's.
pub(super) fn parameters(request: &Request) -> BTreeMap<String, String> {
    let of_url = form_urlencoded::parse(request.query.as_bytes());
    of_url
        .chain(form_urlencoded::parse(&request.body))
        .map(|(k, v)| (k.into_owned(), v.into_owned()))
        .collect()
}

/// A checked request.
struct AssumeRole {
    role_arn: String,
    account: String,
    role: String,
    session_name: String,
    duration: SignedDuration,
    claims: Claims,
}

pub(super) async fn assume_role(
    aws: &Aws,
    request: &Request,
    parameters: &BTreeMap<String, String>,
) -> Response {
    // Tokens live on the machine's clock, faults on the simulator's.
    let wall = Timestamp::now();
    let audience = aws.simulator.lock().settings().audience.clone();
    let role = match AssumeRole::read(parameters, wall, audience.as_deref()) {
        Ok(role) => role,
        Err(error) => return reply::xml_error(&error),
    };
    let now = aws.clock.now();
    let pod = role.claims.pod();
    let call = Call {
        now,
        operation: Operation::AssumeRoleWithWebIdentity,
        product_code: None,
        dimension: None,
        hour: None,
        pod: pod.as_ref().map(|pod| pod.uid.as_str()),
    };
    let issue = |_: &mut Simulator| Ok(role.issue(aws, wall));
    let exchange = aws.simulator.lock().with_faults(&call, ApiError::failure, throttling, issue);
    aws.hold(now, exchange.delay).await;
    reply::answer(&request.connection, exchange.answer, |result| match result {
        Ok(issued) => role.written(&issued),
        Err(error) => Written::xml_error(&error),
    })
}

fn throttling() -> ApiError {
    ApiError::client("Throttling", "Rate exceeded")
}

impl AssumeRole {
    fn read(
        parameters: &BTreeMap<String, String>,
        now: Timestamp,
        audience: Option<&str>,
    ) -> Result<Self, ApiError> {
        let member = |name: &str, shortest: usize, longest: usize| {
            let value = parameters.get(name).ok_or_else(|| invalid(name, "Member must not be null"))?;
            let fits = (shortest..=longest).contains(&value.chars().count());
            let rule = format!("Member must have length between {shortest} and {longest}, inclusive");
            if fits { Ok(value.clone()) } else { Err(invalid(name, &rule)) }
        };
        let role_arn = member("RoleArn", 20, 2048)?;
        let session_name = member("RoleSessionName", 2, 64)?;
        let allowed = |char: char| char.is_ascii_alphanumeric() || "_+=,.@-".contains(char);
        if !session_name.chars().all(allowed) {
            return Err(invalid(
                "RoleSessionName",
                r"Member must satisfy regular expression pattern: [\w+=,.@-]*",
            ));
        }
        let seconds = match parameters.get("DurationSeconds") {
            None => DEFAULT_DURATION,
            Some(text) => {
                text.parse().ok().filter(|seconds| DURATIONS.contains(seconds)).ok_or_else(|| {
                    invalid("DurationSeconds", "Member must be between 900 and 43200, inclusive")
                })?
            }
        };
        let (account, role) = account_and_role(&role_arn).ok_or_else(|| {
            ApiError::client("ValidationError", "Request ARN is invalid: it is not that of an IAM role.")
        })?;
        let claims = Claims::read(&member("WebIdentityToken", 4, 20_000)?, now, audience)?;
        let duration = SignedDuration::from_secs(seconds);
        Ok(Self { role_arn, account, role, session_name, duration, claims })
    }

    fn issue(&self, aws: &Aws, now: Timestamp) -> Issued {
        let expires = now.checked_add(self.duration).unwrap_or(Timestamp::MAX);
        aws.sessions().issue(now, expires, &self.account, &self.role_arn, self.claims.pod())
    }

    fn written(&self, issued: &Issued) -> Written {
        let Self { account, role, session_name, claims, .. } = self;
        let expires = issued.expires.strftime("%Y-%m-%dT%H:%M:%SZ");
        let (subject, issuer) =
            (claims.sub.as_deref().unwrap_or_default(), claims.iss.as_deref().unwrap_or_default());
        let provider = issuer.trim_start_matches("https://");
        let audience = claims.audiences().first().copied().unwrap_or_default().to_owned();
        // Real ids of roles are AROA and 17 upper-case characters; this one is the same for the same role.
        let id =
            uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, self.role_arn.as_bytes()).simple().to_string();
        let role_id: String = id.to_uppercase().chars().take(17).collect();
        Written::xml(200, |request_id| {
            format!(
                "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  \
                 <AssumeRoleWithWebIdentityResult>\n    <Audience>{audience}</Audience>\n    <AssumedRoleUser>\n      \
                 <AssumedRoleId>AROA{role_id}:{session_name}</AssumedRoleId>\n      \
                 <Arn>arn:aws:sts::{account}:assumed-role/{role}/{session_name}</Arn>\n    </AssumedRoleUser>\n    \
                 <Provider>arn:aws:iam::{account}:oidc-provider/{provider}</Provider>\n    <Credentials>\n      \
                 <AccessKeyId>{key_id}</AccessKeyId>\n      <SecretAccessKey>{secret}</SecretAccessKey>\n      \
                 <SessionToken>{token}</SessionToken>\n      <Expiration>{expires}</Expiration>\n    </Credentials>\n    \
                 <SubjectFromWebIdentityToken>{subject}</SubjectFromWebIdentityToken>\n  \
                 </AssumeRoleWithWebIdentityResult>\n  <ResponseMetadata>\n    <RequestId>{request_id}</RequestId>\n  \
                 </ResponseMetadata>\n</AssumeRoleWithWebIdentityResponse>\n",
                audience = escaped(&audience),
                role = escaped(role),
                provider = escaped(provider),
                subject = escaped(subject),
                key_id = issued.key_id,
                secret = issued.secret,
                token = issued.token,
            )
        })
    }
}

/// Of `arn:<partition>:iam::<account>:role/<path and name>`: the account, and the name without its path.
fn account_and_role(arn: &str) -> Option<(String, String)> {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    let ["arn", _partition, "iam", "", account, resource] = parts.as_slice() else { return None };
    let role = resource.strip_prefix("role/")?.rsplit('/').next().filter(|role| !role.is_empty())?;
    let digits = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| ((*account).to_owned(), role.to_owned()))
}

fn invalid(member: &str, rule: &str) -> ApiError {
    let error = ApiError::validation(member, rule);
    ApiError { code: "ValidationError".into(), ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roles_arn_tells_the_account_and_the_name_without_its_path() {
        let parts = |account: &str, role: &str| Some((account.to_owned(), role.to_owned()));
        assert_eq!(account_and_role("arn:aws:iam::123456789012:role/r"), parts("123456789012", "r"));
        assert_eq!(account_and_role("arn:aws-cn:iam::123456789012:role/a/b/r"), parts("123456789012", "r"));
        for wrong in [
            "arn:aws:iam::123456789012:user/u",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::12345:role/r",
            "arn:aws:s3:::bucket-with-a-name",
            "role/r",
        ] {
            assert_eq!(account_and_role(wrong), None, "{wrong}");
        }
    }
}
