//! From the SDK's result to the reply that `tollkeeper_core::classification` judges. Decides nothing but one question: could AWS
//! have seen the request? Where that is open, it could have.

use aws_sdk_marketplacemetering::{
    error::SdkError,
    operation::meter_usage::{MeterUsageError, MeterUsageOutput},
};
use hyper_util::client::legacy;
use tollkeeper_core::classification::Reply;

use crate::describe::{causes, describe, line};

/// The reply to one attempt; `handed_over` says whether the HTTP client ever got the request.
pub(crate) fn reply(result: Result<MeterUsageOutput, SdkError<MeterUsageError>>, handed_over: bool) -> Reply {
    let error = match result {
        Ok(output) => return Reply::Accepted { id: output.metering_record_id.unwrap_or_default() },
        Err(error) => error,
    };
    if !handed_over || never_connected(&error) {
        return Reply::NotSent { message: describe(&error) };
    }
    match &error {
        SdkError::ConstructionFailure(_) => Reply::NotSent { message: describe(&error) },
        SdkError::ServiceError(context) => {
            let said = context.err().meta();
            answered(context.raw(), said.code(), said.message(), &error)
        }
        SdkError::ResponseError(context) => answered(context.raw(), None, None, &error),
        // A time-out, a broken connection, and whatever else the SDK may come to report.
        _ => Reply::Lost { message: describe(&error) },
    }
}

/// A status line came. With a success nobody reads, the record may have been taken.
fn answered(
    raw: &aws_smithy_runtime_api::client::orchestrator::HttpResponse,
    code: Option<&str>,
    message: Option<&str>,
    error: &SdkError<MeterUsageError>,
) -> Reply {
    let status = raw.status();
    if status.is_success() {
        let message = format!("HTTP {} that cannot be read: {}", status.as_u16(), describe(error));
        return Reply::Lost { message: line(&message) };
    }
    let message = match (message, code) {
        (Some(message), _) => message.to_owned(),
        (None, Some(code)) => format!("{code}, without a message"),
        (None, None) => {
            let kind = raw.headers().get("content-type").unwrap_or("no content type");
            format!("HTTP {} ({kind}) that does not come from AWS's API", status.as_u16())
        }
    };
    Reply::Error { status: status.as_u16(), code: code.map(str::to_owned), message: line(&message) }
}

/// Whether the HTTP client failed before it had a connection: name resolution, TCP, proxy, TLS. Only then is nothing written. Should
/// the SDK change its HTTP client, this finds nothing and the reply counts as lost, which is the safe side.
fn never_connected(error: &SdkError<MeterUsageError>) -> bool {
    let SdkError::DispatchFailure(failure) = error else { return false };
    let Some(error) = failure.as_connector_error() else { return false };
    causes(error).filter_map(|error| error.downcast_ref::<legacy::Error>()).any(legacy::Error::is_connect)
}
