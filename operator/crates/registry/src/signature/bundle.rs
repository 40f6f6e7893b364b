//! Signatures as sigstore bundles that refer to the manifest: a DSSE envelope with an in-toto statement, as cosign 3
//! writes it, or a bare signature of the manifest's bytes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use tollkeeper_core::identity::Digest;

use super::{Judge, MAX_SIGNATURES, Subject, Verdict};
use crate::{
    carry::list,
    manifest::{ARTIFACT_MANIFEST, Descriptor, EMPTY, Manifest},
    repository::Repository,
    signature::key::{PublicKey, SigningKey},
    transport::TransportError,
};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const STATEMENT: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The statement that cosign makes of an image: "this was signed", and nothing else.
const PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
/// Where a bundle's manifest says which statement is in it.
const PREDICATE_ANNOTATION: &str = "dev.sigstore.bundle.predicateType";
/// A bundle by a key has a kilobyte; one with certificates and log entries has some more.
const MAX_BUNDLE: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Option<Envelope>,
    message_signature: Option<MessageSignature>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    #[serde(default)]
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    #[serde(default)]
    sig: String,
}

#[derive(Deserialize)]
struct MessageSignature {
    #[serde(default)]
    signature: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
    subject: Vec<StatementSubject>,
}

#[derive(Deserialize)]
struct StatementSubject {
    digest: std::collections::BTreeMap<String, String>,
}

/// Manifests that say they are signatures of this one.
pub(super) async fn places(
    repository: &Repository,
    digest: &Digest,
) -> Result<Vec<Descriptor>, TransportError> {
    let index = repository.referrers(digest, BUNDLE).await?;
    Ok(index.manifests.into_iter().filter(is_signature).take(MAX_SIGNATURES).collect())
}

/// Registries may leave the type away, and bundles of other statements (what it was built from, by whom) are no signatures.
fn is_signature(descriptor: &Descriptor) -> bool {
    descriptor.artifact_type.as_deref().is_none_or(|kind| kind == BUNDLE)
        && descriptor.annotations.get(PREDICATE_ANNOTATION).is_none_or(|kind| kind == PREDICATE)
}

