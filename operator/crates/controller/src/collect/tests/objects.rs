//! Listing objects from a scripted API server.

use serde_json::{Value, json};
use tollkeeper_core::{
    input::{InputData, InputDeclaration, InputObject, InputSource},
    workload::{Labels, Operator, Requirement, Selector},
};

use super::fakes::{
    collect_one, collector, declared, failure, list, ok, scripted, short_limits, unavailable,
};
use crate::collect::Limits;

fn kinds() -> (u16, String) {
    ok(json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": [
        {"name": "nodes", "singularName": "", "namespaced": false, "kind": "Node", "verbs": ["get", "list"]},
        {"name": "pods", "singularName": "", "namespaced": true, "kind": "Pod", "verbs": ["get", "list"]},
        {"name": "bindings", "singularName": "", "namespaced": true, "kind": "Binding", "verbs": ["create"]},
    ]}))
}

fn input(kind: &str, fields: &[&str]) -> InputDeclaration {
    let fields = fields.iter().map(ToString::to_string).collect();
    let selector = Selector::default();
    declared(
        "objects",
        InputSource::Objects { api_version: "v1".into(), kind: kind.into(), selector, fields },
    )
}

fn node(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": format!("uid-{name}"), "labels": {"zone": "a"}, "managedFields": [{}]},
        "status": {"capacity": {"cpu": "4", "memory": "8Gi"}},
    })
}

fn objects(data: InputData) -> Vec<InputObject> {
    match data {
        InputData::Objects(objects) => objects.iter().map(|object| object.as_ref().clone()).collect(),
        other => panic!("no objects: {other:?}"),
    }
}

fn names(data: InputData) -> Vec<String> {
    objects(data).into_iter().map(|object| object.name).collect()
}

#[tokio::test]
async fn objects_carry_their_metadata_and_the_declared_fields() {
    let (client, _) = scripted([kinds(), list(&[node("n1")], "")]);
    let (data, _) =
        collect_one(&collector(client, Limits::default()), &input("Node", &["status.capacity.cpu"])).await;
    let expected = InputObject {
        api_version: "v1".into(),
        kind: "Node".into(),
        namespace: None,
        name: "n1".into(),
        uid: "uid-n1".into(),
        labels: Labels::from([("zone".to_owned(), "a".to_owned())]),
        body: r#"{"status":{"capacity":{"cpu":"4"}}}"#.into(),
    };
    assert_eq!(objects(data), [expected]);
}

#[tokio::test]
async fn pages_follow_each_other_and_objects_are_ordered_by_name() {
    let (client, requests) =
        scripted([kinds(), list(&[node("c"), node("b")], "next page"), list(&[node("a")], "")]);
    let (data, _) = collect_one(&collector(client, Limits::default()), &input("Node", &[])).await;
    assert_eq!(names(data), ["a", "b", "c"]);
    assert_eq!(
        requests.all(),
        ["/api/v1", "/api/v1/nodes?&limit=500", "/api/v1/nodes?&limit=500&continue=next+page"]
    );
}

#[tokio::test]
async fn a_kind_is_resolved_once_until_the_api_server_does_not_serve_it_any_more() {
    let empty = || list(&[], "");
    let answers = [kinds(), empty(), empty(), failure(404, "not found"), kinds(), empty()];
    let (client, requests) = scripted(answers);
    let collector = collector(client, Limits::default());
    let input = input("Node", &[]);
    for _ in 0..2 {
        assert!(names(collect_one(&collector, &input).await.0).is_empty());
    }
    let reason = unavailable(&collector, &input).await;
    assert_eq!(reason, "listing nodes (v1) failed: the API server does not serve it (404)");
    assert!(names(collect_one(&collector, &input).await.0).is_empty());
    let resolved = requests.all().iter().filter(|request| *request == "/api/v1").count();
    assert_eq!(resolved, 2);
}

#[tokio::test]
async fn namespaced_objects_are_listed_in_the_given_namespaces_only() {
    let in_namespace =
        |namespace: &str| json!({"metadata": {"name": "p", "namespace": namespace, "uid": "u"}});
    let (client, requests) =
        scripted([kinds(), list(&[in_namespace("blue")], ""), list(&[in_namespace("red")], "")]);
    let collector = collector(client, Limits::default());
    let namespaces = ["red", "blue", "red", "../nodes", ""].map(str::to_owned);
    let at = "2026-11-21T14:00:00Z".parse().unwrap();
    let collected = collector.collect_with_problems(&[input("Pod", &[])], &namespaces, at).await;
    let found: Vec<_> =
        objects(collected.inputs[0].data.clone()).into_iter().map(|pod| pod.namespace.unwrap()).collect();
    assert_eq!(found, ["blue", "red"]);
    let expected =
        ["/api/v1", "/api/v1/namespaces/blue/pods?&limit=500", "/api/v1/namespaces/red/pods?&limit=500"];
    assert_eq!(requests.all(), expected);
}

