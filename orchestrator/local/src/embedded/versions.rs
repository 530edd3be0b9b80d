//! The versions of recently used keys, so that a compare-and-swap on a warm key does not read the disk.
//!
//! Two generations: a full young one becomes the old one, whatever was old and not asked for again is forgotten. It is
//! told of every write, so what it knows is always current; what it does not know is on disk.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

const GENERATION: usize = 8_192;

#[derive(Default)]
pub(super) struct Versions {
    young: BTreeMap<Arc<str>, Option<u64>>,
    old: BTreeMap<Arc<str>, Option<u64>>,
}

impl Versions {
    /// The key's version, `Some(None)` if it has no object; `None` if that is not known here.
    pub(super) fn get(&mut self, key: &str) -> Option<Option<u64>> {
        if let Some(version) = self.young.get(key) {
            return Some(*version);
        }
        let (key, version) = self.old.remove_entry(key)?;
        self.set(key, version);
        Some(version)
    }

    /// The key has this version now.
    pub(super) fn set(&mut self, key: Arc<str>, version: Option<u64>) {
        self.old.remove(&key);
        self.young.insert(key, version);
        if self.young.len() >= GENERATION {
            self.old = mem::take(&mut self.young);
        }
    }
}
