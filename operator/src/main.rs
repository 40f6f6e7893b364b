//! Tollkeeper.
fn main() {}
