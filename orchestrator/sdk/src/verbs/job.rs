//! A program's own job: what it does when no verb is given.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::failure::Failure;
use super::progress::watch;
use super::reads::shown;
use super::timeline::timeline;
use super::{AnyError, say};
use crate::{Client, Handle, RunError, Workflow};

/// What a job works with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Job {
    /// A client of the engine.
    pub client: Client,
    /// The data folder.
    pub data: PathBuf,
}

impl Job {
    /// Shows where a run stands until it ends, prints its timeline, and gives its result.
    pub async fn follow<W: Workflow>(&self, run: &Handle<W>) -> Result<W::Output, RunError> {
        watch(run.backend().as_ref(), (run.id(), run.bound().await?), None, false).await?;
        let (description, events) = (run.describe().await?, run.history().await?);
        let events: Vec<_> =
            events.into_iter().map(|event| shown(&self.client.hooks().codecs, event)).collect();
        say(timeline(&description, &events).trim_end());
        run.result().await
    }
}

type RunJob = Box<dyn FnOnce(Job, &ArgMatches) -> LocalBoxFuture<'static, Result<(), AnyError>>>;

/// A job without the type of its options.
pub(super) struct JobEntry {
    augment: fn(Command) -> Command,
    run: RunJob,
}

impl JobEntry {
    pub(super) fn new<A, F, Fut>(job: F) -> Self
    where
        A: clap::Args + 'static,
        F: FnOnce(Job, A) -> Fut + 'static,
        Fut: Future<Output = Result<(), AnyError>> + 'static,
    {
        let run = |given: Job, matches: &ArgMatches| match A::from_arg_matches(matches) {
            Ok(options) => job(given, options).boxed_local(),
            Err(error) => error.exit(),
        };
        Self { augment: A::augment_args, run: Box::new(run) }
    }

    pub(super) fn augment(&self, command: Command) -> Command {
        (self.augment)(command)
    }

    /// The job's options mean nothing to a verb: better said than ignored.
    pub(super) fn refuse_options(&self, matches: &ArgMatches) -> Result<(), Failure> {
        for argument in (self.augment)(Command::new("job")).get_arguments() {
            let id = argument.get_id().as_str();
            if matches.value_source(id) == Some(ValueSource::CommandLine) {
                return Err(Failure::usage(format!("`--{id}` belongs to the program without a verb")));
            }
        }
        Ok(())
    }

    pub(super) async fn run(self, job: Job, matches: &ArgMatches) -> Result<(), AnyError> {
        (self.run)(job, matches).await
    }
}
