//! The command line of an app: its `main`.
//!
//! ```no_run
//! use millrace::prelude::*;
//!
//! #[workflow]
//! async fn welcome(ctx: WorkflowContext, name: String) -> Result<String, WorkflowError> {
//!     Ok(format!("hello {name}"))
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     App::new().workflow(welcome).main() // `app dev`, `app start Welcome --id ann --input '"Ann"'`, …
//! }
//! ```
//!
//! A verb talks to the engine that is at work on the data folder, if one is; otherwise it opens the folder itself: then
//! reading works as ever, and requests wait in the inbox for the next `dev`.

mod args;
mod asks;
mod batch;
mod connect;
mod dead_letters;
mod engine;
mod failure;
mod job;
mod operate;
mod progress;
mod reads;
mod replays;
mod requests;
mod schedules;
mod table;
mod timeline;

use std::borrow::Cow;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use args::{Cli, Place, Verb};
use clap::{CommandFactory, FromArgMatches};
use failure::{Failure, Verdict};
pub use job::Job;
use job::JobEntry;

use crate::App;
use crate::codec::Codec;
use crate::hooks::Hooks;

/// Any error, as an app's or a job's code returns it.
pub type AnyError = Box<dyn Error + Send + Sync>;

/// Reads a command line without doing what it says.
#[cfg(feature = "fuzz")]
pub(crate) fn read(words: &[&str]) -> Result<String, String> {
    use clap::Parser as _;

    Cli::try_parse_from(words).map(|cli| format!("{cli:?}")).map_err(|error| error.to_string())
}

type MakeApp = Box<dyn FnOnce(&Path) -> Result<App, AnyError>>;

/// A program: an app with the verbs, and perhaps a job of its own.
pub struct Main {
    app: Option<MakeApp>,
    job: Option<JobEntry>,
    hooks: Hooks,
}

impl App {
    /// Runs the command line: one binary is engine, workers and client. See [`Main`] for more than that.
    pub fn main(self) -> ExitCode {
        let hooks = self.hooks().clone();
        Main { hooks, ..Main::new(|_| Ok::<_, AnyError>(self)) }.main()
    }
}

impl Main {
    /// A program whose app is made when an engine starts, given the data folder: what activities share may lie there.
    pub fn new<E: Into<AnyError>>(app: impl FnOnce(&Path) -> Result<App, E> + 'static) -> Self {
        Self { app: Some(Box::new(|data| app(data).map_err(Into::into))), job: None, hooks: Hooks::default() }
    }

    /// A program without an app: a client of any data folder.
    pub fn client_only() -> Self {
        Self { app: None, job: None, hooks: Hooks::default() }
    }

    /// Encodes and decodes payloads: see [`codec`](crate::codec). For the verbs and for the app, in front of the codecs that it
    /// has itself. An app that is made only when an engine starts has its codecs set here, so that `start`, `result` and `show`
    /// speak plain values without making it.
    #[must_use]
    pub fn codec(mut self, codec: impl Codec + Clone) -> Self {
        self.hooks.codecs.push(codec.clone());
        self.app = self.app.take().map(|app| -> MakeApp {
            Box::new(move |data| {
                app(data).map(|app| {
                    let mut hooks = app.hooks().clone();
                    hooks.codecs.push_front(codec);
                    app.with_hooks(hooks)
                })
            })
        });
        self
    }

    /// What the program does when no verb is given: the engine runs in this process until the job returns. The options
    /// are the job's own, derived with `clap::Args`.
    #[must_use]
    pub fn job<A, F, Fut>(mut self, job: F) -> Self
    where
        A: clap::Args + 'static,
        F: FnOnce(Job, A) -> Fut + 'static,
        Fut: Future<Output = Result<(), AnyError>> + 'static,
    {
        self.job = Some(JobEntry::new(job));
        self
    }

