//! The AWS simulator before its judges: boto3 and the Rust SDK, which must both understand every answer, over real sockets.
#![cfg(test)]

mod boto3;
mod control;
mod history;
mod rust_sdk;
mod server;
