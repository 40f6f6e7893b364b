//! Against a real registry: what is pushed comes back, and everything else is refused with its own reason.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{COMPONENT, Shop, key};
use tollkeeper_core::{
    artifact::{ArtifactRequest, Artifacts as _, PullSecret},
    signer::Signer,
};
use tollkeeper_kit::Door;
use tollkeeper_registry::{Keyring, Layout, Registries, Settings};

const BOTH: [Layout; 2] = [Layout::Tag, Layout::Referrer];

#[tokio::test]
async fn what_is_pushed_comes_back_with_and_without_tls_and_users() {
    for (tls, users) in [(false, false), (true, false), (false, true), (true, true)] {
        let shop = Shop::open(Door { tls, users }).await;
        let pushed = shop.push("vecdb/meter:1.4.0", COMPONENT).await;
        assert_eq!(
            pushed,
            shop.push("vecdb/meter:again", COMPONENT).await,
            "a push repeated changes nothing"
        );
        for rest in ["vecdb/meter:1.4.0".to_owned(), format!("vecdb/meter@{}", pushed.manifest)] {
            let mut request = shop.request(&rest, COMPONENT);
            if users {
                request.pull_secrets.push(shop.secret());
            }
            assert_eq!(
                shop.registries.component(&request).await.as_deref(),
                Ok(COMPONENT),
                "{rest} {tls} {users}"
            );
        }
    }
}

