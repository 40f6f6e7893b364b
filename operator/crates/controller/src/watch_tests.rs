#![allow(clippy::disallowed_methods, reason = "these tests live in real time")]
use std::collections::VecDeque;

use http::{Request, Response};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// A server that answers lists and watches from a script; a watch without a line hangs.
fn scripted(lists: Vec<Value>, watches: Vec<Value>) -> Client {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    tokio::spawn(async move {
        let (mut lists, mut watches) = (VecDeque::from(lists), VecDeque::from(watches));
        let mut hanging = Vec::new();
        while let Some((request, respond)) = handle.next_request().await {
            let query = request.uri().query().unwrap_or_default();
            let next = if query.contains("watch=") { watches.pop_front() } else { lists.pop_front() };
            match next {
                Some(body) => {
                    let code = body["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(200);
                    let body = Body::from(format!("{body}\n").into_bytes());
                    respond.send_response(Response::builder().status(code).body(body).unwrap());
                }
                None => hanging.push(respond),
            }
        }
    });
    Client::new(service, "default")
}

fn map(name: &str, version: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data, "metadata": {
        "name": name, "namespace": "vecdb", "resourceVersion": version,
        "managedFields": [{"manager": "kubectl", "operation": "Update"}],
    }})
}

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": "10"}, "items": items})
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("vecdb", name)
}

struct Watching {
    watched: Arc<Watched<ConfigMap>>,
    changes: std::pin::Pin<Box<dyn Stream<Item = ObjectKey> + Send>>,
    stop: CancellationToken,
}

fn watching(client: Client, scope: Scope) -> Watching {
    let watched = Watched::new(|map: &mut ConfigMap| map.binary_data = None);
    let (changes, stop) = (Box::pin(watched.changes()), CancellationToken::new());
    let (running, stopping) = (Arc::clone(&watched), stop.clone());
    tokio::spawn(async move { running.run(&client, &scope, &stopping).await });
    Watching { watched, changes, stop }
}

impl Watching {
    async fn change(&mut self) -> ObjectKey {
        tokio::time::timeout(Duration::from_secs(20), self.changes.next()).await.unwrap().unwrap()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn vecdb() -> Scope {
    Scope::Namespaces(vec!["vecdb".to_owned()])
}

#[tokio::test]
async fn an_undecodable_object_is_told_beside_the_good_ones() {
    let items = [map("bad", "1", &json!("not a map")), map("good", "2", &json!({"a": "1"}))];
    let mut watching = watching(scripted(vec![list(&items)], vec![]), vecdb());
    assert_eq!([watching.change().await, watching.change().await], [key("bad"), key("good")]);
    watching.watched.wait_until_ready().await;
    let Some(Seen::Undecodable(bad)) = watching.watched.get(&key("bad")) else { panic!("it is kept") };
    assert!(bad.problem.contains("map"), "{}", bad.problem);
    let Some(Seen::Object(good)) = watching.watched.get(&key("good")) else { panic!("it is decoded") };
    assert_eq!(good.data.as_ref().unwrap()["a"], "1");
    assert_eq!(good.metadata.managed_fields, None);
}

#[tokio::test]
async fn what_a_new_list_does_not_hold_any_more_is_a_change() {
    let before = list(&[map("kept", "1", &json!({})), map("lost", "2", &json!({}))]);
    let after = list(&[map("kept", "1", &json!({}))]);
    let expired = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "status": "Failure",
        "reason": "Expired", "message": "too old resource version"}});
    let mut watching = watching(scripted(vec![before, after], vec![expired]), vecdb());
    assert_eq!([watching.change().await, watching.change().await], [key("kept"), key("lost")]);
    assert_eq!(watching.change().await, key("lost"));
    assert_eq!(watching.watched.keys(), [key("kept")]);
}