pub(super) async fn verdicts(
    repository: &Repository,
    subject: Subject<'_>,
    judge: Judge<'_>,
) -> Result<Vec<Verdict>, TransportError> {
    let mut verdicts = Vec::new();
    for place in places(repository, subject.digest).await? {
        let manifest = match repository.manifest(&place.digest).await {
            Ok(bytes) => serde_json::from_slice::<Manifest>(&bytes).ok(),
            Err(TransportError::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        let Some(manifest) = manifest else {
            verdicts.push(Verdict::Stripped);
            continue;
        };
        if manifest.artifact_type.as_deref().unwrap_or(&manifest.config.media_type) != BUNDLE {
            continue;
        }
        verdicts.push(verdict(repository, &manifest, subject, judge).await?);
    }
    Ok(verdicts)
}

async fn verdict(
    repository: &Repository,
    manifest: &Manifest,
    subject: Subject<'_>,
    judge: Judge<'_>,
) -> Result<Verdict, TransportError> {
    let Some(layer) = manifest.layers.iter().find(|layer| layer.size <= MAX_BUNDLE) else {
        return Ok(Verdict::Stripped);
    };
    let bytes = match repository.blob(layer, &|_| {}).await {
        Ok(bytes) => bytes,
        Err(TransportError::NotFound(_) | TransportError::TooLarge(_)) => return Ok(Verdict::Stripped),
        Err(error) => return Err(error),
    };
    Ok(judge.verdict(bytes, subject).await)
}

/// What a bundle proves that a key has signed.
pub(super) fn judge(bundle: &[u8], subject: Subject<'_>, key: &PublicKey) -> Verdict {
    let Ok(bundle) = serde_json::from_slice::<Bundle>(bundle) else { return Verdict::Foreign };
    if let Some(envelope) = bundle.dsse_envelope {
        return judge_envelope(&envelope, subject, key);
    }
    match bundle.message_signature.map(|message| message.signature) {
        None => Verdict::Stripped,
        Some(text) if text.is_empty() => Verdict::Stripped,
        Some(text) => {
            let is_good =
                STANDARD.decode(text).is_ok_and(|signature| key.verifies(subject.manifest, &signature));
            if is_good { Verdict::Good } else { Verdict::Foreign }
        }
    }
}

fn judge_envelope(envelope: &Envelope, subject: Subject<'_>, key: &PublicKey) -> Verdict {
    let Ok(payload) = STANDARD.decode(&envelope.payload) else { return Verdict::Foreign };
    let signatures: Vec<Vec<u8>> = envelope
        .signatures
        .iter()
        .filter(|one| !one.sig.is_empty())
        .filter_map(|one| STANDARD.decode(&one.sig).ok())
        .take(MAX_SIGNATURES)
        .collect();
    if signatures.is_empty() {
        return Verdict::Stripped;
    }
    let message = encoding(&envelope.payload_type, &payload);
    if !signatures.iter().any(|signature| key.verifies(&message, signature)) {
        return Verdict::Foreign;
    }
    if is_about(&envelope.payload_type, &payload, subject.digest) {
        Verdict::Good
    } else {
        Verdict::Elsewhere
    }
}

/// Whether a statement says that this manifest was signed.
pub(super) fn is_about(kind: &str, payload: &[u8], digest: &Digest) -> bool {
    kind == STATEMENT
        && serde_json::from_slice::<Statement>(payload).is_ok_and(|statement| {
            let names =
                |one: &StatementSubject| one.digest.get("sha256").map(String::as_str) == Some(hex(digest));
            statement.kind == STATEMENT_TYPE
                && statement.predicate_type == PREDICATE
                && statement.subject.iter().any(names)
        })
}

/// What is signed of an envelope (DSSE, "PAE").
fn encoding(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}

fn hex(digest: &Digest) -> &str {
    digest.as_str().trim_start_matches("sha256:")
}

/// Adds a signature to those that are there.
pub(super) async fn sign(
    repository: &Repository,
    subject: Subject<'_>,
    key: &SigningKey,
) -> Result<(), TransportError> {
    let bundle = bundle(repository.reference().name(), subject, key)
        .map_err(|error| TransportError::Unable(format!("the key cannot sign: {error}")))?
        .to_string()
        .into_bytes();
    let mut manifest = Manifest::new(Descriptor::of(EMPTY, b"{}"), vec![Descriptor::of(BUNDLE, &bundle)]);
    manifest.artifact_type = Some(BUNDLE.to_owned());
    manifest.subject = Some(Descriptor::of(ARTIFACT_MANIFEST, subject.manifest));
    manifest.annotations = [
        ("dev.sigstore.bundle.content".to_owned(), "dsse-envelope".to_owned()),
        (PREDICATE_ANNOTATION.to_owned(), PREDICATE.to_owned()),
    ]
    .into();
    let unwritable = |error: serde_json::Error| {
        TransportError::Invalid(format!("the signature cannot be written: {error}"))
    };
    let bytes = serde_json::to_vec(&manifest).map_err(unwritable)?;
    let mut own = Descriptor::of(ARTIFACT_MANIFEST, &bytes);
    own.artifact_type = manifest.artifact_type;
    own.annotations = manifest.annotations;
    repository.push_blob(b"{}").await?;
    repository.push_blob(&bundle).await?;
    if repository.push_manifest(&own.digest, ARTIFACT_MANIFEST, bytes).await? {
        return Ok(());
    }
    list(repository, &Descriptor::of(ARTIFACT_MANIFEST, subject.manifest), own).await
}

fn bundle(name: String, subject: Subject<'_>, key: &SigningKey) -> Result<Value, super::key::InvalidKey> {
    let statement = json!({
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": hex(subject.digest)}}],
        "predicateType": PREDICATE,
        "predicate": {},
    })
    .to_string();
    let signature = key.sign(&encoding(STATEMENT, statement.as_bytes()))?;
    Ok(json!({
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": key.public()?.hint()}},
        "dsseEnvelope": {
            "payload": STANDARD.encode(statement),
            "payloadType": STATEMENT,
            "signatures": [{"sig": STANDARD.encode(signature), "keyid": ""}],
        },
    }))
}
