//! The page `docs/tutorial.md` shows this package's code and nothing else.

use std::fs;
use std::path::Path;

const MARK: &str = "<!-- src/";

/// The page's programs: file name and text.
fn programs<'a>(page: &'a str) -> Vec<(&'a str, &'a str)> {
    let parts = page.split(MARK).skip(1);
    let program = |part: &'a str| {
        let (name, rest) = part.split_once(" -->").expect("the mark ends");
        let code = rest.split_once("```rust\n").and_then(|(_, code)| code.split_once("```"));
        (name, code.expect("a block of Rust follows the mark").0)
    };
    parts.map(program).collect()
}

/// Whether the lines of `part` occur in `whole`, in this order: what the page leaves out is added in later chapters.
fn is_within(part: &str, whole: &str) -> bool {
    let mut lines = whole.lines();
    part.lines().all(|line| lines.any(|other| other == line))
}

#[test]
fn the_page_shows_the_code_that_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("../../docs/tutorial.md")).unwrap();
    let programs = programs(&page);
    assert_eq!(
        page.matches("```rust").count(),
        programs.len(),
        "a block of Rust has no `{MARK}… -->` before it"
    );
    assert!(programs.len() >= 7, "{}", programs.len());
    for (name, shown) in programs {
        let tested = fs::read_to_string(root.join("src").join(name)).unwrap();
        assert!(is_within(shown, &tested), "src/{name} has not what docs/tutorial.md shows:\n{shown}");
    }
}

#[test]
fn the_readme_shows_the_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let example = fs::read_to_string(root.join("examples/train-test-deploy/src/workflow.rs")).unwrap();
    let (_, shown) = readme.split_once("```rust\n").expect("the README shows a workflow");
    let (shown, _) = shown.split_once("```").expect("the block ends");
    assert!(is_within(shown, &example), "workflow.rs has not what README.md shows:\n{shown}");
}