#[tokio::test]
async fn credentials_are_tried_in_turn_and_their_lack_is_said() {
    let shop = Shop::open(Door { tls: false, users: true }).await;
    shop.push("meter:1", COMPONENT).await;
    let request = shop.request("meter:1", COMPONENT);
    let failure = shop.registries.component(&request).await.unwrap_err();
    assert_eq!(failure.reason(), "PullUnauthorized");
    assert!(failure.to_string().contains("there are none for"), "{failure}");

    let wrong =
        format!(r#"{{"auths": {{"{}": {{"username": "AWS", "password": "old"}}}}}}"#, shop.registry.host());
    let wrong = PullSecret { name: "old".into(), docker_config: wrong.into_bytes() };
    let mut wrong_only = request.clone();
    wrong_only.pull_secrets.push(wrong.clone());
    let failure = shop.registries.component(&wrong_only).await.unwrap_err();
    assert_eq!(failure.reason(), "PullUnauthorized");
    assert!(!failure.to_string().contains("old"), "no password: {failure}");

    let mut both = request.clone();
    both.pull_secrets.extend([wrong, shop.secret()]);
    assert_eq!(shop.registries.component(&both).await.as_deref(), Ok(COMPONENT));

    let mut broken = request;
    broken.pull_secrets.push(PullSecret { name: "broken".into(), docker_config: b"nonsense".into() });
    assert_eq!(shop.registries.component(&broken).await.unwrap_err().reason(), "PullSecretInvalid");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_not_trusted() {
    let shop = Shop::open(Door { tls: true, users: false }).await;
    shop.push("meter:1", COMPONENT).await;
    let others = Registries::new(Settings::default()).unwrap();
    let failure = others.component(&shop.request("meter:1", COMPONENT)).await.unwrap_err();
    assert_eq!(failure.reason(), "RegistryUntrusted", "{failure}");
    assert!(failure.to_string().contains("--registry-ca"), "{failure}");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let shop = Shop::open(Door::default()).await;
    shop.push("meter:1", COMPONENT).await;
    for rest in ["meter:2", "other:1"] {
        let failure = shop.registries.component(&shop.request(rest, COMPONENT)).await.unwrap_err();
        assert_eq!(failure.reason(), "PullNotFound", "{failure}");
    }
    let mut request = shop.request("meter:1", COMPONENT);
    request.reference = "127.0.0.1:1/meter:1".into();
    assert_eq!(shop.registries.component(&request).await.unwrap_err().reason(), "RegistryUnavailable");
    request.reference = "vecdb/meter:1".into();
    assert_eq!(shop.registries.component(&request).await.unwrap_err().reason(), "InvalidReference");
}

#[tokio::test]
async fn a_tag_that_was_moved_is_refused_and_a_pinned_manifest_is_not() {
    let shop = Shop::open(Door::default()).await;
    let first = shop.push("meter:1", COMPONENT).await;
    shop.push("meter:1", b"another component").await;
    let failure = shop.registries.component(&shop.request("meter:1", COMPONENT)).await.unwrap_err();
    assert_eq!(failure.reason(), "TagMoved", "{failure}");
    let pinned = shop.request(&format!("meter:1@{}", first.manifest), COMPONENT);
    assert_eq!(shop.registries.component(&pinned).await.as_deref(), Ok(COMPONENT));
    let other = shop.request(&format!("meter:1@{}", first.manifest), b"another component");
    assert_eq!(shop.registries.component(&other).await.unwrap_err().reason(), "DigestMismatch");
}

#[tokio::test]
async fn a_layer_that_was_swapped_in_the_registry_is_refused() {
    let shop = Shop::open(Door::default()).await;
    let pushed = shop.push("meter:1", COMPONENT).await;
    let blob = shop.registry.blob(pushed.component.as_str());
    let mut bytes = std::fs::read(&blob).unwrap();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    std::fs::write(&blob, bytes).unwrap();
    let failure = shop.registries.component(&shop.request("meter:1", COMPONENT)).await.unwrap_err();
    assert_eq!(failure.reason(), "LayerSwapped", "{failure}");
}

#[tokio::test]
async fn a_component_that_is_too_large_is_not_downloaded() {
    let shop = Shop::open(Door::default()).await;
    let pushed = shop.push("meter:1", COMPONENT).await;
    // Who downloads it gets an error of another kind.
    std::fs::remove_file(shop.registry.blob(pushed.component.as_str())).unwrap();
    let small = Registries::new(Settings { max_component: 8, ..Settings::default() }).unwrap();
    let failure = small.component(&shop.request("meter:1", COMPONENT)).await.unwrap_err();
    assert_eq!(failure.reason(), "PullTooLarge", "{failure}");
    let mean = ArtifactRequest { max_component: 8, ..shop.request("meter:1", COMPONENT) };
    let failure = shop.registries.component(&mean).await.unwrap_err();
    assert_eq!(failure.reason(), "PullTooLarge", "{failure}");
    assert!(failure.to_string().contains("limits.component"), "{failure}");
    let failure = shop.registries.component(&shop.request("meter:1", COMPONENT)).await.unwrap_err();
    assert_eq!(failure.reason(), "PullNotFound", "{failure}");
}

#[tokio::test]
async fn a_signature_in_either_layout_is_verified() {
    let shop = Shop::open(Door { tls: true, users: true }).await;
    for layout in BOTH {
        let (signing, public) = key();
        let name = format!("{}/meter:1", layout.as_str());
        shop.push(&name, COMPONENT).await;
        let reference = shop.reference(&name);
        shop.registries.sign(&reference, &shop.keyring, &signing, &[layout]).await.unwrap();
        let found = shop.registries.find(&reference, &shop.keyring).await.unwrap();
        assert_eq!(found.verify(&public).await.unwrap().layout, layout);
        let counts: Vec<_> =
            found.signatures().await.unwrap().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counts, [(layout, 1)]);
    }
}

#[tokio::test]
async fn several_keys_sign_one_artifact() {
    let shop = Shop::open(Door::default()).await;
    shop.push("meter:1", COMPONENT).await;
    let reference = shop.reference("meter:1");
    let keys = [key(), key()];
    for (signing, _) in &keys {
        shop.registries.sign(&reference, &Keyring::default(), signing, &BOTH).await.unwrap();
    }
    let found = shop.registries.find(&reference, &Keyring::default()).await.unwrap();
    assert_eq!(found.signatures().await.unwrap(), [(Layout::Tag, 2), (Layout::Referrer, 2)]);
    for (_, public) in &keys {
        found.verify(public).await.unwrap();
    }
}

#[tokio::test]
async fn a_product_with_a_key_takes_signed_artifacts_only() {
    let shop = Shop::open(Door::default()).await;
    let pushed = shop.push("meter:1", COMPONENT).await;
    let ((signing, public), (_, stranger)) = (key(), key());
    let mut request = shop.request("meter:1", COMPONENT);
    request.signer = Some(Signer::Key(public.to_pem()));
    let reason = async |request| shop.registries.component(&request).await.unwrap_err().reason();
    assert_eq!(reason(request.clone()).await, "SignatureMissing");

    shop.registries.sign(&shop.reference("meter:1"), &shop.keyring, &signing, &BOTH).await.unwrap();
    assert_eq!(shop.registries.component(&request).await.as_deref(), Ok(COMPONENT));

    let mut other_key = request.clone();
    other_key.signer = Some(Signer::Key(stranger.to_pem()));
    assert_eq!(reason(other_key).await, "SignatureInvalid");
    let mut no_key = request.clone();
    no_key.signer = Some(Signer::Key("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".into()));
    assert_eq!(reason(no_key).await, "InvalidPluginKey");
    assert_eq!(pushed.component, request.digest);
}

#[tokio::test]
async fn what_was_pulled_once_does_not_need_the_registry_again() {
    let folder = tempfile::tempdir().unwrap();
    let Shop { registry, registries, keyring } = Shop::open(Door::default()).await;
    let shop = Shop { registry, registries: registries.with_cache(folder.path().join("artifacts")), keyring };
    shop.push("meter:1", COMPONENT).await;
    let (signing, public) = key();
    shop.registries.sign(&shop.reference("meter:1"), &shop.keyring, &signing, &BOTH).await.unwrap();
    let request = shop.request("meter:1", COMPONENT);
    let mut signed = request.clone();
    signed.signer = Some(Signer::Key(public.to_pem()));
    shop.registries.component(&signed).await.unwrap();

    let Shop { registry, .. } = shop;
    drop(registry);
    let restarted = Registries::new(Settings::default()).unwrap().with_cache(folder.path().join("artifacts"));
    assert_eq!(restarted.component(&signed).await.as_deref(), Ok(COMPONENT));
    let mut other = signed;
    other.signer = Some(Signer::Key(key().1.to_pem()));
    for asked in [other, request] {
        assert_eq!(restarted.component(&asked).await.unwrap_err().reason(), "RegistryUnavailable");
    }
}
