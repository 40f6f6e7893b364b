//! The control endpoints, and what only a raw connection shows.
#![allow(clippy::disallowed_methods, reason = "these tests live in real time")]

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tollkeeper_simulator::ServerClock;

use crate::server::{START, Server};

const USAGE: &str =
    r#"{"ProductCode":"p","UsageDimension":"d","Timestamp":1795269600,"UsageQuantity":7,"ClientToken":"t"}"#;

const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIAPOD/20261121/us-east-1/aws-marketplace/aws4_request, \
                      SignedHeaders=host, Signature=00";

async fn let_in(server: &Server) {
    let (status, _) = server.post("settings", json!({"allowAnyCredentials": true})).await;
    assert_eq!(status, 200);
}

fn meter(server: &Server, target: &str, authorization: &str) -> reqwest::RequestBuilder {
    reqwest::Client::new()
        .post(&server.endpoint)
        .header("x-amz-target", target)
        .header("authorization", authorization)
        .header("content-type", "application/x-amz-json-1.1")
        .body(USAGE)
}

#[tokio::test]
async fn a_server_is_healthy_and_has_the_clock_it_was_given() {
    let manual = Server::manual().await;
    assert_eq!(manual.get("health").await, json!({"status": "ok"}));
    assert_eq!(manual.get("clock").await, json!({"now": START, "manual": true}));

    let real = Server::start(ServerClock::real()).await;
    assert_eq!(real.get("clock").await["manual"], false);
    let (status, reply) = real.post("clock", json!({"advance": 1})).await;
    assert_eq!(status, 409);
    assert!(reply["error"].as_str().unwrap().contains("only a manual clock"), "{reply}");
}

#[tokio::test]
async fn a_manual_clock_moves_when_it_is_told_to() {
    let server = Server::manual().await;
    for (moved, now) in [
        (json!({"advance": 90}), "2026-11-21T15:31:30Z"),
        (json!({"advance": "1h 30m"}), "2026-11-21T17:01:30Z"),
        (json!({"set": "2026-11-21T14:00:00Z"}), "2026-11-21T14:00:00Z"),
        (json!({"advance": -60}), "2026-11-21T13:59:00Z"),
    ] {
        assert_eq!(server.post("clock", &moved).await.1["now"], now, "{moved}");
    }
    for wrong in ["", "{}", r#"{"advance":"soon"}"#, r#"{"advance":1e300}"#, r#"{"set":"now"}"#] {
        let (status, reply) = server.post("clock", wrong).await;
        assert_eq!((status, reply["error"].is_string()), (400, true), "{wrong}");
    }
    assert_eq!(server.get("clock").await["now"], "2026-11-21T13:59:00Z");
}

