//! What the adapter writes on the wire, and what it makes of everything that can come back.
#![allow(clippy::disallowed_methods, reason = "these tests live in real time")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails like a test"
)]

mod fake;

use std::time::Duration;

use fake::{Answer, Fake, accepted, json, part, token_file, usage};
use tokio::net::TcpListener;
use tollkeeper_core::metering::{Metering as _, Outcome};
use tollkeeper_marketplace::{
    connect,
    credentials::AllowCredentials,
    environment::AwsEnvironment,
    metering::{ATTEMPT_TIMEOUT, CONNECT_TIMEOUT, SdkMetering},
};

async fn client(env: &AwsEnvironment) -> SdkMetering {
    connect(env, AllowCredentials::WebIdentity).await.unwrap().metering()
}

/// One call to an AWS that answers so.
async fn outcome(answer: Answer) -> (Outcome, Fake) {
    let fake = Fake::start([answer]).await;
    let (_dir, token) = token_file("jwt");
    let outcome = client(&fake.irsa(&token)).await.meter_usage(&usage()).await;
    (outcome, fake)
}

/// Kind, reason and message of an outcome that is not an acceptance.
fn told(outcome: Outcome) -> (&'static str, String, String) {
    let (kind, refusal) = match outcome {
        Outcome::Accepted { metering_record_id } => return ("Accepted", metering_record_id, String::new()),
        Outcome::NotAccepted(refusal) => ("NotAccepted", refusal),
        Outcome::Rejected(refusal) => ("Rejected", refusal),
        Outcome::OutOfWindow(refusal) => ("OutOfWindow", refusal),
        Outcome::Unknown(refusal) => ("Unknown", refusal),
    };
    (kind, refusal.reason, refusal.message)
}

#[tokio::test]
async fn the_body_is_exactly_the_record_and_has_no_allocations_where_there_are_none() {
    let (outcome, fake) = outcome(accepted()).await;
    assert_eq!(outcome, Outcome::Accepted { metering_record_id: "rec-1".into() });
    let calls = fake.calls();
    assert_eq!(
        calls[0].body,
        r#"{"ProductCode":"pc","Timestamp":1795269600,"UsageDimension":"gb_hours","UsageQuantity":812,"ClientToken":"token-of-the-slot"}"#
    );
    assert!(calls[0].head.to_lowercase().contains("x-amz-target: awsmpmeteringservice.meterusage"));
    assert!(calls[0].head.contains("/eu-west-1/aws-marketplace/aws4_request"), "{}", calls[0].head);
}

#[tokio::test]
async fn a_resent_record_is_the_same_to_the_byte() {
    let fake = Fake::start([json(500, "{}"), accepted()]).await;
    let (_dir, token) = token_file("jwt");
    let client = client(&fake.irsa(&token)).await;
    client.meter_usage(&usage()).await;
    client.meter_usage(&usage()).await;
    let calls = fake.calls();
    assert_eq!((calls.len(), &calls[0].body), (2, &calls[1].body));
}

#[tokio::test]
async fn allocations_carry_their_tags_and_untagged_usage_has_no_tags_at_all() {
    let fake = Fake::start([accepted()]).await;
    let (_dir, token) = token_file("jwt");
    let mut usage = usage();
    usage.timestamp = "2026-11-21T14:20:30.5Z".parse().unwrap();
    usage.allocations = vec![part(700, &[("team", "b"), ("CostCenter", "42")]), part(112, &[])];
    client(&fake.irsa(&token)).await.meter_usage(&usage).await;
    assert_eq!(
        fake.calls()[0].body,
        r#"{"ProductCode":"pc","Timestamp":1795270830.5,"UsageDimension":"gb_hours","UsageQuantity":812,"UsageAllocations":[{"AllocatedUsageQuantity":700,"Tags":[{"Key":"CostCenter","Value":"42"},{"Key":"team","Value":"b"}]},{"AllocatedUsageQuantity":112}],"ClientToken":"token-of-the-slot"}"#
    );
}

