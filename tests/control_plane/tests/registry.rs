//! Plugins from a registry, end to end: pulled with a Secret, verified by a key or an identity, metered; or refused with a
//! reason.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::fs;

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tollkeeper_api::MarketplaceProduct;
use tollkeeper_control_plane::{PATIENCE, Stage, Workload, repository};
use tollkeeper_kit::{Door, Registry, Sigstore, http_get, wait_until};
use tollkeeper_registry::{
    Artifact, Description, Keyring, Layout, Reference, Registries, Settings, SigningKey,
};

const CODE: &str = "4pz5x3sgbjnq7t3hb1kqe3v0w";

/// A registry with the example's component in it, and who may push there.
struct Shop {
    registry: Registry,
    registries: Registries,
    keyring: Keyring,
    reference: Reference,
}

impl Shop {
    async fn open() -> Self {
        let registry = Registry::start(Door { tls: false, users: true }).await.unwrap();
        let registries = Registries::new(Settings::default()).unwrap();
        let keyring = Keyring::parse(registry.docker_config().as_bytes()).unwrap();
        let reference: Reference = format!("{}/vecdb/meter:1.4.0", registry.host()).parse().unwrap();
        let component = fs::read(repository().join("plugins/examples/vecdb/vecdb.wasm")).unwrap();
        let artifact = Artifact::new(component, Description::default());
        registries.push(&reference, &keyring, &artifact).await.unwrap();
        Self { registry, registries, keyring, reference }
    }

    async fn sign(&self, key: &SigningKey) {
        self.registries.sign(&self.reference, &self.keyring, key, &[Layout::Tag]).await.unwrap();
    }

    fn secret(&self, name: &str) -> Secret {
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": self.registry.docker_config()},
        }))
        .unwrap()
    }
}

fn from_registry(product: &MarketplaceProduct, plugin: &Value) -> MarketplaceProduct {
    let mut product = serde_json::to_value(product).unwrap();
    let own = product["spec"]["meter"]["plugin"].as_object_mut().unwrap();
    own.extend(plugin.as_object().unwrap().clone());
    serde_json::from_value(product).unwrap()
}

