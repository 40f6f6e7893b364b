//! `CloudTrail_20131101.LookupEvents` over AWS JSON 1.1.

use axum::response::Response;

use super::{
    Aws, Request,
    reply::{self, Written},
    sigv4,
};
use crate::trail::LookupEventsRequest;

/// The name that the signature's scope must have (API model: `signingName`).
const SIGNING_NAME: &str = "cloudtrail";

pub(super) async fn look_up_events(aws: &Aws, request: &Request) -> Response {
    let understood = sigv4::authenticate(aws, request, SIGNING_NAME)
        .and_then(|caller| Ok((caller, LookupEventsRequest::from_json(&request.body)?)));
    let (caller, lookup) = match understood {
        Ok(understood) => understood,
        Err(error) => return reply::json_error(&error),
    };
    let now = aws.clock.now();
    let exchange = aws.simulator.lock().look_up_paced(now, aws.clock.pace(), &caller, &lookup);
    aws.hold(now, exchange.delay).await;
    reply::answer(&request.connection, exchange.answer, |result| match result {
        Ok(page) => Written::json(&page),
        Err(error) => Written::json_error(&error),
    })
}
