//! A registry that misbehaves, and what real ones do that Debian's does not: tokens, redirects, lists of referrers.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::{COMPONENT, key};
use futures::stream;
use serde_json::{Value, json};
use tollkeeper_core::{
    artifact::{ArtifactRequest, Artifacts as _, PullSecret},
    identity::Digest,
};
use tollkeeper_registry::{Keyring, Layout, Registries, Settings};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

type Answer = Box<dyn Fn(&Request) -> Response + Send>;

/// The path of a request and its credentials.
type Asked = (String, Option<HeaderValue>);

/// Answers by path; everything else is not found. It notes what it was asked, and with which credentials.
#[derive(Clone, Default)]
struct Fake {
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Descriptors of the manifests that were uploaded.
    pushed: Arc<Mutex<Vec<Value>>>,
    host: String,
}

impl Fake {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self { host: listener.local_addr().unwrap().to_string(), ..Self::default() };
        let app = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        fake
    }

    fn on(&self, path: impl Into<String>, answer: impl Fn(&Request) -> Response + Send + 'static) {
        self.answers.lock().unwrap().insert(path.into(), Box::new(answer));
    }

    /// An artifact at `meter:1`, with this descriptor of its component.
    fn artifact(&self, size: usize, digest: &str) -> Digest {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.wasm.config.v0+json", "digest": Digest::of(b"{}"), "size": 2},
            "layers": [{"mediaType": "application/wasm", "digest": digest, "size": size}],
        });
        self.bytes("/v2/meter/manifests/1", manifest.to_string().into_bytes());
        Digest::of(manifest.to_string().as_bytes())
    }

    fn good_artifact(&self) -> Digest {
        self.bytes(self.blob(), COMPONENT.to_vec());
        self.artifact(COMPONENT.len(), Digest::of(COMPONENT).as_str())
    }

    fn bytes(&self, path: impl Into<String>, bytes: Vec<u8>) {
        self.on(path, move |_| Response::new(Body::from(bytes.clone())));
    }

    fn blob(&self) -> String {
        format!("/v2/meter/blobs/{}", Digest::of(COMPONENT))
    }

    fn request(&self) -> ArtifactRequest {
        ArtifactRequest {
            reference: format!("{}/meter:1", self.host),
            digest: Digest::of(COMPONENT),
            max_component: u64::MAX,
            signer: None,
            pull_secrets: Vec::new(),
        }
    }

    async fn pull(&self) -> Result<Vec<u8>, &'static str> {
        self.pull_with(Settings::default()).await
    }

    async fn pull_with(&self, settings: Settings) -> Result<Vec<u8>, &'static str> {
        let registries = Registries::new(settings).unwrap();
        registries.component(&self.request()).await.map_err(|failure| failure.reason())
    }

    /// Keeps an upload, so that it can be read again.
    async fn store(&self, upload: Request) -> Response {
        let uri = upload.uri().clone();
        let bytes = axum::body::to_bytes(upload.into_body(), 1 << 20).await.unwrap().to_vec();
        let (digest, size) = (Digest::of(&bytes), bytes.len());
        if uri.path() == "/upload" {
            let asked = format!("state=1&digest={}", digest.as_str().replace(':', "%3A"));
            assert_eq!(uri.query(), Some(asked.as_str()));
            self.bytes(format!("/v2/meter/blobs/{digest}"), bytes);
        } else {
            self.bytes(uri.path(), bytes);
            self.pushed.lock().unwrap().push(json!({"mediaType": MANIFEST, "digest": digest, "size": size}));
        }
        let mut stored = status(StatusCode::CREATED);
        stored.headers_mut().insert("oci-subject", HeaderValue::from_static("sha256:0"));
        stored
    }

    /// The credentials of every request for a path.
    fn credentials(&self, path: &str) -> Vec<Option<String>> {
        let asked = self.asked.lock().unwrap();
        let of_path = asked.iter().filter(|(asked, _)| asked == path);
        of_path.map(|(_, header)| header.as_ref().map(|value| value.to_str().unwrap().to_owned())).collect()
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    fake.asked.lock().unwrap().push((path.clone(), request.headers().get("authorization").cloned()));
    if request.method() == Method::PUT {
        return fake.store(request).await;
    }
    let answers = fake.answers.lock().unwrap();
    answers.get(&path).map_or_else(|| status(StatusCode::NOT_FOUND), |answer| answer(&request))
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A body whose length nobody says.
fn unmeasured(pieces: Vec<Result<Bytes, std::io::Error>>) -> Response {
    Response::new(Body::from_stream(stream::iter(pieces)))
}

#[tokio::test]
async fn a_registry_that_behaves_serves_the_component() {
    let fake = Fake::start().await;
    fake.good_artifact();
    assert_eq!(fake.pull().await.as_deref(), Ok(COMPONENT));
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_it() {
    let fake = Fake::start().await;
    let endless = || {
        Response::new(Body::from_stream(stream::repeat_with(|| {
            Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1 << 16]))
        })))
    };
    fake.on("/v2/meter/manifests/1", move |_| endless());
    assert_eq!(fake.pull().await, Err("PullTooLarge"), "a manifest");
    fake.good_artifact();
    fake.on(fake.blob(), move |_| endless());
    assert_eq!(fake.pull().await, Err("LayerSwapped"), "a component: its manifest named another length");
}

