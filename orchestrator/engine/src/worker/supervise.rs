//! Watching over a running attempt: time limits, heartbeats, the lease, the task's visibility, and stopping.
//!
//! This runs apart from the user's code, which may block its own thread but not this one.

use std::sync::Arc;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{Fuse, FutureExt};
use futures::select_biased;
use millrace_core::{
    ActivityOptions, ApplicationFailure, Fault, OutcomeResult, Payload, TimeoutKind, Timestamp,
};

use super::lease::{Beat, Held};
use super::running::Running;
use super::{Stop, Worker};
use crate::ports::{Delivery, SpawnHandle};

/// What an attempt needs beyond its start-to-close: to report, and to delete the task.
pub(super) const FOR_THE_REPORT: Duration = Duration::from_secs(15);

/// How an attempt ended.
pub(super) enum Ended {
    /// With something to report.
    With(OutcomeResult, Option<Held>),
    /// Without an outcome: somebody else reports it later.
    Left(Option<Held>),
    /// Because the worker stops: the task goes back.
    GiveBack(Option<Held>),
    /// Somebody else holds the lease.
    LeaseLost,
}

type Answer = Result<Payload, Fault>;

/// Which limit ends the attempt first.
#[derive(Clone, Copy)]
enum Limit {
    StartToClose,
    /// The process itself has no more time.
    Host,
}

/// The times at which the supervisor has something to do.
struct Watch {
    close_at: Timestamp,
    /// What is reported then.
    closed_by: Limit,
    heartbeat_at: Option<Timestamp>,
    /// Never for a message that is hidden until the end anyway.
    extend_at: Option<Timestamp>,
    renew_at: Option<Timestamp>,
    /// Set while the worker stops: when the task is given back.
    give_back_at: Option<Timestamp>,
}

impl Watch {
    fn next(&self) -> Timestamp {
        let optional = [self.heartbeat_at, self.extend_at, self.renew_at, self.give_back_at];
        optional.into_iter().flatten().fold(self.close_at, Timestamp::min)
    }
}

/// What is being watched.
struct Supervised<'a> {
    delivery: &'a Delivery,
    running: Arc<Running>,
    held: Option<Held>,
    watch: Watch,
    /// Heartbeat details that the lease does not have yet.
    unwritten: Option<Payload>,
}

impl Worker {
    /// Runs the attempt to its end.
    pub(super) async fn supervise(
        &self,
        delivery: &Delivery,
        running: Arc<Running>,
        held: Option<Held>,
        stop: Stop,
        until: Option<Timestamp>,
    ) -> Ended {
        let (mut answer, mut handle) = self.launch(&running);
        let watch = self.watch(&running, held.is_some(), until);
        if let Some(until) = until {
            Box::pin(self.shorten(delivery, watch.close_at, until)).await;
        }
        let mut supervised = Supervised { delivery, running: running.clone(), held, watch, unwritten: None };
        let mut stop = stop.fuse();
        loop {
            let mut alarm = self.ports.clock.sleep_until(supervised.watch.next()).fuse();
            let beat = running.beat().fuse();
            futures::pin_mut!(beat);
            select_biased! {
                answer = answer => {
                    let answer = match answer {
                        Ok(answer) => answer,
                        Err(_) => Err(panicked(&mut handle).await),
                    };
                    return supervised.ended(answer);
                }
                details = beat => self.noted(&mut supervised, details),
                () = stop => {
                    running.stop(Fault::Canceled { reason: "the worker is stopping".into() });
                    supervised.watch.give_back_at = Some(self.ports.clock.now().plus(self.config.grace));
                }
                () = alarm => {
                    if let Some(ended) = Box::pin(self.alarm(&mut supervised)).await {
                        return ended.unwrap_or_else(|| supervised.lost());
                    }
                }
            }
        }
    }

    fn launch(&self, running: &Arc<Running>) -> (Fuse<oneshot::Receiver<Answer>>, SpawnHandle) {
        let (sender, receiver) = oneshot::channel();
        let (code, attempt, runs) = (self.code.clone(), running.clone(), self.code_runs.clone());
        let room = running.take_room();
        let handle = self.ports.spawn.spawn(
            async move {
                // Called in here: code that panics before its first await must not take the worker along.
                let answer = code.run(attempt).await;
                drop((runs, room)); // First: whoever has the answer finds the code ended.
                let _ = sender.send(answer);
            }
            .boxed(),
        );
        (receiver.fuse(), handle)
    }

    fn watch(&self, running: &Running, leased: bool, until: Option<Timestamp>) -> Watch {
        let (now, options) = (self.ports.clock.now(), &running.task_ref().options);
        let own = now.plus(options.start_to_close);
        let (close_at, closed_by) = match until {
            Some(until) if until < own => (until, Limit::Host),
            _ => (own, Limit::StartToClose),
        };
        Watch {
            close_at,
            closed_by,
            heartbeat_at: options.heartbeat.map(|limit| now.plus(limit)),
            extend_at: until.is_none().then(|| now.plus(self.config.visibility * 2 / 3)),
            renew_at: leased.then(|| now.plus(self.config.lease / 3)),
            give_back_at: None,
        }
    }

