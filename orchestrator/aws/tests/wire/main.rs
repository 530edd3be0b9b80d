//! The port's answer to every answer of S3 and SQS, those included that no emulator gives: 409, 503, cut connections,
//! lapsed credentials, partial failures. A server of a few lines plays them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod checks;
mod conditional_deletes;
mod deletes;
mod pieces;
mod reads;
mod sends;
mod server;
mod writes;
