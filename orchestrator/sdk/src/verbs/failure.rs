//! How a verb ends when it does not work: one sentence, and an exit code that scripts can tell apart.

use std::error::Error;
use std::process::ExitCode;

use crate::RunError;
use crate::dev::DevError;

/// Why a verb did not work. The exit codes are those of `--help`.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    message: String,
}

pub(super) type Verdict = Result<(), Failure>;

impl Failure {
    pub(super) fn engine(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    pub(super) fn blocked(message: impl Into<String>) -> Self {
        Self { code: 4, message: message.into() }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self { code: 5, message: message.into() }
    }

    pub(super) fn rejected(message: impl Into<String>) -> Self {
        Self { code: 6, message: message.into() }
    }

    pub(super) fn time_is_up(message: impl Into<String>) -> Self {
        Self { code: 7, message: message.into() }
    }

    /// Whatever an app or a job returned: our own errors keep their meaning.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        if let Some(error) = error.downcast_ref::<RunError>() {
            return error.clone().into();
        }
        let (mut text, mut cause) = (error.to_string(), error.source());
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self::engine(text)
    }

    /// Tells the person and the shell.
    pub(super) fn report(&self) -> ExitCode {
        eprintln!("error: {}", super::printable(&self.message));
        ExitCode::from(self.code)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let code = match &error {
            RunError::Failed(_) => 3,
            RunError::Blocked(_) => 4,
            RunError::NotFound(_) => 5,
            RunError::Rejected(_) => 6,
            _ => 1,
        };
        Self { code, message: error.to_string() }
    }
}

impl From<DevError> for Failure {
    fn from(error: DevError) -> Self {
        Self::engine(error.to_string())
    }
}
