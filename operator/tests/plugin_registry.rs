//! The verbs that work with registries, as a person calls them: over TLS, with a password, with every refusal.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use tollkeeper_kit::{Door, Registry};

/// A registry that wants TLS and a password, and a folder to work in.
struct Bench {
    registry: Registry,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn open() -> Self {
        let registry = Registry::start(Door { tls: true, users: true }).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), registry.docker_config()).unwrap();
        fs::copy(component(), folder.path().join("meter.wasm")).unwrap();
        Self { registry, folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.registry.host())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollkeeper"));
        command
            .arg("plugin")
            .args(arguments)
            .current_dir(self.folder.path())
            .env("DOCKER_CONFIG", self.folder.path())
            // Machine code for all tests of this checkout: the user's own cache is shared with whatever else runs.
            .env("TOLLKEEPER_CACHE_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled"))
            .env("TOLLKEEPER_REGISTRY_CA", self.registry.authority());
        command
    }

    /// What a verb prints as JSON, which it ends well with.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(&[arguments, &["--output", "json"]].concat()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", complaint(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The one sentence of a verb that fails.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let complaint = complaint(&output);
        assert_eq!(complaint.trim_end().lines().count(), 1, "{complaint}");
        complaint
    }
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn component() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/examples/vecdb/vecdb.wasm")
}

#[tokio::test]
async fn a_plugin_is_pushed_inspected_and_pulled() {
    let bench = Bench::open().await;
    let reference = bench.reference("vecdb/meter:1.4.0");
    let push = [
        "push",
        "meter.wasm",
        &reference,
        "--source",
        "https://git.example.com/meter",
        "--annotation",
        "a=b=c",
    ];
    let pushed = bench.json(&push);
    assert_eq!(pushed, bench.json(&push), "the same artifact again");
    assert_eq!(
        pushed["pinned"],
        format!("{}@{}", bench.reference("vecdb/meter"), pushed["manifest"].as_str().unwrap())
    );

    let inspected = bench.json(&["inspect", &reference]);
    assert_eq!(inspected["digest"], pushed["component"]);
    assert_eq!(inspected["artifact"]["manifest"], pushed["manifest"]);
    assert_eq!(
        inspected["artifact"]["annotations"],
        json!({
            "org.opencontainers.image.title": "vecdb",
            "org.opencontainers.image.version": "1.0.0",
            "org.opencontainers.image.source": "https://git.example.com/meter",
            "a": "b=c",
        })
    );
    assert_eq!(inspected["artifact"]["signature"], json!({"tag": 0, "referrer": 0}));
    let local = bench.json(&["inspect", "meter.wasm"]);
    for same in ["digest", "size", "wit", "imports", "exports", "manifest"] {
        assert_eq!(local[same], inspected[same], "{same}");
    }
    assert_eq!(local["wit"], "0.1.0");
    assert_eq!(local["manifest"]["dimensions"], json!(["instances", "cpu_hours", "gb_scanned"]));

    fs::remove_file(bench.at("meter.wasm")).unwrap();
    let pulled = bench.json(&["pull", &reference, "--digest", pushed["component"].as_str().unwrap()]);
    assert_eq!(pulled["file"], "meter.wasm");
    assert_eq!(fs::read(bench.at("meter.wasm")).unwrap(), fs::read(component()).unwrap());
}

/// Python's components have 19 MB: more than a product allows by itself, less than it may ask for.
#[tokio::test]
async fn a_component_larger_than_the_default_limit_is_published_alike() {
    let bench = Bench::open().await;
    let (reference, copy) = (bench.reference("meter:1"), bench.reference("meter:2"));
    let mut large = fs::read(component()).unwrap();
    // A custom section of 5 MiB, its length in LEB128, whose name is `n`.
    large.extend([0, 0x80, 0x80, 0xc0, 0x02, 1, b'n']);
    large.resize(large.len() + (5 << 20) - 2, 0);
    fs::write(bench.at("large.wasm"), &large).unwrap();

    let pushed = bench.json(&["push", "large.wasm", &reference]);
    for place in ["large.wasm", &reference] {
        let inspected = bench.json(&["inspect", place]);
        assert_eq!((&inspected["digest"], &inspected["size"]), (&pushed["component"], &json!(large.len())));
        assert_eq!(inspected["manifest"]["name"], "vecdb");
    }
    bench.json(&["pull", &reference, "large.tar"]);
    assert_eq!(bench.json(&["inspect", "large.tar"])["digest"], pushed["component"]);
    assert_eq!(bench.json(&["push", "large.tar", &copy])["manifest"], pushed["manifest"]);
}

#[tokio::test]
async fn an_artifact_has_a_time_only_if_it_is_given_one() {
    let bench = Bench::open().await;
    let reference = bench.reference("meter:1");
    bench.json(&["push", "meter.wasm", &reference]);
    let annotations = |bench: &Bench| bench.json(&["inspect", &reference])["artifact"]["annotations"].clone();
    assert!(annotations(&bench).get("org.opencontainers.image.created").is_none());
    let output =
        bench.command(&["push", "meter.wasm", &reference]).env("SOURCE_DATE_EPOCH", "1795312800").output();
    assert!(output.unwrap().status.success());
    assert_eq!(annotations(&bench)["org.opencontainers.image.created"], "2026-11-22T02:00:00Z");
}