#[tokio::test]
async fn half_of_a_component_is_never_used() {
    let fake = Fake::start().await;
    fake.good_artifact();
    let half = COMPONENT.get(..20).unwrap();
    fake.on(fake.blob(), move |_| {
        unmeasured(vec![Ok(Bytes::from_static(half)), Err(std::io::Error::other("broken"))])
    });
    assert_eq!(fake.pull().await, Err("RegistryUnavailable"), "a connection that broke");
    fake.on(fake.blob(), move |_| unmeasured(vec![Ok(Bytes::from_static(half))]));
    assert_eq!(fake.pull().await, Err("LayerSwapped"), "an answer that ends early");
}

#[tokio::test]
async fn what_a_registry_says_becomes_a_reason() {
    let fake = Fake::start().await;
    for (code, reason) in [
        (StatusCode::UNAUTHORIZED, "PullUnauthorized"),
        (StatusCode::FORBIDDEN, "PullUnauthorized"),
        (StatusCode::NOT_FOUND, "PullNotFound"),
        (StatusCode::TOO_MANY_REQUESTS, "RegistryUnavailable"),
        (StatusCode::INTERNAL_SERVER_ERROR, "RegistryUnavailable"),
        (StatusCode::BAD_REQUEST, "PullRefused"),
    ] {
        fake.on("/v2/meter/manifests/1", move |_| status(code));
        assert_eq!(fake.pull().await, Err(reason), "{code}");
    }
    fake.bytes("/v2/meter/manifests/1", b"<html>".to_vec());
    assert_eq!(fake.pull().await, Err("InvalidArtifact"));
    fake.artifact(3, "sha256:../../secret");
    let other = Err("TagMoved");
    assert_eq!(fake.pull().await, other, "a digest that is none is not the component's");
}

#[tokio::test]
async fn another_manifest_than_the_pinned_one_is_refused() {
    let fake = Fake::start().await;
    let digest = fake.good_artifact();
    fake.bytes(format!("/v2/meter/manifests/{digest}"), b"{}".to_vec());
    let mut request = fake.request();
    request.reference = format!("{}/meter@{digest}", fake.host);
    let failure = Registries::new(Settings::default()).unwrap().component(&request).await.unwrap_err();
    assert_eq!(failure.reason(), "DigestMismatch", "{failure}");
}

#[tokio::test]
async fn a_registry_that_says_nothing_is_given_up() {
    let fake = Fake::start().await;
    fake.good_artifact();
    fake.on(fake.blob(), |_| {
        Response::new(Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()))
    });
    let settings = Settings { total: Duration::from_millis(300), ..Settings::default() };
    assert_eq!(fake.pull_with(settings).await, Err("RegistryUnavailable"));
}

