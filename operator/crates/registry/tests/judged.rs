//! Signatures against an independent judge: what we sign it verifies, what it signs we verify.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::{fs, path::Path, process::Command};

use common::{COMPONENT, Shop};
use tollkeeper_core::identity::Digest;
use tollkeeper_kit::{Door, Program};
use tollkeeper_registry::{Layout, PublicKey, SigningKey};

const BOTH: [Layout; 2] = [Layout::Tag, Layout::Referrer];

/// What the judge complains about; nothing if it is content.
fn judge(shop: &Shop, verb: &str, layout: Layout, name: &str, digest: &Digest, key: &Path) -> String {
    let output = Command::new(Program::Sigstore.path().unwrap())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/judge.cjs"))
        .args([verb, layout.as_str()])
        .arg(format!("http://{}/v2/{name}", shop.registry.host()))
        .arg(digest.as_str())
        .arg(key)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    assert_eq!(output.status.success(), complaint.is_empty(), "{complaint}");
    complaint
}

struct Keys {
    _folder: tempfile::TempDir,
    signing: SigningKey,
    public: PublicKey,
    secret_file: std::path::PathBuf,
    public_file: std::path::PathBuf,
}

fn keys() -> Keys {
    let folder = tempfile::tempdir().unwrap();
    let (signing, secret) = SigningKey::generate().unwrap();
    let public = signing.public().unwrap();
    let (secret_file, public_file) = (folder.path().join("key"), folder.path().join("pub"));
    fs::write(&secret_file, secret).unwrap();
    fs::write(&public_file, public.to_pem()).unwrap();
    Keys { _folder: folder, signing, public, secret_file, public_file }
}

#[tokio::test]
async fn the_judge_verifies_what_we_sign() {
    let shop = Shop::open(Door::default()).await;
    let (own, stranger) = (keys(), keys());
    for layout in BOTH {
        let name = layout.as_str();
        let reference = format!("{name}:1");
        let digest = shop.push(&reference, COMPONENT).await.manifest;
        shop.registries
            .sign(&shop.reference(&reference), &shop.keyring, &own.signing, &[layout])
            .await
            .unwrap();
        assert_eq!(judge(&shop, "verify", layout, name, &digest, &own.public_file), "");
        assert_ne!(judge(&shop, "verify", layout, name, &digest, &stranger.public_file), "");
    }
}

#[tokio::test]
async fn we_verify_what_the_judge_signs() {
    let shop = Shop::open(Door::default()).await;
    let (own, stranger) = (keys(), keys());
    for layout in BOTH {
        let name = layout.as_str();
        let reference = format!("{name}:1");
        let digest = shop.push(&reference, COMPONENT).await.manifest;
        assert_eq!(judge(&shop, "sign", layout, name, &digest, &own.secret_file), "");
        let found = shop.registries.find(&shop.reference(&reference), &shop.keyring).await.unwrap();
        assert_eq!(found.verify(&own.public).await.unwrap().layout, layout);
        let failure = found.verify(&stranger.public).await.unwrap_err();
        assert_eq!(failure.reason(), "SignatureInvalid", "{failure}");
    }
}
