//! Tollkeeper's marketplace.