#[tokio::test]
async fn a_change_of_what_is_pruned_is_no_change_but_its_version_is_kept() {
    let mut pruned = map("one", "2", &json!({"a": "1"}));
    pruned["binaryData"] = json!({"b": "AAAA"});
    let changed = map("one", "3", &json!({"a": "2"}));
    let watches = [pruned, changed].map(|object| json!({"type": "MODIFIED", "object": object}));
    let lists = vec![list(&[map("one", "1", &json!({"a": "1"}))])];
    let mut watching = watching(scripted(lists, watches.to_vec()), vecdb());
    assert_eq!(watching.change().await, key("one"));
    assert_eq!(watching.change().await, key("one"));
    let Some(Seen::Object(one)) = watching.watched.get(&key("one")) else { panic!("it is there") };
    assert_eq!(
        (one.data.as_ref().unwrap()["a"].as_str(), one.metadata.resource_version.as_deref()),
        ("2", Some("3"))
    );
}

#[tokio::test]
async fn a_write_to_an_undecodable_object_that_mends_nothing_is_no_change() {
    let bad = |version, problem: &str| map("bad", version, &json!(problem));
    let mut written = bad("2", "not a map");
    written["binaryData"] = json!({"b": "AAAA"});
    let watches = [written, bad("3", "something else"), map("good", "4", &json!({}))];
    let watches = watches.map(|object| json!({"type": "MODIFIED", "object": object}));
    let lists = vec![list(&[bad("1", "not a map")])];
    let mut watching = watching(scripted(lists, watches.to_vec()), vecdb());
    let told = [watching.change().await, watching.change().await, watching.change().await];
    assert_eq!(told, [key("bad"), key("bad"), key("good")]);
    let Some(Seen::Undecodable(bad)) = watching.watched.get(&key("bad")) else { panic!("it is kept") };
    assert_eq!(bad.metadata.resource_version.as_deref(), Some("3"));
}

#[tokio::test]
async fn a_refused_list_is_tried_again_and_seen_as_an_outage_meanwhile() {
    let refused = json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden",
        "message": "no list"});
    let mut watching =
        watching(scripted(vec![refused, list(&[map("one", "1", &json!({}))])], vec![]), Scope::Cluster);
    let failing = async {
        while watching.watched.failing_for().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), failing).await.unwrap();
    assert!(!watching.watched.is_ready());
    assert_eq!(watching.change().await, key("one"));
    watching.watched.wait_until_ready().await;
    assert_eq!(watching.watched.failing_for(), None);
}

#[tokio::test]
async fn a_namespace_that_is_refused_holds_up_no_other_and_is_not_taken_for_empty() {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    tokio::spawn(async move {
        let mut hanging = Vec::new();
        while let Some((request, respond)) = handle.next_request().await {
            let is_watch = request.uri().query().unwrap_or_default().contains("watch=");
            let (code, body) = match request.uri().path().contains("/forbidden/") {
                true => (403, json!({"kind": "Status", "status": "Failure", "code": 403})),
                false => (200, list(&[map("one", "1", &json!({}))])),
            };
            if is_watch {
                hanging.push(respond);
            } else {
                let body = Body::from(body.to_string().into_bytes());
                respond.send_response(Response::builder().status(code).body(body).unwrap());
            }
        }
    });
    let namespaces = ["vecdb", "forbidden"].map(str::to_owned);
    let watching = watching(Client::new(service, "default"), Scope::Namespaces(namespaces.into()));
    let ready = watching.watched.wait_until_ready();
    tokio::time::timeout(Duration::from_secs(20), ready).await.unwrap();
    assert_eq!(watching.watched.keys(), [key("one")]);
    assert!(watching.watched.is_listed("vecdb") && !watching.watched.is_listed("forbidden"));
    assert!(!watching.watched.is_ready());
    assert_eq!(watching.watched.failing(), ["forbidden"]);
    assert_eq!(watching.watched.failing_for(), None, "a restart would not help");
}

#[tokio::test]
async fn no_namespaces_at_all_are_listed_at_once() {
    let watching = watching(scripted(vec![], vec![]), Scope::Namespaces(vec![]));
    watching.watched.wait_until_ready().await;
    assert!(watching.watched.keys().is_empty());
}
