//! A folder of documents becomes an index that a person has approved.
//!
//! [`workflow`] is the workflow and its activities, over parts that know nothing of workflows: text out of files
//! ([`extract`](mod@extract)), pieces of text ([`chunk`]), the [`index`](mod@index), and the folder that keeps them
//! ([`workspace`]).

pub mod chunk;
pub mod extract;
pub mod index;
pub mod workflow;
pub mod workspace;
