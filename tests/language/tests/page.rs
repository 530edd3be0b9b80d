//! `docs/language.md`, held to account.
#![allow(clippy::unwrap_used, reason = "tests may, and so may what they share")]

use std::path::Path;

use millrace_language::{Cost, World};

fn page() -> (std::path::PathBuf, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/language.md")).unwrap();
    (root, page)
}

/// What one use more costs, in a run that uses it twice.
fn one_more(world: &World, workflow: &str) -> Cost {
    world.run(workflow, 3) - world.run(workflow, 2)
}

/// A run that reads one signal.
fn poked(world: &World, workflow: &str) -> Cost {
    world.cost_of(|world| {
        let id = format!("{workflow}-poked");
        world.send(&format!(r#"{{"type":"start","workflow":"{workflow}","id":"{id}","input":1}}"#));
        world.send(&format!(r#"{{"type":"signal","id":"{id}","name":"poke","input":null}}"#));
        world.until_closed(&id);
    })
}

/// A map over the lines of a file.
fn lines(count: usize) -> Cost {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a line of a file, of some length\n".repeat(count)).unwrap();
    World::new().run_of("Pages", "pages", &format!("{:?}", file.path().to_str().unwrap()))
}

#[test]
fn the_costs_are_those_that_are_counted() {
    let world = World::new();
    let mut rows = Vec::new();
    let mut row = |name: &str, cost: Cost| rows.push(format!("| {name} | {cost} |"));
    row("a run that ends in its first turn", world.run("Activities", 0));
    row("a run that waits once, beside its wait", world.run("Sleeps", 1) - one_more(&world, "Sleeps"));
    row("an activity, or an undo of a saga", one_more(&world, "Activities"));
    let standalone = world.run_of("millrace.activity", "alone", r#"{"activity":"step","input":1}"#);
    row("an activity without a workflow, its run included", standalone);
    row("an exclusive activity", one_more(&world, "Exclusives"));
    let large = one_more(&world, "Larges") - one_more(&world, "Activities");
    row("a payload of more than 64 KiB, in addition", large);
    row("a local activity", one_more(&world, "Locals"));
    row("an activity that completes later", one_more(&world, "Laters"));
    row("a `map` of 100 items", world.run("Items", 100) - world.run("Items", 0));
    row("a `map` of 1,000 items", world.run("Items", 1_000) - World::new().run("Items", 0));
    row("a `map_pages` over 1,000 lines", lines(1_000) - World::new().run("Items", 0));
    row("a `map_pages` over 10,000 lines", lines(10_000) - World::new().run("Items", 0));
    row("a timer of up to 15 minutes", one_more(&world, "Sleeps"));
    row("a longer timer", one_more(&world, "LongSleeps"));
    row("a child workflow that waits once", one_more(&world, "Children"));
    row("continue-as-new", world.run("Lives", 1) - world.run("Lives", 0) - one_more(&world, "Sleeps"));
    row("a beating activity given up when a time limit is reached", one_more(&world, "GivesUp"));
    row("state, publishing, `patched`, `spawn`, scopes", one_more(&world, "Free"));

    world.send(r#"{"type":"start","workflow":"Signals","id":"target","input":100}"#);
    row(
        "a signal",
        world.cost_of(|world| world.send(r#"{"type":"signal","id":"target","name":"poke","input":null}"#)),
    );
    row("a signal to another workflow, both sides", one_more(&world, "Tells") - one_more(&world, "Sleeps"));

    let limit = poked(&world, "Limits") - poked(&world, "Signals");
    row("a time limit that is not reached", limit);

    world.send(r#"{"type":"start","workflow":"Updates","id":"updates","input":0}"#);
    let update =
        |n| format!(r#"{{"type":"update","id":"updates","name":"add","input":{n},"request_id":"u{n}"}}"#);
    row("an update", world.cost_of(|world| world.send(&update(1))));
    row("an update that is refused at once", world.cost_of(|world| world.send(&update(0))));
    row("a query", world.query("updates", "sum"));

    let (_, page) = page();
    let missing: Vec<_> = rows.iter().filter(|row| !page.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "docs/language.md lacks:\n{missing:#?}\nof\n{}", rows.join("\n"));
}

#[test]
fn the_files_that_it_names_are_there() {
    let (root, page) = page();
    let names = page.split('`').filter(|name| name.ends_with(".rs") && name.contains('/'));
    let missing: Vec<_> = names.filter(|name| !root.join(name).is_file()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
