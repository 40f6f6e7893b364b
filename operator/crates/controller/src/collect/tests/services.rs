//! Queries and documents from HTTP servers that behave and that do not.
#![allow(clippy::disallowed_methods, reason = "these tests live in real time")]

use std::time::Instant;

use axum::{
    Router,
    extract::RawQuery,
    http::StatusCode,
    response::Redirect,
    routing::{any, get},
};
use tollkeeper_core::input::{InputData, InputDeclaration, InputSource, Inputs as _};

use super::fakes::{
    Then, collect_one, collector, declared, raw, scripted, serve, short_limits, unavailable, unused_port,
};
use crate::collect::{Collector, Limits};

fn no_cluster(limits: Limits) -> Collector {
    collector(scripted([]).0, limits)
}

fn http(url: String) -> InputDeclaration {
    declared("seats", InputSource::Http { url })
}

fn promql(url: String) -> InputDeclaration {
    declared("stored", InputSource::Promql { url, query: "sum(x)".into() })
}

#[tokio::test]
async fn a_document_is_handed_on_as_it_is() {
    let text = "\n{\"seats\": 1.10000000000000000001}\n";
    let address = serve(Router::new().route("/usage", get(move || async move { text }))).await;
    let (data, problem) =
        collect_one(&no_cluster(Limits::default()), &http(format!("http://{address}/usage"))).await;
    assert_eq!(data, InputData::Json(text.trim().into()));
    assert_eq!(problem, None);
}

#[tokio::test]
async fn what_is_no_document_says_so_without_secrets() {
    let router = Router::new()
        .route("/html", get(async || "<html>login</html>"))
        .route("/empty", get(async || StatusCode::NO_CONTENT))
        .route("/binary", get(async || vec![b'"', 0xff, b'"']))
        .route("/two", get(async || "{} {}"))
        .route("/denied", get(async || (StatusCode::FORBIDDEN, "token abc is wrong")));
    let address = serve(router).await;
    let collector = no_cluster(Limits::default());
    for (path, expected) in [
        ("html", "its answer is not JSON (line 1, column 1)"),
        ("empty", "its answer is not JSON (line 1, column 0)"),
        ("binary", "its answer is not UTF-8"),
        ("two", "its answer is not JSON (line 1, column 4)"),
        ("denied", "it answered 403 Forbidden"),
        ("missing", "it answered 404 Not Found"),
    ] {
        let url = format!("http://user:secret@{address}/{path}?token=abc");
        let reason = unavailable(&collector, &http(url)).await;
        assert_eq!(reason, format!("http://{address}/{path} cannot be read: {expected}"));
    }
}

#[tokio::test]
async fn a_document_above_the_limit_is_not_read_to_its_end() {
    let endless = || async {
        let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1 << 16]));
        axum::body::Body::from_stream(chunks)
    };
    let router =
        Router::new().route("/endless", get(endless)).route("/announced", get(async || vec![b' '; 3 << 20]));
    let address = serve(router).await;
    let collector = no_cluster(Limits { input_bytes: 1 << 20, ..Limits::default() });
    for path in ["endless", "announced"] {
        let reason = unavailable(&collector, &http(format!("http://{address}/{path}"))).await;
        assert_eq!(reason, format!("http://{address}/{path} cannot be read: its answer exceeds 1 MiB"));
    }
}

#[tokio::test]
async fn redirects_are_followed_on_the_same_host_only() {
    let router = Router::new()
        .route("/moved", get(async || Redirect::temporary("/here")))
        .route("/here", get(async || "[1]"))
        .route("/away", get(async || Redirect::temporary("http://localhost:1/here")))
        .route("/loop", get(async || Redirect::temporary("/loop")));
    let address = serve(router).await;
    let collector = no_cluster(Limits::default());
    let (data, _) = collect_one(&collector, &http(format!("http://{address}/moved"))).await;
    assert_eq!(data, InputData::Json("[1]".into()));
    let reason = unavailable(&collector, &http(format!("http://{address}/away"))).await;
    assert!(reason.ends_with("it redirects to another host, which is not followed"), "{reason}");
    let reason = unavailable(&collector, &http(format!("http://{address}/loop"))).await;
    assert!(reason.ends_with("it redirects more than 5 times"), "{reason}");
}

