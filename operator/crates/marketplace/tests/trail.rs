//! What the adapter asks of CloudTrail, and what it makes of everything that can come back.
#![allow(clippy::disallowed_methods, reason = "these tests live in real time")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper of tests fails like a test")]

mod fake;

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fake::{Answer, Fake, json, token_file};
use serde_json::Value;
use tollkeeper_core::evidence::{Page, Trail as _, TrailError};
use tollkeeper_marketplace::{connect, credentials::AllowCredentials, trail::SdkTrail};

async fn trail(fake: &Fake, token: &Path) -> SdkTrail {
    connect(&fake.irsa(token), AllowCredentials::WebIdentity).await.unwrap().trail()
}

async fn asked(answer: Answer) -> Result<Page, TrailError> {
    let fake = Fake::start([answer]).await;
    let (_dir, file) = token_file("jwt");
    trail(&fake, &file).await.look_up("2026-11-21T15:00:00Z".parse().unwrap(), None).await
}

#[tokio::test]
async fn a_page_is_asked_for_by_name_and_time_and_leads_to_the_next() {
    let first = r#"{"Events":[{"EventId":"e-1","EventTime":1795273502.0,"CloudTrailEvent":"{\"eventID\":\"e-1\"}"},{"EventId":"e-2"}],"NextToken":"n-2"}"#;
    let fake = Fake::start([json(200, first), json(200, r#"{"Events":[]}"#)]).await;
    let (_dir, file) = token_file("jwt");
    let trail = trail(&fake, &file).await;
    let from = "2026-11-21T15:00:00Z".parse().unwrap();
    let page = trail.look_up(from, None).await.unwrap();
    assert_eq!(page, Page { events: vec![r#"{"eventID":"e-1"}"#.into()], next: Some("n-2".into()) });
    assert_eq!(trail.look_up(from, page.next.as_deref()).await, Ok(Page::default()));
    let calls = fake.calls();
    let body = |index: usize| serde_json::from_str::<Value>(&calls[index].body).unwrap();
    assert_eq!(
        body(0),
        serde_json::json!({"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "MeterUsage"}],
            "StartTime": 1_795_273_200, "MaxResults": 50})
    );
    assert_eq!(body(1)["NextToken"], "n-2");
    assert!(calls[0].head.to_lowercase().contains("cloudtrail_20131101.lookupevents"), "{}", calls[0].head);
    assert!(calls[0].head.contains("/eu-west-1/cloudtrail/aws4_request"), "{}", calls[0].head);
}

#[tokio::test]
async fn a_refusal_is_told_from_a_quota_and_from_silence_and_is_not_retried() {
    for (answer, reason) in [
        (json(400, r#"{"__type":"AccessDeniedException","Message":"said so"}"#), "EvidenceForbidden"),
        (json(400, r#"{"__type":"ThrottlingException","message":"said so"}"#), "EvidenceThrottled"),
        (json(400, r#"{"__type":"InvalidNextTokenException","message":"said so"}"#), "EvidenceUnavailable"),
        (json(500, r#"{"__type":"InternalFailure","message":"said so"}"#), "EvidenceUnavailable"),
        (json(200, "{"), "EvidenceUnavailable"),
        (Answer::HangUp, "EvidenceUnavailable"),
    ] {
        assert_eq!(asked(answer).await.unwrap_err().reason(), reason);
    }
}

#[tokio::test]
async fn the_issuer_is_that_of_the_pods_token() {
    let claims = r#"{"iss":"https://oidc.eks.eu-west-1.amazonaws.com/id/0123","kubernetes.io":{"namespace":"n","serviceaccount":{"name":"s","uid":"u"}}}"#;
    let fake = Fake::start([]).await;
    for (token, issuer) in [
        (
            format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)),
            Some("https://oidc.eks.eu-west-1.amazonaws.com/id/0123"),
        ),
        ("jwt".to_owned(), None),
    ] {
        let (_dir, file) = token_file(&token);
        assert_eq!(trail(&fake, &file).await.issuer(), issuer);
    }
}
