//! Signatures that somebody has tampered with, in a real registry: each is refused with its own reason.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use common::{COMPONENT, Shop, key};
use serde_json::{Value, json};
use tollkeeper_kit::Door;
use tollkeeper_registry::{Layout, PublicKey, SigningKey};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Two artifacts of one repository; the first is signed.
struct Scene {
    shop: Shop,
    signed: String,
    other: String,
    public: PublicKey,
}

impl Scene {
    async fn of(layout: Layout) -> Self {
        let shop = Shop::open(Door::default()).await;
        let signed = shop.push("meter:1", COMPONENT).await.manifest.to_string();
        let other = shop.push("meter:2", b"another component").await.manifest.to_string();
        let (signing, public) = key();
        shop.registries.sign(&shop.reference("meter:1"), &shop.keyring, &signing, &[layout]).await.unwrap();
        Self { shop, signed, other, public }
    }

    async fn verdict(&self, tag: &str) -> &'static str {
        let reference = self.shop.reference(&format!("meter:{tag}"));
        let found = self.shop.registries.find(&reference, &self.shop.keyring).await.unwrap();
        found.verify(&self.public).await.map_or_else(|failure| failure.reason(), |_| "Verified")
    }

    fn url(&self, wanted: &str) -> String {
        format!("http://{}/v2/meter/manifests/{wanted}", self.shop.registry.host())
    }

    async fn get(&self, wanted: &str) -> Value {
        let accept = format!("{MANIFEST}, {INDEX}");
        let answer =
            reqwest::Client::new().get(self.url(wanted)).header("accept", accept).send().await.unwrap();
        serde_json::from_slice(&answer.error_for_status().unwrap().bytes().await.unwrap()).unwrap()
    }

    async fn put(&self, wanted: &str, manifest: &Value) {
        let kind = manifest["mediaType"].as_str().unwrap().to_owned();
        let put = reqwest::Client::new().put(self.url(wanted)).header("content-type", kind);
        put.body(manifest.to_string()).send().await.unwrap().error_for_status().unwrap();
    }
}

fn tag(digest: &str) -> String {
    digest.replace(':', "-")
}

#[tokio::test]
async fn a_signature_that_was_stripped_is_told_from_one_that_never_was() {
    let scene = Scene::of(Layout::Tag).await;
    assert_eq!((scene.verdict("1").await, scene.verdict("2").await), ("Verified", "SignatureMissing"));
    let place = format!("{}.sig", tag(&scene.signed));
    let mut carrier = scene.get(&place).await;
    carrier["layers"][0].as_object_mut().unwrap().remove("annotations");
    scene.put(&place, &carrier).await;
    assert_eq!(scene.verdict("1").await, "SignatureStripped");
    carrier["layers"] = json!([]);
    scene.put(&place, &carrier).await;
    assert_eq!(scene.verdict("1").await, "SignatureStripped");
}

#[tokio::test]
async fn a_bundle_whose_manifest_is_gone_was_stripped() {
    let scene = Scene::of(Layout::Referrer).await;
    let index = scene.get(&tag(&scene.signed)).await;
    let bundle = index["manifests"][0]["digest"].as_str().unwrap();
    let deleted = reqwest::Client::new().delete(scene.url(bundle)).send().await.unwrap();
    assert!(deleted.status().is_success());
    assert_eq!(scene.verdict("1").await, "SignatureStripped");
}

#[tokio::test]
async fn a_signature_of_something_else_does_not_count() {
    let scene = Scene::of(Layout::Tag).await;
    let carrier = scene.get(&format!("{}.sig", tag(&scene.signed))).await;
    scene.put(&format!("{}.sig", tag(&scene.other)), &carrier).await;
    assert_eq!((scene.verdict("1").await, scene.verdict("2").await), ("Verified", "SignatureMismatch"));

    let scene = Scene::of(Layout::Referrer).await;
    let index = scene.get(&tag(&scene.signed)).await;
    scene.put(&tag(&scene.other), &index).await;
    assert_eq!((scene.verdict("1").await, scene.verdict("2").await), ("Verified", "SignatureMismatch"));
}

#[tokio::test]
async fn a_signature_that_was_changed_is_nobodys() {
    let scene = Scene::of(Layout::Tag).await;
    let place = format!("{}.sig", tag(&scene.signed));
    let mut carrier = scene.get(&place).await;
    carrier["layers"][0]["annotations"]["dev.cosignproject.cosign/signature"] = json!("bm8gc2lnbmF0dXJl");
    scene.put(&place, &carrier).await;
    assert_eq!(scene.verdict("1").await, "SignatureInvalid");
}

#[tokio::test]
async fn the_signature_of_a_manifest_does_not_cover_one_with_a_swapped_layer() {
    let scene = Scene::of(Layout::Tag).await;
    let other = scene.get("2").await;
    let mut swapped = scene.get("1").await;
    swapped["layers"] = other["layers"].clone();
    scene.put("1", &swapped).await;
    assert_eq!(scene.verdict("1").await, "SignatureMissing", "another layer makes another manifest");
}

/// Keys as OpenSSL writes them.
#[tokio::test]
async fn keys_of_every_kind_sign_and_verify() {
    let shop = Shop::open(Door::default()).await;
    shop.push("meter:1", COMPONENT).await;
    let reference = shop.reference("meter:1");
    let folder = tempfile::tempdir().unwrap();
    for kind in [
        &["ecparam", "-name", "prime256v1", "-genkey", "-noout"][..],
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["genpkey", "-algorithm", "ED25519"],
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    ] {
        let (secret, public) = (folder.path().join("secret"), folder.path().join("public"));
        openssl(&[kind, &["-out", secret.to_str().unwrap()]].concat());
        openssl(&["pkey", "-in", secret.to_str().unwrap(), "-pubout", "-out", public.to_str().unwrap()]);
        let signing = SigningKey::from_pem(&std::fs::read_to_string(secret).unwrap()).unwrap();
        let text = std::fs::read_to_string(public).unwrap();
        assert_eq!(signing.public().unwrap().to_pem(), text, "{kind:?}");
        shop.registries
            .sign(&reference, &shop.keyring, &signing, &[Layout::Tag, Layout::Referrer])
            .await
            .unwrap();
        let found = shop.registries.find(&reference, &shop.keyring).await.unwrap();
        found.verify(&PublicKey::from_pem(&text).unwrap()).await.unwrap();
    }
}

fn openssl(arguments: &[&str]) {
    let output = std::process::Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn statements_about_something_else_than_the_signature_are_passed_over() {
    let scene = Scene::of(Layout::Referrer).await;
    let place = tag(&scene.signed);
    let mut index = scene.get(&place).await;
    let signature = index["manifests"][0].clone();
    let mut provenance = signature.clone();
    provenance["annotations"]["dev.sigstore.bundle.predicateType"] = json!("https://slsa.dev/provenance/v1");
    index["manifests"] = (0..40).map(|_| provenance.clone()).chain([signature]).collect();
    scene.put(&place, &index).await;
    assert_eq!(scene.verdict("1").await, "Verified");
}
