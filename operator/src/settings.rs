//! Every environment variable that the process reads, flags aside: clap names those `TOLLKEEPER_<FLAG>`.

use std::{env, net::IpAddr, path::PathBuf, str::FromStr as _};

use crate::clock::TestClock;

/// Lives at another time than the machine; for tests (see [`TestClock`]).
pub(crate) const TEST_CLOCK: &str = "TOLLKEEPER_TEST_CLOCK";

/// Where all AWS calls go instead of AWS; a standard variable of every SDK.
const AWS_ENDPOINT_URL: &str = "AWS_ENDPOINT_URL";

/// Why the environment cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidEnvironment {
    #[error("{TEST_CLOCK}: {0}")]
    TestClock(#[from] crate::clock::InvalidTestClock),
    #[error(
        "{TEST_CLOCK} is set, but {AWS_ENDPOINT_URL} is not a loopback address: a process that lives at another time must not reach AWS; unset the one or set the other to http://127.0.0.1:PORT"
    )]
    TestClockAgainstAws,
}

/// Where Docker keeps the credentials of registries, unless `DOCKER_CONFIG` names another folder.
pub(crate) fn docker_config_folder() -> Option<PathBuf> {
    env::home_dir().map(|home| home.join(".docker"))
}

/// The test clock, if one is set; for a process that calls AWS.
pub(crate) fn test_clock_of_a_caller() -> Result<Option<TestClock>, InvalidEnvironment> {
    let clock = test_clock()?;
    let endpoint = env::var(AWS_ENDPOINT_URL).unwrap_or_default();
    if clock.is_some() && !is_loopback(&endpoint) {
        return Err(InvalidEnvironment::TestClockAgainstAws);
    }
    Ok(clock)
}

/// The test clock, if one is set; for a process that is itself the other end.
pub(crate) fn test_clock() -> Result<Option<TestClock>, InvalidEnvironment> {
    let text = env::var(TEST_CLOCK).unwrap_or_default();
    if text.is_empty() { Ok(None) } else { Ok(Some(TestClock::from_str(&text)?)) }
}

fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit('@').next().unwrap_or_default();
    let host = match host_and_port.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host_and_port.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_a_loopback_address() {
        for url in ["http://127.0.0.1:4566", "http://localhost:4566/", "http://[::1]:4566", "127.0.0.1:1"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in
            ["", "https://metering.example.com", "http://127.0.0.1.example.com", "http://127.0.0.1@10.0.0.1"]
        {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
