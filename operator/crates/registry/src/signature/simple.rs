//! Signatures at the tag `sha256-<digest>.sig`: one layer each, a payload of "simple signing" with the signature beside it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::json;
use tollkeeper_core::identity::Digest;

use super::{MAX_SIGNATURES, Subject, Verdict};
use crate::{
    manifest::{ARTIFACT_MANIFEST, Descriptor, IMAGE_CONFIG, Manifest},
    repository::{Repository, referrers_tag},
    signature::key::{PublicKey, SigningKey},
    transport::TransportError,
};

/// A payload, as containers/image specified it and cosign uses it.
const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Where the signature of a payload is.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// What a payload is about, in its own words.
const KIND: &str = "cosign container image signature";
/// A payload names a repository and a digest, and perhaps some words of the signer.
const MAX_PAYLOAD: u64 = 64 << 10;

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    #[serde(rename = "type")]
    kind: String,
    image: Image,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// Where the signatures of a manifest are.
pub(super) fn tag(digest: &Digest) -> String {
    format!("{}.sig", referrers_tag(digest))
}

/// The manifest that carries the signatures, if there is one.
async fn carrier(repository: &Repository, digest: &Digest) -> Result<Option<Manifest>, TransportError> {
    match repository.manifest(&tag(digest)).await {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            TransportError::Invalid(format!(
                "{}:{} is malformed: {error}",
                repository.reference().name(),
                tag(digest)
            ))
        }),
        Err(TransportError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Layers with a signature in them.
pub(super) async fn places(
    repository: &Repository,
    digest: &Digest,
) -> Result<Vec<Descriptor>, TransportError> {
    let layers = carrier(repository, digest).await?.map(|manifest| manifest.layers).unwrap_or_default();
    Ok(layers.into_iter().filter(is_signed).collect())
}

fn is_signed(layer: &Descriptor) -> bool {
    layer.media_type == PAYLOAD && layer.annotations.get(SIGNATURE).is_some_and(|text| !text.is_empty())
}

pub(super) async fn verdicts(
    repository: &Repository,
    subject: Subject<'_>,
    key: &PublicKey,
) -> Result<Vec<Verdict>, TransportError> {
    let Some(carrier) = carrier(repository, subject.digest).await? else { return Ok(Vec::new()) };
    let mut verdicts = vec![Verdict::Stripped];
    for layer in carrier.layers.iter().filter(|layer| is_signed(layer)).take(MAX_SIGNATURES) {
        verdicts.push(verdict(repository, subject.digest, layer, key).await?);
    }
    Ok(verdicts)
}

async fn verdict(
    repository: &Repository,
    digest: &Digest,
    layer: &Descriptor,
    key: &PublicKey,
) -> Result<Verdict, TransportError> {
    let signature = layer.annotations.get(SIGNATURE).and_then(|text| STANDARD.decode(text).ok());
    let Some(signature) = signature.filter(|_| layer.size <= MAX_PAYLOAD) else {
        return Ok(Verdict::Foreign);
    };
    let payload = match repository.blob(layer, &|_| {}).await {
        Ok(payload) => payload,
        // A signature without its payload is none.
        Err(TransportError::NotFound(_) | TransportError::TooLarge(_)) => return Ok(Verdict::Stripped),
        Err(error) => return Err(error),
    };
    if !key.verifies(&payload, &signature) {
        return Ok(Verdict::Foreign);
    }
    let is_about_it = serde_json::from_slice::<Payload>(&payload).is_ok_and(|payload| {
        payload.critical.kind == KIND && payload.critical.image.digest == digest.as_str()
    });
    Ok(if is_about_it { Verdict::Good } else { Verdict::Elsewhere })
}

/// Adds a signature to those that are there.
pub(super) async fn sign(
    repository: &Repository,
    subject: Subject<'_>,
    key: &SigningKey,
) -> Result<(), TransportError> {
    let payload = json!({
        "critical": {
            "identity": {"docker-reference": repository.reference().name()},
            "image": {"docker-manifest-digest": subject.digest},
            "type": KIND,
        },
        "optional": null,
    })
    .to_string()
    .into_bytes();
    let signature = key
        .sign(&payload)
        .map_err(|error| TransportError::Unable(format!("the key cannot sign: {error}")))?;
    let mut layer = Descriptor::of(PAYLOAD, &payload);
    layer.annotations.insert(SIGNATURE.to_owned(), STANDARD.encode(signature));
    let earlier =
        carrier(repository, subject.digest).await?.map(|manifest| manifest.layers).unwrap_or_default();
    let layers: Vec<Descriptor> = earlier.into_iter().chain([layer]).collect();
    // An image without files: tools that know images only can copy it.
    let diffs: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
    let config = json!({
        "architecture": "",
        "config": {},
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": diffs},
    })
    .to_string()
    .into_bytes();
    let manifest = Manifest::new(Descriptor::of(IMAGE_CONFIG, &config), layers.clone());
    let manifest = serde_json::to_vec(&manifest)
        .map_err(|error| TransportError::Invalid(format!("the signature cannot be written: {error}")))?;
    repository.push_blob(&payload).await?;
    repository.push_blob(&config).await?;
    repository.push_manifest(&tag(subject.digest), ARTIFACT_MANIFEST, manifest).await.map(drop)
}
