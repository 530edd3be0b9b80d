//! One small program for each idea of the workflow language: what it is, when to use it, what it costs, and a scenario that
//! shows what holds.
//!
//! Each folder is read on its own. All are run as tests on three homes: on the embedded engine (`tests/embedded.rs`), on an
//! emulator of S3 and SQS (`tests/cloud/tests/ideas.rs`), and as unit tests in virtual time where a user would write one
//! (`tests/unit.rs`). Their histories are recorded in `histories/`, and every later build must be able to go on with them
//! (`tests/recorded.rs`). Ideas whose settings are a whole program's are each a [`Program`] of their own.
//!
//! Another idea is a folder, and a line in [`each_idea`].

use std::time::{Duration, Instant};

use anyhow::bail;
use futures::future::LocalBoxFuture;
use millrace::{App, Client};

pub mod batches;
pub mod cancel_policies;
pub mod chance_and_time;
pub mod children;
pub mod codecs;
pub mod completed_by_token;
pub mod continue_as_new;
pub mod dead_letters;
pub mod deadlines;
pub mod declared_elsewhere;
pub mod exclusive;
pub mod fan_out;
pub mod headers;
pub mod heartbeats;
pub mod interceptors;
pub mod large_payloads;
pub mod limits;
pub mod local_activities;
pub mod map_pages;
pub mod map_with_tolerance;
pub mod memo_and_attributes;
pub mod ordered_signals;
pub mod patched;
pub mod paused_activities;
pub mod pausing;
pub mod pinned_versions;
pub mod queries;
pub mod racing;
pub mod reset_and_fork;
pub mod retries;
pub mod retry_now;
pub mod sagas;
pub mod schedules;
pub mod scopes;
pub mod shielded_cleanup;
pub mod signal_with_start;
pub mod spawned;
pub mod standalone_activity;
pub mod start_delay;
pub mod telling_others;
pub mod time_limits;
pub mod update_with_start;
pub mod updates_at_once;
pub mod updates_later;

/// Gives the names of all ideas to a macro. A folder that is not named here fails `tests/embedded.rs`.
#[macro_export]
macro_rules! each_idea {
    ($give_to:ident) => {
        $give_to! {
            batches
            cancel_policies
            chance_and_time
            children
            codecs
            completed_by_token
            continue_as_new
            dead_letters
            deadlines
            declared_elsewhere
            exclusive
            fan_out
            headers
            heartbeats
            interceptors
            large_payloads
            limits
            local_activities
            map_pages
            map_with_tolerance
            memo_and_attributes
            ordered_signals
            patched
            paused_activities
            pausing
            pinned_versions
            queries
            racing
            reset_and_fork
            retries
            retry_now
            sagas
            schedules
            scopes
            shielded_cleanup
            signal_with_start
            spawned
            standalone_activity
            start_delay
            telling_others
            time_limits
            update_with_start
            updates_at_once
            updates_later
        }
    };
}

/// Ideas about what holds for a whole program. Each is a program of its own; all others are one together.
const ALONE: [&str; 2] = ["codecs", "interceptors"];

/// One idea.
pub struct Idea {
    /// Its folder.
    pub name: &'static str,
    /// Whether it is a program of its own.
    pub alone: bool,
    /// Registers its code.
    pub app: fn(App) -> App,
    /// Uses it, and fails if it is not as it should be. Written against the client alone, so it runs on every home.
    pub scenario: fn(&Client) -> LocalBoxFuture<'_, anyhow::Result<()>>,
}

macro_rules! list {
    ($($idea:ident)*) => {
        /// All ideas.
        pub fn ideas() -> Vec<Idea> {
            vec![$(Idea {
                name: stringify!($idea),
                alone: ALONE.contains(&stringify!($idea)),
                app: $idea::app,
                scenario: |client| Box::pin($idea::scenario(client)),
            }),*]
        }
    };
}
each_idea!(list);

/// One program with the code of all ideas but those that are alone.
pub fn app() -> App {
    ideas().into_iter().filter(|idea| !idea.alone).fold(App::new(), |app, idea| (idea.app)(app))
}

/// Ideas that one program runs.
pub struct Program {
    /// The idea that is alone, or `together`.
    pub name: &'static str,
    /// What it runs.
    pub app: App,
    /// Why.
    pub ideas: Vec<Idea>,
}

/// The programs that run all ideas.
pub fn programs() -> Vec<Program> {
    let (alone, ideas): (Vec<_>, Vec<_>) = ideas().into_iter().partition(|idea| idea.alone);
    let alone = alone.into_iter();
    let alone = alone.map(|idea| Program { name: idea.name, app: (idea.app)(App::new()), ideas: vec![idea] });
    [Program { name: "together", app: app(), ideas }].into_iter().chain(alone).collect()
}

/// How long a scenario waits for something to be seen: a message that its receiver never saw comes again after a minute.
const PATIENCE: Duration = Duration::from_secs(300);

/// Looks again and again until there is something to see, each time a little later. A look that fails may be too early.
pub async fn eventually<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let (begun, mut pause) = (Instant::now(), Duration::from_millis(20));
    loop {
        let is_late = begun.elapsed() > PATIENCE;
        match look().await {
            Ok(Some(seen)) => return Ok(seen),
            Ok(None) if is_late => bail!("{what}: not seen within {PATIENCE:?}"),
            Err(error) if is_late => return Err(error.context(format!("{what}, within {PATIENCE:?}"))),
            _ => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}