    /// Reads the command line and does what it says. The exit codes are listed in `--help`.
    pub fn main(self) -> ExitCode {
        let command = self.job.as_ref().map_or_else(Cli::command, |job| job.augment(Cli::command()));
        let matches = match command.clone().try_get_matches() {
            Ok(matches) => matches,
            Err(error) => error.exit(),
        };
        let cli = match Cli::from_arg_matches(&matches) {
            Ok(cli) => cli,
            Err(error) => error.exit(),
        };
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return Failure::engine(format!("the system gave no runtime: {error}")).report(),
        };
        let done = runtime.block_on(self.run(cli, command, &matches));
        // A request for standard input or a name may still block a thread; it must not keep the process.
        runtime.shutdown_background();
        done.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
    }

    async fn run(self, cli: Cli, mut command: clap::Command, matches: &clap::ArgMatches) -> Verdict {
        let place = &Place { hooks: self.hooks, ..cli.place };
        if let (Some(_), Some(job)) = (&cli.verb, &self.job) {
            job.refuse_options(matches)?;
        }
        match cli.verb {
            None => match self.job {
                Some(job) => engine::job(self.app, job, place, matches).await,
                None => {
                    let _ = command.print_help();
                    Err(Failure::usage("no verb is given"))
                }
            },
            Some(Verb::Dev(args)) => engine::dev(self.app, place, &args).await,
            Some(Verb::Start(args)) => requests::start(place, args).await,
            Some(Verb::Activity(args)) => requests::activity(place, args).await,
            Some(Verb::Signal(args)) => requests::signal(place, args).await,
            Some(Verb::Update(args)) => asks::update(place, args).await,
            Some(Verb::Query(args)) => asks::query(self.app, place, args).await,
            Some(Verb::Cancel(args)) => requests::stop(place, args, requests::Stop::Cancel).await,
            Some(Verb::Terminate(args)) => requests::stop(place, args, requests::Stop::Terminate).await,
            Some(Verb::Resume(args)) => requests::resume(place, args).await,
            Some(Verb::Pause(args)) => operate::pause(place, args).await,
            Some(Verb::Unpause(args)) => operate::unpause(place, args).await,
            Some(Verb::Retry(args)) => operate::retry(place, args).await,
            Some(Verb::Reset(args)) => operate::reset(place, args).await,
            Some(Verb::Fork(args)) => operate::fork(place, args).await,
            Some(Verb::Result(args)) => reads::result(place, &args).await,
            Some(Verb::Show(args)) => reads::show(place, &args).await,
            Some(Verb::List(args)) => reads::list(place, args).await,
            Some(Verb::Batch(verb)) => batch::batch(place, verb).await,
            Some(Verb::DeadLetters(verb)) => dead_letters::dead_letters(place, verb).await,
            Some(Verb::Export(args)) => replays::export(place, &args).await,
            Some(Verb::Replay(args)) => replays::replay(self.app, place, &args).await,
            Some(Verb::Schedule(verb)) => schedules::schedule(place, verb).await,
        }
    }
}

impl std::fmt::Debug for Main {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Main").finish_non_exhaustive()
    }
}

/// Prints lines; a reader that has gone away (`| head`) is no error.
fn say(lines: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{}", printable(lines));
}

/// The same as JSON, on one line.
fn say_json<T: serde::Serialize>(value: &T) {
    say(&millrace_format::message::write(value));
}

/// The text without characters that a terminal obeys: reasons and names are whatever a stranger has sent. They become what
/// JSON writes for them, so JSON says the same as before.
fn printable(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if obeyed(c) { escaped(c) } else { c.to_string() }).collect())
}

/// The same for what must stay one line of several.
fn one_line(text: &str) -> Cow<'_, str> {
    match text.contains('\n') {
        true => Cow::Owned(text.replace('\n', &escaped('\n'))),
        false => Cow::Borrowed(text),
    }
}

fn escaped(c: char) -> String {
    format!("\\u{:04x}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_nothing_that_it_obeys() {
        let sent = "\u{1b}]0;title\u{7}\u{9b}2J\rfake\u{7f}";
        let shown = printable(sent);
        assert_eq!(shown, r"\u001b]0;title\u0007\u009b2J\u000dfake\u007f");
        let json = "{\"a\": \"\u{9b}\u{7f}x\"}";
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&printable(json)), value(json));
        assert!(matches!(printable("two\nlines\tand é"), Cow::Borrowed(_)));
        assert_eq!(one_line("superseded\n  +1s completed"), r"superseded\u000a  +1s completed");
    }
}
