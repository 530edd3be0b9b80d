//! `docs/language.md`, held to account.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may, and so may what they share")]

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

/// What an operator does: to runs that wait, and to one that has ended and would end again at once.
fn interventions(world: &World) -> Vec<String> {
    let tell = |id: &str, what: &str| world.cost_of(|world| world.send(&message(id, what)));
    let start = |workflow: &str, id: &str| {
        world.send(&message(id, &format!(r#""type":"start","workflow":"{workflow}","input":100"#)));
    };
    start("Signals", "listens");
    let pause = tell("listens", r#""type":"pause""#);
    let told = tell("listens", r#""type":"signal","name":"poke","input":null"#);
    let unpause = tell("listens", r#""type":"unpause""#);
    let reset =
        |id: &str, event: u32| format!(r#""type":"reset","run_id":"{}","event":{event}"#, world.run_id(id));
    let reset_open = tell("listens", &reset("listens", 2));
    start("Insists", "insists");
    let pause_one = tell("insists", r#""type":"pause","activity_id":1"#);
    let unpause_one = tell("insists", r#""type":"unpause","activity_id":1"#);
    let retry = tell("insists", r#""type":"retry","activity_id":1"#);
    let ends_at_once = world.run("Activities", 0);
    world.run("Activities", 1);
    let fork = r#""type":"fork","from":"Activities-1","event":3"#;
    let fork = tell("forked", fork) - ends_at_once;
    let reset_closed = tell("Activities-1", &reset("Activities-1", 3)) - ends_at_once;
    let counted = [
        ("a pause of a run", pause),
        ("a signal to a run that is paused", told),
        ("an unpause of a run", unpause),
        ("a pause of an activity", pause_one),
        ("an unpause of an activity", unpause_one),
        ("a retry at once, the attempt included", retry),
        ("a reset of an open run", reset_open),
        ("a reset of a closed run, beside what the new one does", reset_closed),
        ("a fork, beside what the new run does", fork),
    ];
    counted.map(|(name, cost)| format!("| {name} | {cost} |")).into()
}

/// A request that says which workflow it is for.
fn message(id: &str, what: &str) -> String {
    format!(r#"{{{what},"id":"{id}"}}"#)
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

    rows.extend(interventions(&World::new()));
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

/// A closed run lives for two weeks at least, which no example that runs as a test can wait for.
const WITHOUT_EXAMPLE: &str = "retention";

#[test]
fn every_feature_is_shown_by_an_example_and_proved_by_a_test() {
    let (root, page) = page();
    let (_, features) = page.split_once("\n## Work\n").unwrap();
    let rows = features.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| feature |"));
    let mut count = 0;
    for row in rows {
        let [name, _, _, _, shown, proved] = row.trim_matches('|').split(" | ").collect::<Vec<_>>()[..]
        else {
            panic!("six columns: {row}")
        };
        let mut examples = shown.split('`').filter(|named| named.starts_with("examples/"));
        assert!(examples.clone().all(|named| root.join(named).exists()), "`{name}`: {shown}");
        let has_folder = examples.any(|named| root.join(named).is_dir());
        assert_ne!(has_folder, name.trim() == WITHOUT_EXAMPLE, "`{name}` is shown by no example: {shown}");
        let is_test = |named: &str| named.contains("tests/") || named.contains("/codec/");
        let tests = proved.split('`').filter(|named| named.ends_with(".rs"));
        assert!(tests.clone().count() > 0 && tests.clone().all(is_test), "`{name}`: {proved}");
        count += 1;
    }
    assert!(count > 50, "the tables of features: {count} rows");
}
