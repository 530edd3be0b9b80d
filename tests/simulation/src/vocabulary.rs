//! What histories and messages can say, by their public schemas, and which of it has been said in a world: so that no seed
//! is spent on half of the language.
//!
//! A word is a field with its way to it, `RunStarted.run_timeout_ms`, or one of the values that it may have,
//! `start.id_conflict=use_existing`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

/// All words, or those that have been said.
pub type Words = BTreeSet<String>;

/// The schemas of `docs/schema`, by the names of what they describe.
#[derive(Debug)]
pub struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    /// Reads all of a folder.
    ///
    /// # Errors
    /// The folder or a file in it cannot be read.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let mut all = BTreeMap::new();
        for entry in std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
            let path = entry.map_err(|error| error.to_string())?.path();
            let text =
                std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let schema =
                serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            all.insert(name.trim_end_matches(".schema.json").to_owned(), schema);
        }
        Ok(Self(all))
    }

    /// Everything that can be said.
    pub fn words(&self) -> Words {
        let mut words = Words::new();
        for (name, document) in &self.0 {
            Reading { document, words: &mut words }.all(document, name);
        }
        words
    }

    /// What this says, which is described by that name; nothing if it is not described.
    pub fn hear(&self, name: &str, said: &Value, words: &mut Words) {
        if let Some(document) = self.0.get(name) {
            Reading { document, words }.of(document, said, name);
        }
    }
}

struct Reading<'a> {
    document: &'a Value,
    words: &'a mut Words,
}

impl<'a> Reading<'a> {
    fn all(&mut self, schema: &'a Value, way: &str) {
        let (schema, way) = self.meant(schema, way);
        for (field, schema) in fields(schema) {
            let way = format!("{way}.{field}");
            self.all(schema, &way);
            self.words.insert(way);
        }
        for value in values(schema) {
            self.words.insert(format!("{way}={value}"));
        }
        for part in parts(schema) {
            self.all(part, title(part).unwrap_or(way));
        }
    }

    fn of(&mut self, schema: &'a Value, said: &Value, way: &str) {
        let (schema, way) = self.meant(schema, way);
        for (field, schema) in fields(schema) {
            if let Some(said) = said.get(field).filter(|said| !said.is_null()) {
                let way = format!("{way}.{field}");
                self.of(schema, said, &way);
                self.words.insert(way);
            }
        }
        let is_said = |value: &&str| said.as_str() == Some(value) || said.get(value).is_some();
        for value in values(schema).filter(is_said) {
            self.words.insert(format!("{way}={value}"));
        }
        for part in parts(schema) {
            match (title(part), said.as_array()) {
                (Some(title), _) if said["type"] == title => self.of(part, said, title),
                (Some(_), _) => {}
                (None, Some(items)) => items.iter().for_each(|said| self.of(part, said, way)),
                (None, None) => self.of(part, said, way),
            }
        }
    }

    /// What is meant by a reference, and its name: what can be said in many places is said in one of them.
    fn meant<'w>(&self, schema: &'a Value, way: &'w str) -> (&'a Value, &'w str)
    where
        'a: 'w,
    {
        let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        let meant = pointer.and_then(|pointer| Some((self.document.pointer(pointer)?, pointer)));
        meant.map_or((schema, way), |(schema, pointer)| (schema, pointer.rsplit('/').next().unwrap_or(way)))
    }
}

fn fields(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

/// What a text, or the only field of an object, may be.
fn values(schema: &Value) -> impl Iterator<Item = &str> {
    let all = [&schema["enum"], &schema["propertyNames"]["enum"]];
    all.into_iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str)
}

/// What it may be instead, and what there may be many of.
fn parts(schema: &Value) -> impl Iterator<Item = &Value> {
    schema["oneOf"].as_array().into_iter().flatten().chain(schema.get("items"))
}

fn title(part: &Value) -> Option<&str> {
    part["title"].as_str()
}
