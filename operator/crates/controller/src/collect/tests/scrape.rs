//! Scraping pods on the loopback interface.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    response::Redirect,
    routing::get,
};
use serde_json::json;
use tollkeeper_core::{
    input::{InputData, Inputs as _, SampleGroup},
    workload::Labels,
};

use super::fakes::{
    Then, collect_one, collector, failure, list, pod, raw, scrape, scripted, serve, unavailable, unused_port,
};
use crate::collect::{Collector, Limits};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A collector of one list of pods, each of which is reached at its own base URL.
fn pods(bases: &[(&str, String)], limits: Limits) -> Collector {
    let items: Vec<_> = bases.iter().map(|(name, _)| pod(name, "10.0.0.1")).collect();
    let bases: BTreeMap<String, String> =
        bases.iter().map(|(name, base)| (name.to_string(), base.clone())).collect();
    let (client, _) = scripted([list(&items, "")]);
    collector(client, limits).with_pod_address(move |pod, _| bases[&pod.name].clone())
}

fn metrics(body: &'static str) -> Router {
    Router::new().route("/metrics", get(move || async move { body }))
}

fn groups(data: InputData) -> Vec<Arc<SampleGroup>> {
    match data {
        InputData::Samples(groups) => groups,
        other => panic!("no samples: {other:?}"),
    }
}

fn lines(group: &SampleGroup) -> Vec<String> {
    group
        .samples
        .iter()
        .map(|sample| format!("{}{:?} {}", sample.name, sample.labels, sample.value))
        .collect()
}

#[tokio::test]
async fn pods_are_scraped_at_their_ip_and_their_samples_carry_where_they_come_from() {
    let address = serve(metrics("b{x=\"1\"} 2\na{pod=\"own\"} 1\nc 3\n")).await;
    let (client, requests) = scripted([list(&[pod("db-0", "127.0.0.1")], "")]);
    let (data, problem) =
        collect_one(&collector(client, Limits::default()), &scrape(address.port(), &["a", "b"])).await;
    let groups = groups(data);
    let origin = groups[0].origin.as_ref().unwrap();
    assert_eq!(origin.namespace, "blue");
    assert_eq!(origin.labels, Labels::from([("app".to_owned(), "db-0".to_owned())]));
    let expected = [
        r#"a{"exported_pod": "own", "namespace": "blue", "pod": "db-0"} 1"#,
        r#"b{"namespace": "blue", "pod": "db-0", "x": "1"} 2"#,
    ];
    assert_eq!(lines(&groups[0]), expected);
    assert_eq!((groups.len(), problem), (1, None));
    let expected = "/api/v1/namespaces/blue/pods?&fieldSelector=status.phase%3DRunning&limit=500";
    assert_eq!(requests.all(), [expected]);
}

#[tokio::test]
async fn an_ipv6_address_is_bracketed() {
    let pod = crate::collect::Pod {
        namespace: "blue".into(),
        name: "db-0".into(),
        ip: "fd00::1".parse().unwrap(),
        labels: Labels::new(),
    };
    assert_eq!(crate::collect::scrape::by_ip(&pod, 9090), "http://[fd00::1]:9090");
}

#[tokio::test]
async fn openmetrics_is_asked_for_first_and_understood() {
    let answer = |headers: HeaderMap| async move {
        let accepted = headers["accept"].to_str().unwrap().to_owned();
        assert!(accepted.starts_with("application/openmetrics-text;version=1.0.0"), "{accepted}");
        assert!(accepted.contains("text/plain;version=0.0.4"), "{accepted}");
        ([("content-type", OPENMETRICS)], "# TYPE a counter\na_total 5 # {t=\"1\"} 1\n# EOF\n")
    };
    let address = serve(Router::new().route("/metrics", get(answer))).await;
    let pods = pods(&[("a", format!("http://{address}"))], Limits::default());
    let groups = groups(collect_one(&pods, &scrape(1, &["a"])).await.0);
    assert_eq!((groups[0].samples[0].name.as_str(), groups[0].samples[0].value), ("a_total", 5.0));
}

