//! Whole reconciliations against an API server in memory.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tollkeeper_core::{hour::BillingHour, product::Mode, settlement::Settlement};
use tollkeeper_ledger::{conformance, memory::MemoryLedger};

use super::*;
use crate::{fake::Fake, meter::Progress};

const BINDING: &str = "/apis/tollkeeper.dev/v1alpha1/namespaces/vecdb/licensebindings/prod";
const PRODUCT: &str = "/apis/tollkeeper.dev/v1alpha1/namespaces/vecdb/marketplaceproducts/vecdb";
const ACCOUNT: &str = "/api/v1/namespaces/vecdb/serviceaccounts/vecdb";
const SECRET: &str = "/api/v1/namespaces/vecdb/secrets/license";
const BOUGHT: &str = "/api/v1/namespaces/vecdb/secrets/bought";
const EVENTS: &str = "POST /apis/events.k8s.io/v1/namespaces/vecdb/events";
const ROLE: &str = "arn:aws:iam::123456789012:role/vecdb";

struct StandingClock(Mutex<Timestamp>);

#[async_trait]
impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sleep_until(&self, _: Timestamp) {
        std::future::pending().await
    }
}

struct Scene {
    fake: Fake,
    house: House,
    clock: Arc<StandingClock>,
    ledger: Arc<MemoryLedger>,
}

fn key() -> ObjectKey {
    ObjectKey::new("vecdb", "prod")
}

fn product() -> ObjectKey {
    ObjectKey::new("vecdb", "vecdb")
}

/// A product without a meter, and a binding of it with this access.
fn scene(access: &Value) -> Scene {
    let (fake, client) = Fake::start();
    let clock = Arc::new(StandingClock(Mutex::new("2026-11-21T14:20:00Z".parse().unwrap())));
    let ledger = Arc::new(MemoryLedger::default());
    fake.put(
        PRODUCT,
        json!({"apiVersion": "tollkeeper.dev/v1alpha1", "kind": "MarketplaceProduct",
            "metadata": {"name": "vecdb", "namespace": "vecdb"},
            "spec": {"productCode": "code", "delivery": "Container", "pricing": "Free",
                "dimensions": [{"name": "units"}]}}),
    );
    fake.put(
        BINDING,
        json!({"apiVersion": "tollkeeper.dev/v1alpha1", "kind": "LicenseBinding",
            "metadata": {"name": "prod", "namespace": "vecdb", "generation": 1},
            "spec": {"productRef": {"name": "vecdb"}, "access": access}}),
    );
    let house = House {
        client: client.clone(),
        clock: clock.clone(),
        roster: Arc::default(),
        ledger: ledger.clone(),
        events: Events::new(client, Some("pod".to_owned())),
        bindings: watched(),
        products: Watched::new(|_| ()),
    };
    Scene { fake, house, clock, ledger }
}

fn irsa() -> Value {
    json!({"irsa": {"roleArn": ROLE, "serviceAccountName": "vecdb"}})
}

fn token() -> Value {
    json!({"licenseToken": {"roleArn": ROLE, "secretName": "license",
        "tokenSecretRef": {"name": "bought", "key": "token"}}})
}

impl Scene {
    /// One reconciliation of what the watch would have by now.
    async fn turn(&self) -> Next {
        let stored = |path| self.fake.get(path).map(|object| serde_json::from_value(object).unwrap());
        self.house.bindings.put(key(), stored(BINDING));
        let product_object = self.fake.get(PRODUCT).map(|object| serde_json::from_value(object).unwrap());
        self.house.products.put(product(), product_object);
        reconcile(&self.house, key()).await
    }

    fn condition(&self, aspect: &str) -> (String, String) {
        let binding = self.fake.get(BINDING).unwrap();
        let conditions = binding["status"]["conditions"].as_array().unwrap();
        let one = conditions.iter().find(|one| one["type"] == aspect).unwrap();
        (one["status"].as_str().unwrap().to_owned(), one["reason"].as_str().unwrap().to_owned())
    }

    fn is(&self, aspect: &str, status: &str, reason: &str) {
        assert_eq!(self.condition(aspect), (status.to_owned(), reason.to_owned()), "{aspect}");
    }

    fn delete(&self) {
        self.fake.change(BINDING, json!({"metadata": {"deletionTimestamp": "2026-11-21T14:20:00Z"}}));
    }

    fn pass(&self, time: SignedDuration) {
        *self.clock.0.lock().unwrap_or_else(PoisonError::into_inner) += time;
    }
}

