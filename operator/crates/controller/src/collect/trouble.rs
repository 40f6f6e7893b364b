//! Says in plain words why something could not be read. No credentials, queries or bodies: what is written
//! here ends in conditions and logs.

use std::error::Error;

/// The longest text of another program that a sentence quotes.
const QUOTED: usize = 200;

/// Why a call of the API server failed.
pub(super) fn api(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 401 => {
            "the API server does not accept Tollkeeper's credentials (401)".to_owned()
        }
        kube::Error::Api(status) => {
            format!("the API server answered {}: {}", status.code, short(&status.message))
        }
        kube::Error::Auth(error) => {
            format!("no credentials for the API server could be obtained: {}", short(&cause(error)))
        }
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
            "the API server's answer is not what Kubernetes specifies".to_owned()
        }
        error => format!("the API server cannot be reached: {}", cause(error)),
    }
}

/// Why an HTTP request failed; its address is left to the caller.
pub(super) fn http(error: reqwest::Error) -> String {
    let error = error.without_url();
    match (error.is_timeout(), error.is_connect()) {
        (true, true) => "no connection was made in time".to_owned(),
        (true, false) => "no answer came in time".to_owned(),
        _ => cause(&error),
    }
}

/// The innermost error of a chain, which names the cause.
pub(super) fn cause(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    match innermost.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(std::io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe) => {
            "the connection was reset".to_owned()
        }
        Some(std::io::ErrorKind::UnexpectedEof) => "the connection was closed too early".to_owned(),
        _ => short(&innermost.to_string()),
    }
}

/// The beginning of a text, on one line.
pub(super) fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_texts_are_short_and_on_one_line() {
        assert_eq!(short(" a\n  b "), "a b");
        assert_eq!(short(&"ü".repeat(500)).chars().count(), QUOTED + 1);
    }

    #[test]
    fn the_innermost_error_names_the_cause() {
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert_eq!(cause(&kube::Error::ReadEvents(reset)), "the connection was reset");
    }
}
