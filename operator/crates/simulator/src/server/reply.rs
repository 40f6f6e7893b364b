//! Replies in the two protocols, and what faults make of them.

use axum::{
    body::Body,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Connection;
use crate::{error::ApiError, simulator::Answer};

const JSON: &str = "application/x-amz-json-1.1";
const XML: &str = "text/xml";

/// What a proxy in front of AWS sends when it cannot reach it.
const BAD_GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway\
                           </h1></center>\r\n</body>\r\n</html>\r\n";

/// A status and a body, of one protocol.
pub(super) struct Written {
    status: u16,
    body: String,
    kind: &'static str,
    request_id: Uuid,
}

impl Written {
    pub(super) fn json(body: &Value) -> Self {
        Self { status: 200, body: body.to_string(), kind: JSON, request_id: Uuid::new_v4() }
    }

    pub(super) fn json_error(error: &ApiError) -> Self {
        let body = json!({"__type": error.code, "message": error.message});
        Self { status: error.status, ..Self::json(&body) }
    }

    /// `body` is given the request's id: the Query protocol repeats it in the document.
    pub(super) fn xml(status: u16, body: impl FnOnce(&str) -> String) -> Self {
        let request_id = Uuid::new_v4();
        Self { status, body: body(&request_id.to_string()), kind: XML, request_id }
    }

    pub(super) fn xml_error(error: &ApiError) -> Self {
        let kind = if error.status < 500 { "Sender" } else { "Receiver" };
        let (code, message) = (escaped(&error.code), escaped(&error.message));
        Self::xml(error.status, |id| {
            format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <Error>\n    <Type>{kind}</Type>\n    \
                 <Code>{code}</Code>\n    <Message>{message}</Message>\n  </Error>\n  \
                 <RequestId>{id}</RequestId>\n</ErrorResponse>\n"
            )
        })
    }

    /// The first half of the body, as if the sender had stopped in the middle.
    fn truncated(mut self) -> Self {
        let half = self.body.chars().count() / 2;
        self.body = self.body.chars().take(half).collect();
        self
    }
}

impl IntoResponse for Written {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = [
            (CONTENT_TYPE.as_str(), self.kind.to_owned()),
            ("x-amzn-requestid", self.request_id.to_string()),
        ];
        (status, headers, Body::from(self.body)).into_response()
    }
}

pub(super) fn json_error(error: &ApiError) -> Response {
    Written::json_error(error).into_response()
}

pub(super) fn xml_error(error: &ApiError) -> Response {
    Written::xml_error(error).into_response()
}

/// Puts an answer on the wire, or breaks the wire.
pub(super) fn answer<T>(
    connection: &Connection,
    answer: Answer<T>,
    written: impl FnOnce(Result<T, ApiError>) -> Written,
) -> Response {
    match answer {
        Answer::Reply(result) => written(result).into_response(),
        Answer::Truncated(result) => written(result).truncated().into_response(),
        Answer::Html502 => {
            (StatusCode::BAD_GATEWAY, [(CONTENT_TYPE, "text/html")], BAD_GATEWAY).into_response()
        }
        // The response of these two never leaves: the connection fails at its first byte.
        Answer::Dropped => {
            connection.close();
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Answer::Reset => {
            connection.reset();
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Text inside an XML element.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
