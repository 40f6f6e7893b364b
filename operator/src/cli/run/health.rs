//! `/livez`, `/readyz` and `/metrics`.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Parts, metrics};

/// Watches that have failed for this long will not come back by themselves: a restart may help.
const WEDGED: Duration = Duration::from_secs(15 * 60);

/// Answers until it is told to stop.
pub(super) async fn serve(listener: TcpListener, parts: Arc<Parts>, stop: CancellationToken) {
    let app = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(parts);
    let served = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the health server failed");
    }
}

async fn livez(State(parts): State<Arc<Parts>>) -> (StatusCode, String) {
    let wedged = [parts.products.failing_for(), parts.bindings.failing_for()]
        .into_iter()
        .flatten()
        .find(|(length, _)| *length >= WEDGED);
    match wedged {
        Some((length, problem)) => {
            let text = format!("a watch has failed for {} s: {problem}\n", length.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
        None => (StatusCode::OK, "ok\n".to_owned()),
    }
}

/// A standby is ready, too: it has read everything and could take over.
async fn readyz(State(parts): State<Arc<Parts>>) -> (StatusCode, &'static str) {
    if parts.products.is_ready() && parts.bindings.is_ready() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "products and bindings have not been listed yet\n")
    }
}

async fn metrics(State(parts): State<Arc<Parts>>) -> Result<String, StatusCode> {
    metrics::text(&parts).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
