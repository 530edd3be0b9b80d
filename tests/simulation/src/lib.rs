//! A world of several orchestrators, workers, a ticker and a client over a bucket and queues that misbehave, all from one
//! seed. What must come out of it is the same as without faults.
//!
//! - [`workflows`], [`family`]: workflows that use everything the language has.
//! - [`programs`], [`reference`]: workflows made by chance, and a naive interpreter of them.
//! - [`operator`]: a workflow that people intervene in.
//! - [`office`], [`trials`]: what is decided about runs from outside their code, and what goes wrong with their work; [`clerk`]: a program that uses the client, and is killed.
//! - [`bazaar`]: what the others leave out; [`crowd`]: many runs of which the same is asked at once.
//! - [`World`]: the processes, killed and started again. [`bodies`]: those whose messages point into the bucket.
//! - [`check`]: what must hold of every run afterwards; [`watch`]: what must hold at any time.
//! - [`warrants`]: that nothing is sent or read without need, whatever goes wrong; [`cost`]: what that comes to.
//! - [`deploys`]: other builds, and code that blocks every run.
//! - [`vocabulary`]: what histories and messages can say, so that the casts say all of it.
//! - [`casts`], [`campaign`], [`shrink`]: who plays with a seed, many seeds, and the few faults that make one fail.

pub mod backend;
pub mod bazaar;
pub mod bodies;
pub mod campaign;
pub mod casts;
pub mod check;
pub mod clerk;
pub mod cost;
pub mod crowd;
pub mod deploys;
pub mod family;
pub mod office;
pub mod operator;
pub mod programs;
pub mod reference;
pub mod shrink;
pub mod trials;
pub mod vocabulary;
pub mod warrants;
pub mod watch;
pub mod workflows;
mod world;

pub use world::{Cast, Outside, Report, World};
