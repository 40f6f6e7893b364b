//! The HTTP clients of the collection: which connections they make, which redirects they follow, how much of
//! an answer they read.

use std::net::IpAddr;

use futures::StreamExt as _;
use reqwest::{
    Client, RequestBuilder, Response, Url,
    redirect::{Action, Attempt, Policy},
};

use super::{
    limits::{Limits, bytes},
    trouble,
};

/// `/metrics` to `/metrics/` and a move on the same host need one or two.
const REDIRECTS: usize = 5;

/// The HTTP clients: pods and services are reached in different ways.
#[derive(Clone, Debug)]
pub struct Clients {
    /// For pods: never through a proxy, and always a new connection, because another pod may have got the
    /// address since the last tick.
    pub(super) pods: Client,
    /// For Prometheus servers and documents: proxies of the environment (`HTTPS_PROXY`, `NO_PROXY`) are honoured.
    services: Client,
    /// For those on the loopback interface, which no proxy reaches; Go's HTTP client makes the same exception.
    loopback: Client,
}

impl Clients {
    /// Builds the clients. Servers of https addresses are verified by the CA certificates of the system; if
    /// there are none, https does not work and everything else does.
    ///
    /// # Errors
    /// If the system offers no TLS or resolver configuration at all.
    pub fn new(limits: &Limits) -> Result<Self, reqwest::Error> {
        let base = || {
            Client::builder()
                .user_agent(concat!("tollkeeper/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(limits.connect)
                .redirect(Policy::custom(same_host))
                .referer(false)
        };
        // Pods are scraped without TLS, so no certificates are loaded for them.
        let pods = base().no_proxy().pool_max_idle_per_host(0).tls_certs_only([]).build()?;
        let (services, loopback) = match base().build() {
            Ok(services) => (services, base().no_proxy().build()?),
            Err(error) => {
                tracing::warn!(
                    error = %trouble::cause(&error),
                    "no CA certificates: inputs with https addresses cannot be read"
                );
                let base = || base().tls_certs_only([]);
                (base().build()?, base().no_proxy().build()?)
            }
        };
        Ok(Self { pods, services, loopback })
    }

    /// A GET request to a Prometheus server or for a document.
    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_loopback = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        if is_loopback { self.loopback.get(url) } else { self.services.get(url) }
    }
}

fn same_host(attempt: Attempt<'_>) -> Action {
    let to = attempt.url();
    let stays = attempt.previous().first().is_some_and(|from| {
        from.host() == to.host() && (from.scheme() == to.scheme() || to.scheme() == "https")
    });
    if !stays {
        attempt.error("it redirects to another host, which is not followed")
    } else if attempt.previous().len() > REDIRECTS {
        attempt.error(format!("it redirects more than {REDIRECTS} times"))
    } else {
        attempt.follow()
    }
}

/// The address that an input declares.
pub(super) fn address(url: &str) -> Result<Url, String> {
    let parsed = Url::parse(url).map_err(|error| format!("its url is not valid: {error}"))?;
    match (parsed.scheme(), parsed.has_host()) {
        ("http" | "https", true) => Ok(parsed),
        _ => Err("its url is no http or https address".to_owned()),
    }
}

/// An address without what may be secret: credentials and the query.
pub(super) fn place(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// Sends a request; any status.
pub(super) async fn send(request: RequestBuilder) -> Result<Response, String> {
    request.send().await.map_err(trouble::http)
}

/// Fails unless the status says success.
pub(super) fn succeeded(response: Response) -> Result<Response, String> {
    if response.status().is_success() { Ok(response) } else { Err(status(&response)) }
}

/// The status of an answer in words.
pub(super) fn status(response: &Response) -> String {
    format!("it answered {}", response.status())
}

/// Reads the body in chunks, but not more than `limit` bytes of it.
pub(super) async fn chunks(
    response: Response,
    limit: usize,
    mut each: impl FnMut(&[u8]) -> Result<(), String> + Send,
) -> Result<(), String> {
    let too_large = || format!("its answer exceeds {}", bytes(limit));
    let announced = response.content_length().unwrap_or_default();
    if usize::try_from(announced).map_or(true, |announced| announced > limit) {
        return Err(too_large());
    }
    let mut read = 0_usize;
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| format!("its answer broke off: {}", trouble::http(error)))?;
        read = read.saturating_add(chunk.len());
        if read > limit {
            return Err(too_large());
        }
        each(&chunk)?;
    }
    Ok(())
}

/// The whole body as text, if it has not more than `limit` bytes.
pub(super) async fn text(response: Response, limit: usize) -> Result<String, String> {
    let mut body = Vec::new();
    chunks(response, limit, |chunk| {
        body.extend_from_slice(chunk);
        Ok(())
    })
    .await?;
    String::from_utf8(body).map_err(|_| "its answer is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_credentials_and_query() {
        let url = address("https://me:secret@example.org:8443/usage?token=secret#part").unwrap();
        assert_eq!(place(&url), "https://example.org:8443/usage");
        assert_eq!(place(&address("http://[::1]/").unwrap()), "http://[::1]/");
    }

    #[test]
    fn only_http_and_https_addresses_are_read() {
        for wrong in ["", "prometheus:9090", "file:///etc/passwd", "ftp://host/", "http://", "/usage"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
