//! Tests against scripted fakes.

mod exposition;
mod fakes;
mod fields;
mod objects;
mod scrape;
mod services;
