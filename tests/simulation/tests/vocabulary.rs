//! The seeds run over the whole language: there is no event, no message and no field of one that the casts leave out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use millrace_conformance::Faults;
use millrace_simulation::vocabulary::{Schemas, Words};
use millrace_simulation::{World, casts};

/// What nobody says: a value that holds where nothing is said is left out.
const UNSAID: [&str; 3] = [
    "ChildCancelRequested.how=cancel",
    "ChildScheduled.options.id_reuse=allow_duplicate",
    "ChildScheduled.options.parent_close=terminate",
];
/// How many worlds of each cast are listened to: some things are said only where something goes wrong.
const WORLDS: u64 = 12;

#[test]
fn the_casts_say_everything_that_can_be_said() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema");
    let schemas = Arc::new(Schemas::read(&folder).unwrap());
    let mut heard = Words::new();
    for cast in &casts::ALL {
        for seed in 1..=WORLDS {
            let world = World::of(seed, Faults::of_seed(seed), cast.cast());
            let watch = world.watch();
            watch.listens(schemas.clone());
            world.run().unwrap();
            heard.extend(watch.heard());
        }
    }
    let all = schemas.words();
    assert!(all.len() > 200, "so many words cannot have gone: {}", all.len());
    let unsaid: Vec<_> = all.difference(&heard).map(String::as_str).collect();
    assert_eq!(unsaid, UNSAID);
}
