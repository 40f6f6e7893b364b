//! Requests to registries: time-outs, limits, certificates, redirects, and when plain HTTP is allowed.

use std::{collections::BTreeSet, error::Error as _, sync::Arc, time::Duration};

use futures::StreamExt as _;
use reqwest::{
    Certificate, Client, Response, StatusCode, Url,
    redirect::{Action, Attempt, Policy},
};

use crate::names::is_loopback;

/// Opening a connection. A lost SYN packet is sent again after 1, 3 and 7 s; what has not answered by then is away.
const CONNECT: Duration = Duration::from_secs(8);

/// Between two pieces of an answer. A registry that says nothing for so long will not.
const SILENCE: Duration = Duration::from_secs(20);

/// Registries send blobs from a storage of theirs, some by way of a cache.
const REDIRECTS: usize = 5;

/// What an error says is read as far as a person would.
const MAX_ERROR: usize = 8 << 10;

/// How registries are reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Registries, as `host:port`, that may be spoken to in plain HTTP. Those of the loopback interface always may.
    pub plain: BTreeSet<String>,
    /// Certificates in PEM of authorities that are trusted besides those of the system.
    pub authorities: Option<Vec<u8>>,
    /// The largest component in bytes.
    pub max_component: u64,
    /// The longest that a pull may take, all of it.
    pub total: Duration,
}

impl Default for Settings {
    /// 32 MiB, as `plugins.md` of the design allows at most; 60 s bring them at 0.6 MB/s, and leave a reconciliation time.
    fn default() -> Self {
        Self {
            plain: BTreeSet::new(),
            authorities: None,
            max_component: 32 << 20,
            total: Duration::from_secs(60),
        }
    }
}

/// Why a registry did not do what it was asked for.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum TransportError {
    /// It wants other credentials, or any.
    #[error("{0}")]
    Unauthorized(String),
    /// It has no such thing.
    #[error("{0}")]
    NotFound(String),
    /// It sends more than it may.
    #[error("{0}")]
    TooLarge(String),
    /// Its certificate is not trusted.
    #[error("{0}")]
    Untrusted(String),
    /// It does not answer, or says to come back.
    #[error("{0}")]
    Unavailable(String),
    /// It will not do it.
    #[error("{0}")]
    Refused(String),
    /// Its answer makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// It was not even asked: a setting or a key cannot be used.
    #[error("{0}")]
    Unable(String),
}

/// HTTP clients that every registry is reached with.
#[derive(Debug)]
pub(crate) struct Transport {
    /// Honours the proxies of the environment.
    outward: Client,
    /// No proxy reaches the loopback interface.
    loopback: Client,
    plain: Arc<BTreeSet<String>>,
}

