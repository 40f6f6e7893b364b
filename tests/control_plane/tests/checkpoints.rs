//! Checkpoints in a real API server, in real time: each save tells what time it is there.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_methods, reason = "the API server's time is real, so this process's has to be")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt as _, api::PostParams};
use serde_json::json;
use tollkeeper_api::LicenseBinding;
use tollkeeper_core::{
    checkpoint::{Checkpoint, CheckpointError, Checkpoints},
    clock::Clock,
    identity::ObjectKey,
    product::Binding,
    tags::TagSet,
    usage::Tally,
    workload::{Selector, Workload},
};
use tollkeeper_kit::{ControlPlane, Namespace, wait_until};
use tollkeeper_ledger::kubernetes::KubernetesCheckpoints;

struct Real;

#[async_trait]
impl Clock for Real {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep_until(&self, _: Timestamp) {}
}

async fn binding(namespace: &Namespace) -> Binding {
    let object: LicenseBinding = serde_json::from_value(json!({
        "apiVersion": "tollkeeper.dev/v1alpha1",
        "kind": "LicenseBinding",
        "metadata": {"name": "prod"},
        "spec": {
            "productRef": {"name": "vecdb"},
            "workload": {"namespaces": [namespace.name()]},
            "access": {"irsa": {"roleArn": "arn:aws:iam::123456789012:role/vecdb", "serviceAccountName": "vecdb"}},
        },
    }))
    .unwrap();
    let created = namespace.api().create(&PostParams::default(), &object).await.unwrap();
    Binding {
        key: ObjectKey::new(namespace.name(), "prod"),
        uid: created.uid().unwrap(),
        workload: Workload { namespaces: vec![namespace.name().to_owned()], selector: Selector::default() },
        tags: TagSet::default(),
    }
}

fn nothing_new() -> Checkpoint {
    Checkpoint { tally: Tally::default(), current: None }
}

/// The API server tells whole seconds, and both are one machine: this is for a slow one.
const APART: SignedDuration = SignedDuration::from_secs(15);

#[tokio::test]
async fn every_save_is_dated_by_the_api_server_even_if_nothing_was_measured() {
    let plane = ControlPlane::shared().await.unwrap();
    let namespace = plane.namespace("checkpoints").await.unwrap();
    let binding = binding(&namespace).await;
    let checkpoints = KubernetesCheckpoints::new(namespace.client(), Arc::new(Real));
    assert_eq!(checkpoints.load(&binding).await.unwrap(), None);
    let first = checkpoints.save(&binding, &nothing_new()).await.unwrap().at.unwrap();
    assert!(Timestamp::now().duration_since(first).abs() < APART, "{first}");

    // The same usage again: what an idle meter saves to ask for the time.
    let later = wait_until("a later second".to_owned(), Duration::from_secs(30), async || {
        let saved = checkpoints.save(&binding, &nothing_new()).await.map_err(|error| error.to_string())?;
        let at = saved.at.ok_or("the API server did not tell the time")?;
        if at >= first + SignedDuration::from_secs(3) { Ok(at) } else { Err(format!("{at}, first {first}")) }
    });
    let later = later.await.unwrap();
    assert!(Timestamp::now().duration_since(later).abs() < APART, "{later}");
}

#[tokio::test]
async fn a_process_that_takes_over_supersedes_the_one_before_although_it_saves_the_same() {
    let plane = ControlPlane::shared().await.unwrap();
    let namespace = plane.namespace("checkpoints").await.unwrap();
    let binding = binding(&namespace).await;
    let before = KubernetesCheckpoints::new(namespace.client(), Arc::new(Real));
    before.load(&binding).await.unwrap();
    before.save(&binding, &nothing_new()).await.unwrap();
    let after = KubernetesCheckpoints::new(namespace.client(), Arc::new(Real));
    after.load(&binding).await.unwrap();
    after.save(&binding, &nothing_new()).await.unwrap();
    let refused = before.save(&binding, &nothing_new()).await.unwrap_err();
    assert_eq!(refused, CheckpointError::Superseded(binding.key.clone()));
}
