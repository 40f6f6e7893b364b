//! `tollkeeper report` against an API server that serves a fixed list of reports.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper of tests fails like a test")]

mod decide;
mod fixture;
mod list;
mod prove;
