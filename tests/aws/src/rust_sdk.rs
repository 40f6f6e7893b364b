//! The Rust SDK over the sequence that boto3 is judged by.
#![allow(clippy::disallowed_methods, reason = "these tests live in real time")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_credential_types::Credentials;
use aws_sdk_marketplacemetering as metering;
use aws_sdk_marketplacemetering::operation::meter_usage::MeterUsageError;
use aws_sdk_sts as sts;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_types::{error::metadata::ProvideErrorMetadata, retry::RetryConfig, timeout::TimeoutConfig};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{history, server::Server};

const SEQUENCE: &str = include_str!("../sequence.json");

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_sdk_understands_every_answer() {
    let server = Server::manual().await;
    let mut judge = Judge { server: &server, sessions: BTreeMap::new(), records: BTreeMap::new() };
    let steps: Vec<Value> = serde_json::from_str(SEQUENCE).unwrap();
    let mut wrong = Vec::new();
    for step in &steps {
        let (seen, expected) = judge.take(step).await;
        if !judge.same(&seen, &expected) {
            wrong.push(format!("{}: expected {expected}, the SDK saw {seen}", step["say"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_attempts_whose_replies_are_lost_make_one_record() {
    let server = Server::manual().await;
    server.post("faults", json!({"faults": [{"when": {"count": 9}, "effect": "acceptThenDrop"}]})).await;
    let mut judge = Judge { server: &server, sessions: BTreeMap::new(), records: BTreeMap::new() };
    let retries =
        RetryConfig::standard().with_max_attempts(10).with_initial_backoff(Duration::from_millis(1));
    let config = metering::Config::builder()
        .behavior_version(metering::config::BehaviorVersion::latest())
        .region(metering::config::Region::new("us-east-1"))
        .endpoint_url(&server.endpoint)
        .retry_config(retries)
        .credentials_provider(judge.session("a").await);
    let call = metering::Client::from_conf(config.build()).meter_usage();
    let time = metering::primitives::DateTime::from_secs(1_795_269_600);
    let call = call.product_code("vecdb").usage_dimension("gb_hours").usage_quantity(812).timestamp(time);
    let sent = call.send().await;
    let books = server.get("books").await;
    let id = sent.unwrap_or_else(|error| panic!("{error:?}: {books}")).metering_record_id.unwrap();
    let books = server.get("books").await;
    assert_eq!(books["accepted"].as_array().unwrap().len(), 1);
    assert_eq!(books["accepted"][0]["meteringRecordId"], json!(id));
    assert_eq!((&books["accepted"][0]["repeats"], books["faults"].as_array().unwrap().len()), (&json!(9), 9));
}

struct Judge<'a> {
    server: &'a Server,
    sessions: BTreeMap<String, Credentials>,
    records: BTreeMap<String, String>,
}

impl Judge<'_> {
    /// What was seen at this step, and what should have been.
    async fn take(&mut self, step: &Value) -> (Value, Value) {
        // The order of the members matters to nobody: they are about different things.
        for (name, body) in step["control"].as_object().into_iter().flatten() {
            let (status, reply) = self.server.post(name, body).await;
            assert_eq!(status, 200, "{name}: {reply}");
        }
        let expected = step.get("expect").or(step.get("books")).unwrap_or(&Value::Null);
        let expected = expected.get("rust").unwrap_or(expected).clone();
        let seen = if let Some(books) = step.get("books") {
            let view = self.server.get("books").await;
            let count = |name: &String| (name.clone(), json!(view[name].as_array().unwrap().len()));
            Value::Object(books.as_object().unwrap().keys().map(count).collect())
        } else if step.get("request").is_some() {
            self.meter(step).await
        } else if let Some(wanted) = step.get("lookup") {
            let credentials = self.session(step["pod"].as_str().unwrap()).await;
            history::look_up(&self.server.endpoint, credentials, wanted).await
        } else if let Some(wanted) = step.get("assume") {
            self.assume(wanted).await
        } else {
            Value::Null
        };
        (seen, expected)
    }

    /// A record's name in the sequence stands for one id, and different names for different ids.
    fn same(&mut self, seen: &Value, expected: &Value) -> bool {
        let (Some(id), Some(name)) = (seen["record"].as_str(), expected["record"].as_str()) else {
            return seen == expected;
        };
        let known = self.records.entry(name.to_owned()).or_insert_with(|| id.to_owned());
        known == id && self.records.values().collect::<BTreeSet<_>>().len() == self.records.len()
    }

    fn sts(&self) -> sts::Client {
        let config = sts::Config::builder()
            .behavior_version(sts::config::BehaviorVersion::latest())
            .region(sts::config::Region::new("us-east-1"))
            .endpoint_url(&self.server.endpoint)
            .retry_config(RetryConfig::disabled());
        sts::Client::from_conf(config.build())
    }

    async fn session(&mut self, pod: &str) -> Credentials {
        if let Some(credentials) = self.sessions.get(pod) {
            return credentials.clone();
        }
        let call = self
            .sts()
            .assume_role_with_web_identity()
            .role_arn(format!("arn:aws:iam::123456789012:role/{pod}"))
            .role_session_name("judge")
            .web_identity_token(token(pod, "sts.amazonaws.com", 3600));
        let issued = call.send().await.unwrap().credentials.unwrap();
        let token = Some(issued.session_token);
        let credentials =
            Credentials::new(issued.access_key_id, issued.secret_access_key, token, None, "judge");
        self.sessions.insert(pod.to_owned(), credentials.clone());
        credentials
    }

    async fn metering(&mut self, step: &Value) -> metering::Client {
        let region = step["region"].as_str().unwrap_or("us-east-1").to_owned();
        let patience = Duration::from_secs_f64(step["patience"].as_f64().unwrap_or(10.0));
        let config = metering::Config::builder()
            .behavior_version(metering::config::BehaviorVersion::latest())
            .region(metering::config::Region::new(region))
            .endpoint_url(&self.server.endpoint)
            // One attempt: a retry of the SDK's own would hide what the first one met.
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(patience).build());
        let config = match step["credentials"].as_str() {
            Some("none") => config.allow_no_auth(),
            Some("static") => {
                config.credentials_provider(Credentials::new("AKIAEXAMPLE", "secret", None, None, "judge"))
            }
            _ => config.credentials_provider(self.session(step["pod"].as_str().unwrap()).await),
        };
        metering::Client::from_conf(config.build())
    }

    async fn meter(&mut self, step: &Value) -> Value {
        let mut members = json!({"ProductCode": "vecdb", "UsageDimension": "gb_hours", "Timestamp": 1_795_269_600,
            "UsageQuantity": 812});
        for (name, value) in step["request"].as_object().unwrap() {
            members[name] = value.clone();
        }
        let text = |name: &str| members[name].as_str().map(str::to_owned);
        let call = self
            .metering(step)
            .await
            .meter_usage()
            .set_product_code(text("ProductCode"))
            .set_usage_dimension(text("UsageDimension"))
            .set_client_token(text("ClientToken"))
            .set_dry_run(members["DryRun"].as_bool())
            .set_usage_quantity(members["UsageQuantity"].as_i64().map(|units| i32::try_from(units).unwrap()))
            .timestamp(metering::primitives::DateTime::from_secs(members["Timestamp"].as_i64().unwrap()))
            .set_usage_allocations(members["UsageAllocations"].as_array().map(|parts| allocations(parts)));
        match call.send().await {
            Ok(output) => json!({"record": output.metering_record_id.unwrap()}),
            Err(error) => seen(&error, error.as_service_error().and_then(meter_usage_model)),
        }
    }

    async fn assume(&self, wanted: &Value) -> Value {
        let web_identity = match wanted["token"].as_str().unwrap() {
            "garbage" => "not-a-token".to_owned(),
            "audience" => token("a", "somebody.else", 3600),
            "expired" => token("a", "sts.amazonaws.com", -60),
            _ => token("a", "sts.amazonaws.com", 3600),
        };
        let call = self
            .sts()
            .assume_role_with_web_identity()
            .role_arn(wanted["roleArn"].as_str().unwrap_or("arn:aws:iam::123456789012:role/path/a"))
            .role_session_name("judge")
            .web_identity_token(web_identity)
            .set_duration_seconds(wanted["duration"].as_i64().map(|seconds| i32::try_from(seconds).unwrap()));
        match call.send().await {
            Ok(output) => {
                let user = output.assumed_role_user.unwrap();
                assert_eq!(user.arn, "arn:aws:sts::123456789012:assumed-role/a/judge");
                assert_eq!(
                    output.subject_from_web_identity_token.unwrap(),
                    "system:serviceaccount:vecdb:vecdb"
                );
                let lasts = output.credentials.unwrap().expiration.secs() - Timestamp::now().as_second();
                // Whole seconds, and a little time has passed.
                json!({"lasts": (lasts + 5) / 10 * 10})
            }
            Err(error) => seen(&error, error.as_service_error().and_then(assume_role_model)),
        }
    }
}

/// What the SDK made of a failure; `model` is the modelled error that it found.
pub(crate) fn seen<E>(error: &metering::error::SdkError<E>, model: Option<&str>) -> Value
where
    metering::error::SdkError<E>: ProvideErrorMetadata,
{
    use metering::error::SdkError;
    match error {
        SdkError::ServiceError(failure) => {
            if let Some(model) = model {
                assert_eq!(error.code(), Some(model));
            }
            let status = failure.raw().status().as_u16();
            json!({"error": error.code(), "modelled": model.is_some(), "status": status})
        }
        SdkError::ResponseError(_) => json!({"unreadable": true}),
        SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) => json!({"broken": true}),
        _ => json!({"notSent": true}),
    }
}

fn meter_usage_model(error: &MeterUsageError) -> Option<&'static str> {
    Some(match error {
        MeterUsageError::CustomerNotEntitledException(_) => "CustomerNotEntitledException",
        MeterUsageError::DuplicateRequestException(_) => "DuplicateRequestException",
        MeterUsageError::IdempotencyConflictException(_) => "IdempotencyConflictException",
        MeterUsageError::InternalServiceErrorException(_) => "InternalServiceErrorException",
        MeterUsageError::InvalidEndpointRegionException(_) => "InvalidEndpointRegionException",
        MeterUsageError::InvalidProductCodeException(_) => "InvalidProductCodeException",
        MeterUsageError::InvalidTagException(_) => "InvalidTagException",
        MeterUsageError::InvalidUsageAllocationsException(_) => "InvalidUsageAllocationsException",
        MeterUsageError::InvalidUsageDimensionException(_) => "InvalidUsageDimensionException",
        MeterUsageError::ThrottlingException(_) => "ThrottlingException",
        MeterUsageError::TimestampOutOfBoundsException(_) => "TimestampOutOfBoundsException",
        _ => return None,
    })
}

fn assume_role_model(error: &AssumeRoleWithWebIdentityError) -> Option<&'static str> {
    Some(match error {
        AssumeRoleWithWebIdentityError::ExpiredTokenException(_) => "ExpiredTokenException",
        AssumeRoleWithWebIdentityError::InvalidIdentityTokenException(_) => "InvalidIdentityToken",
        _ => return None,
    })
}