#[tokio::test]
async fn without_bindings_there_are_no_namespaced_objects() {
    let (client, _) = scripted([kinds()]);
    let at = "2026-11-21T14:00:00Z".parse().unwrap();
    let collected =
        collector(client, Limits::default()).collect_with_problems(&[input("Pod", &[])], &[], at).await;
    assert_eq!(collected.inputs[0].data, InputData::Objects(Vec::new()));
}

#[tokio::test]
async fn the_label_selector_is_sent_to_the_server() {
    let requirement = |key: &str, operator, values: &[&str]| Requirement {
        key: key.into(),
        operator,
        values: values.iter().map(ToString::to_string).collect(),
    };
    let selector = Selector {
        match_labels: Labels::from([("app".to_owned(), "db".to_owned())]),
        match_expressions: vec![
            requirement("tier", Operator::In, &["a", "b"]),
            requirement("env", Operator::NotIn, &["test"]),
            requirement("ready", Operator::Exists, &[]),
            requirement("off", Operator::DoesNotExist, &[]),
        ],
    };
    let source =
        InputSource::Objects { api_version: "v1".into(), kind: "Node".into(), selector, fields: vec![] };
    let (client, requests) = scripted([kinds(), list(&[], "")]);
    collect_one(&collector(client, Limits::default()), &declared("nodes", source)).await;
    assert_eq!(
        requests.all()[1],
        "/api/v1/nodes?&labelSelector=app%3Ddb%2Ctier+in+%28a%2Cb%29%2Cenv+notin+%28test%29%2Cready%2C%21off&limit=500"
    );
}

#[tokio::test]
async fn a_list_that_expires_is_read_again_from_the_start() {
    let (client, _) = scripted([
        kinds(),
        list(&[node("stale")], "t1"),
        failure(410, "Expired"),
        list(&[node("a")], "t2"),
        list(&[node("b")], ""),
    ]);
    // Objects that were given up do not count against the size of the input.
    let limits = Limits { input_bytes: 40, ..Limits::default() };
    let (data, _) = collect_one(&collector(client, limits), &input("Node", &[])).await;
    assert_eq!(names(data), ["a", "b"]);
}

#[tokio::test]
async fn a_list_that_expires_twice_is_given_up() {
    let (client, _) = scripted([
        kinds(),
        list(&[node("a")], "t1"),
        failure(410, "Expired"),
        list(&[node("a")], "t2"),
        failure(410, "Expired"),
    ]);
    let reason = unavailable(&collector(client, Limits::default()), &input("Node", &[])).await;
    assert_eq!(reason, "listing nodes (v1) failed: the list expired twice while it was read (410)");
}

#[tokio::test]
async fn a_forbidden_list_names_the_missing_rule() {
    let (client, _) = scripted([kinds(), failure(403, "nope"), kinds(), failure(403, "nope")]);
    let collector = collector(client, Limits::default());
    assert_eq!(
        unavailable(&collector, &input("Pod", &[])).await,
        "listing pods (v1) in namespace blue failed: the API server forbids it: Tollkeeper's ServiceAccount \
         needs a Role in namespace blue with the verb `list` on `pods` in the core API group"
    );
    assert!(
        unavailable(&collector, &input("Node", &[]))
            .await
            .contains("needs a ClusterRole with the verb `list`")
    );
}

#[tokio::test]
async fn an_unknown_kind_or_group_is_named_and_asked_for_again() {
    let (client, requests) = scripted([kinds(), kinds(), failure(404, "not found"), kinds()]);
    let collector = collector(client, Limits::default());
    for _ in 0..2 {
        let reason = unavailable(&collector, &input("Gadget", &[])).await;
        assert_eq!(reason, "the API server serves no kind Gadget in v1");
    }
    let reason = unavailable(&collector, &input("Node", &[])).await;
    assert!(reason.contains("does not serve v1") && reason.contains("CustomResourceDefinition"), "{reason}");
    let reason = unavailable(&collector, &input("Binding", &[])).await;
    assert_eq!(reason, "objects of kind Binding (v1) cannot be listed");
    assert_eq!(requests.all().len(), 4);
}