#[tokio::test]
async fn a_steady_binding_is_not_written_again() {
    let scene = scene(&irsa());
    assert_eq!(scene.turn().await, Next::OnChange);
    scene.is("Ready", "True", "Ready");
    scene.is("AccessProvisioned", "True", "Provisioned");
    scene.is("Entitled", "Unknown", "NotChecked");
    let account = scene.fake.get(ACCOUNT).unwrap();
    assert_eq!(account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"], ROLE);
    assert_eq!(
        account["metadata"]["ownerReferences"][0]["uid"],
        scene.fake.get(BINDING).unwrap()["metadata"]["uid"]
    );
    assert!(scene.fake.writes().iter().any(|write| write == EVENTS));
    for _ in 0..3 {
        scene.pass(SignedDuration::from_hours(1));
        scene.turn().await;
    }
    assert_eq!(scene.fake.writes(), [""; 0]);
}

#[tokio::test]
async fn the_finalizer_is_written_before_anything_else() {
    let scene = scene(&irsa());
    scene.turn().await;
    let writes = scene.fake.writes();
    assert_eq!(writes[0], format!("PATCH {BINDING}"));
    assert_eq!(writes[1], "POST /api/v1/namespaces/vecdb/serviceaccounts");
}

#[tokio::test]
async fn nothing_is_provisioned_without_the_finalizer() {
    let scene = scene(&irsa());
    scene.fake.set_fault(|method, path| (method == "PATCH" && path == BINDING).then_some(409));
    assert_eq!(scene.turn().await, Next::Failed);
    assert_eq!(scene.fake.get(ACCOUNT), None);
}

#[tokio::test]
async fn what_somebody_makes_in_the_last_moment_is_not_overwritten() {
    let scene = scene(&irsa());
    let (fake, theirs) = (scene.fake.clone(), json!({"metadata": {"name": "vecdb", "namespace": "vecdb"}}));
    let mut theirs = Some(theirs);
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    scene.fake.set_fault(move |method, path| {
        if method == "POST" && path.ends_with("serviceaccounts") && theirs.take().is_some() {
            sender.send(()).unwrap();
            return Some(409);
        }
        None
    });
    assert_eq!(scene.turn().await, Next::Failed);
    receiver.recv().await.unwrap();
    fake.put(ACCOUNT, json!({"metadata": {"name": "vecdb", "namespace": "vecdb"}}));
    scene.turn().await;
    scene.is("AccessProvisioned", "False", "NameTaken");
    scene.is("Ready", "False", "NameTaken");
    assert_eq!(fake.get(ACCOUNT).unwrap()["metadata"]["ownerReferences"], Value::Null);
}

#[tokio::test]
async fn an_edited_and_a_deleted_object_are_repaired() {
    let scene = scene(&irsa());
    scene.turn().await;
    scene.fake.change(
        ACCOUNT,
        json!({"metadata": {"labels": null, "annotations": {"eks.amazonaws.com/role-arn": "x", "kept": "yes"}}}),
    );
    scene.turn().await;
    let account = scene.fake.get(ACCOUNT).unwrap();
    assert_eq!(
        account["metadata"]["annotations"],
        json!({"eks.amazonaws.com/role-arn": ROLE, "kept": "yes"})
    );
    assert_eq!(account["metadata"]["labels"]["app.kubernetes.io/managed-by"], "tollkeeper");
    scene.fake.remove(ACCOUNT);
    scene.turn().await;
    assert!(scene.fake.get(ACCOUNT).is_some());
}

#[tokio::test]
async fn a_license_token_is_provisioned_and_follows_the_buyers() {
    let scene = scene(&token());
    scene.turn().await;
    scene.is("AccessProvisioned", "False", "TokenSecretNotFound");
    // "abc", in quotes and with a line's end.
    scene.fake.put(BOUGHT, json!({"metadata": {"name": "bought"}, "data": {"token": "ImFiYyIK"}}));
    scene.turn().await;
    let secret = scene.fake.get(SECRET).unwrap();
    assert_eq!(secret["type"], "Opaque");
    assert_eq!(secret["data"]["license_token"], "YWJj");
    assert_eq!(secret["data"].as_object().unwrap().len(), 2);
    scene.is("Ready", "True", "Ready");
    scene.fake.change(SECRET, json!({"data": {"third": "YWJj"}}));
    scene.fake.change(BOUGHT, json!({"data": {"token": "ZGVm"}}));
    scene.turn().await;
    let secret = scene.fake.get(SECRET).unwrap();
    assert_eq!(secret["data"]["license_token"], "ZGVm");
    assert_eq!(secret["data"].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn another_name_takes_the_old_object_away() {
    let scene = scene(&irsa());
    scene.turn().await;
    scene.fake.change(
        BINDING,
        json!({"metadata": {"generation": 2}, "spec": {"access": {"irsa": {"serviceAccountName": "other"}}}}),
    );
    scene.turn().await;
    assert_eq!(scene.fake.get(ACCOUNT), None);
    assert!(scene.fake.get("/api/v1/namespaces/vecdb/serviceaccounts/other").is_some());
    scene.turn().await;
    let binding = scene.fake.get(BINDING).unwrap();
    assert_eq!(binding["metadata"]["annotations"][PROVISIONED_ANNOTATION], "ServiceAccount/other");
    assert_eq!(binding["status"]["observedGeneration"], 2);
}

#[tokio::test]
async fn what_the_api_server_refuses_is_a_condition() {
    let scene = scene(&irsa());
    scene
        .fake
        .set_fault(|method, path| (method == "POST" && path.ends_with("serviceaccounts")).then_some(403));
    assert_eq!(scene.turn().await, Next::Failed);
    scene.is("AccessProvisioned", "False", "AccessForbidden");
}

#[tokio::test]
async fn a_deleted_binding_without_usage_goes_with_its_objects() {
    let scene = scene(&irsa());
    scene.turn().await;
    scene.delete();
    scene.turn().await;
    assert_eq!((scene.fake.get(BINDING), scene.fake.get(ACCOUNT)), (None, None));
}

#[tokio::test]
async fn a_deleted_binding_stays_until_its_reports_are_settled() {
    let scene = scene(&irsa());
    scene.turn().await;
    let hour = BillingHour::of(scene.clock.now());
    let report = conformance::report("vecdb", hour, 5);
    let settlement = Settlement::of(&report, Mode::Live);
    scene.ledger.create_if_absent("vecdb", &report, &settlement).await.unwrap();
    scene.delete();
    scene.turn().await;
    scene.is("Settled", "False", "ReportsUnsettled");
    scene.is("Ready", "False", "Terminating");
    assert!(scene.fake.get(ACCOUNT).is_some());
    scene.fake.writes();
    scene.turn().await;
    assert_eq!(scene.fake.writes(), [""; 0], "waiting writes nothing");
    scene.pass(SignedDuration::from_hours(7));
    scene.turn().await;
    assert_eq!((scene.fake.get(BINDING), scene.fake.get(ACCOUNT)), (None, None));
}

#[tokio::test]
async fn a_deleted_binding_stays_while_its_meter_has_open_hours() {
    let scene = scene(&irsa());
    scene.fake.change(
        PRODUCT,
        json!({"spec": {"pricing": "Usage", "meter": {"interval": "60s", "inputs": [],
            "plugin": {"source": {"file": "/plugin.wasm"}, "digest": format!("sha256:{}", "0".repeat(64))}}}}),
    );
    scene.turn().await;
    let open = |has_open_hours| {
        scene.house.roster.update(&product(), |progress| {
            progress.bindings.insert(key(), Progress { has_open_hours, last_hour: None });
        });
    };
    open(true);
    scene.delete();
    scene.turn().await;
    scene.is("Settled", "False", "HoursOpen");
    open(false);
    scene.turn().await;
    assert_eq!(scene.fake.get(BINDING), None);
}

#[tokio::test]
async fn checkpoints_of_the_meter_are_left_alone() {
    let scene = scene(&irsa());
    scene.fake.change(
        BINDING,
        json!({"status": {"checkpoint": {"at": "2026-11-21T14:19:00Z", "hour": "2026-11-21T14:00:00Z", "data": "x"},
            "currentHour": {"hour": "2026-11-21T14:00:00Z"}}}),
    );
    scene.turn().await;
    let status = scene.fake.get(BINDING).unwrap()["status"].clone();
    assert_eq!(
        (&status["checkpoint"]["data"], &status["currentHour"]["hour"]),
        (&json!("x"), &json!("2026-11-21T14:00:00Z"))
    );
    assert_eq!(status["entitlement"]["state"], "Unknown");
}

#[tokio::test]
async fn a_status_that_somebody_wrote_in_between_is_not_overwritten() {
    let scene = scene(&json!(null));
    scene.turn().await;
    let stale = scene.fake.get(BINDING).unwrap();
    scene.fake.change(BINDING, json!({"status": {"checkpoint": {"data": "newer"}}}));
    scene.fake.change(PRODUCT, json!({"metadata": {"labels": {"a": "b"}}}));
    scene.house.products.put(product(), None);
    scene.house.bindings.put(key(), Some(serde_json::from_value(stale).unwrap()));
    assert_eq!(reconcile(&scene.house, key()).await, Next::Failed);
    scene.is("Ready", "True", "Ready");
}

#[tokio::test]
async fn a_checkpoint_is_no_change_of_a_binding() {
    let scene = scene(&irsa());
    scene.turn().await;
    let mut changes = std::pin::pin!(scene.house.bindings.changes());
    assert_eq!(changes.next().await, Some(key()));
    for at in ["2026-11-21T14:19:00Z", "2026-11-21T14:24:00Z"] {
        scene.fake.change(BINDING, json!({"status": {"checkpoint": {"at": at, "hour": "h", "data": at}}}));
        scene
            .house
            .bindings
            .put(key(), scene.fake.get(BINDING).map(|object| serde_json::from_value(object).unwrap()));
    }
    // The first one is: the binding is metered now.
    assert_eq!(changes.next().await, Some(key()));
    let second = tokio::time::timeout(Duration::from_millis(50), changes.next()).await;
    assert!(second.is_err(), "{second:?}");
}

#[tokio::test]
async fn a_change_of_the_product_or_its_progress_wakes_its_bindings() {
    let scene = scene(&irsa());
    let mut wakes = std::pin::pin!(wakes(&scene.house));
    scene.turn().await;
    let mut next = async || tokio::time::timeout(Duration::from_secs(5), wakes.next()).await.unwrap();
    // The binding itself, the product, and the first look of the resync, in any order.
    for _ in 0..2 {
        assert_eq!(next().await, Some(key()));
    }
    scene.house.roster.update(&product(), |progress| progress.unsettled = 3);
    assert_eq!(next().await, Some(key()));
}
