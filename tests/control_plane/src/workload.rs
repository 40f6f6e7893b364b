//! A made-up VecDB: a node, pods that "run", and a metrics endpoint whose counter the test moves.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{Router, routing::get};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};
use tollkeeper_kit::Namespace;

/// The workload of one test.
pub struct Workload {
    scanned: Arc<AtomicU64>,
    port: u16,
    node: String,
    server: JoinHandle<()>,
}

impl Drop for Workload {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Workload {
    /// A node and a metrics endpoint, without pods.
    pub async fn start(namespace: &Namespace) -> Self {
        let scanned = Arc::new(AtomicU64::new(0));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let counter = scanned.clone();
        let app = Router::new().route(
            "/metrics",
            get(async move || format!("vecdb_bytes_scanned_total {}\n", counter.load(Ordering::Relaxed))),
        );
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let node = format!("node-{}", namespace.name());
        let object: Node = serde_json::from_value(json!({"metadata": {"name": node}})).unwrap();
        let nodes: Api<Node> = Api::all(namespace.client());
        nodes.create(&PostParams::default(), &object).await.unwrap();
        let status = json!({"status": {"capacity": {"cpu": "16"}}});
        nodes.patch_status(&node, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
        Self { scanned, port, node, server }
    }

    /// The port of the metrics endpoint.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Adds gigabytes to the counter.
    pub fn scan(&self, gigabytes: u64) {
        self.scanned.fetch_add(gigabytes * 1_000_000_000, Ordering::Relaxed);
    }

    /// Lets a pod run that asks for this much CPU.
    pub async fn run_pod(&self, namespace: &Namespace, name: &str, cpu: &str) -> Pod {
        let pods: Api<Pod> = namespace.api();
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"app": "vecdb"}},
            "spec": {
                "nodeName": self.node,
                "containers": [{"name": "vecdb", "image": "vecdb", "resources": {"requests": {"cpu": cpu}}}],
            },
        }))
        .unwrap();
        pods.create(&PostParams::default(), &pod).await.unwrap();
        let status =
            json!({"status": {"phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}});
        pods.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap()
    }
}