#[tokio::test]
async fn a_quantity_that_does_not_fit_is_refused_and_not_cut() {
    let fake = Fake::start([accepted()]).await;
    let (_dir, token) = token_file("jwt");
    let mut usage = usage();
    usage.quantity = 1 << 31;
    let (kind, reason, _) = told(client(&fake.irsa(&token)).await.meter_usage(&usage).await);
    assert_eq!((kind, reason.as_str()), ("Rejected", "QuantityOutOfRange"));
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn an_error_of_aws_keeps_its_name_and_message_and_is_not_retried() {
    for (status, body, kind, reason) in [
        (
            400,
            r#"{"__type":"com.amazonaws.marketplacemetering#ThrottlingException","message":"said so"}"#,
            "NotAccepted",
            "ThrottlingException",
        ),
        (
            400,
            r#"{"__type":"CustomerNotEntitledException","message":"said so"}"#,
            "Rejected",
            "CustomerNotEntitledException",
        ),
        (
            400,
            r#"{"__type":"DuplicateRequestException","message":"said so"}"#,
            "Rejected",
            "DuplicateRequestException",
        ),
        (
            400,
            r#"{"__type":"IdempotencyConflictException","message":"said so"}"#,
            "Rejected",
            "IdempotencyConflictException",
        ),
        (
            400,
            r#"{"__type":"TimestampOutOfBoundsException","message":"said so"}"#,
            "OutOfWindow",
            "TimestampOutOfBoundsException",
        ),
        (
            500,
            r#"{"__type":"InternalServiceErrorException","message":"said so"}"#,
            "Unknown",
            "InternalServiceErrorException",
        ),
        // Not in the SDK's model.
        (
            400,
            r#"{"__type":"ExpiredTokenException","message":"said so"}"#,
            "NotAccepted",
            "ExpiredTokenException",
        ),
        (
            400,
            r#"{"__type":"PlatformNotSupportedException","Message":"said so"}"#,
            "NotAccepted",
            "PlatformNotSupportedException",
        ),
        (
            400,
            r#"{"__type":"FromTheFutureException","message":"said so"}"#,
            "Unknown",
            "FromTheFutureException",
        ),
    ] {
        let (outcome, fake) = outcome(json(status, body)).await;
        assert_eq!(told(outcome), (kind, reason.to_owned(), "said so".to_owned()));
        assert_eq!(fake.calls().len(), 1);
    }
}

#[tokio::test]
async fn a_page_of_a_proxy_is_no_answer_of_aws() {
    let page = Answer::Respond(
        502,
        vec![("content-type", "text/html".into()), ("date", "Sat, 21 Nov 2020 00:00:00 GMT".into())],
        "<html>Bad Gateway</html>".into(),
    );
    let fake = Fake::start([page]).await;
    let (_dir, token) = token_file("jwt");
    let client = client(&fake.irsa(&token)).await;
    assert_eq!(
        told(client.meter_usage(&usage()).await),
        ("Unknown", "Http502".into(), "HTTP 502 (text/html) that does not come from AWS's API".into())
    );
    assert_eq!(client.skew(), None, "a proxy's clock is not AWS's");
}

#[tokio::test]
async fn a_success_that_cannot_be_read_is_no_success() {
    for body in ["<html>", "", "{}", r#"{"MeteringRecordId":"#, r#"{"MeteringRecordId":""}"#, "[]", "null"] {
        let (kind, reason, _) = told(outcome(json(200, body)).await.0);
        assert_eq!(kind, "Unknown", "{body}");
        assert!(["ReplyLost", "MissingRecordId"].contains(&reason.as_str()), "{body}: {reason}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_it_in_doubt() {
    for answer in [
        Answer::HangUp,
        Answer::Bytes("HTTP/1.1 200 OK\r\ncontent-le".into()),
        Answer::Bytes(
            "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"MeteringRecordId\":\"rec-1\"}".into(),
        ),
        Answer::Bytes("SSH-2.0-OpenSSH_9.6\r\n".into()),
    ] {
        let (outcome, fake) = outcome(answer).await;
        let (kind, reason, message) = told(outcome);
        assert_eq!((kind, reason.as_str()), ("Unknown", "ReplyLost"), "{message}");
        assert!(!message.is_empty());
        assert_eq!(fake.calls().len(), 1);
    }
}

#[tokio::test]
async fn a_silent_aws_leaves_the_record_in_doubt_after_ten_seconds() {
    let fake = Fake::start([accepted(), Answer::Silence]).await;
    let (_dir, token) = token_file("jwt");
    let client = client(&fake.irsa(&token)).await;
    client.meter_usage(&usage()).await;
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    let (kind, reason, message) = told(client.meter_usage(&usage()).await);
    assert_eq!((kind, reason.as_str()), ("Unknown", "ReplyLost"), "{message}");
    let waited = start.elapsed();
    assert!(waited >= ATTEMPT_TIMEOUT && waited < ATTEMPT_TIMEOUT + Duration::from_secs(1), "{waited:?}");
    assert_eq!(fake.calls().len(), 2);
}

#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    let fake = Fake::start([]).await;
    let (_dir, token) = token_file("jwt");
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in [format!("http://{closed}"), "http://nowhere.invalid".into(), "no url at all".into()] {
        let mut env = fake.irsa(&token);
        env.service_endpoint_urls.insert("MARKETPLACE_METERING".into(), url.clone());
        let (kind, reason, message) = told(client(&env).await.meter_usage(&usage()).await);
        assert_eq!((kind, reason.as_str()), ("NotAccepted", "NotSent"), "{url}: {message}");
    }
}

#[tokio::test]
async fn a_failed_tls_handshake_sent_nothing() {
    let fake = Fake::start([]).await;
    let (_dir, token) = token_file("jwt");
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = plain.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
        }
    });
    let mut env = fake.irsa(&token);
    env.service_endpoint_urls.insert("MARKETPLACE_METERING".into(), format!("https://{address}"));
    let (kind, reason, message) = told(client(&env).await.meter_usage(&usage()).await);
    assert_eq!((kind, reason.as_str()), ("NotAccepted", "NotSent"), "{message}");
}

