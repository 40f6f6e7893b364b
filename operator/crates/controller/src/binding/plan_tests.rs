use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tollkeeper_api::LicenseBinding;
use tollkeeper_core::{hour::BillingHour, identity::ObjectKey};

use super::{
    super::{
        objects::{Hidden, Reading},
        observe::TokenReading,
    },
    *,
};
use crate::{
    conditions::Truth,
    meter::{Finding, Findings, Progress},
    roster::ProductProgress,
    watch::{Seen, Undecodable},
};

#[path = "departure_tests.rs"]
mod departure;

const ROLE: &str = "arn:aws:iam::123456789012:role/vecdb";
const UID: &str = "binding-uid";

fn now() -> Timestamp {
    "2026-11-21T14:20:00Z".parse().unwrap()
}

fn key() -> ObjectKey {
    ObjectKey::new("vecdb", "prod")
}

fn irsa() -> Value {
    json!({"irsa": {"roleArn": ROLE, "serviceAccountName": "vecdb"}})
}

fn token() -> Value {
    json!({"licenseToken": {
        "roleArn": ROLE, "secretName": "license", "serviceAccountName": "vecdb",
        "tokenSecretRef": {"name": "bought", "key": "token"},
    }})
}

/// A binding with this access whose finalizer and record are in order, of a product that is metered and up to date.
fn observed(access: &Value) -> Observed {
    changed(json!({"spec": {"access": access}}))
}

fn changed(change: Value) -> Observed {
    let mut object = json!({
        "apiVersion": "tollkeeper.dev/v1alpha1", "kind": "LicenseBinding",
        "metadata": {"name": "prod", "namespace": "vecdb", "uid": UID, "resourceVersion": "7", "generation": 1,
            "finalizers": [SETTLE_FINALIZER]},
        "spec": {"productRef": {"name": "vecdb"}},
    });
    merge(&mut object, change);
    let binding: LicenseBinding = serde_json::from_value(object).unwrap();
    let mut observed = Observed::of(&key(), &Seen::Object(Arc::new(binding)));
    let product = observed.product.as_mut().unwrap();
    (product.exists, product.is_to_be_metered) = (true, true);
    let findings = Findings { has_ticked: true, ..Findings::default() };
    observed.progress = Some(ProductProgress { is_metered: true, findings, ..ProductProgress::default() });
    observed.subject.provisioned =
        observed.access().map(super::super::observe::objects_of).unwrap_or_default().into_iter().collect();
    observed
}

fn merge(target: &mut Value, change: Value) {
    match change {
        Value::Object(entries) => {
            entries.into_iter().for_each(|(key, value)| merge(&mut target[key], value));
        }
        other => *target = other,
    }
}

fn deleted() -> Observed {
    changed(json!({"metadata": {"deletionTimestamp": "2026-11-21T14:20:00Z"}, "spec": {"access": irsa()}}))
}

fn account() -> ObjectId {
    ObjectId::service_account("vecdb")
}

fn found(metadata: Value, content: Content) -> Reading {
    let mut object = json!({"metadata": {"uid": "u", "resourceVersion": "3"}});
    merge(&mut object["metadata"], metadata);
    let account: k8s_openapi::api::core::v1::ServiceAccount = serde_json::from_value(object).unwrap();
    Reading::Found(Found { content, ..Found::from(account) })
}

fn owner(uid: &str) -> Value {
    json!({"apiVersion": "tollkeeper.dev/v1alpha1", "kind": "LicenseBinding", "name": "prod", "uid": uid,
        "controller": true})
}

fn ours() -> Value {
    json!({"labels": {"app.kubernetes.io/managed-by": "tollkeeper"}, "ownerReferences": [owner(UID)]})
}

fn role(arn: &str) -> Content {
    Content::ServiceAccount { role_arn: Some(arn.to_owned()) }
}

fn access(plan: &Plan) -> (Truth, &'static str) {
    let verdict = plan.verdicts.access.as_ref().unwrap();
    (verdict.truth, verdict.reason)
}

#[test]
fn a_new_binding_is_marked_before_its_service_account_is_created() {
    let mut observed = observed(&irsa());
    observed.subject.finalizers.clear();
    observed.subject.provisioned.clear();
    let plan = plan(&observed, now());
    let mark = plan.mark.as_ref().unwrap();
    assert_eq!(mark.finalizers, [SETTLE_FINALIZER]);
    assert_eq!(mark.annotations[PROVISIONED_ANNOTATION].as_deref(), Some("ServiceAccount/vecdb"));
    assert_eq!(plan.steps, [Step::Create { id: account(), content: role(ROLE) }]);
    assert_eq!(access(&plan), (Truth::True, "Provisioned"));
}

