//! What is said about a binding: its status, its events, its log lines.
//!
//! The status is written only when it says something else than before, only the fields that are ours, and only over the
//! version that was judged. Events follow a written status, so each change is told once.

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{Api, api::Patch};
use serde_json::{Value, json};
use tollkeeper_api::{LicenseBinding, LicenseBindingStatus, binding::EntitlementState};

use super::{
    House,
    access::ACCESS_PROVISIONED,
    act::{ActError, Acted},
    observe::{Observed, Subject},
    plan::{ENTITLED, Plan, Verdicts},
};
use crate::{
    calls::{CallError, call, patch_params},
    conditions::{self, READY, Truth, Verdict},
    work::Next,
};

/// What Tollkeeper was doing, for events.
const ACTION: &str = "Reconcile";

/// Says what has come of a binding, and when to look again.
pub(super) async fn report(house: &House, observed: &Observed, plan: &Plan, acted: &Acted) -> Next {
    let subject = &observed.subject;
    for failure in &acted.failures {
        let cause = failure.cause();
        tracing::warn!(binding = %subject.key, reason = failure.reason(), %cause, "{failure}");
    }
    if acted.is_released {
        tracing::info!(binding = %subject.key, "the deleted binding is let go");
        house.events.announce(&reference(subject), ACTION, &plan.verdicts.settled).await;
        return Next::OnChange;
    }
    if acted.failures.iter().any(|failure| failure.cause().passes_by_itself()) {
        // What will be true in a moment is not worth a change of conditions.
        return Next::Failed;
    }
    let Some(status) = &observed.status else {
        house.events.announce(&reference(subject), ACTION, &plan.verdicts.gate).await;
        return if acted.failures.is_empty() { plan.next } else { Next::Failed };
    };
    let verdicts = verdicts(&plan.verdicts, &acted.failures);
    let conditions =
        conditions::updated(&status.conditions, &verdicts, subject.generation, house.clock.now());
    let said = said(status, observed, &conditions);
    if said != ours(status) {
        // Before the status, which says what has been told: after a crash in between it is told once more, and not never.
        let news = conditions::announcements(&status.conditions, &verdicts);
        house.events.announce(&reference(subject), ACTION, news).await;
        if let Err(error) = write(house, subject, &acted.version, &said).await {
            // A binding that is gone needs no status; one that has changed is looked at again.
            if error != CallError::Absent {
                tracing::warn!(binding = %subject.key, reason = error.reason(), %error, "no status");
            }
            return Next::Failed;
        }
    }
    if acted.failures.is_empty() { plan.next } else { Next::Failed }
}

/// The verdicts after what came of the writes, `Ready` first.
fn verdicts(planned: &Verdicts, failures: &[ActError]) -> Vec<Verdict> {
    let refused = failures.first().map(|failure| {
        let message = format!("{failure}: {}", failure.cause());
        Verdict::fails(ACCESS_PROVISIONED, failure.reason(), message)
    });
    let access = refused.or_else(|| planned.access.clone());
    // Usage that is on its way in the ordinary course says nothing against the binding.
    let settled = planned.settled.iter().filter(|verdict| verdict.is_alarming());
    let parts = planned.gate.iter().chain(&access).chain(&planned.entitled).chain(settled);
    let ready = conditions::ready(parts, "the binding is in force");
    let is_known = planned.is_all_known || ready.truth == Truth::False;
    let derived = is_known.then_some(ready);
    let all = derived.into_iter().chain(access).chain(planned.entitled.clone());
    all.chain(planned.settled.clone()).collect()
}

/// The fields of the status that are ours, as they are to be.
fn said(old: &LicenseBindingStatus, observed: &Observed, conditions: &[Condition]) -> Value {
    let is_refused = conditions::find(conditions, ENTITLED).is_some_and(|one| one.status == "False");
    let state = if is_refused { EntitlementState::NotEntitled } else { EntitlementState::Unknown };
    let progress = observed.known_progress();
    // After a restart, what was known before stands until the product's meter has run.
    let settled = progress.and_then(|progress| progress.last_settled).map(|hour| hour.to_string());
    let unsettled = progress.map(|progress| u32::try_from(progress.unsettled).unwrap_or(u32::MAX));
    json!({
        "observedGeneration": observed.subject.generation,
        "entitlement": {"state": state},
        "lastSettledHour": settled.or_else(|| old.last_settled_hour.clone()),
        "unsettled": unsettled.or(old.unsettled),
        "conditions": conditions,
    })
}

/// The same fields as they are.
fn ours(old: &LicenseBindingStatus) -> Value {
    json!({
        "observedGeneration": old.observed_generation,
        "entitlement": {"state": old.entitlement.as_ref().map(|entitlement| entitlement.state)},
        "lastSettledHour": old.last_settled_hour,
        "unsettled": old.unsettled,
        "conditions": old.conditions,
    })
}

async fn write(house: &House, subject: &Subject, version: &str, said: &Value) -> Result<(), CallError> {
    let api = Api::<LicenseBinding>::namespaced(house.client.clone(), &subject.key.namespace);
    let patch = json!({"metadata": {"resourceVersion": version}, "status": said});
    call(api.patch_status(&subject.key.name, &patch_params(), &Patch::Merge(&patch))).await.map(drop)
}

fn reference(subject: &Subject) -> ObjectReference {
    ObjectReference {
        api_version: Some(subject.owner.api_version.clone()),
        kind: Some(subject.owner.kind.clone()),
        namespace: Some(subject.key.namespace.clone()),
        name: Some(subject.key.name.clone()),
        uid: Some(subject.owner.uid.clone()),
        ..ObjectReference::default()
    }
}

/// Empties what is written with every checkpoint, so that a checkpoint is no change of the binding.
pub(super) fn prune(binding: &mut LicenseBinding) {
    if let Some(status) = &mut binding.status {
        status.current_hour = None;
        if let Some(checkpoint) = &mut status.checkpoint {
            checkpoint.at = Timestamp::UNIX_EPOCH;
            checkpoint.hour.clear();
            checkpoint.data = String::new();
        }
    }
}

/// Of [`READY`], for documentation and tests: all conditions of a binding.
pub const CONDITIONS: [&str; 4] = [READY, ACCESS_PROVISIONED, ENTITLED, super::settle::SETTLED];