#[tokio::test]
async fn a_token_is_fetched_with_the_password_and_used_without_it() {
    let fake = Fake::start().await;
    fake.good_artifact();
    let guarded = |fake: &Fake, path: String, bytes: Vec<u8>| {
        let realm = format!("http://{}/token", fake.host);
        fake.on(path, move |request| {
            if request.headers().get("authorization").is_some_and(|value| value == "Bearer t0ken") {
                return Response::new(Body::from(bytes.clone()));
            }
            let mut refused = status(StatusCode::UNAUTHORIZED);
            let challenge = format!(r#"Bearer realm="{realm}",service="the registry""#);
            refused.headers_mut().insert("www-authenticate", challenge.parse().unwrap());
            refused
        });
    };
    let manifest = json!({
        "schemaVersion": 2,
        "config": {"digest": Digest::of(b"{}"), "size": 2},
        "layers": [{"mediaType": "application/wasm", "digest": Digest::of(COMPONENT), "size": COMPONENT.len()}],
    });
    guarded(&fake, "/v2/meter/manifests/1".into(), manifest.to_string().into_bytes());
    guarded(&fake, fake.blob(), COMPONENT.to_vec());
    fake.on("/token", |request| {
        let query = request.uri().query().unwrap_or_default();
        assert_eq!(query, "service=the+registry&scope=repository%3Ameter%3Apull");
        Response::new(Body::from(json!({"token": "t0ken"}).to_string()))
    });
    let mut request = fake.request();
    let auths = json!({"auths": {&fake.host: {"auth": STANDARD.encode("AWS:pass")}}});
    request
        .pull_secrets
        .push(PullSecret { name: "ecr".into(), docker_config: auths.to_string().into_bytes() });
    let registries = Registries::new(Settings::default()).unwrap();
    assert_eq!(registries.component(&request).await.as_deref(), Ok(COMPONENT));
    let basic = Some(format!("Basic {}", STANDARD.encode("AWS:pass")));
    assert_eq!(fake.credentials("/token"), [basic], "once");
    assert_eq!(fake.credentials(&fake.blob()), [Some("Bearer t0ken".to_owned())]);
}

#[tokio::test]
async fn a_password_does_not_go_to_a_token_server_without_tls() {
    let fake = Fake::start().await;
    fake.on("/v2/meter/manifests/1", |_| {
        let mut refused = status(StatusCode::UNAUTHORIZED);
        let challenge = HeaderValue::from_static(r#"Bearer realm="http://tokens.example.com/token""#);
        refused.headers_mut().insert("www-authenticate", challenge);
        refused
    });
    assert_eq!(fake.pull().await, Err("InvalidArtifact"));
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect_to_another_host() {
    let (fake, storage) = (Fake::start().await, Fake::start().await);
    fake.good_artifact();
    storage.bytes("/storage", COMPONENT.to_vec());
    let (place, needs) = (format!("http://{}/storage", storage.host), "Basic realm=x");
    let digest = Digest::of(COMPONENT);
    fake.on(format!("/v2/meter/blobs/{digest}"), move |request| {
        let mut answer = status(StatusCode::TEMPORARY_REDIRECT);
        if request.headers().get("authorization").is_none() {
            answer = status(StatusCode::UNAUTHORIZED);
            answer.headers_mut().insert("www-authenticate", HeaderValue::from_static(needs));
        }
        answer.headers_mut().insert("location", place.parse().unwrap());
        answer
    });
    let mut request = fake.request();
    let auths = json!({"auths": {&fake.host: {"auth": STANDARD.encode("a:b")}}});
    request.pull_secrets.push(PullSecret { name: "a".into(), docker_config: auths.to_string().into_bytes() });
    let registries = Registries::new(Settings::default()).unwrap();
    assert_eq!(registries.component(&request).await.as_deref(), Ok(COMPONENT));
    assert_eq!(storage.credentials("/storage"), [None]);
}

#[tokio::test]
async fn a_redirect_to_plain_http_elsewhere_is_not_followed() {
    let fake = Fake::start().await;
    fake.good_artifact();
    fake.on(fake.blob(), |_| {
        let mut answer = status(StatusCode::TEMPORARY_REDIRECT);
        answer.headers_mut().insert("location", HeaderValue::from_static("http://storage.example.com/blob"));
        answer
    });
    assert_eq!(fake.pull().await, Err("RegistryUnavailable"));
}

/// A registry with a list of referrers of its own, as the distribution specification 1.1 has it.
#[tokio::test]
async fn a_signature_that_the_registry_lists_itself_is_found() {
    let fake = Fake::start().await;
    let subject = fake.good_artifact();
    fake.on("/v2/meter/blobs/uploads/", |_| {
        let mut begun = status(StatusCode::ACCEPTED);
        begun.headers_mut().insert("location", HeaderValue::from_static("/upload?state=1"));
        begun
    });
    let listed = fake.pushed.clone();
    fake.on(format!("/v2/meter/referrers/{subject}"), move |_| {
        let manifests = listed.lock().unwrap().clone();
        Response::new(Body::from(json!({"schemaVersion": 2, "manifests": manifests}).to_string()))
    });
    let (signing, public) = key();
    let registries = Registries::new(Settings::default()).unwrap();
    let reference = format!("{}/meter:1", fake.host).parse().unwrap();
    registries.sign(&reference, &Keyring::default(), &signing, &[Layout::Referrer]).await.unwrap();
    let found = registries.find(&reference, &Keyring::default()).await.unwrap();
    assert_eq!(found.verify(&public).await.unwrap().layout, Layout::Referrer);
    let tag = format!("/v2/meter/manifests/{}", subject.as_str().replace(':', "-"));
    assert!(fake.credentials(&tag).is_empty(), "no tag stands in for the list");
}
