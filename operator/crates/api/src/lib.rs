//! Tollkeeper's api.
