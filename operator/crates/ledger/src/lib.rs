//! Tollkeeper's ledger.