#[test]
fn what_is_in_order_is_not_written() {
    let mut observed = observed(&irsa());
    observed.objects.insert(account(), found(ours(), role(ROLE)));
    let plan = plan(&observed, now());
    assert_eq!((plan.mark, plan.steps), (None, vec![]));
}

#[test]
fn a_finalizer_of_somebody_else_stays() {
    let mut observed = observed(&irsa());
    observed.subject.finalizers = vec!["other".to_owned()];
    assert_eq!(plan(&observed, now()).mark.unwrap().finalizers, ["other", SETTLE_FINALIZER]);
}

#[test]
fn an_object_that_somebody_else_made_is_left_alone() {
    let theirs = [
        json!({}),
        json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}),
        json!({"ownerReferences": [owner("another")]}),
        json!({"labels": {"app.kubernetes.io/managed-by": "tollkeeper"}, "ownerReferences": [owner("another")]}),
    ];
    for metadata in theirs {
        let mut observed = observed(&irsa());
        observed.objects.insert(account(), found(metadata.clone(), role(ROLE)));
        let plan = plan(&observed, now());
        assert_eq!((plan.steps.len(), access(&plan)), (0, (Truth::False, "NameTaken")), "{metadata}");
        assert!(plan.verdicts.access.unwrap().message.contains("ServiceAccount/vecdb"));
    }
}

#[test]
fn an_object_of_tollkeeper_without_an_owner_is_adopted() {
    let mut observed = observed(&irsa());
    let metadata = json!({"labels": {"app.kubernetes.io/managed-by": "tollkeeper"}});
    observed.objects.insert(account(), found(metadata, role(ROLE)));
    let plan = plan(&observed, now());
    assert!(matches!(&plan.steps[..], [Step::Repair { .. }]), "{:?}", plan.steps);
    assert_eq!(access(&plan), (Truth::True, "Provisioned"));
}

#[test]
fn edits_are_undone() {
    let edits = [
        found(ours(), role("arn:aws:iam::123456789012:role/other")),
        found(ours(), Content::ServiceAccount { role_arn: None }),
        found(json!({"ownerReferences": [owner(UID)]}), role(ROLE)),
        found(
            json!({"ownerReferences": [{"apiVersion": "v1", "kind": "LicenseBinding", "name": "prod", "uid": UID}]}),
            role(ROLE),
        ),
    ];
    for edit in edits {
        let mut observed = observed(&irsa());
        observed.objects.insert(account(), edit.clone());
        let plan = plan(&observed, now());
        assert!(matches!(&plan.steps[..], [Step::Repair { .. }]), "{edit:?}");
    }
}

#[test]
fn an_object_that_is_going_is_waited_for() {
    let mut observed = observed(&irsa());
    let Reading::Found(found) = found(ours(), role(ROLE)) else { panic!() };
    observed.objects.insert(account(), Reading::Found(Found { is_terminating: true, ..found }));
    let plan = plan(&observed, now());
    assert_eq!((plan.steps.len(), access(&plan)), (0, (Truth::False, "Terminating")));
}

#[test]
fn an_object_under_an_old_name_is_deleted_and_then_forgotten() {
    let mut observed = observed(&irsa());
    let old = ObjectId::service_account("old");
    observed.objects.insert(account(), found(ours(), role(ROLE)));
    observed.objects.insert(old.clone(), found(ours(), role(ROLE)));
    observed.subject.provisioned.insert(old.clone());
    let first = plan(&observed, now());
    assert_eq!(first.mark, None, "it is not forgotten before it is gone");
    assert_eq!(first.steps, [Step::Delete { id: old.clone(), uid: "u".into(), version: "3".into() }]);

    observed.objects.insert(old, Reading::Absent);
    let second = plan(&observed, now());
    let mark = second.mark.unwrap();
    assert_eq!(mark.annotations[PROVISIONED_ANNOTATION].as_deref(), Some("ServiceAccount/vecdb"));
    assert!(second.steps.is_empty());
}

#[test]
fn an_old_name_that_somebody_else_has_taken_is_forgotten() {
    let mut observed = observed(&json!(null));
    observed.objects.insert(account(), found(json!({}), role(ROLE)));
    observed.subject.provisioned.insert(account());
    let plan = plan(&observed, now());
    assert!(plan.steps.is_empty());
    assert_eq!(plan.mark.unwrap().annotations[PROVISIONED_ANNOTATION], None);
    assert_eq!(plan.verdicts.access.unwrap().reason, "NotRequested");
}

