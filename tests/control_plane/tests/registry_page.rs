//! The vendors' page about registries, run as it is written with a component of every SDK: what is small and what is large go
//! different ways on it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use kube::Api;
use serde_json::{Value, json};
use tollkeeper_api::MarketplaceProduct;
use tollkeeper_control_plane::{PATIENCE, Stage, repository};
use tollkeeper_kit::{Door, Program, Registry, wait_until};

/// Where a plugin is that the page has put there without a registry.
#[derive(PartialEq, Eq, Debug)]
enum Place {
    ConfigMap,
    Image,
}

#[tokio::test]
async fn the_page_about_registries_works_with_a_meter_in_rust() {
    assert_eq!(every_command_works("rust").await, Place::ConfigMap);
}

#[tokio::test]
async fn the_page_about_registries_works_with_a_meter_in_go() {
    assert_eq!(every_command_works("go").await, Place::Image);
}

#[tokio::test]
async fn the_page_about_registries_works_with_a_meter_in_javascript() {
    assert_eq!(every_command_works("js").await, Place::Image);
}

#[tokio::test]
async fn the_page_about_registries_works_with_a_meter_in_python() {
    assert_eq!(every_command_works("python").await, Place::Image);
}

/// Machine code for the verbs and the operator: a debug build compiles CPython once.
fn compiled(folder: &Path) -> PathBuf {
    folder.join("compiled")
}

/// The example that counts nodes, built as its vendor builds it. Rust's is committed.
fn build(language: &str, folder: &Path) {
    let to = folder.join("meter.wasm");
    let project = repository().join("plugins/sdk").join(language).join("examples/node-hours");
    if language == "rust" {
        fs::copy(project.join("node-hours.wasm"), to).unwrap();
        return;
    }
    let mut build = Command::new(Program::Tollkeeper.path().unwrap());
    build.args(["plugin", "build"]).arg(project).arg("--component").arg(to);
    let output = build.env("TOLLKEEPER_CACHE_DIR", compiled(folder)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The example's product under the page's name. Nothing has its plugin yet, so `kubectl wait` waits for the page's.
fn product() -> MarketplaceProduct {
    let text = fs::read_to_string(repository().join("plugins/sdk/golden/node-hours/product.yaml")).unwrap();
    let mut product: Value = serde_yaml::from_str(&text).unwrap();
    product["metadata"] = json!({"name": "vecdb"});
    // A debug build of the host on a busy machine is no measure of a meter.
    product["spec"]["meter"]["plugin"]["limits"] = json!({"time": "10s"});
    serde_json::from_value(product).unwrap()
}

/// The shell commands of the page, one block after the other.
fn commands(page: &str) -> String {
    let blocks = page.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// Runs the page in a folder with the component, with the test's registry and files instead of those of the page.
fn run_page(stage: &Stage, registry: &Registry, folder: &Path) {
    let admin = fs::read_to_string(stage.namespace.control_plane().kubeconfig()).unwrap();
    let mut admin: Value = serde_yaml::from_str(&admin).unwrap();
    admin["contexts"][0]["context"]["namespace"] = json!(stage.namespace.name());
    fs::write(folder.join("kubeconfig"), admin.to_string()).unwrap();
    fs::write(folder.join("config.json"), registry.docker_config()).unwrap();
    let mut script = commands(&fs::read_to_string(repository().join("docs/vendors/registry.md")).unwrap());
    let images_own = folder.join("meter-1.4.0.wasm").display().to_string();
    for (theirs, ours) in [
        ("registry.example.com/vecdb", format!("{}/vecdb", registry.host())),
        ("/plugins/meter-1.4.0.wasm", images_own),
    ] {
        assert!(script.contains(theirs), "the page names {theirs}");
        script = script.replace(theirs, &ours);
    }
    let (tollkeeper, kubectl) = (Program::Tollkeeper.path().unwrap(), Program::Kubectl.path().unwrap());
    let path = [tollkeeper, kubectl].map(|program| program.parent().unwrap().display().to_string()).join(":");
    let output = Command::new("bash")
        .args(["-euxo", "pipefail", "-c", &script])
        .current_dir(folder)
        .env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap()))
        .env("KUBECONFIG", folder.join("kubeconfig"))
        .env("DOCKER_CONFIG", folder)
        .env("TOLLKEEPER_CACHE_DIR", compiled(folder))
        .env("REGISTRY_USER", Registry::USER)
        .env("REGISTRY_PASSWORD", Registry::PASSWORD)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Goes through the whole page, and says where the plugin is at its end.
async fn every_command_works(language: &str) -> Place {
    let folder = tempfile::tempdir().unwrap();
    build(language, folder.path());
    let registry = Registry::start(Door { tls: false, users: true }).await.unwrap();
    let mut stage = Stage::at(&format!("page-{language}"), "2026-11-21T13:55:00Z").await;
    stage.set("TOLLKEEPER_CACHE_DIR", compiled(folder.path()).display().to_string());
    stage.create(&product()).await;
    let _operator = stage.start_operator();
    stage.condition("MarketplaceProduct", "vecdb", "PluginReady", ("False", "PluginFileUnreadable")).await;
    run_page(&stage, &registry, folder.path());

    let products: Api<MarketplaceProduct> = stage.namespace.api();
    let product = wait_until("the plugin without a registry is loaded", PATIENCE, async || {
        let product = products.get("vecdb").await.map_err(|error| error.to_string())?;
        let conditions = product.status.clone().unwrap_or_default().conditions;
        match conditions.iter().find(|one| one.type_ == "PluginReady") {
            Some(ready)
                if ready.observed_generation == product.metadata.generation && ready.status == "True" =>
            {
                Ok(product)
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
    assert_eq!(product.status.unwrap().plugin.unwrap().name, "node-hours");
    let source = product.spec.meter.unwrap().plugin.source;
    assert!(source.oci.is_none());
    if source.config_map.is_some() { Place::ConfigMap } else { Place::Image }
}