    /// A heartbeat came: the silence starts anew, and the lease is written soon, but not at every beat.
    fn noted(&self, supervised: &mut Supervised<'_>, details: Payload) {
        let now = self.ports.clock.now();
        let limit = supervised.running.task_ref().options.heartbeat;
        supervised.watch.heartbeat_at = limit.map(|limit| now.plus(limit));
        if supervised.unwritten.replace(details).is_none() {
            let soon =
                now.plus(limit.map_or(self.config.beat_every, |limit| self.config.beat_every.min(limit / 3)));
            supervised.watch.renew_at = supervised.watch.renew_at.map(|at| at.min(soon));
        }
    }

    /// Some time has come. `Some` ends the attempt; `Some(None)` because the lease is lost.
    async fn alarm(&self, supervised: &mut Supervised<'_>) -> Option<Option<Ended>> {
        let now = self.ports.clock.now();
        let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        if due(Some(supervised.watch.close_at)) {
            let cause = match supervised.watch.closed_by {
                Limit::StartToClose => None,
                Limit::Host => Some(out_of_time(&supervised.running.task_ref().options)),
            };
            return Some(Some(supervised.timed_out(TimeoutKind::StartToClose, cause)));
        }
        if due(supervised.watch.heartbeat_at) {
            return Some(Some(supervised.timed_out(TimeoutKind::Heartbeat, None)));
        }
        if due(supervised.watch.give_back_at) {
            return Some(Some(supervised.ended(Err(Fault::Canceled { reason: String::new() }))));
        }
        if due(supervised.watch.extend_at) {
            self.extend(supervised, now).await;
        }
        if due(supervised.watch.renew_at) && !self.renew(supervised, now).await {
            return Some(None);
        }
        None
    }

    /// A queue that feeds a function hides its messages for the function's whole time. An attempt that needs far less is
    /// tried again much sooner if the function dies in it. Costs a request, so only where it saves half.
    async fn shorten(&self, delivery: &Delivery, close_at: Timestamp, until: Timestamp) {
        let now = self.ports.clock.now();
        let need = close_at.since(now) + FOR_THE_REPORT;
        if need * 2 > until.since(now) {
            return;
        }
        if let Err(error) = self.ports.queues.change_visibility(&self.queue, &delivery.receipt, need).await {
            tracing::debug!(%error, "visibility not shortened");
        }
    }

    async fn extend(&self, supervised: &mut Supervised<'_>, now: Timestamp) {
        let receipt = &supervised.delivery.receipt;
        let extended =
            self.ports.queues.change_visibility(&self.queue, receipt, self.config.visibility).await;
        let pause = match extended {
            Ok(()) => self.config.visibility * 2 / 3,
            Err(error) => {
                tracing::warn!(activity = supervised.running.task_ref().activity, %error, "visibility not extended");
                self.config.visibility / 6
            }
        };
        supervised.watch.extend_at = Some(now.plus(pause));
    }

    /// Writes the lease. `false` if it is lost.
    async fn renew(&self, supervised: &mut Supervised<'_>, now: Timestamp) -> bool {
        let Some(held) = &mut supervised.held else { return true };
        let details = supervised.unwritten.take();
        supervised.watch.renew_at = Some(now.plus(self.config.lease / 3));
        match self.beat(held, details).await {
            Ok(Beat::Written) => {}
            Ok(Beat::Canceled(reason)) => supervised.running.stop(Fault::Canceled { reason }),
            Ok(Beat::Lost) => return false,
            Err(error) => {
                tracing::warn!(%error, "a lease could not be renewed; trying again");
                supervised.watch.renew_at = Some(now.plus(Duration::from_secs(1)));
            }
        }
        true
    }
}

impl Supervised<'_> {
    fn ended(&mut self, answer: Answer) -> Ended {
        let mut held = self.held.take();
        // An attempt may beat and end within one step: its last details count too.
        let details = self.running.take_beat().or_else(|| self.unwritten.take());
        if let (Some(held), Some(details)) = (&mut held, details) {
            held.lease.details = Some(details);
        }
        if self.running.is_left() {
            return Ended::Left(held);
        }
        match answer {
            Ok(result) => Ended::With(OutcomeResult::Completed(result), held),
            // It stopped because it was asked to by a worker that stops: that is no failure of the attempt.
            Err(Fault::Canceled { .. }) if self.watch.give_back_at.is_some() => Ended::GiveBack(held),
            Err(fault) => Ended::With(OutcomeResult::Failed(fault), held),
        }
    }

    fn timed_out(&mut self, kind: TimeoutKind, cause: Option<ApplicationFailure>) -> Ended {
        let fault = Fault::TimedOut { kind, cause };
        self.running.stop(fault.clone());
        self.ended(Err(fault))
    }

    fn lost(&self) -> Ended {
        self.running.stop(Fault::Canceled { reason: "another attempt holds the lease".into() });
        Ended::LeaseLost
    }
}

/// Says why an attempt got less time than its start-to-close.
fn out_of_time(options: &ActivityOptions) -> ApplicationFailure {
    let text = format!(
        "this worker had less time left than the activity's start-to-close of {:?}: give the function a longer timeout, \
         or a task queue that a fleet of workers serves",
        options.start_to_close
    );
    ApplicationFailure::new("OutOfTime", text)
}

/// The code ended without an answer: it panicked, or its runtime is shutting down.
async fn panicked(handle: &mut SpawnHandle) -> Fault {
    let text = match handle.await {
        Err(text) => text,
        Ok(()) => "the activity ended without an answer".to_owned(),
    };
    Fault::Application(ApplicationFailure::new("Panic", text))
}
