//! The registered workflows: the code of each, in each of its versions.

use std::collections::{BTreeMap, BTreeSet};

use millrace_core::{Blocked, Coroutine, Payload, RunInfo, WorkflowCode, WorkflowType};
use millrace_format::message::STANDALONE_ACTIVITY;

use crate::Workflow;
use crate::hooks::Hooks;
use crate::host::{Code, Host};
use crate::map::{MapWorkflow, PagesWorkflow, ShardWorkflow};
use crate::schedule::ScheduleWorkflow;
use crate::standalone::{ActivityRun, AnyActivity, refusal};

/// What runs are made of.
#[derive(Clone, Default)]
pub(crate) struct Workflows {
    versions: BTreeMap<&'static str, Versions>,
    /// Activities that are run without a workflow, too.
    standalone: BTreeSet<&'static str>,
    hooks: Hooks,
}

/// The code of one workflow: what new runs begin with, and what earlier ones are pinned to.
#[derive(Clone, Default)]
struct Versions {
    current: Option<Version>,
    pinned: Vec<Version>,
}

#[derive(Clone, Copy)]
struct Version {
    version: Option<&'static str>,
    code: Code,
}

impl Versions {
    fn all(&self) -> impl Iterator<Item = &Version> {
        self.current.iter().chain(&self.pinned)
    }

    /// A run goes on with the version it began with; one from before there were versions, with code that has none, or
    /// else with what new runs begin with.
    fn of(&self, version: Option<&str>) -> Option<Code> {
        let exact = self.all().find(|known| known.version == version);
        let found = exact.or(self.current.as_ref().filter(|_| version.is_none()));
        found.map(|version| version.code)
    }
}

impl Workflows {
    /// Adds what new runs of `W` begin with, or what runs of its version go on with. Says what is wrong with that.
    pub(crate) fn add<W: Workflow>(&mut self, is_current: bool) -> Result<(), String> {
        let (name, version) = (W::NAME, Version { version: W::VERSION, code: Code::of::<W>() });
        let versions = self.versions.entry(name).or_default();
        let known = versions.all().any(|known| known.version == version.version);
        if is_current && versions.current.replace(version).is_some() {
            return Err(format!("two workflows are named `{name}`: give one of them another `name`"));
        }
        if !is_current {
            versions.pinned.push(version);
        }
        if known {
            let text = written(name, W::VERSION);
            return Err(format!(
                "the workflow `{text}` is registered twice: give one of them another `version`"
            ));
        }
        Ok(())
    }

    /// Allows a run that is one activity.
    pub(crate) fn allow_standalone(&mut self, activity: &'static str) {
        self.standalone.insert(activity);
    }

    /// Pinned code of a workflow that cannot be started.
    pub(crate) fn problems(&self) -> impl Iterator<Item = String> + '_ {
        let orphans = self.versions.iter().filter(|(_, versions)| versions.current.is_none());
        orphans.map(|(name, _)| {
            format!("the workflow `{name}` has pinned code only: register what new runs begin with, by `.workflow(..)`")
        })
    }

    /// The same with what is around all of them.
    pub(crate) fn with_hooks(self, hooks: Hooks) -> Self {
        Self { hooks, ..self }
    }

    /// The names, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.versions.keys().map(ToString::to_string).collect()
    }

    /// Code for a run, as it is.
    pub(crate) fn host(&self, info: &RunInfo) -> Result<Host, Blocked> {
        let version = info.version.as_deref();
        let built_in = || match info.workflow.as_str() {
            MapWorkflow::NAME => Some(Code::of::<MapWorkflow>()),
            PagesWorkflow::NAME => Some(Code::of::<PagesWorkflow>()),
            ShardWorkflow::NAME => Some(Code::of::<ShardWorkflow>()),
            ScheduleWorkflow::NAME => Some(Code::of::<ScheduleWorkflow>()),
            STANDALONE_ACTIVITY => Some(Code::of::<ActivityRun<AnyActivity>>()),
            _ => None,
        };
        let registered = self.versions.get(info.workflow.as_str()).and_then(|versions| versions.of(version));
        match registered.or_else(built_in) {
            Some(code) => Ok(Host::new(code, info, &self.hooks)),
            None => Err(Blocked::UnknownWorkflow {
                workflow: written(info.workflow.as_str(), version),
                known: self.known(),
            }),
        }
    }

    fn known(&self) -> Vec<String> {
        let versions =
            self.versions.iter().flat_map(|(name, versions)| versions.all().map(move |v| (name, v.version)));
        versions.map(|(name, version)| written(name, version)).collect()
    }
}

impl WorkflowCode for Workflows {
    fn instantiate(&self, info: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked> {
        Ok(Box::new(self.host(info)?))
    }

    fn version(&self, workflow: &WorkflowType) -> Option<String> {
        self.versions.get(workflow.as_str())?.current?.version.map(ToOwned::to_owned)
    }

    fn refuses(&self, workflow: &WorkflowType, input: &Payload) -> Option<String> {
        (workflow.as_str() == STANDALONE_ACTIVITY).then(|| refusal(input, &self.standalone))?
    }
}

/// `Order@2`; `Order`, if it has no version.
fn written(name: &str, version: Option<&str>) -> String {
    version.map_or_else(|| name.to_owned(), |version| format!("{name}@{version}"))
}