#[tokio::test]
async fn without_pods_there_are_no_samples() {
    let mut waiting = pod("waiting", "");
    waiting["status"]["phase"] = json!("Pending");
    let mut done = pod("done", "10.0.0.1");
    done["status"]["phase"] = json!("Succeeded");
    let nothing_known = json!({"metadata": {"name": "new", "namespace": "blue", "uid": "u"}});
    let (client, _) = scripted([list(&[waiting, done, pod("no-ip", ""), nothing_known], "")]);
    let (data, problem) = collect_one(&collector(client, Limits::default()), &scrape(1, &[])).await;
    assert_eq!((data, problem), (InputData::Samples(Vec::new()), None));
}

#[tokio::test]
async fn pods_that_cannot_be_scraped_are_named_and_the_others_count() {
    let good = format!("http://{}", serve(metrics("a 1\n")).await);
    let html = format!("http://{}", serve(metrics("<html>")).await);
    let gone = format!("http://127.0.0.1:{}", unused_port().await);
    let broken =
        Router::new().route("/metrics", get(async || (StatusCode::INTERNAL_SERVER_ERROR, "stack trace")));
    let broken = format!("http://{}", serve(broken).await);
    let all = [
        ("b-good", good.clone()),
        ("d-broken", broken),
        ("a-gone", gone),
        ("e-good", good),
        ("c-html", html),
    ];
    let (data, problem) = collect_one(&pods(&all, Limits::default()), &scrape(1, &[])).await;
    let names: Vec<_> =
        groups(data).iter().map(|group| group.origin.as_ref().unwrap().labels["app"].clone()).collect();
    assert_eq!(names, ["b-good", "e-good"]);
    assert_eq!(
        problem.unwrap(),
        "3 of 5 pods could not be scraped: blue/a-gone: connection refused; blue/c-html: its answer \
         (text/plain; charset=utf-8) is no metrics exposition: line 1 has no metric name; blue/d-broken: it \
         answered 500 Internal Server Error"
    );
}

#[tokio::test]
async fn if_no_pod_can_be_scraped_the_input_is_unavailable() {
    let gone = format!("http://127.0.0.1:{}", unused_port().await);
    let one = pods(&[("a", gone.clone())], Limits::default());
    let reason = unavailable(&one, &scrape(1, &[])).await;
    assert_eq!(reason, "the only pod could not be scraped: blue/a: connection refused");
    let names = ["a", "b", "c", "d", "e"];
    let many = pods(&names.map(|name| (name, gone.clone())), Limits::default());
    let reason = unavailable(&many, &scrape(1, &[])).await;
    assert!(reason.starts_with("none of the 5 pods could be scraped: blue/a: "), "{reason}");
    assert!(reason.ends_with("; and 2 more"), "{reason}");
}

#[tokio::test]
async fn slow_pods_do_not_cost_the_samples_of_the_others() {
    let hanging = raw(b"HTTP/1.1 200 OK\r\n\r\na 1\n", Then::Hang).await;
    let good = serve(metrics("a 1\n")).await;
    // One after the other: b takes all of the time that is left, and none is left for c.
    let second = Duration::from_secs(1);
    let limits = Limits { pods_at_once: 1, scrape: second, pod: 2 * second, ..Limits::default() };
    let all = [("a", good), ("b", hanging), ("c", good)].map(|(name, at)| (name, format!("http://{at}")));
    let (data, problem) = collect_one(&pods(&all, limits), &scrape(1, &[])).await;
    assert_eq!(groups(data).len(), 1);
    assert_eq!(
        problem.unwrap(),
        "2 of 3 pods could not be scraped: blue/b: it did not answer completely within 1 s; blue/c: it did not \
         answer completely within 1 s"
    );
    let limits = Limits { pod: second / 4, ..Limits::default() };
    let reason = unavailable(&pods(&all[1..2], limits), &scrape(1, &[])).await;
    assert!(reason.ends_with("blue/b: it did not answer completely within 250 ms"), "{reason}");
}

