//! What an app's turns, workers, clients and tests share beside its code: codecs and interceptors.

use futures::FutureExt;
use futures::future::BoxFuture;
use millrace_core::{ApplicationFailure, Fault, Payload};

use crate::codec::{CodecError, Codecs};
use crate::intercept::{ActivityFn, Attempt, Interceptors};
use crate::{ActivityContext, ActivityError};

/// Codecs and interceptors. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hooks {
    pub(crate) codecs: Codecs,
    pub(crate) interceptors: Interceptors,
}

impl Hooks {
    /// For the engine's own workflows.
    pub(crate) fn of_built_in(&self) -> Self {
        Self { codecs: self.codecs.only_reading(), interceptors: Interceptors::default() }
    }

    /// Whether there are none.
    #[cfg(feature = "embedded")]
    pub(crate) fn is_empty(&self) -> bool {
        self.codecs.is_empty() && self.interceptors.is_empty()
    }

    /// Runs an attempt's code as everything outside sees it: payloads in and out are encoded, interceptors are around.
    pub(crate) fn attempt(
        &self,
        context: ActivityContext,
        code: ActivityFn,
    ) -> BoxFuture<'static, Result<Payload, Fault>> {
        let hooks = self.clone();
        async move {
            let ended = hooks.run(context.clone(), code).await;
            if matches!(ended, Err(ActivityError::CompletesLater)) {
                context.leave();
            }
            match ended {
                Ok(output) => hooks.codecs.encode(output).map_err(|error| undone(&context, "result", &error)),
                Err(error) => Err(hooks.sealed(&context, error.into_fault())),
            }
        }
        .boxed()
    }

    async fn run(&self, context: ActivityContext, code: ActivityFn) -> Result<Payload, ActivityError> {
        let input = context.task().map(|task| task.input.clone()).unwrap_or_default();
        let (input, code) = match self.codecs.decode(&input) {
            Ok(input) => (input, code),
            Err(error) => {
                let failed = ActivityError::Failed(undone(&context, "input", &error));
                let code: ActivityFn = Box::new(|_, _| std::future::ready(Err(failed)).boxed());
                (input, code)
            }
        };
        self.interceptors.activity(Attempt::new(context, input), code).await
    }

    /// A failure must never fail to be reported: it goes without details that cannot be encoded.
    fn sealed(&self, context: &ActivityContext, fault: Fault) -> Fault {
        let Fault::Application(failure) = fault else { return fault };
        let bare = Fault::Application(ApplicationFailure { details: None, ..failure.clone() });
        self.codecs.seal(Fault::Application(failure)).unwrap_or_else(|error| {
            let activity = context.task().map(|task| task.activity.as_str());
            tracing::error!(activity, %error, "the failure's details could not be encoded; reported without them");
            bare
        })
    }
}

/// Retryable: the key may be another worker's of the queue, or come with the next deployment.
fn undone(context: &ActivityContext, what: &str, error: &CodecError) -> Fault {
    let name = context.task().map(|task| task.activity.as_str()).unwrap_or_default();
    let (kind, done) = if what == "input" { ("NotDecoded", "decoded") } else { ("NotEncoded", "encoded") };
    let message = format!("the {what} of activity `{name}` cannot be {done}: {error}");
    Fault::Application(ApplicationFailure::new(kind, message))
}
