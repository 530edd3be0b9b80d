//! All casts, and which of them a seed decides for.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use millrace_conformance::{Faults, Rng};
use millrace_core::{Payload, Status};

use crate::cost::Cost;
use crate::{Cast, Report, World, bazaar, office, operator};

/// How each workflow ends: its status and result.
pub type Ends = BTreeMap<String, (Status, Payload)>;

/// A cast with a name.
#[derive(Debug)]
pub struct Named {
    /// Its name, for people.
    pub name: &'static str,
    cast: fn() -> Cast,
    faultless: OnceLock<Result<Report, String>>,
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Named {}

/// All of them.
pub static ALL: [Named; 4] = [
    Named::new("everything", Cast::default),
    Named::new("operator", operator::cast),
    Named::new("bazaar", bazaar::cast),
    Named::new("office", office::cast),
];

/// The cast that plays in the world of this seed.
pub fn of_seed(seed: u64) -> &'static Named {
    let nth = Rng::new(seed ^ 0x63_61_73_74).below(ALL.len() as u64) as usize;
    &ALL[nth.min(ALL.len() - 1)]
}

impl Named {
    /// A cast of this name.
    pub const fn new(name: &'static str, cast: fn() -> Cast) -> Self {
        Self { name, cast, faultless: OnceLock::new() }
    }

    /// Who plays, and what is asked of them.
    pub fn cast(&self) -> Cast {
        (self.cast)()
    }

    /// How it ends when nothing goes wrong, and so must end whatever does.
    ///
    /// # Errors
    /// Even that world does not end as it must.
    pub fn expected(&self) -> Result<&Ends, String> {
        self.faultless().map(|report| &report.ends)
    }

    /// What it costs when nothing goes wrong.
    ///
    /// # Errors
    /// Even that world does not end as it must.
    pub fn cost(&self) -> Result<Cost, String> {
        self.faultless().map(|report| report.cost)
    }

    fn faultless(&self) -> Result<&Report, String> {
        let play = || -> Result<Report, String> {
            let report = World::of(0, Faults::none(), self.cast()).run()?;
            match report.violations.is_empty() {
                true => Ok(report),
                false => Err(format!("{:#?}", report.violations)),
            }
        };
        let report = self.faultless.get_or_init(play).as_ref();
        report.map_err(|why| format!("even without faults: {why}"))
    }
}
