//! Tollkeeper's simulator.