#[tokio::test]
async fn a_signed_plugin_is_verified_and_every_other_is_refused_with_a_reason() {
    let bench = Bench::open().await;
    let reference = bench.reference("meter:1");
    let pushed = bench.json(&["push", "meter.wasm", &reference]);
    for name in ["own", "stranger"] {
        assert!(bench.command(&["keygen", name]).output().unwrap().status.success());
    }
    assert!(bench.refused(&["keygen", "own"]).contains("own.key"), "a key is never overwritten");

    let verify = ["verify", &reference, "--key", "own.pub"];
    assert!(bench.refused(&verify).contains("(SignatureMissing)"));
    let output = bench.command(&[&verify[..], &["--output", "json"]].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&verdict["verified"], &verdict["reason"]), (&json!(false), &json!("SignatureMissing")));

    let signed = bench.json(&["sign", &reference, "--key", "own.key"]);
    assert_eq!((&signed["manifest"], &signed["layouts"]), (&pushed["manifest"], &json!(["tag", "referrer"])));
    let verified = bench.json(&verify);
    assert_eq!((&verified["verified"], &verified["component"]), (&json!(true), &pushed["component"]));
    assert!(bench.refused(&["verify", &reference, "--key", "stranger.pub"]).contains("(SignatureInvalid)"));
    assert!(bench.refused(&["verify", &reference, "--key", "own.key"]).contains("PUBLIC KEY"));
    assert!(bench.refused(&["sign", &reference, "--key", "own.pub"]).contains("PRIVATE KEY"));
    let other = format!("sha256:{}", "0".repeat(64));
    assert!(bench.refused(&["pull", &reference, "--digest", &other]).contains("(TagMoved)"));
    assert!(
        bench
            .refused(&["pull", &reference, "out.wasm", "--key", "stranger.pub"])
            .contains("(SignatureInvalid)")
    );
    assert!(!bench.at("out.wasm").exists(), "nothing that was refused is written");
    let by_identity =
        ["verify", &reference, "--issuer", "https://issuer.example.com", "--subject", "vendor@example.com"];
    let sentence = bench.refused(&by_identity);
    assert!(sentence.contains("not by vendor@example.com of https://issuer.example.com"), "{sentence}");
    let inspected = bench.json(&["inspect", &reference, "--key", "own.pub"]);
    assert_eq!(inspected["artifact"]["signature"], json!({"tag": 1, "referrer": 1, "verdict": "Verified"}));
}

#[tokio::test]
async fn what_is_no_plugin_is_not_published() {
    let bench = Bench::open().await;
    let reference = bench.reference("meter:1");
    fs::write(bench.at("module.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let complaint = bench.refused(&["push", "module.wasm", &reference]);
    assert!(complaint.contains("wasm-tools component new"), "{complaint}");
    assert!(bench.refused(&["inspect", &reference]).contains("(PullNotFound)"));
}

#[tokio::test]
async fn a_password_may_be_with_a_helper_of_docker() {
    let bench = Bench::open().await;
    let reference = bench.reference("meter:1");
    fs::write(bench.at("config.json"), "{}").unwrap();
    let sentence = bench.refused(&["push", "meter.wasm", &reference]);
    assert!(sentence.contains("does not give access"), "{sentence}");

    fs::write(bench.at("config.json"), json!({"credsStore": "kit"}).to_string()).unwrap();
    let helper = bench.at("docker-credential-kit");
    let answer = json!({"Username": Registry::USER, "Secret": Registry::PASSWORD});
    let script =
        format!("#!/bin/sh\n[ \"$1 $(cat)\" = \"get {}\" ] && echo '{answer}'\n", bench.registry.host());
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bench.folder.path().display(), std::env::var("PATH").unwrap());
    let output = bench.command(&["push", "meter.wasm", &reference]).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{}", complaint(&output));
}

#[tokio::test]
async fn wrong_usage_ends_with_two() {
    let bench = Bench::open().await;
    for wrong in [
        &["push", "meter.wasm", "meter"][..],
        &["sign", "registry.example.com/a:1"],
        &["pull"],
        &["verify", "registry.example.com/a:1"],
    ] {
        assert_eq!(bench.command(wrong).output().unwrap().status.code(), Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn an_artifact_of_the_older_layout_is_signed_inspected_and_carried_alike() {
    let bench = Bench::open().await;
    let (reference, copy) = (bench.reference("meter:old"), bench.reference("meter:copy"));
    bench.registry.publish_as_of_old("meter", "old", &fs::read(component()).unwrap()).await.unwrap();
    let inspected = bench.json(&["inspect", &reference]);
    assert_eq!(inspected["digest"], bench.json(&["inspect", "meter.wasm"])["digest"]);
    assert_eq!(inspected["manifest"]["name"], "vecdb");
    assert!(bench.command(&["keygen", "own"]).output().unwrap().status.success());
    bench.json(&["sign", &reference, "--key", "own.key"]);
    bench.json(&["pull", &reference, "old.tar", "--key", "own.pub"]);
    assert_eq!(bench.json(&["push", "old.tar", &copy])["manifest"], inspected["artifact"]["manifest"]);
    bench.json(&["pull", &copy, "copy.wasm", "--key", "own.pub"]);
    assert_eq!(fs::read(bench.at("copy.wasm")).unwrap(), fs::read(component()).unwrap());
}