fn allocations(parts: &[Value]) -> Vec<metering::types::UsageAllocation> {
    let tag = |tag: &Value| {
        let text = |name: &str| tag[name].as_str().unwrap();
        metering::types::Tag::builder().key(text("Key")).value(text("Value")).build().unwrap()
    };
    let part = |part: &Value| {
        metering::types::UsageAllocation::builder()
            .allocated_usage_quantity(
                i32::try_from(part["AllocatedUsageQuantity"].as_i64().unwrap()).unwrap(),
            )
            .set_tags(part["Tags"].as_array().map(|tags| tags.iter().map(tag).collect()))
            .build()
            .unwrap()
    };
    parts.iter().map(part).collect()
}

/// A projected service account token of this pod; nobody verifies its signature.
fn token(pod: &str, audience: &str, lifetime: i64) -> String {
    let issuer = match pod {
        "stockholm" => "https://oidc.eks.eu-north-1.amazonaws.com/id/0123",
        _ => "https://kubernetes.default.svc",
    };
    let bound = match pod {
        "none" => json!({"namespace": "vecdb"}),
        _ => json!({"namespace": "vecdb", "pod": {"name": pod, "uid": format!("uid-of-{pod}")}}),
    };
    let claims = json!({"iss": issuer, "sub": "system:serviceaccount:vecdb:vecdb", "aud": [audience],
        "exp": Timestamp::now().as_second() + lifetime, "kubernetes.io": bound});
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2lnbmF0dXJl", part(json!({"alg": "RS256"})), part(claims))
}