#[tokio::test]
async fn wrong_settings_and_scripts_change_nothing() {
    let server = Server::manual().await;
    let before = server.get("settings").await;
    for (name, wrong) in [
        ("settings", r#"{"callsASecond": "many"}"#),
        ("settings", r#"{"unheardOf": 1}"#),
        ("settings", "["),
        ("faults", "faults: [{effect: explode}]"),
    ] {
        let (status, reply) = server.post(name, wrong).await;
        assert_eq!((status, reply["error"].is_string()), (400, true), "{wrong}");
    }
    assert_eq!(server.get("settings").await, before);
    let yaml = "faults:\n  - when: {nth: 1}\n    effect: reset\n  - effect: throttle\n";
    assert_eq!(server.post("faults", yaml).await, (200, json!({"rules": 2})));
    let unknown = reqwest::get(server.control_url("elsewhere")).await.unwrap();
    assert_eq!(unknown.status().as_u16(), 404);
}

#[tokio::test]
async fn the_books_show_who_was_billed_for_what() {
    let server = Server::manual().await;
    let_in(&server).await;
    let reply = meter(&server, "AWSMPMeteringService.MeterUsage", SIGNED).send().await.unwrap();
    assert_eq!(reply.headers()["content-type"], "application/x-amz-json-1.1");
    assert!(reply.headers().contains_key("x-amzn-requestid") && reply.headers().contains_key("date"));
    let id = reply.json::<Value>().await.unwrap()["MeteringRecordId"].clone();
    let books = server.get("books").await;
    assert_eq!(
        books["accepted"],
        json!([{"operation": "MeterUsage", "productCode": "p", "buyer": "123456789012", "dimension": "d",
            "hour": "2026-11-21T14:00:00Z", "timestamp": "2026-11-21T14:00:00Z", "quantity": 7,
            "meteringRecordId": id, "pod": "AKIAPOD", "clientToken": "t", "at": START, "repeats": 0}])
    );
    assert_eq!(
        books["totals"],
        json!([{"productCode": "p", "buyer": "123456789012", "dimension": "d", "quantity": 7, "records": 1}])
    );
    assert_eq!((&books["rejected"], &books["doubleBills"]), (&json!([]), &json!([])));
    assert_eq!(server.post("reset", "").await.0, 200);
    assert_eq!(server.get("books").await["accepted"], json!([]));
}

#[tokio::test]
async fn what_the_simulator_does_not_have_is_an_unknown_operation() {
    let server = Server::manual().await;
    for target in ["AWSMPMeteringService.RegisterUsage", "AWSLicenseManager.CheckoutLicense"] {
        let reply = meter(&server, target, SIGNED).send().await.unwrap();
        assert_eq!(reply.status().as_u16(), 400);
        let body: Value = reply.json().await.unwrap();
        assert_eq!(body["__type"], "UnknownOperationException");
        assert!(body["message"].as_str().unwrap().contains(target), "{body}");
    }
    let reply =
        reqwest::get(format!("{}/?Action=GetCallerIdentity&Version=2011-06-15", server.endpoint)).await;
    let body = reply.unwrap().text().await.unwrap();
    assert!(body.contains("<Code>InvalidAction</Code>"), "{body}");
    let path = "/service/AWSMPEntitlementService/operation/GetEntitlements";
    let reply = reqwest::Client::new().post(format!("{}{path}", server.endpoint)).send().await.unwrap();
    assert_eq!(reply.json::<Value>().await.unwrap()["__type"], "UnknownOperationException");
}

#[tokio::test]
async fn a_credential_is_scoped_to_the_service_and_whole() {
    let server = Server::manual().await;
    let_in(&server).await;
    for (authorization, code) in [
        (SIGNED.replace("aws-marketplace", "sts"), "InvalidSignatureException"),
        (SIGNED.replace("Signature=00", ""), "IncompleteSignatureException"),
        ("Bearer token".to_owned(), "IncompleteSignatureException"),
    ] {
        let reply = meter(&server, "AWSMPMeteringService.MeterUsage", &authorization).send().await.unwrap();
        assert_eq!(reply.json::<Value>().await.unwrap()["__type"], code);
    }
}

#[tokio::test]
async fn a_request_that_no_client_could_mean_is_too_large() {
    let server = Server::manual().await;
    let body = format!("{{\"x\":\"{}\"}}", "x".repeat(7 * 1024 * 1024));
    let reply = meter(&server, "AWSMPMeteringService.MeterUsage", SIGNED).body(body).send().await.unwrap();
    assert_eq!(reply.status().as_u16(), 413);
    assert_eq!(reply.json::<Value>().await.unwrap()["__type"], "RequestEntityTooLargeException");
}

#[tokio::test]
async fn a_late_reply_comes_when_the_clock_has_moved() {
    let server = Server::manual().await;
    let_in(&server).await;
    server
        .post(
            "faults",
            "faults: [{when: {nth: 1}, effect: {delay: 60}}, {when: {nth: 2}, effect: {delay: 59}}]",
        )
        .await;
    let mut calls = Vec::new();
    for repeats in 0..2 {
        calls.push(tokio::spawn(meter(&server, "AWSMPMeteringService.MeterUsage", SIGNED).send()));
        // The call is done at once; only its reply waits.
        while server.get("books").await["accepted"][0]["repeats"] != repeats {
            tokio::task::yield_now().await;
        }
    }
    let (earlier, later) = (calls.pop().unwrap(), calls.pop().unwrap());
    server.post("clock", json!({"advance": 59})).await;
    // By the time that the reply of 59 seconds is here, so would be another one of the same moment.
    assert_eq!(earlier.await.unwrap().unwrap().status().as_u16(), 200);
    assert_eq!(server.get("clock").await["now"], "2026-11-21T15:30:59Z");
    assert!(!later.is_finished());
    server.post("clock", json!({"advance": 1})).await;
    assert_eq!(later.await.unwrap().unwrap().status().as_u16(), 200);
}

#[tokio::test]
async fn on_the_real_clock_a_late_reply_takes_real_time() {
    let server = Server::start(ServerClock::real()).await;
    let_in(&server).await;
    server.post("faults", "faults: [{effect: {delay: 0.2}}]").await;
    let sent = std::time::Instant::now();
    // Its timestamp is out of the window by now or not yet in it: the reply is late all the same.
    let reply = meter(&server, "AWSMPMeteringService.MeterUsage", SIGNED).send().await.unwrap();
    assert_ne!(reply.status().as_u16(), 500);
    assert!(sent.elapsed() >= Duration::from_millis(200));
}

/// What a raw socket gets for a call under this effect: all bytes, or the error that ends it.
async fn raw(effect: &str) -> Result<String, std::io::ErrorKind> {
    let server = Server::manual().await;
    let_in(&server).await;
    server.post("faults", format!("faults: [{{effect: {effect}}}]")).await;
    let mut socket = TcpStream::connect(server.endpoint.trim_start_matches("http://")).await.unwrap();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: aws\r\nx-amz-target: AWSMPMeteringService.MeterUsage\r\nauthorization: {SIGNED}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{USAGE}",
        USAGE.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut bytes)).await.unwrap();
    ended.map_err(|error| error.kind())?;
    Ok(String::from_utf8(bytes).unwrap())
}

#[tokio::test]
async fn a_dropped_connection_closes_and_a_reset_one_is_reset() {
    assert_eq!(raw("acceptThenDrop").await, Ok(String::new()));
    assert_eq!(raw("reset").await, Err(std::io::ErrorKind::ConnectionReset));
    let half = raw("truncatedJson").await.unwrap();
    assert!(half.starts_with("HTTP/1.1 200 OK") && half.contains("{\"MeteringRe"), "{half}");
    assert!(!half.ends_with('}'), "{half}");
    let page = raw("html502").await.unwrap();
    assert!(page.starts_with("HTTP/1.1 502") && page.contains("<html>"), "{page}");
}

#[tokio::test]
async fn a_server_ends_when_it_is_told_to_even_if_a_reply_is_still_held_back() {
    let server = Server::manual().await;
    let_in(&server).await;
    server.post("faults", "faults: [{effect: {delay: 60}}]").await;
    let call = tokio::spawn(meter(&server, "AWSMPMeteringService.MeterUsage", SIGNED).send());
    while server.get("books").await["accepted"] == json!([]) {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(Duration::from_secs(5), server.shut_down()).await.unwrap().unwrap();
    call.abort();
}