#[tokio::test]
async fn a_signed_plugin_from_a_registry_is_metered() {
    let shop = Shop::open().await;
    let (key, _) = SigningKey::generate().unwrap();
    shop.sign(&key).await;
    let stage = Stage::at("registry", "2026-11-21T13:55:00Z").await;
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "2").await;
    stage.create(&shop.secret("vendor")).await;
    let product = stage.product("vecdb", CODE, workload.port());
    let plugin = json!({
        "source": {"oci": shop.reference.to_string()},
        "pullSecrets": [{"name": "vendor"}],
        "publicKeyPem": key.public().unwrap().to_pem(),
    });
    stage.create(&from_registry(&product, &plugin)).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    let _operator = stage.start_operator();
    stage.condition("MarketplaceProduct", "vecdb", "PluginReady", ("True", "Loaded")).await;
    let observed = stage.settled(2).await;
    observed.agrees();
    let digest = &product.spec.meter.unwrap().plugin.digest;
    assert_eq!(observed.reports[0]["spec"]["evidence"]["plugin"], json!(digest));
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_plugin_is_said_and_noticed_when_it_is_gone() {
    let shop = Shop::open().await;
    let (key, _) = SigningKey::generate().unwrap();
    let stage = Stage::at("refused", "2026-11-21T13:55:00Z").await;
    let plugin = json!({
        "source": {"oci": shop.reference.to_string()},
        "publicKeyPem": key.public().unwrap().to_pem(),
    });
    let product = stage.create(&from_registry(&stage.product("vecdb", CODE, 9), &plugin)).await;
    let _operator = stage.start_operator();
    let refused = async |reason: &str| {
        stage.condition("MarketplaceProduct", "vecdb", "PluginReady", ("False", reason)).await
    };
    refused("PullUnauthorized").await;

    let products: Api<MarketplaceProduct> = stage.namespace.api();
    let patch = json!({"spec": {"meter": {"plugin": {"pullSecrets": [{"name": "vendor"}]}}}});
    products.patch("vecdb", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    refused("PullSecretNotFound").await;
    stage.create(&shop.secret("vendor")).await;
    let missing = refused("SignatureMissing").await;
    assert!(missing["message"].as_str().unwrap().contains("plugin sign"), "{missing}");
    shop.sign(&SigningKey::generate().unwrap().0).await;
    refused("SignatureInvalid").await;
    let problem = "tollkeeper_problem{namespace=";
    let metrics = async || http_get(&format!("{}/metrics", stage.health())).await.unwrap().1;
    let said = metrics().await;
    let of_plugin = |line: &&str| line.starts_with(problem) && line.contains("Signature");
    let problems: Vec<&str> = said.lines().filter(of_plugin).collect();
    assert!(problems.len() == 1 && problems[0].ends_with("reason=\"SignatureInvalid\"} 1"), "{problems:?}");
    shop.sign(&key).await;
    stage.condition("MarketplaceProduct", "vecdb", "PluginReady", ("True", "Loaded")).await;
    assert!(!metrics().await.contains("SignatureInvalid"));

    let reasons =
        ["PullUnauthorized", "PullSecretNotFound", "SignatureMissing", "SignatureInvalid", "Loaded"];
    stage.told(&product, &reasons).await;
}

/// Tokens of ECR last twelve hours, and whatever renews them writes the Secret anew.
#[tokio::test]
async fn a_token_that_is_renewed_in_its_secret_is_taken_without_a_restart() {
    let shop = Shop::open().await;
    let component = fs::read(repository().join("plugins/examples/vecdb/vecdb.wasm")).unwrap();
    shop.registry.publish_as_of_old("vecdb/older", "1", &component).await.unwrap();
    let stage = Stage::at("renewed", "2026-11-21T13:55:00Z").await;
    let host = shop.registry.host();
    let docker_config = |password: &str| {
        let entry = json!({"username": Registry::USER, "password": password});
        json!({"stringData": {".dockercfg": json!({host: entry}).to_string()}})
    };
    let mut secret = docker_config("expired");
    secret["metadata"] = json!({"name": "vendor"});
    secret["type"] = json!("kubernetes.io/dockercfg");
    stage.create(&serde_json::from_value::<Secret>(secret).unwrap()).await;
    let source = json!({"oci": format!("{host}/vecdb/older:1")});
    let plugin = json!({"source": source, "pullSecrets": [{"name": "vendor"}]});
    let product = stage.create(&from_registry(&stage.product("vecdb", CODE, 9), &plugin)).await;
    let mut operator = stage.start_operator();
    let refused =
        stage.condition("MarketplaceProduct", "vecdb", "PluginReady", ("False", "PullUnauthorized")).await;
    let sentence = refused["message"].as_str().unwrap();
    assert!(sentence.contains(host) && !sentence.contains("expired"), "{sentence}");

    let secrets: Api<Secret> = stage.namespace.api();
    let renewed = Patch::Merge(docker_config(Registry::PASSWORD));
    secrets.patch("vendor", &PatchParams::default(), &renewed).await.unwrap();
    stage.condition("MarketplaceProduct", "vecdb", "PluginReady", ("True", "Loaded")).await;
    stage.told(&product, &["PullUnauthorized", "Loaded"]).await;
    assert!(operator.ended().is_none(), "it is the same process");
}

#[tokio::test]
async fn a_plugin_is_metered_once_the_right_identity_has_signed_it() {
    let (issuer, subject) = ("https://token.example.com", "release@example.com");
    let (shop, sigstore) = (Shop::open().await, Sigstore::new().unwrap());
    let found = shop.registries.find(&shop.reference, &shop.keyring).await.unwrap();
    let manifest = found.digest().to_string();
    let signed_by = async |issuer: &str, subject: &str| {
        let bundle = sigstore.sign(&manifest, issuer, subject).unwrap();
        shop.registry.attach("vecdb/meter", &manifest, &[bundle]).await.unwrap();
    };
    let mut stage = Stage::at("identity", "2026-11-21T13:55:00Z").await;
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("trusted_root.json");
    fs::write(&roots, sigstore.trusted_root()).unwrap();
    stage.set("TOLLKEEPER_TRUSTED_ROOT", roots.display().to_string());
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "2").await;
    stage.create(&shop.secret("vendor")).await;
    let plugin = json!({
        "source": {"oci": shop.reference.to_string()},
        "pullSecrets": [{"name": "vendor"}],
        "identity": {"issuer": issuer, "subject": subject},
    });
    let product = from_registry(&stage.product("vecdb", CODE, workload.port()), &plugin);
    signed_by("https://other.example.com", subject).await;
    let product = stage.create(&product).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    let mut operator = stage.start_operator();
    let refused = async |stranger: &str| {
        wait_until(format!("{stranger} is refused"), PATIENCE, async || {
            let reason = ("False", "SignerMismatch");
            let condition = stage.condition("MarketplaceProduct", "vecdb", "PluginReady", reason).await;
            let sentence = condition["message"].as_str().unwrap().to_owned();
            if sentence.contains(&format!("signed by {stranger}, and not by")) {
                Ok(())
            } else {
                Err(sentence)
            }
        })
        .await
        .unwrap();
    };
    refused("release@example.com of https://other.example.com").await;
    operator.wait_for_line("reason=\"SignerMismatch\"", PATIENCE).await.unwrap();
    let (_, metrics) = http_get(&format!("{}/metrics", stage.health())).await.unwrap();
    let problem = metrics.lines().find(|line| line.starts_with("tollkeeper_problem{")).unwrap();
    assert!(problem.contains(r#"reason="SignerMismatch""#), "{metrics}");
    signed_by(issuer, "somebody@example.com").await;
    refused("somebody@example.com of https://token.example.com").await;
    signed_by(issuer, subject).await;
    stage.condition("MarketplaceProduct", "vecdb", "PluginReady", ("True", "Loaded")).await;
    stage.told(&product, &["SignerMismatch", "Loaded"]).await;
    let observed = stage.settled(1).await;
    observed.agrees();
    let digest = &product.spec.meter.unwrap().plugin.digest;
    assert_eq!(observed.reports[0]["spec"]["evidence"]["plugin"], json!(digest));
}
