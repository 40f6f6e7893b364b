//! AWS over HTTP: any SDK whose endpoint URL points here talks to the [`Simulator`](crate::Simulator).
//!
//! `POST /` takes AWS JSON 1.1 (`X-Amz-Target`) and the Query protocol (`Action=`); `/_tollkeeper/` is for tests and people.
#![allow(clippy::disallowed_methods, reason = "the grace of a shutdown is real, whatever the clock says")]

mod clock;
mod connection;
mod control;
mod metering;
mod reply;
mod sessions;
mod sigv4;
mod sts;
mod trail;
mod web_identity;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
    routing::get,
};
use tokio::{net::TcpListener, sync::oneshot};

pub use clock::{ManualClock, ServerClock, SystemClock};

use crate::{error::ApiError, simulator::SharedSimulator};
use connection::{Connection, Connections};
use sessions::Sessions;

/// The largest valid MeterUsage request: 2,500 allocations of 5 tags with keys of 100 and values of 256 characters make 5 MB.
const LARGEST_REQUEST: usize = 6 * 1024 * 1024;

/// For requests under way at shutdown. A reply that a fault holds back longer is not worth waiting for.
const GRACE: Duration = Duration::from_secs(1);

/// All that the handlers share.
#[derive(Clone)]
struct Aws {
    simulator: SharedSimulator,
    sessions: Arc<Mutex<Sessions>>,
    clock: ServerClock,
}

impl Aws {
    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as a fault wants, on the simulator's clock.
    async fn hold(&self, from: jiff::Timestamp, delay: Duration) {
        if !delay.is_zero() {
            self.clock.sleep_until(from.checked_add(delay).unwrap_or(jiff::Timestamp::MAX)).await;
        }
    }
}

/// Answers on `listener` until `shutdown` ends. The books live on the clock that is handed in; tokens and credentials expire
/// by the machine's own clock, as signatures do.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    simulator: SharedSimulator,
    clock: ServerClock,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let aws = Aws { simulator, sessions: Arc::default(), clock };
    let app = Router::new()
        .nest("/_tollkeeper", control::routes())
        .route("/", get(dispatch).post(dispatch))
        .fallback(dispatch)
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .with_state(aws)
        .into_make_service_with_connect_info::<Connection>();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = axum::serve(Connections(listener), app).with_graceful_shutdown(async {
        // An error is a dropped sender: the end all the same.
        let _ = stopped.await;
    });
    tokio::select! {
        ended = serving => ended,
        () = async {
            shutdown.await;
            let _ = stop.send(());
            tokio::time::sleep(GRACE).await;
        } => Ok(()),
    }
}

/// One request of an SDK, read.
struct Request {
    headers: HeaderMap,
    query: String,
    body: Bytes,
    connection: Connection,
}

impl Request {
    /// A header's text; nothing where it is missing or no text.
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// To the operation that a request names, by the protocol that it speaks.
async fn dispatch(
    State(aws): State<Aws>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    let query = uri.query().unwrap_or_default().to_owned();
    let body = match body {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let message = format!("The request is larger than {LARGEST_REQUEST} bytes.");
            let error =
                ApiError { status: 413, ..ApiError::client("RequestEntityTooLargeException", message) };
            return reply::json_error(&error);
        }
        Err(rejection) => return reply::json_error(&ApiError::serialization(rejection.body_text())),
    };
    let request = Request { headers, query, body, connection };
    if let Some(target) = request.header("x-amz-target") {
        return match target {
            "AWSMPMeteringService.MeterUsage" => metering::meter_usage(&aws, &request).await,
            // botocore writes the package before it, the Rust SDK does not.
            target if target.ends_with("CloudTrail_20131101.LookupEvents") => {
                trail::look_up_events(&aws, &request).await
            }
            other => reply::json_error(&unknown_operation(other)),
        };
    }
    let parameters = sts::parameters(&request);
    match parameters.get("Action").map(String::as_str) {
        Some("AssumeRoleWithWebIdentity") => sts::assume_role(&aws, &request, &parameters).await,
        Some(action) => {
            let version = parameters.get("Version").map_or("2011-06-15", String::as_str);
            let message = format!("Could not find operation {action} for version {version}.");
            reply::xml_error(&ApiError::client("InvalidAction", message))
        }
        None => reply::json_error(&unknown_operation(uri.path())),
    }
}

fn unknown_operation(name: &str) -> ApiError {
    let name: String = name.chars().take(200).collect();
    ApiError::client(
        "UnknownOperationException",
        format!(
            "The simulator has no operation {name}. It has AWSMPMeteringService.MeterUsage, CloudTrail_20131101.LookupEvents and STS AssumeRoleWithWebIdentity."
        ),
    )
}
