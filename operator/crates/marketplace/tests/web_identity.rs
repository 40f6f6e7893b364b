//! From a pod's environment to credentials, or to a refusal that says what to do.
#![allow(clippy::disallowed_methods, reason = "these tests live in real time")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails like a test"
)]

mod fake;

use fake::{Answer, Fake, accepted, credentials, token_file, usage};
use tollkeeper_core::metering::{Metering as _, Outcome};
use tollkeeper_marketplace::{
    connect,
    credentials::{AllowCredentials, CredentialProblem},
    environment::AwsEnvironment,
    metering::ATTEMPT_TIMEOUT,
    token::TokenIdentity,
};

async fn refused(env: &AwsEnvironment) -> CredentialProblem {
    connect(env, AllowCredentials::WebIdentity).await.unwrap_err()
}

/// An answer of the instance metadata; the first one is taken for its session token.
fn metadata(body: &str) -> Answer {
    Answer::Respond(200, vec![("x-aws-ec2-metadata-token-ttl-seconds", "60".into())], body.into())
}

#[tokio::test]
async fn the_token_is_exchanged_at_the_overridden_endpoint_and_signs_the_call() {
    let fake = Fake::start([accepted()]).await;
    let (_dir, token) = token_file("jwt-1\n");
    let env = AwsEnvironment { role_session_name: Some("pod-7".into()), ..fake.irsa(&token) };
    let client = connect(&env, AllowCredentials::WebIdentity).await.unwrap().metering();
    assert!(fake.exchanges().is_empty(), "connecting calls nobody");
    client.meter_usage(&usage()).await;
    client.meter_usage(&usage()).await;
    let exchanges = fake.exchanges();
    assert_eq!(exchanges.len(), 1, "credentials are kept until they expire");
    let body = &exchanges[0].body;
    assert!(body.contains("RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fmeter"), "{body}");
    assert!(body.contains("RoleSessionName=pod-7") && body.ends_with("WebIdentityToken=jwt-1"), "{body}");
    assert!(!exchanges[0].head.to_lowercase().contains("authorization:"), "the exchange is not signed");
    assert!(fake.calls()[1].head.contains(fake::SESSION_TOKEN));
    assert_eq!((client.region(), client.warning()), ("eu-west-1", None));
}

#[tokio::test]
async fn sts_may_have_an_endpoint_of_its_own() {
    let (fake, sts) = (Fake::start([accepted()]).await, Fake::start([]).await);
    let (_dir, token) = token_file("jwt");
    let mut env = fake.irsa(&token);
    env.service_endpoint_urls.insert("STS".into(), sts.url.clone());
    connect(&env, AllowCredentials::WebIdentity).await.unwrap().metering().meter_usage(&usage()).await;
    assert_eq!((sts.exchanges().len(), fake.exchanges().len(), fake.calls().len()), (1, 0, 1));
}

#[tokio::test]
async fn a_rotated_token_is_read_anew_when_credentials_expire() {
    let fake = Fake::start([accepted()]).await;
    fake.set_sts(credentials(1));
    let (_dir, token) = token_file("jwt-1");
    let client = connect(&fake.irsa(&token), AllowCredentials::WebIdentity).await.unwrap().metering();
    client.meter_usage(&usage()).await;
    std::fs::write(&token, "jwt-2").unwrap();
    client.meter_usage(&usage()).await;
    let tokens: Vec<_> =
        fake.exchanges().iter().map(|heard| heard.body.rsplit('=').next().unwrap().to_owned()).collect();
    assert_eq!(tokens, ["jwt-1", "jwt-2"]);
}