#[test]
fn a_suspended_binding_loses_its_access_and_stays_metered() {
    let mut observed = changed(json!({"spec": {"access": irsa(), "suspended": true}}));
    observed.objects.insert(account(), found(ours(), role(ROLE)));
    observed.subject.provisioned.insert(account());
    let plan = plan(&observed, now());
    assert!(matches!(&plan.steps[..], [Step::Delete { .. }]));
    assert_eq!(access(&plan), (Truth::False, "Suspended"));
    assert_eq!(plan.verdicts.gate.iter().map(|one| one.reason).collect::<Vec<_>>(), ["Suspended"]);
    assert!(!plan.is_release);
}

#[test]
fn a_token_is_provisioned_without_the_quotes_and_spaces_around_it() {
    for value in ["abc.def", "\"abc.def\"\n", " 'abc.def' ", "\u{feff}abc.def\r\n"] {
        let mut observed = observed(&token());
        observed.token = Some(TokenReading::Value(Hidden(value.into())));
        let plan = plan(&observed, now());
        let content = Content::license_token(&Hidden("abc.def".into()), ROLE);
        let secret = Step::Create { id: ObjectId::secret("license"), content };
        let account = Step::Create { id: account(), content: Content::ServiceAccount { role_arn: None } };
        assert_eq!(plan.steps, [account, secret], "{value:?}");
        assert!(!format!("{plan:?}").contains("abc.def"), "no plan shows the token");
    }
}

#[test]
fn a_token_that_is_not_there_is_asked_for_and_the_old_secret_stays() {
    let cases = [
        (TokenReading::NoSecret, "TokenSecretNotFound"),
        (TokenReading::NoKey, "TokenKeyNotFound"),
        (TokenReading::Forbidden, "AccessForbidden"),
        (TokenReading::Value(Hidden(" \"\" \n".into())), "TokenEmpty"),
        (TokenReading::Value(Hidden(vec![0xff, 0xfe])), "TokenInvalid"),
    ];
    for (reading, reason) in cases {
        let mut observed = observed(&token());
        observed.token = Some(reading);
        let old = Content::license_token(&Hidden("old".into()), ROLE);
        observed.objects.insert(ObjectId::secret("license"), found(ours(), old));
        observed.objects.insert(account(), found(ours(), Content::ServiceAccount { role_arn: None }));
        let plan = plan(&observed, now());
        assert_eq!((plan.steps.len(), access(&plan)), (0, (Truth::False, reason)));
    }
}

#[test]
fn a_secret_has_exactly_two_keys() {
    let mut observed = observed(&token());
    observed.token = Some(TokenReading::Value(Hidden("abc".into())));
    let Content::Secret { mut data, .. } = Content::license_token(&Hidden("abc".into()), ROLE) else {
        panic!()
    };
    data.insert("third".to_owned(), Hidden(vec![]));
    let content = Content::Secret { is_opaque: true, data };
    observed.objects.insert(ObjectId::secret("license"), found(ours(), content));
    assert!(plan(&observed, now()).steps.iter().any(|step| matches!(step, Step::Repair { .. })));
}

#[test]
fn a_secret_of_another_type_is_made_anew() {
    let mut observed = observed(&token());
    observed.token = Some(TokenReading::Value(Hidden("abc".into())));
    let content = Content::Secret { is_opaque: false, data: BTreeMap::new() };
    observed.objects.insert(ObjectId::secret("license"), found(ours(), content));
    let plan = plan(&observed, now());
    assert!(plan.steps.iter().any(|step| matches!(step, Step::Delete { .. })));
    assert_eq!(access(&plan), (Truth::False, "Replacing"));
}

#[test]
fn creating_tokens_is_not_supported_yet_and_says_what_to_do() {
    let licence = "arn:aws:license-manager::294406891311:license:l-0123abcd";
    let observed = observed(&json!({"licenseToken": {
        "roleArn": ROLE, "secretName": "license", "createToken": {"licenseArn": licence},
    }}));
    let plan = plan(&observed, now());
    assert_eq!(access(&plan), (Truth::False, "TokenCreationNotSupported"));
    assert!(plan.verdicts.access.unwrap().message.contains("tokenSecretRef"));
}

#[test]
fn what_may_not_be_read_is_told() {
    let mut observed = observed(&irsa());
    observed.objects.insert(account(), Reading::Forbidden);
    let plan = plan(&observed, now());
    assert_eq!((plan.steps.len(), access(&plan)), (0, (Truth::False, "AccessForbidden")));
}

