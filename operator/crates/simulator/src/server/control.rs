//! The control endpoints, `/_tollkeeper/…`: JSON in and out, errors as `{"error": …}`. Nothing of AWS looks like this.

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Aws;
use crate::{faults::FaultScript, settings::Settings};

pub(super) fn routes() -> Router<Aws> {
    Router::new()
        .route("/health", get(health))
        .route("/books", get(books))
        .route("/faults", post(set_faults).delete(clear_faults))
        .route("/clock", get(clock).post(move_clock))
        .route("/settings", get(settings).post(change_settings))
        .route("/reset", post(reset))
        .fallback(unknown)
}

fn refused(status: StatusCode, why: impl ToString) -> Response {
    (status, Json(json!({"error": why.to_string()}))).into_response()
}

async fn unknown() -> Response {
    refused(
        StatusCode::NOT_FOUND,
        "the control endpoints are health, books, faults, clock, settings and reset, under /_tollkeeper/",
    )
}

async fn health() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

async fn books(State(aws): State<Aws>) -> Response {
    let view = aws.simulator.lock().view();
    Json(view).into_response()
}

async fn set_faults(State(aws): State<Aws>, body: String) -> Response {
    match FaultScript::parse(&body) {
        Ok(script) => {
            let rules = script.faults.len();
            aws.simulator.lock().set_faults(script);
            Json(json!({"rules": rules})).into_response()
        }
        Err(error) => refused(StatusCode::BAD_REQUEST, error),
    }
}

async fn clear_faults(State(aws): State<Aws>) -> Response {
    aws.simulator.lock().set_faults(FaultScript::default());
    Json(json!({"rules": 0})).into_response()
}

async fn clock(State(aws): State<Aws>) -> Response {
    Json(json!({"now": aws.clock.now(), "manual": aws.clock.as_manual().is_some()})).into_response()
}

/// `{"advance": 3600}` in seconds, `{"advance": "1h 30m"}`, or `{"set": "2026-11-21T15:00:00Z"}`, which may go back.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Move {
    Advance(Span),
    Set(Timestamp),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Span {
    Seconds(f64),
    Text(SignedDuration),
}

async fn move_clock(State(aws): State<Aws>, body: String) -> Response {
    let Some(manual) = aws.clock.as_manual() else {
        return refused(StatusCode::CONFLICT, "this clock moves by itself; only a manual clock can be set");
    };
    let to = match serde_json::from_str(&body) {
        Ok(Move::Set(moment)) => Ok(moment),
        Ok(Move::Advance(by)) => {
            let by = match by {
                Span::Seconds(seconds) => SignedDuration::try_from_secs_f64(seconds),
                Span::Text(by) => Ok(by),
            };
            by.and_then(|by| aws.clock.now().checked_add(by)).map_err(|error| error.to_string())
        }
        Err(error) => {
            Err(format!("send {{\"advance\": <seconds or \"1h\">}} or {{\"set\": <RFC 3339>}}: {error}"))
        }
    };
    match to {
        Ok(moment) => {
            manual.set(moment);
            clock(State(aws)).await
        }
        Err(why) => refused(StatusCode::BAD_REQUEST, why),
    }
}

async fn settings(State(aws): State<Aws>) -> Response {
    let settings = aws.simulator.lock().settings().clone();
    Json(settings).into_response()
}

/// The members that are sent are changed, the others stay.
async fn change_settings(State(aws): State<Aws>, body: String) -> Response {
    let changes: serde_json::Map<String, Value> = match serde_json::from_str(&body) {
        Ok(changes) => changes,
        Err(error) => return refused(StatusCode::BAD_REQUEST, error),
    };
    let mut simulator = aws.simulator.lock();
    let changed = serde_json::to_value(simulator.settings()).and_then(|mut settings| {
        if let Some(members) = settings.as_object_mut() {
            members.extend(changes);
        }
        serde_json::from_value::<Settings>(settings)
    });
    match changed {
        Ok(settings) => {
            simulator.set_settings(settings.clone());
            Json(settings).into_response()
        }
        Err(error) => refused(StatusCode::BAD_REQUEST, error),
    }
}

async fn reset(State(aws): State<Aws>) -> Response {
    aws.simulator.lock().reset();
    Json(json!({"status": "ok"})).into_response()
}
