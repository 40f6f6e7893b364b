//! The ledger in a real API server passes the suite that every back end passes.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tollkeeper_core::clock::Clock;
use tollkeeper_kit::ControlPlane;
use tollkeeper_ledger::{
    conformance,
    kubernetes::{KubernetesLedger, KubernetesStatements, Scope},
};

struct Still;

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        "2026-11-21T15:05:00Z".parse().unwrap()
    }

    async fn sleep_until(&self, _: Timestamp) {}
}

#[tokio::test]
async fn the_ledger_in_the_api_server_conforms() {
    let plane = ControlPlane::shared().await.unwrap();
    let namespace = plane.namespace("ledger").await.unwrap();
    let scope = Scope::Namespaces(vec![namespace.name().to_owned()]);
    let ledger = KubernetesLedger::new(namespace.client(), scope, Arc::new(Still));
    conformance::suite(&ledger, namespace.name()).await;
}

#[tokio::test]
async fn statements_in_the_api_server_conform() {
    let plane = ControlPlane::shared().await.unwrap();
    let namespace = plane.namespace("statements").await.unwrap();
    let scope = Scope::Namespaces(vec![namespace.name().to_owned()]);
    let ledger = KubernetesLedger::new(namespace.client(), scope.clone(), Arc::new(Still));
    let statements = KubernetesStatements::new(namespace.client(), scope);
    conformance::statements(&ledger, &statements, namespace.name()).await;
}
