//! Dependencies point one way: core ← format ← engine ← aws, local, conformance ← sdk ← everything else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use serde_json::Value;

/// Each crate of the product and the ones that it may know.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("millrace-core", &[]),
    ("millrace-format", &["millrace-core"]),
    ("millrace-engine", &["millrace-core", "millrace-format"]),
    ("millrace-local", &["millrace-core", "millrace-format", "millrace-engine"]),
    ("millrace-aws", &["millrace-core", "millrace-format", "millrace-engine"]),
    ("millrace-conformance", &["millrace-core", "millrace-format", "millrace-engine"]),
    ("millrace-macros", &[]),
    (
        "millrace",
        &[
            "millrace-core",
            "millrace-format",
            "millrace-engine",
            "millrace-local",
            "millrace-aws",
            "millrace-macros",
        ],
    ),
];

/// The core is pure: beside serde and what names things, nothing.
const CORE_USES: &[&str] = &["jiff", "serde", "serde_json", "thiserror", "uuid"];

fn dependencies() -> Vec<(String, Vec<String>)> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path", manifest])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let normal = |dependency: &&Value| dependency["kind"].is_null();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let uses = |package: &Value| {
        package["dependencies"].as_array().unwrap().iter().filter(normal).map(name).collect()
    };
    packages.iter().map(|package| (name(package), uses(package))).collect()
}

#[test]
fn dependencies_point_one_way() {
    let packages = dependencies();
    for (name, may_know) in MAY_KNOW {
        let (_, uses) = packages.iter().find(|(package, _)| package == name).unwrap();
        let own = uses.iter().filter(|used| used.starts_with("millrace"));
        let wrong: Vec<_> = own.filter(|used| !may_know.contains(&used.as_str())).collect();
        assert!(wrong.is_empty(), "{name} must not know {wrong:?}");
    }
}

#[test]
fn the_core_is_pure() {
    let packages = dependencies();
    let (_, uses) = packages.iter().find(|(package, _)| package == "millrace-core").unwrap();
    let wrong: Vec<_> = uses.iter().filter(|used| !CORE_USES.contains(&used.as_str())).collect();
    assert!(wrong.is_empty(), "millrace-core must not use {wrong:?}");
}
