//! What the names of hosts tell.

use std::net::IpAddr;

/// The host of `host[:port]`, without the brackets of an IPv6 address.
pub(crate) fn without_port(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// Whether a host is this machine, which a packet to it never leaves.
pub(crate) fn is_loopback(authority: &str) -> bool {
    let host = without_port(authority);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_a_loopback_address() {
        for name in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"] {
            assert!(is_loopback(name), "{name}");
        }
        for name in ["localhost.example.com", "127.0.0.1.example.com:5000", "10.0.0.1", "[::2]:1", ""] {
            assert!(!is_loopback(name), "{name}");
        }
    }
}
