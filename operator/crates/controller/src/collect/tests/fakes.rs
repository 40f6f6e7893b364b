//! A scripted API server, HTTP servers that misbehave on demand, and collectors for them.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tollkeeper_core::{
    input::{InputData, InputDeclaration, InputSource},
    workload::Selector,
};

use crate::collect::{Clients, Collected, Collector, Limits};

/// What the scripted API server was asked for.
#[derive(Clone, Default)]
pub(super) struct Requests(Arc<Mutex<Vec<String>>>);

impl Requests {
    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A client of an API server that gives these answers, one a request, and then never answers again.
pub(super) fn scripted(answers: impl IntoIterator<Item = (u16, String)>) -> (kube::Client, Requests) {
    let mut answers: VecDeque<_> = answers.into_iter().collect();
    let requests = Requests::default();
    let seen = requests.clone();
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    tokio::spawn(async move {
        let mut unanswered = Vec::new();
        while let Some((request, respond)) = handle.next_request().await {
            seen.0.lock().unwrap().push(request.uri().to_string());
            match answers.pop_front() {
                Some((status, body)) => {
                    let body = Body::from(body.into_bytes());
                    respond.send_response(Response::builder().status(status).body(body).unwrap());
                }
                None => unanswered.push(respond),
            }
        }
    });
    (kube::Client::new(service, "default"), requests)
}

pub(super) fn ok(body: Value) -> (u16, String) {
    (200, body.to_string())
}

pub(super) fn failure(code: u16, message: &str) -> (u16, String) {
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code});
    (code, status.to_string())
}

/// A list, with the token of the next page.
pub(super) fn list(items: &[Value], token: &str) -> (u16, String) {
    ok(json!({"kind": "List", "apiVersion": "v1", "metadata": {"continue": token}, "items": items}))
}

pub(super) fn pod(name: &str, ip: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "blue", "uid": "u", "labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "x"}]},
        "status": {"phase": "Running", "podIP": ip},
    })
}

/// Limits with which a test does not wait long.
pub(super) fn short_limits() -> Limits {
    let soon = Duration::from_millis(300);
    Limits {
        objects: soon,
        scrape: soon,
        pod: soon / 2,
        promql: soon,
        http: soon,
        connect: soon,
        ..Limits::default()
    }
}

pub(super) fn collector(client: kube::Client, limits: Limits) -> Collector {
    Collector::new(client, Clients::new(&limits).unwrap(), limits)
}

pub(super) fn declared(name: &str, source: InputSource) -> InputDeclaration {
    InputDeclaration { name: name.into(), source }
}

pub(super) fn scrape(port: u16, metrics: &[&str]) -> InputDeclaration {
    let metrics = metrics.iter().map(ToString::to_string).collect();
    let source =
        InputSource::Scrape { pod_selector: Selector::default(), port, path: "/metrics".into(), metrics };
    declared("engine", source)
}

/// Collects one input for the namespace `blue`.
pub(super) async fn collect_one(
    collector: &Collector,
    input: &InputDeclaration,
) -> (InputData, Option<String>) {
    let at = "2026-11-21T14:00:00Z".parse().unwrap();
    let declared = std::slice::from_ref(input);
    let Collected { mut inputs, mut problems } =
        collector.collect_with_problems(declared, &["blue".to_owned()], at).await;
    assert_eq!(inputs.len(), 1);
    assert!(problems.len() <= 1 && problems.iter().all(|problem| problem.input == input.name));
    (inputs.remove(0).data, problems.pop().map(|problem| problem.message))
}

/// Why the input is unavailable.
pub(super) async fn unavailable(collector: &Collector, input: &InputDeclaration) -> String {
    match collect_one(collector, input).await {
        (InputData::Unavailable(reason), None) => reason,
        other => panic!("{other:?} is available"),
    }
}

/// Serves a router on a loopback port.
pub(super) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// What a raw server does after it has read the request and sent its bytes.
#[derive(Clone, Copy)]
pub(super) enum Then {
    Close,
    Reset,
    Hang,
}

/// A server that sends exactly these bytes.
pub(super) async fn raw(bytes: &'static [u8], then: Then) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            let _ = connection.write_all(bytes).await;
            match then {
                Then::Close => drop(connection),
                Then::Reset => {
                    let _ = connection.set_zero_linger();
                }
                Then::Hang => open.push(connection),
            }
        }
    });
    address
}

/// A loopback port on which nobody listens.
pub(super) async fn unused_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}
