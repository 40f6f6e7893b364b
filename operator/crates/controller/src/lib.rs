//! Tollkeeper's controller.

pub mod collect;