#[tokio::test]
async fn a_tls_handshake_without_an_end_is_given_up_early_and_sent_nothing() {
    let fake = Fake::start([]).await;
    let (_dir, token) = token_file("jwt");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut env = fake.irsa(&token);
    let url = format!("https://{}", silent.local_addr().unwrap());
    env.service_endpoint_urls.insert("MARKETPLACE_METERING".into(), url);
    let start = std::time::Instant::now();
    let (kind, reason, message) = told(client(&env).await.meter_usage(&usage()).await);
    assert_eq!((kind, reason.as_str()), ("NotAccepted", "NotSent"), "{message}");
    assert!(start.elapsed() >= CONNECT_TIMEOUT && start.elapsed() < ATTEMPT_TIMEOUT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_dry_run_succeeds_by_its_documented_error_and_says_what_else_it_got() {
    let fake = Fake::start([
        json(400, r#"{"__type":"DryRunOperation","message":"would have worked"}"#),
        json(400, r#"{"__type":"UnauthorizedException","message":"no permission"}"#),
        accepted(),
    ])
    .await;
    let (_dir, token) = token_file("jwt");
    let client = client(&fake.irsa(&token)).await;
    assert_eq!(client.dry_run(&usage()).await, Ok(()));
    assert!(fake.calls()[0].body.contains(r#""DryRun":true"#));
    assert_eq!(client.dry_run(&usage()).await.unwrap_err().reason, "UnauthorizedException");
    assert_eq!(client.dry_run(&usage()).await.unwrap_err().reason, "DryRunIgnored");
}

#[tokio::test]
async fn the_clock_of_aws_is_compared_with_ours() {
    let ahead = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(120);
    let date = ahead.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let answer = Answer::Respond(200, vec![("date", date)], r#"{"MeteringRecordId":"rec-1"}"#.into());
    let fake = Fake::start([answer]).await;
    let (_dir, token) = token_file("jwt");
    let client = client(&fake.irsa(&token)).await;
    assert_eq!(client.skew(), None);
    client.meter_usage(&usage()).await;
    let skew = client.skew().unwrap().as_secs_f64();
    assert!((118.0..=122.0).contains(&skew), "{skew}");
}
