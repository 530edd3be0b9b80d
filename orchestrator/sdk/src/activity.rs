//! What an activity is to the rest of the crate.

use std::pin::Pin;

use millrace_core::ActivityOptions;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::function::for_functions;
use crate::shared::Needs;
use crate::{ActivityContext, ActivityError};

/// A running activity.
pub type Running<T> = Pin<Box<dyn Future<Output = Result<T, ActivityError>> + Send>>;

/// An activity's type: what it takes, what it gives, how it is to be run. Made by [`macro@crate::activity`].
pub trait Activity: Send + 'static {
    /// Its input: `()`, the one input, or a tuple.
    type Input: Serialize + DeserializeOwned + Send + 'static;
    /// Its result.
    type Output: Serialize + DeserializeOwned + Send + 'static;
    /// Its name in the history.
    const NAME: &'static str;
    /// Where its tasks wait.
    const TASK_QUEUE: &'static str = "cpu";

    /// How many attempts of it run at a time in one worker process; as many as there are slots if not said.
    const MAX_CONCURRENT: Option<usize> = None;

    /// Time limits and retries, unless the call says otherwise.
    fn options() -> ActivityOptions {
        ActivityOptions::default()
    }
}

/// An activity that can run here.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no body here, so it cannot be registered",
    label = "only declared: it runs elsewhere",
    note = "give the `#[activity]` a body, or leave it out of this `App`"
)]
pub trait ActivityBody: Activity {
    /// Adds the dependencies that it takes.
    fn needs(needs: &mut Needs);
    /// Runs it.
    fn call(context: ActivityContext, input: Self::Input) -> Running<Self::Output>;
}

/// The name of a function marked `#[activity]`; `M` is for type inference only.
#[diagnostic::on_unimplemented(
    message = "this is not an activity",
    label = "expected the name of a function marked `#[activity]`",
    note = "found `{Self}`"
)]
pub trait ActivityRef<M> {
    /// The activity.
    type Activity: Activity;
}

for_functions!(ActivityRef, Activity, Activity);

/// What a declaration does when it is called as a function.
#[allow(clippy::panic, reason = "a mistake in a unit test, not data from outside")]
#[track_caller]
pub fn no_body(name: &str) -> ! {
    panic!("activity `{name}` has no body here: it runs elsewhere; call it with `ctx.activity({name}, ..)`")
}