#[tokio::test]
async fn an_invalid_api_version_reaches_no_server() {
    let (client, requests) = scripted([]);
    let source = InputSource::Objects {
        api_version: "../v1".into(),
        kind: "Node".into(),
        selector: Selector::default(),
        fields: vec![],
    };
    let reason = unavailable(&collector(client, Limits::default()), &declared("x", source)).await;
    assert_eq!(reason, "`../v1` is no API version such as `v1` or `apps/v1`");
    assert!(requests.all().is_empty());
}

#[tokio::test]
async fn contents_above_the_limit_make_the_input_unavailable() {
    let (client, _) = scripted([kinds(), list(&[node("a"), node("b"), node("c")], "")]);
    let limits = Limits { input_bytes: 50, ..Limits::default() };
    let reason = unavailable(&collector(client, limits), &input("Node", &[])).await;
    assert_eq!(reason, "the contents of the input exceed 50 bytes");
}

#[tokio::test]
async fn a_page_of_large_objects_is_asked_for_in_smaller_pages() {
    let large = json!({"metadata": {"name": "a", "uid": "u"}, "data": "x".repeat(2000)});
    let (client, requests) = scripted([
        kinds(),
        list(&[large.clone(), large.clone()], ""),
        list(std::slice::from_ref(&large), "t"),
        list(&[node("b")], ""),
    ]);
    let limits = Limits { page_bytes: 3000, ..Limits::default() };
    let (data, _) = collect_one(&collector(client, limits), &input("Node", &[])).await;
    assert_eq!(names(data), ["a", "b"]);
    assert_eq!(requests.all()[2..], ["/api/v1/nodes?&limit=50", "/api/v1/nodes?&limit=50&continue=t"]);
}

#[tokio::test]
async fn an_object_that_exceeds_a_page_is_given_up() {
    let large = json!({"metadata": {"name": "a", "uid": "u"}, "data": "x".repeat(2000)});
    let answers = std::iter::once(kinds()).chain(std::iter::repeat_n(list(&[large], ""), 4));
    let (client, requests) = scripted(answers);
    let limits = Limits { page_bytes: 1024, ..Limits::default() };
    let reason = unavailable(&collector(client, limits), &input("Node", &[])).await;
    assert_eq!(reason, "listing nodes (v1) failed: one page of it exceeds 1 KiB");
    assert_eq!(requests.all()[4], "/api/v1/nodes?&limit=1");
}

#[tokio::test]
async fn an_api_server_that_does_not_answer_in_time_is_named() {
    let (client, _) = scripted([kinds()]);
    let reason = unavailable(&collector(client, short_limits()), &input("Node", &[])).await;
    assert_eq!(reason, "listing Node objects (v1) took longer than 300 ms");
}

#[tokio::test]
async fn nonsense_from_the_api_server_is_no_panic() {
    for (body, expected) in [
        ("<html>", "is no list"),
        (r#"{"items":[{"metadata":{}}]}"#, "an object in it cannot be read"),
        (r#"{"items":[7]}"#, "an object in it cannot be read"),
        (r#"{"items":7}"#, "is no list"),
    ] {
        let (client, _) = scripted([kinds(), (200, body.to_owned())]);
        let reason = unavailable(&collector(client, Limits::default()), &input("Node", &["a"])).await;
        assert!(reason.starts_with("listing nodes (v1) failed:") && reason.contains(expected), "{reason}");
    }
    let (client, _) = scripted([kinds(), ok(json!({"items": null, "metadata": {}}))]);
    let (data, _) = collect_one(&collector(client, Limits::default()), &input("Node", &["a"])).await;
    assert_eq!(data, InputData::Objects(Vec::new()));
}

#[tokio::test]
async fn errors_of_the_api_server_are_quoted() {
    let (client, _) = scripted([kinds(), failure(500, "etcd is away"), failure(401, "Unauthorized")]);
    let collector = collector(client, Limits::default());
    let reason = unavailable(&collector, &input("Node", &[])).await;
    assert_eq!(reason, "listing nodes (v1) failed: the API server answered 500: etcd is away");
    let reason = unavailable(&collector, &input("Node", &[])).await;
    assert!(reason.ends_with("does not accept Tollkeeper's credentials (401)"), "{reason}");
}