#[test]
fn an_unusable_specification_changes_nothing() {
    let mut observed =
        changed(json!({"spec": {"access": {"irsa": {"roleArn": "no", "serviceAccountName": "vecdb"}}}}));
    observed.subject.provisioned.insert(account());
    observed.objects.insert(account(), found(ours(), role(ROLE)));
    let plan = plan(&observed, now());
    assert_eq!((plan.mark.clone(), plan.steps.len()), (None, 0));
    assert_eq!(plan.verdicts.gate[0].reason, "InvalidAccess");
    assert_eq!(access(&plan), (Truth::Unknown, "InvalidSpec"));
}

#[test]
fn a_missing_product_and_an_overlap_keep_the_binding_from_being_ready() {
    let mut observed = observed(&json!(null));
    observed.product.as_mut().unwrap().exists = false;
    let older = ObjectKey::new("vecdb", "older");
    observed.progress.as_mut().unwrap().overlapping.insert(key(), older);
    let plan = plan(&observed, now());
    let reasons: Vec<_> = plan.verdicts.gate.iter().map(|one| one.reason).collect();
    assert_eq!(reasons, ["ProductNotFound", "WorkloadOverlap"]);
    assert!(plan.verdicts.gate[1].message.contains("vecdb/older"));
}

#[test]
fn aws_refusing_the_buyer_makes_it_not_entitled() {
    let mut observed = observed(&json!(null));
    assert_eq!(plan(&observed, now()).verdicts.entitled.unwrap().reason, "NotChecked");
    let finding = Finding { reason: "CustomerNotEntitledException", message: "no license".to_owned() };
    observed.progress.as_mut().unwrap().attention = vec![finding];
    let entitled = plan(&observed, now()).verdicts.entitled.unwrap();
    assert_eq!((entitled.truth, entitled.reason), (Truth::False, "CustomerNotEntitledException"));
}

#[test]
fn usage_on_its_way_is_no_alarm_and_late_usage_is() {
    let mut observed = observed(&json!(null));
    let hour = BillingHour::of(now());
    let progress = observed.progress.as_mut().unwrap();
    (progress.unsettled, progress.oldest_unsettled) = (2, Some(hour.previous()));
    let settled = plan(&observed, now()).verdicts.settled.unwrap();
    assert_eq!((settled.truth, settled.reason, settled.is_alarming()), (Truth::False, "Settling", false));
    let settled = plan(&observed, now() + SignedDuration::from_hours(2)).verdicts.settled.unwrap();
    assert_eq!((settled.reason, settled.is_alarming()), ("SettlementDelayed", true));
}

/// Conditions from before a restart, all false.
fn remembered(conditions: &[(&str, &str)]) -> Observed {
    let condition = |(aspect, reason): &(&str, &str)| {
        json!({"type": aspect, "status": "False", "reason": reason, "message": "",
            "lastTransitionTime": "2026-11-21T14:00:00Z"})
    };
    let conditions: Vec<Value> = conditions.iter().map(condition).collect();
    let mut observed = changed(json!({"status": {"conditions": conditions}}));
    observed.progress = None;
    observed
}

#[test]
fn after_a_restart_what_has_to_be_learned_again_stands_until_it_is() {
    let mut observed =
        remembered(&[("Ready", "ReportHeld"), ("Settled", "ReportHeld"), ("Entitled", "NotChecked")]);
    for progress in [None, Some(ProductProgress::default())] {
        observed.progress = progress;
        let verdicts = plan(&observed, now()).verdicts;
        assert_eq!((verdicts.settled, verdicts.entitled, verdicts.is_all_known), (None, None, false));
    }
    let progress = observed.progress.as_mut().unwrap();
    progress.findings.has_ticked = true;
    assert!(plan(&observed, now()).verdicts.is_all_known);
}

#[test]
fn after_a_restart_an_overlap_stands_until_the_bindings_have_been_chosen() {
    let mut observed = remembered(&[("Ready", "WorkloadOverlap")]);
    assert!(!plan(&observed, now()).verdicts.is_all_known);
    observed.progress = Some(ProductProgress::default());
    assert!(plan(&observed, now()).verdicts.is_all_known);
}

#[test]
fn after_a_restart_what_is_known_without_the_meter_is_told_at_once() {
    let observed = remembered(&[("Ready", "NameTaken"), ("AccessProvisioned", "NameTaken")]);
    assert!(plan(&observed, now()).verdicts.is_all_known);
}
