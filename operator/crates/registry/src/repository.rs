//! One repository of a registry, as one caller sees it: its manifests and blobs.

use std::sync::{Arc, Mutex, PoisonError};

use reqwest::{
    Method, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION},
};
use tollkeeper_core::identity::Digest;

use crate::{
    challenge::Challenge,
    credentials::Credentials,
    manifest::{ARTIFACT_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, INDEX, Index},
    reference::Reference,
    transport::{Transport, TransportError, authority, failed, good, parse, read},
};

/// A manifest of a plugin has a kilobyte, an index of signatures some; registries have to take 4 MiB (distribution
/// specification, "Pushing manifests").
pub(crate) const MAX_MANIFEST: u64 = 4 << 20;

/// What a caller wants to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    Pull,
    Push,
}

/// A repository, and what its registry was convinced by.
pub(crate) struct Repository {
    transport: Arc<Transport>,
    /// Ends with a slash.
    base: Url,
    reference: Reference,
    access: Access,
    credentials: Option<Credentials>,
    authorization: Mutex<Option<HeaderValue>>,
}

/// A request, so that it can be sent again with credentials.
struct Request<'a> {
    method: Method,
    url: Url,
    headers: Vec<(reqwest::header::HeaderName, &'a str)>,
    body: Option<Vec<u8>>,
}

impl Repository {
    pub(crate) async fn open(
        transport: Arc<Transport>,
        reference: &Reference,
        access: Access,
        credentials: Option<Credentials>,
    ) -> Result<Self, TransportError> {
        // The name of Docker Hub is not that of its registry.
        let host = if reference.host() == "docker.io" { "registry-1.docker.io" } else { reference.host() };
        let scheme = transport.scheme(host).await?;
        let base = parse(&format!("{scheme}://{host}/v2/{}/", reference.repository()))?;
        let (reference, authorization) = (reference.clone(), Mutex::default());
        Ok(Self { transport, base, reference, access, credentials, authorization })
    }

    pub(crate) fn reference(&self) -> &Reference {
        &self.reference
    }

    fn host(&self) -> &str {
        self.reference.host()
    }

    fn at(&self, path: &str) -> Result<Url, TransportError> {
        parse(&format!("{}{path}", self.base))
    }

    /// The bytes of a manifest, by tag or digest.
    pub(crate) async fn manifest(&self, wanted: &str) -> Result<Vec<u8>, TransportError> {
        let accept = [ARTIFACT_MANIFEST, DOCKER_MANIFEST, INDEX, DOCKER_INDEX].join(", ");
        let what = format!("{}:{wanted}", self.reference.repository());
        let url = self.at(&format!("manifests/{wanted}"))?;
        let headers = vec![(ACCEPT, accept.as_str())];
        let answer = self.send(&Request { method: Method::GET, url, headers, body: None }).await?;
        let answer = good(self.host(), &what, answer).await?;
        read(self.host(), &format!("the manifest of {what}"), answer, MAX_MANIFEST, &|_| {}).await
    }

    /// The bytes of a blob, at most as many as its descriptor says. They are not compared with its digest.
    pub(crate) async fn blob(
        &self,
        descriptor: &Descriptor,
        seen: &(dyn Fn(u64) + Sync),
    ) -> Result<Vec<u8>, TransportError> {
        let what = format!("blob {} of {}", descriptor.digest, self.reference.repository());
        let url = self.at(&format!("blobs/{}", self.digest(&descriptor.digest)?))?;
        let answer = self.send(&Request { method: Method::GET, url, headers: vec![], body: None }).await?;
        let answer = good(self.host(), &what, answer).await?;
        read(self.host(), &what, answer, descriptor.size, seen).await
    }

    /// What says something about a manifest: by the registry's list, or by the tag that stands in for it (distribution
    /// specification, "Referrers tag schema").
    pub(crate) async fn referrers(&self, digest: &Digest, kind: &str) -> Result<Index, TransportError> {
        let mut url = self.at(&format!("referrers/{digest}"))?;
        url.query_pairs_mut().append_pair("artifactType", kind);
        let headers = vec![(ACCEPT, INDEX)];
        let answer = self.send(&Request { method: Method::GET, url, headers, body: None }).await?;
        let index = if matches!(answer.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            self.referrers_by_tag(digest).await?
        } else {
            let what = format!("list of what refers to {digest}");
            let answer = good(self.host(), &what, answer).await?;
            let body = read(self.host(), &what, answer, MAX_MANIFEST, &|_| {}).await?;
            self.index(&body)?
        };
        Ok(index)
    }

