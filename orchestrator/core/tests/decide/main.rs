//! Turns as tables: history in, messages in; events, effects (`→`, with their guard in brackets) and verdicts (`=`) out.
//! After every turn `script::World` also checks what must always hold (G1, G3, G4).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "../script/mod.rs"]
mod script;

mod activities;
mod blocked;
mod children;
mod continued;
mod corners;
mod delayed;
mod forks;
mod guards;
mod holds;
mod locals;
mod ordered;
mod patched;
mod published;
mod runaway;
mod sent;
mod signals;
mod starts;
mod stops;
mod time;
mod timers;
mod tokens;
mod updates;
mod versions;
mod wakes;
