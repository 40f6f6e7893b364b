//! Signatures by an identity, in a real registry: only the one that was asked for counts, as the roots of trust prove it.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{COMPONENT, Shop};
use tollkeeper_core::{
    artifact::{ArtifactRequest, Artifacts as _},
    signer::{Signer, SignerIdentity},
};
use tollkeeper_kit::{Door, Sigstore};
use tollkeeper_registry::{Layout, Registries, Roots, Settings};

const ISSUER: &str = "https://token.example.com";
const RELEASE: &str = "https://git.example.com/vecdb/meter/.github/workflows/release.yml@refs/tags/v1";

/// An artifact, a sigstore, and a client that trusts it.
struct Scene {
    shop: Shop,
    sigstore: Sigstore,
    digest: String,
}

impl Scene {
    async fn open() -> Self {
        let (shop, sigstore) = (Shop::open(Door::default()).await, Sigstore::new().unwrap());
        let digest = shop.push("meter:1", COMPONENT).await.manifest.to_string();
        let roots = Roots::parse(&sigstore.trusted_root()).unwrap();
        let Shop { registry, registries, keyring } = shop;
        let shop = Shop { registry, registries: registries.with_roots(roots), keyring };
        Self { shop, sigstore, digest }
    }

    /// Signatures by these, and no others.
    async fn signed_by(&self, signers: &[(&str, &str)]) {
        let sign =
            |(issuer, subject): &(&str, &str)| self.sigstore.sign(&self.digest, issuer, subject).unwrap();
        let bundles: Vec<String> = signers.iter().map(sign).collect();
        self.shop.registry.attach("meter", &self.digest, &bundles).await.unwrap();
    }

    fn request(&self) -> ArtifactRequest {
        let mut request = self.shop.request("meter:1", COMPONENT);
        request.signer = Some(Signer::Identity(SignerIdentity::new(ISSUER, RELEASE).unwrap()));
        request
    }

    /// Why the product does not get the artifact, or nothing.
    async fn refusal(&self) -> (&'static str, String) {
        match self.shop.registries.component(&self.request()).await {
            Ok(component) => {
                assert_eq!(component, COMPONENT);
                ("", String::new())
            }
            Err(failure) => (failure.reason(), failure.to_string()),
        }
    }
}

#[tokio::test]
async fn what_the_right_identity_has_signed_is_taken_whoever_else_has() {
    let scene = Scene::open().await;
    let (reason, sentence) = scene.refusal().await;
    assert_eq!(reason, "SignatureMissing");
    assert!(sentence.contains("`cosign sign`"), "{sentence}");
    scene.signed_by(&[(ISSUER, RELEASE)]).await;
    assert_eq!(scene.refusal().await.0, "");
    scene.signed_by(&[(ISSUER, "somebody@example.com"), (ISSUER, RELEASE)]).await;
    assert_eq!(scene.refusal().await.0, "");
}

#[tokio::test]
async fn another_issuer_and_another_subject_have_a_reason_of_their_own() {
    let scene = Scene::open().await;
    for (issuer, subject) in [
        ("https://token.example.com.evil.example", RELEASE),
        (ISSUER, "release@example.com"),
        (ISSUER, &RELEASE.replace("tags/v1", "heads/main")),
        (RELEASE, ISSUER),
    ] {
        scene.signed_by(&[(issuer, subject)]).await;
        let (reason, sentence) = scene.refusal().await;
        assert_eq!(reason, "SignerMismatch", "{sentence}");
        let named = format!("is signed by {subject} of {issuer}, and not by {RELEASE} of {ISSUER}");
        assert!(sentence.contains(&named), "{sentence}");
    }
}

#[tokio::test]
async fn a_signature_that_the_roots_do_not_prove_is_nobodys() {
    let scene = Scene::open().await;
    let own = scene.sigstore.sign(&scene.digest, ISSUER, RELEASE).unwrap();
    let other_roots = Sigstore::new().unwrap().sign(&scene.digest, ISSUER, RELEASE).unwrap();
    let other = scene.shop.push("meter:2", b"another component").await.manifest.to_string();
    let of_another = scene.sigstore.sign(&other, ISSUER, RELEASE).unwrap();
    let without_time = own.replace("\"integratedTime\":\"1", "\"integratedTime\":\"2");
    let without_log = own.replace("\"signatures\":", "\"nothing\":");
    for bundle in [other_roots, of_another, without_time, without_log, "{}".to_owned()] {
        assert_ne!(bundle, own);
        scene.shop.registry.attach("meter", &scene.digest, std::slice::from_ref(&bundle)).await.unwrap();
        let (reason, sentence) = scene.refusal().await;
        assert_eq!(reason, "SignatureInvalid", "{sentence}: {bundle}");
    }
    scene.shop.registry.attach("meter", &scene.digest, &[own]).await.unwrap();
    assert_eq!(scene.refusal().await.0, "");
}

#[tokio::test]
async fn a_key_is_no_identity() {
    let scene = Scene::open().await;
    let (reference, (signing, _)) = (scene.shop.reference("meter:1"), common::key());
    scene.shop.registries.sign(&reference, &scene.shop.keyring, &signing, &[Layout::Referrer]).await.unwrap();
    assert_eq!(scene.refusal().await.0, "SignatureInvalid");
}

#[tokio::test]
async fn without_roots_an_identity_is_refused_before_anybody_is_asked() {
    let shop = Shop::open(Door::default()).await;
    let mut request = shop.request("meter:1", COMPONENT);
    request.reference = "127.0.0.1:1/meter:1".into();
    request.signer = Some(Signer::Identity(SignerIdentity::new(ISSUER, RELEASE).unwrap()));
    let failure = shop.registries.component(&request).await.unwrap_err();
    assert_eq!(failure.reason(), "KeylessNotSupported", "{failure}");
    assert!(failure.to_string().contains("publicKeyPem"), "{failure}");
}

#[tokio::test]
async fn what_was_proven_once_is_proven_again_under_other_roots() {
    let scene = Scene::open().await;
    scene.signed_by(&[(ISSUER, RELEASE)]).await;
    let folder = tempfile::tempdir().unwrap();
    let client = |sigstore: &Sigstore| {
        let registries = Registries::new(Settings::default()).unwrap();
        let roots = Roots::parse(&sigstore.trusted_root()).unwrap();
        registries.with_roots(roots).with_cache(folder.path().to_owned())
    };
    let (request, others) = (scene.request(), Sigstore::new().unwrap());
    client(&scene.sigstore).component(&request).await.unwrap();
    let Scene { shop, sigstore, .. } = scene;
    assert_eq!(client(&others).component(&request).await.unwrap_err().reason(), "SignatureInvalid");
    drop(shop);
    assert_eq!(client(&sigstore).component(&request).await.as_deref(), Ok(COMPONENT));
    assert_eq!(client(&others).component(&request).await.unwrap_err().reason(), "RegistryUnavailable");
}
