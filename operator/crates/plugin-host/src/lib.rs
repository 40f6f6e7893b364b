//! Tollkeeper's plugin-host.