#[tokio::test]
async fn connections_that_fail_are_told_apart() {
    let collector = no_cluster(Limits::default());
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{\"a\"";
    for (address, expected) in [
        (format!("127.0.0.1:{}", unused_port().await), "connection refused"),
        (raw(b"", Then::Reset).await.to_string(), "reset"),
        (raw(cut, Then::Close).await.to_string(), "its answer broke off"),
        (raw(cut, Then::Reset).await.to_string(), "the connection was reset"),
        (raw(b"SSH-2.0-OpenSSH\r\n", Then::Close).await.to_string(), "invalid HTTP version"),
    ] {
        let reason = unavailable(&collector, &http(format!("http://{address}/usage"))).await;
        let prefix = format!("http://{address}/usage cannot be read: ");
        assert!(reason.starts_with(&prefix) && reason.contains(expected), "{expected}: {reason}");
    }
}

#[tokio::test]
async fn https_addresses_are_read_with_tls() {
    let address = serve(Router::new().route("/usage", get(async || "{}"))).await;
    let url = format!("https://{address}/usage");
    let reason = unavailable(&no_cluster(Limits::default()), &http(url.clone())).await;
    assert!(reason.starts_with(&format!("{url} cannot be read: received corrupt message")), "{reason}");
}

#[tokio::test]
async fn what_is_no_address_is_not_read() {
    let collector = no_cluster(Limits::default());
    let reason = unavailable(&collector, &http("file:///etc/hostname".into())).await;
    assert_eq!(reason, "its url is no http or https address");
    let reason = unavailable(&collector, &promql("prometheus".into())).await;
    assert!(reason.starts_with("its url is not valid"), "{reason}");
}

#[tokio::test]
async fn slow_inputs_share_one_time_out_even_if_they_wait_for_each_other() {
    let address = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{", Then::Hang).await;
    let collector = no_cluster(Limits { inputs_at_once: 1, ..short_limits() });
    let inputs: Vec<_> = (0..5)
        .map(|number| declared(&format!("i{number}"), http(format!("http://{address}/u?x=y")).source))
        .collect();
    let start = Instant::now();
    let collected = collector.collect(&inputs, &[], "2026-11-21T14:00:00Z".parse().unwrap()).await.inputs;
    assert!(start.elapsed() < 4 * short_limits().http);
    let reason = InputData::Unavailable(format!("reading http://{address}/u took longer than 300 ms"));
    for (input, declared) in collected.iter().zip(&inputs) {
        assert_eq!((&input.name, &input.data), (&declared.name, &reason));
    }
    assert_eq!(collected.len(), 5);
}

#[tokio::test]
async fn a_query_is_asked_for_the_time_of_the_tick() {
    let query = |RawQuery(query): RawQuery| async move {
        assert_eq!(query.unwrap(), "tenant=a&query=sum%28x%29&time=1795269600.000");
        r#"{"status":"success","data":{"resultType":"scalar","result":[1795269600,"7"]}}"#
    };
    let address = serve(Router::new().route("/base/api/v1/query", get(query))).await;
    let input = promql(format!("http://{address}/base/?tenant=a"));
    let (data, problem) = collect_one(&no_cluster(Limits::default()), &input).await;
    assert_eq!(data, InputData::Scalar(7.0));
    assert_eq!(problem, None);
}

#[tokio::test]
async fn warnings_of_the_server_are_a_problem_of_an_available_input() {
    let body = r#"{"status":"success","warnings":["store a is away"],
                   "data":{"resultType":"vector","result":[]}}"#;
    let address = serve(Router::new().fallback(any(move || async move { body }))).await;
    let (data, problem) =
        collect_one(&no_cluster(Limits::default()), &promql(format!("http://{address}"))).await;
    assert!(matches!(data, InputData::Samples(groups) if groups.len() == 1 && groups[0].samples.is_empty()));
    assert_eq!(problem.unwrap(), format!("Prometheus at http://{address}/ warns: store a is away"));
}

#[tokio::test]
async fn a_query_that_fails_says_why() {
    let error = r#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}"#;
    for (status, body, expected) in [
        (400, error, "it refused the query: bad_data: parse error: unexpected end"),
        (503, error, "it refused the query: bad_data: parse error: unexpected end"),
        (502, "<html>", "it answered 502 Bad Gateway"),
        (200, "<html>", "its answer is not that of a Prometheus server"),
        (200, "{}", "its answer is not that of a Prometheus server"),
        (200, r#"{"status":"success"}"#, "its answer holds no result"),
        (
            200,
            r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#,
            "the query yields a matrix, and an instant query for an input has to yield a scalar or a vector",
        ),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let address = serve(Router::new().fallback(any(move || async move { (status, body) }))).await;
        let reason =
            unavailable(&no_cluster(Limits::default()), &promql(format!("http://{address}?key=secret")))
                .await;
        assert_eq!(reason, format!("Prometheus at http://{address}/ cannot be queried: {expected}"));
    }
}
