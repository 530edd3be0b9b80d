//! How large the payloads of user code may be, wherever no queue refuses them. Every home has the same bounds, so that what
//! works in a folder works in the cloud.

use millrace_core::{ApplicationFailure, Fault, OutcomeResult, Payload};

/// An outcome that can be carried. A result that is too large fails the activity, and no other attempt would help; details
/// of a failure that are, are left out, and the failure says so.
pub(crate) fn bounded(activity: &str, result: OutcomeResult) -> OutcomeResult {
    match result {
        OutcomeResult::Completed(result) if is_too_large(&result) => {
            let text = format!(
                "the result of activity `{activity}` has {}: store it, in a file or an object, and return its name",
                excess(&result)
            );
            tracing::error!(activity, "{text}");
            let failure = ApplicationFailure::new("OutcomeRefused", text).non_retryable();
            OutcomeResult::Failed(Fault::Application(failure))
        }
        OutcomeResult::Failed(Fault::Application(failure)) => {
            OutcomeResult::Failed(Fault::Application(without_large_details(failure)))
        }
        bounded => bounded,
    }
}

fn without_large_details(mut failure: ApplicationFailure) -> ApplicationFailure {
    if let Some(details) = failure.details.take_if(|details| is_too_large(details)) {
        failure.causes.push(format!("its details had {}: they are left out", excess(&details)));
    }
    failure
}

fn is_too_large(payload: &Payload) -> bool {
    payload.size_bytes() > Payload::LARGEST_BYTES
}

fn excess(payload: &Payload) -> String {
    let most = Payload::LARGEST_BYTES;
    format!("{} bytes, and a payload may have {most} ({} MiB)", payload.size_bytes(), most >> 20)
}
