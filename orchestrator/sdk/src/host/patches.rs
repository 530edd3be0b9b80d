//! Changes of workflow code that runs on their way must not notice.

use std::collections::{BTreeMap, BTreeSet};

use millrace_core::Command;

use super::journal::Journal;

/// Which way was taken at each place that was changed.
#[derive(Default)]
pub(super) struct Patches {
    /// The history was made with these.
    known: BTreeSet<String>,
    /// The first answer holds for the whole run.
    answered: BTreeMap<String, bool>,
    /// What the code asks for from here on is recorded already, the old way or the new.
    is_bound: bool,
}

impl Patches {
    /// How many places have been answered.
    pub(super) fn len(&self) -> usize {
        self.answered.len()
    }
}

impl Journal {
    /// Tells which changes the history was made with.
    pub(super) fn was_patched(&self, patches: &[String]) {
        let mut inner = self.lock();
        inner.patches.known.extend(patches.iter().cloned());
        inner.patches.is_bound = true;
    }

    pub(super) fn is_free(&self) {
        self.lock().patches.is_bound = false;
    }

    /// Whether the run takes the new way: if it did before, or no command is recorded from here on.
    pub(crate) fn patched(&self, patch: &str) -> bool {
        let mut inner = self.lock();
        let patches = &mut inner.patches;
        if let Some(answered) = patches.answered.get(patch) {
            return *answered;
        }
        let yes = patches.known.contains(patch) || !patches.is_bound;
        patches.answered.insert(patch.to_owned(), yes);
        drop(inner);
        if yes {
            self.say_next(Command::Patch(patch.to_owned()));
        }
        yes
    }

    /// A value that the code computes from what its history does not have, such as the zone database of its build. It is
    /// recorded as a patch of its own name, so every replay finds what the first time found; `what` is used once in a run.
    pub(crate) fn recorded(&self, what: &str, compute: impl FnOnce() -> String) -> String {
        let prefix = format!("{what}=");
        let inner = self.lock();
        let known = inner.patches.known.range(prefix.clone()..).next();
        let known = known.and_then(|patch| patch.strip_prefix(&prefix)).map(str::to_owned);
        drop(inner);
        let value = known.unwrap_or_else(compute);
        self.say_next(Command::Patch(prefix + &value));
        value
    }
}
