//! Signatures of artifacts by a key or an identity, offline, in the layouts that cosign writes.
//!
//! A signature is over a manifest's digest, so it covers the component by way of the manifest. Whatever lies in a registry
//! beside an artifact may be anybody's: only one that is proven to be the signer's, of the manifest in question, counts.

mod bundle;
pub(crate) mod identity;
pub(crate) mod key;
mod simple;

use std::fmt;

use tollkeeper_core::{artifact::PullFailure, identity::Digest, signer::SignerIdentity};

use crate::{
    repository::Repository,
    signature::{
        identity::Roots,
        key::{PublicKey, SigningKey},
    },
    transport::TransportError,
};

/// Signatures of one artifact that are looked at: releases have one or two, and each costs a request.
const MAX_SIGNATURES: usize = 16;

/// Where cosign puts signatures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// At the tag `sha256-<digest>.sig`, as cosign before 3 does.
    Tag,
    /// As a bundle that refers to the manifest, as cosign 3 does.
    Referrer,
}

impl Layout {
    /// Its name on the command line and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tag => "tag",
            Self::Referrer => "referrer",
        }
    }
}

/// An artifact that the right one has signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signed {
    /// Where the signature is.
    pub layout: Layout,
}

/// What looking at one signature came to, the worst first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Verdict {
    /// There is the place for a signature, and none in it.
    Stripped,
    /// Another key's, or nobody's.
    Foreign,
    /// Of this artifact, proven to be of another identity: this one.
    #[cfg_attr(not(feature = "keyless"), allow(dead_code, reason = "nothing proves an identity then"))]
    Stranger(String),
    /// The signer's, of something else.
    Elsewhere,
    /// The signer's, of this artifact.
    Good,
}

/// Who says what a bundle proves.
#[derive(Clone, Copy)]
enum Judge<'a> {
    Key(&'a PublicKey),
    Identity(&'a SignerIdentity, &'a Roots),
}

impl Judge<'_> {
    async fn verdict(self, bundle: Vec<u8>, subject: Subject<'_>) -> Verdict {
        match self {
            Self::Key(key) => bundle::judge(&bundle, subject, key),
            Self::Identity(identity, roots) => roots.judge(identity, bundle, subject).await,
        }
    }
}

/// The manifest that is to be signed or verified.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) digest: &'a Digest,
    pub(crate) manifest: &'a [u8],
}

/// Whose signature was looked for, in words.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    Key,
    Identity(&'a SignerIdentity),
}

impl Wanted<'_> {
    const fn advice(self) -> &'static str {
        match self {
            Self::Key => "sign it with `tollkeeper plugin sign` or `cosign sign --key`",
            Self::Identity(_) => "sign it with `cosign sign`, version 3 or newer",
        }
    }
}

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("this key"),
            Self::Identity(identity) => identity.fmt(f),
        }
    }
}

/// Looks for a signature by a key, in both layouts.
pub(crate) async fn verify(
    repository: &Repository,
    subject: Subject<'_>,
    key: &PublicKey,
) -> Result<Signed, PullFailure> {
    let mut best = None;
    let mut trouble = None;
    for layout in [Layout::Tag, Layout::Referrer] {
        let verdicts = match layout {
            Layout::Tag => simple::verdicts(repository, subject, key).await,
            Layout::Referrer => bundle::verdicts(repository, subject, Judge::Key(key)).await,
        };
        match verdicts {
            Ok(verdicts) if verdicts.contains(&Verdict::Good) => return Ok(Signed { layout }),
            Ok(verdicts) => best = best.max(verdicts.into_iter().max()),
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    match trouble {
        // What could not be read may have been the good one.
        Some(error) => Err(error.into()),
        None => Err(refusal(repository, subject.digest, best, Wanted::Key)),
    }
}

/// Looks for a signature by an identity: in bundles only, which hold all that its proof takes.
pub(crate) async fn verify_identity(
    repository: &Repository,
    subject: Subject<'_>,
    identity: &SignerIdentity,
    roots: &Roots,
) -> Result<Signed, PullFailure> {
    let verdicts = bundle::verdicts(repository, subject, Judge::Identity(identity, roots)).await?;
    match verdicts.into_iter().max() {
        Some(Verdict::Good) => Ok(Signed { layout: Layout::Referrer }),
        best => Err(refusal(repository, subject.digest, best, Wanted::Identity(identity))),
    }
}

fn refusal(
    repository: &Repository,
    digest: &Digest,
    best: Option<Verdict>,
    wanted: Wanted<'_>,
) -> PullFailure {
    let artifact = repository.reference().at(digest);
    match best {
        None => PullFailure::SignatureMissing(format!("{artifact} is not signed; {}", wanted.advice())),
        Some(Verdict::Stripped) => PullFailure::SignatureStripped(format!(
            "{artifact} has the place of a signature and no signature in it; somebody may have taken it away: sign it again"
        )),
        Some(Verdict::Elsewhere) => PullFailure::SignatureMismatch(format!(
            "{wanted} has signed something else than {artifact}, and that signature was put there; sign this artifact"
        )),
        Some(Verdict::Stranger(stranger)) => PullFailure::SignerMismatch(format!(
            "{artifact} is signed by {stranger}, and not by {wanted}; check who signs, or correct issuer and subject"
        )),
        Some(Verdict::Foreign | Verdict::Good) => PullFailure::SignatureInvalid(format!(
            "{artifact} is signed, but not by {wanted}; check who signs"
        )),
    }
}

/// How many signatures there are, by layout, whoever made them.
pub(crate) async fn count(
    repository: &Repository,
    digest: &Digest,
) -> Result<[(Layout, usize); 2], TransportError> {
    Ok([
        (Layout::Tag, simple::places(repository, digest).await?.len()),
        (Layout::Referrer, bundle::places(repository, digest).await?.len()),
    ])
}

/// The manifests that carry signatures: where each is, and the tag that it must have elsewhere.
pub(crate) async fn carriers(
    repository: &Repository,
    digest: &Digest,
) -> Result<Vec<(String, Option<String>)>, TransportError> {
    let mut carriers = Vec::new();
    if !simple::places(repository, digest).await?.is_empty() {
        carriers.push((simple::tag(digest), Some(simple::tag(digest))));
    }
    let bundles = bundle::places(repository, digest).await?;
    carriers.extend(bundles.into_iter().map(|bundle| (bundle.digest, None)));
    Ok(carriers)
}

/// Signs a manifest.
pub(crate) async fn sign(
    repository: &Repository,
    subject: Subject<'_>,
    key: &SigningKey,
    layout: Layout,
) -> Result<(), TransportError> {
    match layout {
        Layout::Tag => simple::sign(repository, subject, key).await,
        Layout::Referrer => bundle::sign(repository, subject, key).await,
    }
}
