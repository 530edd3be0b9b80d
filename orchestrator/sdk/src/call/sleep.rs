//! Timers.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::FusedFuture;
use millrace_core::Command;

use super::numbered::Numbered;
use crate::Canceled;
use crate::host::Ended;

/// A durable timer: see [`WorkflowContext::sleep`](crate::WorkflowContext::sleep).
#[must_use = "a durable call does nothing until it is awaited"]
pub struct Sleep {
    call: Numbered,
    duration: Duration,
}

impl Sleep {
    pub(crate) fn new(call: Numbered, duration: Duration) -> Self {
        Self { call, duration }
    }
}

impl Future for Sleep {
    type Output = Result<(), Canceled>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = if self.call.is_new() {
            let start = Command::StartTimer(self.call.number(), self.duration);
            self.call.start(cx.waker(), start)
        } else {
            self.call.poll(cx)
        };
        ended.map(|ended| match ended {
            Ended::Canceled(canceled) => Err(canceled),
            _ => Ok(()),
        })
    }
}

impl FusedFuture for Sleep {
    fn is_terminated(&self) -> bool {
        self.call.is_done()
    }
}

impl std::fmt::Debug for Sleep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sleep")
            .field("number", &self.call.number())
            .field("duration", &self.duration)
            .finish()
    }
}
