//! No token and no key ever shows in a log or in a `Debug` text.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails like a test"
)]

mod fake;

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use fake::{Answer, Fake, SECRET_KEY, SESSION_TOKEN, accepted, token_file, usage};
use tollkeeper_core::metering::Metering as _;
use tollkeeper_marketplace::{connect, credentials::AllowCredentials};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_logged_even_where_everything_is_logged() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::registry()
        .with(EnvFilter::new("trace"))
        .with(tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone()))
        .init();
    let fake = Fake::start([accepted()]).await;
    let (_dir, token) = token_file("jwt-secret");
    let client = connect(&fake.irsa(&token), AllowCredentials::WebIdentity).await.unwrap().metering();
    client.meter_usage(&usage()).await;
    fake.set_sts(Answer::Respond(400, Vec::new(), "<html>jwt-secret</html>".into()));
    let other = connect(&fake.irsa(&token), AllowCredentials::WebIdentity).await.unwrap().metering();
    let outcome = format!("{:?}", other.meter_usage(&usage()).await);
    let debug = format!("{client:?}");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("transmitting request"), "the SDK's log is heard");
    for secret in ["jwt-secret", SESSION_TOKEN, SECRET_KEY] {
        for (name, text) in [("log", &log), ("debug", &debug), ("outcome", &outcome)] {
            let place = text.lines().find(|line| line.contains(secret));
            assert_eq!(place, None, "{name}");
        }
    }
}
