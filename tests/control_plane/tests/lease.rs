//! The election against a real API server, with the rights that the chart grants for it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::time::Duration;

use k8s_openapi::api::{
    coordination::v1::Lease,
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tollkeeper_control_plane::{Stage, Workload};
use tollkeeper_controller::lease::{Elector, Leadership};
use tollkeeper_kit::{ControlPlane, Failure, Namespace, Result, free_port, http_get, wait_until};

/// Far more than a few terms of three seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client that may take part in the election, and do nothing else.
async fn elector_of(namespace: &Namespace) -> Result<Client> {
    namespace.service_account("operator", &[]).await?;
    let role: Role = serde_json::from_value(json!({"metadata": {"name": "operator"}, "rules": [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["tollkeeper"],
            "verbs": ["get", "update"]},
    ]}))?;
    namespace.api().create(&PostParams::default(), &role).await?;
    let grant: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "operator"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"},
        "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": namespace.name()}],
    }))?;
    namespace.api().create(&PostParams::default(), &grant).await?;
    namespace.control_plane().client_as(namespace.name(), "operator").await
}

/// Follows an elector until it leads, and returns its epoch.
async fn leads(leadership: &mut tokio::sync::watch::Receiver<Leadership>) -> Result<u64> {
    let waiting = leadership.wait_for(|leadership| *leadership != Leadership::Follower);
    match *tokio::time::timeout(PATIENCE, waiting).await?? {
        Leadership::Leader { epoch } => Ok(epoch),
        Leadership::Follower => Err(Failure::new("it follows")),
    }
}

#[tokio::test]
async fn one_of_two_leads_and_hands_over_with_a_higher_epoch() -> Result {
    let namespace = ControlPlane::shared().await?.namespace("lease").await?;
    let client = elector_of(&namespace).await?;
    let start = |holder: &str| {
        let (elector, leadership) = Elector::new(client.clone(), namespace.name(), "tollkeeper", holder);
        let stop = CancellationToken::new();
        let task = tokio::spawn(elector.with_duration(Duration::from_secs(3)).run(stop.clone()));
        (leadership, stop, task)
    };
    let (mut first, stop, task) = start("first");
    let epoch = leads(&mut first).await?;
    let (mut second, _stop, _task) = start("second");
    let leases = namespace.api::<Lease>();
    let renewed =
        async || -> Result<_> { Ok(leases.get("tollkeeper").await?.spec.and_then(|spec| spec.renew_time)) };
    let before = renewed().await?;
    wait_until("the lease is renewed", PATIENCE, async || match renewed().await {
        Ok(time) if time != before => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    assert_eq!(*second.borrow(), Leadership::Follower);

    // As a merge patch would steal it: the holder notices at its next renewal.
    let stolen = json!({"spec": {"holderIdentity": "thief", "leaseTransitions": 40}});
    leases.patch("tollkeeper", &PatchParams::default(), &Patch::Merge(&stolen)).await?;
    first.wait_for(|leadership| *leadership == Leadership::Follower).await?;
    let winner = tokio::select! {
        epoch = leads(&mut first) => epoch?,
        epoch = leads(&mut second) => epoch?,
    };
    assert!(winner > 40 && winner > epoch, "{winner}");
    let both = [*first.borrow(), *second.borrow()];
    assert!(both.contains(&Leadership::Follower), "{both:?}");

    stop.cancel();
    task.await?;
    leads(&mut second).await?;
    Ok(())
}

/// Whether the operator at this address leads, as it says itself.
async fn is_leader(health: &str) -> Result<bool> {
    let (_, metrics) = http_get(&format!("{health}/metrics")).await?;
    Ok(metrics.lines().any(|line| line == "tollkeeper_leader 1"))
}

#[tokio::test]
async fn a_standby_is_ready_and_leads_when_the_leader_is_told_to_end() -> Result {
    let stage = Stage::at("standby", "2026-11-21T13:55:00Z").await;
    let workload = Workload::start(&stage.namespace).await;
    workload.run_pod(&stage.namespace, "vecdb-0", "2").await;
    stage.create(&stage.product("vecdb", "4pz5x3sgbjnq7t3hb1kqe3v0w", workload.port())).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    let mut leader = stage.start_operator();
    leader.wait_for_http(&format!("{}/readyz", stage.health()), PATIENCE).await?;
    stage.settled(1).await;
    let heir = stage.another_pod("tollkeeper-1").await;
    let listen = format!("127.0.0.1:{}", free_port()?);
    let health = format!("http://{listen}");
    let mut standby = stage.start(&heir, &listen);
    standby.wait_for_http(&format!("{health}/readyz"), PATIENCE).await?;
    assert!(is_leader(&stage.health()).await? && !is_leader(&health).await?);

    assert!(leader.terminate(PATIENCE).await?.success());
    let lease = stage.namespace.api::<Lease>().get("tollkeeper").await?.spec.unwrap_or_default();
    assert_ne!(lease.holder_identity.as_deref(), Some("tollkeeper-0"), "it has let go of the lease");
    wait_until("the standby leads", PATIENCE, async || match is_leader(&health).await {
        Ok(true) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    let before = stage.observe().await.reports.len();
    let observed = stage.settled(before + 1).await;
    observed.agrees();
    let claim = &observed.reports.last().unwrap()["status"]["records"][0]["claim"];
    let first = &observed.reports[0]["status"]["records"][0]["claim"];
    assert_eq!((&first["pod"], &claim["pod"]), (&json!(stage.first_pod().uid), &json!(heir.uid)));
    assert!(first["epoch"].as_u64() < claim["epoch"].as_u64(), "{first} {claim}");
    assert!(standby.terminate(PATIENCE).await?.success());
    Ok(())
}
