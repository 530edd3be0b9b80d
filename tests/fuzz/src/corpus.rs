//! What a target begins with: its folder under `corpus/`, the examples of the schemas, the recorded histories.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Target, campaign};

/// The inputs that a target begins with, by name and in order.
pub(crate) fn of(target: &Target) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = files(&campaign::folder(target.name)).collect();
    for seeds in target.seeds {
        found.extend(match seeds {
            Seeds::Schemas(names) => examples(names),
            Seeds::Histories(ending) => histories(ending),
        });
    }
    found
}

/// Where seeds come from beside the target's own folder.
#[derive(Clone, Copy, Debug)]
pub enum Seeds {
    /// The examples of these schemas in `docs/schema`.
    Schemas(&'static [&'static str]),
    /// The recorded histories whose names end so.
    Histories(&'static str),
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(folder: &Path) -> impl Iterator<Item = (String, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_or_else(|_| Vec::new(), |all| all.map(|file| file.unwrap().path()).collect());
    paths.sort();
    paths.into_iter().map(|path| {
        let body = std::fs::read(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
        (path.display().to_string(), body)
    })
}

fn examples(names: &[&str]) -> Vec<(String, Vec<u8>)> {
    let of_schema = |name: &&str| {
        let path = root().join(format!("docs/schema/{name}.schema.json"));
        let text = std::fs::read(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
        let schema: Value = serde_json::from_slice(&text).unwrap();
        let examples = schema["examples"].as_array().cloned().unwrap_or_default();
        assert!(!examples.is_empty(), "`{}` has no examples", path.display());
        examples
            .into_iter()
            .map(move |example| (path.display().to_string(), example.to_string().into_bytes()))
    };
    names.iter().flat_map(of_schema).collect()
}

fn histories(ending: &str) -> Vec<(String, Vec<u8>)> {
    let folder = root().join("orchestrator/format/tests/histories/v1");
    let found: Vec<_> = files(&folder).filter(|(name, _)| name.ends_with(ending)).collect();
    assert!(!found.is_empty(), "`{}` has no `*{ending}`", folder.display());
    found
}