    /// The index at the tag that stands in for the registry's list; an empty one if there is none.
    pub(crate) async fn referrers_by_tag(&self, digest: &Digest) -> Result<Index, TransportError> {
        match self.manifest(&referrers_tag(digest)).await {
            Ok(body) => self.index(&body),
            Err(TransportError::NotFound(_)) => Ok(Index::of(Vec::new())),
            Err(error) => Err(error),
        }
    }

    fn index(&self, body: &[u8]) -> Result<Index, TransportError> {
        serde_json::from_slice(body).map_err(|error| {
            TransportError::Invalid(format!("{}: a list of manifests is malformed: {error}", self.reference))
        })
    }

    /// Uploads a blob unless it is there.
    pub(crate) async fn push_blob(&self, bytes: &[u8]) -> Result<(), TransportError> {
        let digest = Digest::of(bytes);
        let url = self.at(&format!("blobs/{digest}"))?;
        let there = self.send(&Request { method: Method::HEAD, url, headers: vec![], body: None }).await?;
        if there.status().is_success() {
            return Ok(());
        }
        let what = format!("upload to {}", self.reference.repository());
        let (url, headers) = (self.at("blobs/uploads/")?, vec![(CONTENT_LENGTH, "0")]);
        let begun = self.send(&Request { method: Method::POST, url, headers, body: None }).await?;
        let begun = good(self.host(), &what, begun).await?;
        let place = begun.headers().get(LOCATION).and_then(|place| place.to_str().ok()).ok_or_else(|| {
            TransportError::Invalid(format!("{} does not say where to upload", self.host()))
        })?;
        let mut url = self
            .base
            .join(place)
            .map_err(|_| TransportError::Invalid(format!("{} names no address to upload to", self.host())))?;
        if url.scheme() != self.base.scheme() && url.scheme() != "https" {
            return Err(TransportError::Invalid(format!(
                "{} sends an upload to plain HTTP; nothing is sent there",
                self.host()
            )));
        }
        url.query_pairs_mut().append_pair("digest", digest.as_str());
        let headers = vec![(CONTENT_TYPE, "application/octet-stream")];
        let done =
            self.send(&Request { method: Method::PUT, url, headers, body: Some(bytes.to_vec()) }).await?;
        good(self.host(), &what, done).await.map(drop)
    }

    /// Uploads a manifest; whether the registry itself lists what it refers to.
    pub(crate) async fn push_manifest(
        &self,
        wanted: &str,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> Result<bool, TransportError> {
        let what = format!("upload of {}:{wanted}", self.reference.repository());
        let url = self.at(&format!("manifests/{wanted}"))?;
        let headers = vec![(CONTENT_TYPE, media_type)];
        let done = self.send(&Request { method: Method::PUT, url, headers, body: Some(bytes) }).await?;
        let done = good(self.host(), &what, done).await?;
        Ok(done.headers().contains_key("oci-subject"))
    }

    /// Sends a request, once more with credentials if the registry wants some.
    async fn send(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let authorization = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answer = self.once(request, authorization).await?;
        if answer.status() != StatusCode::UNAUTHORIZED || !self.is_home(&request.url) {
            return Ok(answer);
        }
        let Some(challenge) = Challenge::of(answer.headers()) else { return Ok(answer) };
        let actions = if self.access == Access::Push { "pull,push" } else { "pull" };
        let scope = format!("repository:{}:{actions}", self.reference.repository());
        let met = challenge.meet(&self.transport, &self.base, &scope, self.credentials.as_ref()).await?;
        let Some(authorization) = met else { return Ok(answer) };
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(authorization.clone());
        self.once(request, Some(authorization)).await
    }

    async fn once(
        &self,
        request: &Request<'_>,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, TransportError> {
        let client = self.transport.client(&request.url);
        let mut builder = client.request(request.method.clone(), request.url.clone());
        for (name, value) in &request.headers {
            builder = builder.header(name, *value);
        }
        if let Some(authorization) = authorization.filter(|_| self.is_home(&request.url)) {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        builder.send().await.map_err(|error| failed(&authority(&request.url), &error))
    }

    /// Credentials go nowhere else: an upload may lead to a storage of somebody else.
    fn is_home(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    fn digest(&self, text: &str) -> Result<Digest, TransportError> {
        text.parse().map_err(|_| {
            TransportError::Invalid(format!(
                "{}: `{}` is no SHA-256 digest",
                self.reference,
                text.chars().take(80).collect::<String>()
            ))
        })
    }
}

/// The tag that stands in for a list of referrers.
pub(crate) fn referrers_tag(digest: &Digest) -> String {
    digest.as_str().replacen(':', "-", 1)
}
