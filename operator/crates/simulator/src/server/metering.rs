//! `AWSMPMeteringService.MeterUsage` over AWS JSON 1.1.

use axum::response::Response;
use serde_json::json;

use super::{
    Aws, Request,
    reply::{self, Written},
    sigv4,
};
use crate::request::MeterUsageRequest;

/// The name that the signature's scope must have (API model: `signingName`).
const SIGNING_NAME: &str = "aws-marketplace";

pub(super) async fn meter_usage(aws: &Aws, request: &Request) -> Response {
    let understood = sigv4::authenticate(aws, request, SIGNING_NAME)
        .and_then(|caller| Ok((caller, MeterUsageRequest::from_json(&request.body)?)));
    let (caller, usage) = match understood {
        Ok(understood) => understood,
        Err(error) => return reply::json_error(&error),
    };
    let now = aws.clock.now();
    let exchange = aws.simulator.lock().exchange_paced(now, aws.clock.pace(), &caller, &usage);
    aws.hold(now, exchange.delay).await;
    reply::answer(&request.connection, exchange.answer, |result| match result {
        Ok(id) => Written::json(&json!({ "MeteringRecordId": id })),
        Err(error) => Written::json_error(&error),
    })
}