#[tokio::test]
async fn without_credentials_nothing_is_sent_and_the_reason_is_clear() {
    let fake = Fake::start([accepted()]).await;
    let (_dir, token) = token_file("jwt-secret");
    let client = connect(&fake.irsa(&token), AllowCredentials::WebIdentity).await.unwrap().metering();
    fake.set_sts(Answer::Respond(
        403,
        vec![("content-type", "text/xml".into())],
        "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized with jwt-secret</Message>\
         </Error></ErrorResponse>"
            .into(),
    ));
    let Outcome::NotAccepted(refusal) = client.meter_usage(&usage()).await else { panic!("it was sent") };
    assert_eq!(refusal.reason, "NotSent");
    assert_eq!(
        refusal.message,
        "AWS STS gave no credentials for the web identity: AccessDenied: Not authorized with (the token)"
    );
    fake.set_sts(Answer::HangUp);
    assert!(matches!(client.meter_usage(&usage()).await, Outcome::NotAccepted(_)));
    std::fs::remove_file(&token).unwrap();
    let Outcome::NotAccepted(refusal) = client.meter_usage(&usage()).await else { panic!("it was sent") };
    assert!(refusal.message.contains("cannot be read"), "{}", refusal.message);
    assert_eq!(fake.exchanges().len(), 2, "an exchange is not retried here");
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn a_silent_sts_is_given_up_before_the_attempt_is() {
    let fake = Fake::start([accepted()]).await;
    fake.set_sts(Answer::Silence);
    let (_dir, token) = token_file("jwt");
    let client = connect(&fake.irsa(&token), AllowCredentials::WebIdentity).await.unwrap().metering();
    let start = std::time::Instant::now();
    assert!(matches!(client.meter_usage(&usage()).await, Outcome::NotAccepted(_)));
    assert!(start.elapsed() < ATTEMPT_TIMEOUT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn other_credentials_are_refused_before_anything_is_called() {
    let none = AwsEnvironment {
        region: Some("eu-west-1".into()),
        metadata_disabled: true,
        ..AwsEnvironment::default()
    };
    assert_eq!(refused(&none).await.reason(), "WebIdentityMissing");
    let pod_identity = AwsEnvironment { container_credentials_present: true, ..none.clone() };
    assert_eq!(refused(&pod_identity).await.reason(), "PodIdentityNotSupported");
    let keys = AwsEnvironment { access_key_present: true, ..none };
    assert_eq!(refused(&keys).await.reason(), "StaticKeysNotSupported");
}

#[tokio::test]
async fn the_role_of_the_node_is_recognised_and_refused() {
    let metadata = Fake::start([metadata("session"), metadata("node-role")]).await;
    let env = AwsEnvironment {
        region: Some("eu-west-1".into()),
        metadata_endpoint: Some(metadata.url.clone()),
        ..AwsEnvironment::default()
    };
    assert_eq!(refused(&env).await.reason(), "NodeRoleNotSupported");
}

#[tokio::test]
async fn a_token_that_cannot_be_used_is_refused_at_the_start() {
    let fake = Fake::start([]).await;
    let (dir, token) = token_file(" \n");
    let problem = refused(&fake.irsa(&token)).await;
    assert!(problem.reason() == "TokenUnreadable" && problem.to_string().contains("is empty"), "{problem}");
    let problem = refused(&fake.irsa(&dir.path().join("absent"))).await;
    assert!(problem.to_string().contains("cannot be read"), "{problem}");
    std::fs::write(&token, "x".repeat(20_001)).unwrap();
    assert!(refused(&fake.irsa(&token)).await.to_string().contains("20000"));
    let any = connect(&fake.irsa(dir.path()), AllowCredentials::Any).await.unwrap_err();
    assert_eq!(any.reason(), "TokenUnreadable", "a broken web identity is not passed over");
}

#[tokio::test]
async fn the_region_is_asked_of_the_instance_where_the_environment_is_silent() {
    let metadata = Fake::start([metadata("session"), metadata("ap-northeast-3\n")]).await;
    let fake = Fake::start([]).await;
    let (_dir, token) = token_file("jwt");
    let env = AwsEnvironment {
        region: None,
        metadata_disabled: false,
        metadata_endpoint: Some(metadata.url.clone()),
        ..fake.irsa(&token)
    };
    let client = connect(&env, AllowCredentials::WebIdentity).await.unwrap().metering();
    assert_eq!(client.region(), "ap-northeast-3");
    assert_eq!(client.warning().map(CredentialProblem::reason), Some("RegionNotSupported"));
}

#[tokio::test]
async fn a_silent_instance_does_not_hold_up_the_start() {
    let metadata = Fake::start([]).await;
    let (_dir, token) = token_file("jwt");
    let env = AwsEnvironment {
        region: None,
        metadata_disabled: false,
        metadata_endpoint: Some(metadata.url.clone()),
        ..metadata.irsa(&token)
    };
    let start = std::time::Instant::now();
    assert_eq!(refused(&env).await, CredentialProblem::RegionUnknown);
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}

#[tokio::test]
async fn any_credentials_do_where_any_are_allowed() {
    let fake = Fake::start([accepted()]).await;
    let env = AwsEnvironment {
        access_key_present: true,
        region: Some("ap-northeast-3".into()),
        endpoint_url: Some(fake.url.clone()),
        ..AwsEnvironment::default()
    };
    let client = connect(&env, AllowCredentials::Any).await.unwrap().metering();
    assert_eq!(client.warning(), None, "the list of regions is about EKS");
}

#[tokio::test]
async fn the_token_tells_whose_it_is() {
    let fake = Fake::start([]).await;
    // {"kubernetes.io":{"namespace":"a","pod":{"name":"p","uid":"u"},"serviceaccount":{"name":"s","uid":"v"}}}
    let claims = "eyJrdWJlcm5ldGVzLmlvIjp7Im5hbWVzcGFjZSI6ImEiLCJwb2QiOnsibmFtZSI6InAiLCJ1aWQiOiJ1In0sInNlcnZpY2VhY2NvdW50Ijp7Im5hbWUiOiJzIiwidWlkIjoidiJ9fX0";
    let (_dir, token) = token_file(&format!("e30.{claims}.c2ln"));
    let identity = TokenIdentity::of(&fake.irsa(&token)).await.unwrap();
    assert_eq!((identity.namespace.as_str(), identity.pod_uid.as_deref()), ("a", Some("u")));
    std::fs::write(&token, "garbage").unwrap();
    assert_eq!(TokenIdentity::of(&fake.irsa(&token)).await.unwrap_err().reason(), "TokenUnreadable");
}
