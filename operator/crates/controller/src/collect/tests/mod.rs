//! Tests against scripted fakes.

mod exposition;
mod fields;