impl Transport {
    pub(crate) fn new(settings: &Settings) -> Result<Self, TransportError> {
        let plain = Arc::new(settings.plain.clone());
        let authorities = match &settings.authorities {
            Some(pem) => Certificate::from_pem_bundle(pem).map_err(|error| {
                TransportError::Unable(format!("the certificates of --registry-ca: {error}"))
            })?,
            None => Vec::new(),
        };
        let base = || {
            let plain = Arc::clone(&plain);
            Client::builder()
                .user_agent(concat!("tollkeeper/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT)
                .read_timeout(SILENCE)
                .redirect(Policy::custom(move |attempt| redirect(attempt, &plain)))
                .referer(false)
        };
        let trusting = || base().tls_certs_merge(authorities.clone());
        let unable = |error| TransportError::Unable(format!("the HTTP client: {}", cause(&error)));
        let (outward, loopback) = match trusting().build() {
            Ok(outward) => (outward, trusting().no_proxy().build().map_err(unable)?),
            Err(error) => {
                tracing::warn!(
                    error = %cause(&error),
                    "no CA certificates of the system: registries are trusted by --registry-ca only"
                );
                let trusting = || base().tls_certs_only(authorities.clone());
                let outward = trusting().build().map_err(unable)?;
                (outward, trusting().no_proxy().build().map_err(unable)?)
            }
        };
        Ok(Self { outward, loopback, plain })
    }

    /// The client for an address.
    pub(crate) fn client(&self, url: &Url) -> &Client {
        if is_loopback(authority(url).as_str()) { &self.loopback } else { &self.outward }
    }

    /// Whether credentials and artifacts may go to this registry in plain HTTP.
    pub(crate) fn allows_plain(&self, host: &str) -> bool {
        allows_plain(host, &self.plain)
    }

    /// How a registry is spoken to: by TLS, unless it may be plain HTTP and does not speak TLS.
    pub(crate) async fn scheme(&self, host: &str) -> Result<&'static str, TransportError> {
        if !self.allows_plain(host) {
            return Ok("https");
        }
        let url = parse(&format!("https://{host}/v2/"))?;
        match self.client(&url).get(url).send().await {
            Ok(_) => Ok("https"),
            Err(error) => match failed(host, &error) {
                untrusted @ TransportError::Untrusted(_) => Err(untrusted),
                _ => Ok("http"),
            },
        }
    }
}

fn allows_plain(host: &str, named: &BTreeSet<String>) -> bool {
    is_loopback(host) || named.contains(host)
}

/// A redirect never leads from TLS to plain HTTP. reqwest takes credentials off where it leads to another host.
fn redirect(attempt: Attempt<'_>, plain: &BTreeSet<String>) -> Action {
    let began_plain = attempt.previous().first().is_some_and(|first| first.scheme() == "http");
    let is_safe = match attempt.url().scheme() {
        "https" => true,
        "http" => began_plain && allows_plain(&authority(attempt.url()), plain),
        _ => false,
    };
    if !is_safe {
        attempt.error("it redirects to plain HTTP, which is not followed")
    } else if attempt.previous().len() > REDIRECTS {
        attempt.error(format!("it redirects more than {REDIRECTS} times"))
    } else {
        attempt.follow()
    }
}

/// `host[:port]` of an address, as references have it.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

pub(crate) fn parse(url: &str) -> Result<Url, TransportError> {
    Url::parse(url).map_err(|error| TransportError::Invalid(format!("{url} is no address: {error}")))
}

/// What an error of the HTTP client means.
pub(crate) fn failed(host: &str, error: &reqwest::Error) -> TransportError {
    let cause = cause(error);
    if is_about_certificates(error) {
        return TransportError::Untrusted(format!(
            "the certificate of {host} is not trusted ({cause}); name its authority with --registry-ca"
        ));
    }
    let what = if error.is_timeout() { "did not answer in time" } else { "cannot be reached" };
    TransportError::Unavailable(format!("the registry {host} {what}: {cause}"))
}

/// The innermost cause: the outer ones only say that a request failed.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// rustls's errors are not part of reqwest's interface, but all that concern certificates say so.
fn is_about_certificates(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(inner) = source {
        if inner.to_string().contains("invalid peer certificate") {
            return true;
        }
        source = inner.source();
    }
    false
}

/// Reads an answer, though not more than `limit` bytes of it; `seen` is told how many there are.
pub(crate) async fn read(
    host: &str,
    what: &str,
    response: Response,
    limit: u64,
    seen: &(dyn Fn(u64) + Sync),
) -> Result<Vec<u8>, TransportError> {
    let too_large = || {
        TransportError::TooLarge(format!("{what} from {host} has more than {limit} bytes; it is not read"))
    };
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| failed(host, &error))?;
        if (body.len() + piece.len()) as u64 > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&piece);
        seen(body.len() as u64);
    }
    Ok(body)
}

/// The answer if it is a good one, else what it means. `what` names what was asked for.
pub(crate) async fn good(host: &str, what: &str, response: Response) -> Result<Response, TransportError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let said = said(response).await;
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => TransportError::Unauthorized(format!(
            "{host} does not give access to {what} ({status}{said}); check the credentials and that they may do this"
        )),
        StatusCode::NOT_FOUND => TransportError::NotFound(format!("{host} has no {what} ({status}{said})")),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
            TransportError::Unavailable(format!("{host} asks to wait ({status}{said})"))
        }
        _ if status.is_server_error() => {
            TransportError::Unavailable(format!("{host} fails ({status}{said})"))
        }
        _ => TransportError::Refused(format!("{host} refuses {what} ({status}{said})")),
    })
}

/// What an error's body says: the messages of the specification's error format, or nothing.
async fn said(response: Response) -> String {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<OneError>,
    }
    #[derive(serde::Deserialize)]
    struct OneError {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let Ok(body) = read("", "", response, MAX_ERROR as u64, &|_| {}).await else { return String::new() };
    let Ok(errors) = serde_json::from_slice::<Errors>(&body) else { return String::new() };
    let Some(first) = errors.errors.into_iter().next() else { return String::new() };
    let text = if first.message.is_empty() { first.code } else { first.message };
    let text: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    if text.is_empty() { text } else { format!(": {text}") }
}
