//! The turn protocol (DESIGN §3) as a model, for a checker that visits every state it can reach.
//!
//! It is a model of the protocol, not of the code: two processes, queues, a bucket, and a workflow of two or three
//! activities. What can go wrong is in it: messages that come twice, late or never by the hand that received them, a kill
//! between any two steps, a write whose answer is lost, or that lands when nobody expects it any more.
//!
//! - [`workload`]: facts, effects, and code that leads from one to the other.
//! - [`history`], [`bucket`], [`queues`]: what outlasts a crash.
//! - [`process`], [`decide`]: a turn, step by step, and what it decides.
//! - [`action`], [`steps`]: what can happen, and what it does.
//! - [`model`]: configurations, and the model as the checker sees it; [`properties`]: what must hold of every state.
//! - [`report`]: the checker run, and its counterexamples in words.
//! - [`variant`]: the same protocol with one rule left out, which the checker must refute.
//!
//! `cargo test -p millrace-model -- --nocapture` prints what was checked.

pub mod action;
pub mod bucket;
pub mod decide;
pub mod history;
pub mod model;
pub mod process;
pub mod properties;
pub mod queues;
pub mod report;
pub mod state;
pub mod steps;
pub mod variant;
pub mod workload;

pub use action::{Action, Fault, FaultKind};
pub use model::Protocol;
pub use process::ProcessId;
pub use state::State;
pub use variant::Variant;
pub use workload::{Activity, Code, Effect, Fact};
