//! What a registry wants before it answers: a password, or a token of a token server.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http_auth::parser::ChallengeParser;
use reqwest::{
    Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE},
};
use serde::Deserialize;

use crate::{
    credentials::Credentials,
    transport::{Transport, TransportError, authority, failed, good, parse, read},
};

/// Tokens of large clouds have some kilobytes.
const MAX_TOKEN: u64 = 256 << 10;

/// How a registry wants to be convinced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Challenge {
    /// By a name and a password.
    Basic,
    /// By a token of this server.
    Bearer { realm: String, service: Option<String> },
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

impl Challenge {
    /// The first challenge that can be met.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).find_map(|value| {
            ChallengeParser::new(value).map_while(Result::ok).find_map(|challenge| {
                let parameter = |name: &str| {
                    let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.to_unescaped())
                };
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    return Some(Self::Basic);
                }
                if !challenge.scheme.eq_ignore_ascii_case("bearer") {
                    return None;
                }
                Some(Self::Bearer { realm: parameter("realm")?, service: parameter("service") })
            })
        })
    }

    /// The header that meets it; `None` if the credentials are of another kind.
    pub(crate) async fn meet(
        &self,
        transport: &Transport,
        registry: &Url,
        scope: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Option<HeaderValue>, TransportError> {
        match (self, credentials) {
            (Self::Basic, Some(Credentials::Password { user, password })) => Ok(basic(user, password)),
            (Self::Basic, _) => Ok(None),
            (Self::Bearer { .. }, Some(Credentials::Bearer(token))) => Ok(bearer(token)),
            (Self::Bearer { realm, service }, _) => {
                let token = token(transport, registry, realm, service.as_deref(), scope, credentials).await?;
                Ok(bearer(&token))
            }
        }
    }
}

async fn token(
    transport: &Transport,
    registry: &Url,
    realm: &str,
    service: Option<&str>,
    scope: &str,
    credentials: Option<&Credentials>,
) -> Result<String, TransportError> {
    let mut url = parse(realm)?;
    let host = authority(&url);
    let is_plain = url.scheme() == "http" && registry.scheme() == "http" && transport.allows_plain(&host);
    if url.scheme() != "https" && !is_plain {
        return Err(TransportError::Invalid(format!(
            "{} sends to the token server {realm}, which is not https; nothing is sent there",
            authority(registry)
        )));
    }
    let wanted = service.map(|service| ("service", service)).into_iter().chain([("scope", scope)]);
    let request = if let Some(Credentials::Identity(identity)) = credentials {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(wanted).extend_pairs([
            ("grant_type", "refresh_token"),
            ("refresh_token", identity),
            ("client_id", "tollkeeper"),
        ]);
        let body = form.finish();
        transport.client(&url).post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
    } else {
        url.query_pairs_mut().extend_pairs(wanted);
        let request = transport.client(&url).get(url);
        match credentials {
            Some(Credentials::Password { user, password }) => match basic(user, password) {
                Some(header) => request.header(AUTHORIZATION, header),
                None => request,
            },
            _ => request,
        }
    };
    let answer = request.send().await.map_err(|error| failed(&host, &error))?;
    let answer = good(&host, &format!("a token for {scope}"), answer).await?;
    let body = read(&host, "the token", answer, MAX_TOKEN, &|_| {}).await?;
    let token: Token = serde_json::from_slice(&body).map_err(|_| {
        TransportError::Invalid(format!("the token server {host} answers with something that is no token"))
    })?;
    Ok(if token.token.is_empty() { token.access_token } else { token.token })
}

fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    secret(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

fn bearer(token: &str) -> Option<HeaderValue> {
    secret(&format!("Bearer {token}"))
}

/// A header that no log line shows; `None` for what no header can hold.
fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        Challenge::of(&headers)
    }

    #[test]
    fn the_challenges_of_common_registries_are_understood() {
        let docker = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull""#;
        let realm = "https://auth.docker.io/token".to_owned();
        assert_eq!(
            of(&[docker]),
            Some(Challenge::Bearer { realm, service: Some("registry.docker.io".into()) })
        );
        assert_eq!(
            of(&[r#"Basic realm="https://1.dkr.ecr.us-east-1.amazonaws.com/",service="ecr""#]),
            Some(Challenge::Basic)
        );
        assert_eq!(of(&["Negotiate", "Basic realm=x"]), Some(Challenge::Basic));
        assert_eq!(of(&["Bearer service=x"]), None, "a token server that nobody names");
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_token_that_is_no_header_is_not_sent() {
        assert_eq!(bearer("a\r\nX-Evil: 1"), None);
    }
}
