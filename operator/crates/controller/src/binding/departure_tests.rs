//! When a deleted binding goes, and what it waits for.

use super::*;

#[test]
fn a_deleted_binding_that_was_never_metered_goes_at_once() {
    let mut observed = deleted();
    observed.objects.insert(account(), found(ours(), role(ROLE)));
    observed.product.as_mut().unwrap().exists = false;
    observed.progress = None;
    let plan = plan(&observed, now());
    assert!(plan.is_release);
    assert!(matches!(&plan.steps[..], [Step::Delete { .. }]), "and its objects go");
    assert_eq!(plan.mark, None);
}

#[test]
fn a_deleted_binding_leaves_alone_what_is_not_its_own() {
    let mut observed = deleted();
    observed.objects.insert(account(), found(json!({}), role(ROLE)));
    let plan = plan(&observed, now());
    assert_eq!((plan.is_release, plan.steps.len()), (true, 0));
}

fn waits_for(observed: &Observed, now: Timestamp) -> &'static str {
    let plan = plan(observed, now);
    assert!(!plan.is_release && plan.steps.is_empty(), "{plan:?}");
    plan.verdicts.settled.unwrap().reason
}

#[test]
fn a_deleted_binding_waits_for_its_open_hours() {
    let mut observed = deleted();
    let open = Progress { has_open_hours: true, last_hour: Some(BillingHour::of(now())) };
    observed.progress.as_mut().unwrap().bindings.insert(key(), open);
    assert_eq!(waits_for(&observed, now()), "HoursOpen");
    let plan = plan(&observed, now());
    let seen = plan.mark.unwrap().annotations[DELETION_ANNOTATION].clone();
    assert_eq!(seen, Some(now().to_string()), "so that a restart does not wait longer");
    assert_eq!(plan.next, Next::At(now() + SignedDuration::from_hours(7)));
}

#[test]
fn a_deleted_binding_waits_for_the_reports_of_its_hours() {
    let mut observed = deleted();
    let closed = Progress { has_open_hours: false, last_hour: None };
    observed.progress.as_mut().unwrap().bindings.insert(key(), closed);
    observed.unsettled = [BillingHour::of(now()).previous()].into();
    assert_eq!(waits_for(&observed, now()), "ReportsUnsettled");
    observed.unsettled = [BillingHour::of(now() + SignedDuration::from_hours(5))].into();
    assert!(plan(&observed, now()).is_release, "later hours hold nothing of it");
}

#[test]
fn a_deleted_binding_waits_for_reports_of_a_product_that_is_gone() {
    let mut observed = deleted();
    observed.product.as_mut().unwrap().exists = false;
    observed.progress = None;
    observed.unsettled = [BillingHour::of(now())].into();
    assert_eq!(waits_for(&observed, now()), "ReportsUnsettled");
}

#[test]
fn a_deleted_binding_that_was_metered_waits_for_the_meter_to_start() {
    let mut observed = deleted();
    observed.progress = None;
    assert!(plan(&observed, now()).is_release, "it has no checkpoint");
    let checkpoint = json!({"at": "1970-01-01T00:00:00Z", "hour": "", "data": ""});
    let mut observed = changed(json!({
        "metadata": {"deletionTimestamp": "2026-11-21T14:20:00Z"}, "status": {"checkpoint": checkpoint},
    }));
    observed.progress = None;
    assert_eq!(waits_for(&observed, now()), "MeterNotRunning");
}

#[test]
fn no_binding_waits_longer_than_aws_takes_usage() {
    let mut observed = deleted();
    observed.unsettled = [BillingHour::of(now())].into();
    observed.subject.deletion_seen = Some(now());
    let before = now() + SignedDuration::from_hours(7) - SignedDuration::from_secs(1);
    assert_eq!(waits_for(&observed, before), "ReportsUnsettled");
    let plan = plan(&observed, now() + SignedDuration::from_hours(7));
    assert!(plan.is_release);
    let verdict = plan.verdicts.settled.unwrap();
    assert_eq!((verdict.reason, verdict.is_alarming()), ("SettlementAbandoned", true));
}

#[test]
fn the_wait_of_a_deleted_binding_is_written_down_once() {
    let mut observed = deleted();
    observed.unsettled = [BillingHour::of(now())].into();
    observed.subject.deletion_seen = Some(now());
    assert_eq!(plan(&observed, now() + SignedDuration::from_hours(1)).mark, None);
}

#[test]
fn a_deleted_binding_that_somebody_else_holds_is_not_touched() {
    let mut observed = deleted();
    observed.subject.finalizers = vec!["other".to_owned()];
    observed.objects.insert(account(), found(ours(), role(ROLE)));
    let plan = plan(&observed, now());
    assert_eq!((plan.is_release, plan.steps.len(), plan.mark), (false, 0, None));
}

fn undecodable(remains: Option<LicenseBinding>) -> Observed {
    let metadata = serde_json::from_value(json!({"name": "prod", "namespace": "vecdb", "uid": UID,
        "deletionTimestamp": "2026-11-21T14:20:00Z", "finalizers": [SETTLE_FINALIZER],
        "annotations": {DELETION_ANNOTATION: now().to_string()}}));
    let broken = Undecodable { metadata: metadata.unwrap(), problem: "no spec".to_owned(), remains };
    Observed::of(&key(), &Seen::Undecodable(Arc::new(broken)))
}

#[test]
fn a_deleted_binding_that_cannot_be_decoded_goes_in_the_end() {
    let observed = undecodable(None);
    assert_eq!(waits_for(&observed, now()), "ProductUnknown");
    assert!(plan(&observed, now() + SignedDuration::from_hours(7)).is_release);
}

#[test]
fn a_deleted_binding_that_cannot_be_decoded_waits_for_its_open_hours_like_any_other() {
    let checkpoint = json!({"at": "1970-01-01T00:00:00Z", "hour": "", "data": ""});
    let remains = json!({"metadata": {"name": "prod"}, "spec": {"productRef": {"name": "vecdb"}},
        "status": {"checkpoint": checkpoint}});
    let mut observed = undecodable(Some(serde_json::from_value(remains).unwrap()));
    observed.product.as_mut().unwrap().is_to_be_metered = true;
    assert_eq!(waits_for(&observed, now()), "MeterNotRunning");
    let closed = Progress { has_open_hours: false, last_hour: None };
    let bindings = [(key(), closed)].into();
    observed.progress = Some(ProductProgress { is_metered: true, bindings, ..ProductProgress::default() });
    assert!(plan(&observed, now()).is_release);
}
