//! Tollkeeper's controller.