#[tokio::test]
async fn an_answer_that_was_cut_off_is_not_used() {
    let cases: [(&'static [u8], Then, &str); 4] = [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\na 1\n", Then::Close, "its answer broke off"),
        (b"HTTP/1.0 200 OK\r\n\r\na 1\nb 12", Then::Close, "its last line has no end"),
        (
            b"HTTP/1.0 200 OK\r\ncontent-type: application/openmetrics-text\r\n\r\na 1\n",
            Then::Close,
            "it does not end with `# EOF`",
        ),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\na 1\n\r\n", Then::Reset, "reset"),
    ];
    for (bytes, then, expected) in cases {
        let address = raw(bytes, then).await;
        let pods = pods(&[("a", format!("http://{address}"))], Limits::default());
        let reason = unavailable(&pods, &scrape(1, &[])).await;
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
}

#[tokio::test]
async fn a_pod_that_serves_too_much_is_given_up() {
    let endless = || async {
        let line = || Ok::<_, std::io::Error>("# a comment that never ends\n".repeat(1000));
        axum::body::Body::from_stream(futures::stream::repeat_with(line))
    };
    let address = serve(Router::new().route("/metrics", get(endless))).await;
    let limits = Limits { pod_bytes: 1 << 20, ..Limits::default() };
    let reason = unavailable(&pods(&[("a", format!("http://{address}"))], limits), &scrape(1, &[])).await;
    assert_eq!(reason, "the only pod could not be scraped: blue/a: its answer exceeds 1 MiB");
}

#[tokio::test]
async fn samples_above_the_limit_of_the_input_make_it_unavailable() {
    let base = format!(
        "http://{}",
        serve(metrics("a{text=\"This label is long enough to fill the budget after some pods.\"} 1\n")).await
    );
    let all = ["a", "b", "c"].map(|name| (name, base.clone()));
    let limits = Limits { input_bytes: 200, ..Limits::default() };
    let reason = unavailable(&pods(&all[..], limits), &scrape(1, &[])).await;
    assert_eq!(reason, "the contents of the input exceed 200 bytes");
}

#[tokio::test]
async fn a_series_that_is_exposed_twice_counts_once_and_is_told() {
    let base = format!("http://{}", serve(metrics("a 1\na 2\n")).await);
    let (data, problem) = collect_one(&pods(&[("a", base)], Limits::default()), &scrape(1, &[])).await;
    assert_eq!(lines(&groups(data)[0]), [r#"a{"namespace": "blue", "pod": "a"} 1"#]);
    assert_eq!(
        problem.unwrap(),
        "the same series was exposed more than once, of which the first counts, by blue/a"
    );
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    let router = Router::new()
        .route("/metrics", get(async || Redirect::temporary("/metrics/")))
        .route("/metrics/", get(async || Redirect::temporary("http://localhost:1/")));
    let address = serve(router).await;
    let reason =
        unavailable(&pods(&[("a", format!("http://{address}"))], Limits::default()), &scrape(1, &[])).await;
    assert!(reason.ends_with("it redirects to another host, which is not followed"), "{reason}");
}

#[tokio::test]
async fn pods_that_may_not_be_listed_name_the_missing_rule() {
    let (client, _) = scripted([failure(403, "nope")]);
    let reason = unavailable(&collector(client, Limits::default()), &scrape(1, &[])).await;
    assert!(reason.contains("needs a Role in namespace blue with the verb `list` on `pods`"), "{reason}");
}

#[tokio::test]
async fn a_pod_ip_that_is_none_is_told() {
    let (client, _) = scripted([list(&[pod("a", "metadata.internal/")], "")]);
    let reason = unavailable(&collector(client, Limits::default()), &scrape(1, &[])).await;
    assert_eq!(reason, "the only pod could not be scraped: blue/a: its pod IP is no IP address");
}

#[tokio::test]
async fn through_the_trait_problems_are_dropped() {
    let base = format!("http://{}", serve(metrics("a 1\na 2\n")).await);
    let pods = pods(&[("a", base)], Limits::default());
    let inputs = pods
        .collect(&[scrape(1, &[])], &["blue".to_owned()], "2026-11-21T14:00:00Z".parse().unwrap())
        .await
        .inputs;
    assert_eq!(groups(inputs[0].data.clone()).len(), 1);
    assert_eq!(inputs[0].name, "engine");
}
