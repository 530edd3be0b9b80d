//! Workers that run for hours, on machines that come up for the work and go away after it.
//!
//! ```no_run
//! # use millrace::prelude::*;
//! # fn app() -> App { App::new() }
//! fn main() -> std::process::ExitCode {
//!     millrace::fleet::worker(app())
//! }
//! ```
//!
//! | variable | |
//! |---|---|
//! | `MILLRACE_BUCKET`, `MILLRACE_QUEUE_PREFIX`, `MILLRACE_NAMESPACE`, `MILLRACE_LOG` | as for functions |
//! | `MILLRACE_TASK_QUEUE` | the queue it serves; `gpu` if none |
//! | `MILLRACE_SLOTS` | how many attempts run at a time; 1 |
//! | `MILLRACE_GRACE_S` | how long attempts may take to end when it is asked to stop; 90 |
//! | `MILLRACE_MOST_VANISHED` | so many machines may be lost with one attempt of a leased activity before it fails; 20 |
//! | `MILLRACE_AUTO_SCALING_GROUP` | the group its machine belongs to, if it does |
//! | `MILLRACE_IDLE_MINUTES` | after so long without work it ends its machine; 10. Only with a group |
//!
//! What holds: a worker is never ended from outside for want of work. Machines of the group are protected from scale-in
//! from birth, and [`scaler`] only ever raises the group. A worker that has been idle stops receiving *first* and then
//! ends its own machine, so no task is on its way to it. SIGTERM and a spot interruption notice give running work back
//! within the grace, without costing it an attempt.

use std::process::ExitCode;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, select_all};
use lambda_runtime::{LambdaEvent, service_fn};
use millrace_aws::fleet::{Fleet, Machine};
use millrace_core::TaskQueue;
use millrace_engine::ports::{Ports, QueueName};
use millrace_engine::{Left, Stop, Worker, WorkerConfig};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::App;
use crate::deployment::{Deployment, Error, number, variable};
use crate::lambda::run;

/// How often the machine is asked whether it is being taken away: the notice comes two minutes ahead.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// More than a worker's usual limit: a machine that is lost without notice says little about the task it ran. One that is
/// taken away with notice gives its work back and does not count.
const MOST_VANISHED: u32 = 20;
/// How long to wait before working on, when the machine could not be ended.
const STAY: Duration = Duration::from_secs(60);

/// The process that serves one task queue by long polls.
pub fn worker(app: App) -> ExitCode {
    run(async move {
        let limits = variable("MILLRACE_LIMITS").unwrap_or_default();
        let app = app.limits(&limits).map_err(|bad| format!("MILLRACE_LIMITS: {bad}"))?;
        app.check()?;
        let queue = task_queue("gpu")?;
        let deployment = Deployment::connect(&[QueueName::events(), QueueName::task(&queue)]).await?;
        let machine = machine().await?;
        let stop = stop(&deployment.ports, machine.as_ref())?;
        let config = config(&deployment, queue, machine.is_some())?;
        tracing::info!(task_queue = %config.task_queue, slots = config.slots, fleet = machine.is_some(), "receiving tasks");
        let worker = Worker::new(deployment.ports.clone(), app.activity_code(), config);
        loop {
            match (worker.run(stop.clone()).await, &machine) {
                (Left::Idle, Some(machine)) => match machine.leave().await {
                    Ok(()) => {
                        tracing::info!("nothing to do: this machine ends itself");
                        return Ok(());
                    }
                    Err(error) => {
                        tracing::warn!(%error, "nothing to do, but this machine could not be ended; it works on");
                        let clock = &deployment.ports.clock;
                        clock.sleep_until(clock.now().plus(STAY)).await;
                    }
                },
                _ => {
                    tracing::info!("stopped; what was not finished is back in its queue");
                    return Ok(());
                }
            }
        }
    })
}

fn config(deployment: &Deployment, queue: TaskQueue, in_group: bool) -> Result<WorkerConfig, Error> {
    let idle = Duration::from_secs(60 * number::<u64>("MILLRACE_IDLE_MINUTES")?.unwrap_or(10));
    let slots: usize = number("MILLRACE_SLOTS")?.unwrap_or(1);
    if slots == 0 {
        return Err("MILLRACE_SLOTS: a worker needs at least 1".into());
    }
    Ok(WorkerConfig {
        namespace: deployment.settings.namespace.clone(),
        slots,
        grace: Duration::from_secs(number("MILLRACE_GRACE_S")?.unwrap_or(90)),
        most_vanished: number("MILLRACE_MOST_VANISHED")?.unwrap_or(MOST_VANISHED),
        leave_when_idle: in_group.then_some(idle),
        ..WorkerConfig::new(queue)
    })
}

fn task_queue(default: &str) -> Result<TaskQueue, Error> {
    let name = variable("MILLRACE_TASK_QUEUE").unwrap_or_else(|| default.into());
    TaskQueue::new(&name).map_err(|error| format!("MILLRACE_TASK_QUEUE: {error}").into())
}

/// This machine, if it belongs to a group.
async fn machine() -> Result<Option<Machine>, Error> {
    match variable("MILLRACE_AUTO_SCALING_GROUP") {
        Some(group) => Ok(Some(Machine::this(&group).await?)),
        None => Ok(None),
    }
}

/// Resolves at SIGTERM, SIGINT, or when the machine is about to be taken away.
fn stop(ports: &Ports, machine: Option<&Machine>) -> Result<Stop, Error> {
    let mut reasons: Vec<BoxFuture<'static, &'static str>> = Vec::new();
    for (kind, name) in [(SignalKind::terminate(), "SIGTERM"), (SignalKind::interrupt(), "SIGINT")] {
        let mut signal = signal(kind)?;
        reasons.push(async move { signal.recv().map(|_| name).await }.boxed());
    }
    if let Some(machine) = machine.cloned() {
        let clock = ports.clock.clone();
        reasons.push(
            async move {
                while !machine.is_taken_away().await {
                    clock.sleep_until(clock.now().plus(ASK_AGAIN)).await;
                }
                "the machine is taken away"
            }
            .boxed(),
        );
    }
    let stop = select_all(reasons).map(|(reason, ..)| tracing::info!(reason, "stopping"));
    Ok(stop.boxed().shared())
}

/// The function that brings machines up: each minute it raises the group's desired capacity to what waits and runs,
/// divided by the slots of a machine. From the queue itself and not from its metrics, which are up to 15 minutes late for
/// a queue that was idle. It never lowers it.
pub fn scaler() -> ExitCode {
    run(async {
        let queue = QueueName::task(&task_queue("gpu")?);
        let group = variable("MILLRACE_AUTO_SCALING_GROUP")
            .ok_or("MILLRACE_AUTO_SCALING_GROUP: name the group to scale")?;
        let slots = number("MILLRACE_SLOTS")?.unwrap_or(1);
        let most = number("MILLRACE_MAX_INSTANCES")?.unwrap_or(1);
        let fleet = Fleet::connect(&group, &queue).await?;
        let scale = |_: LambdaEvent<Value>| scale(&fleet, slots, most);
        lambda_runtime::run(service_fn(scale)).await
    })
}

async fn scale(fleet: &Fleet, slots: u32, most: u32) -> Result<Value, Error> {
    let (tasks, desired) = (fleet.tasks().await?, fleet.desired().await?);
    let wanted = wanted(tasks, slots, most);
    if wanted > desired {
        tracing::info!(tasks, desired, wanted, "raising the group");
        fleet.raise(wanted).await?;
    }
    Ok(json!({ "tasks": tasks, "desired": desired, "wanted": wanted }))
}

/// How many machines the tasks need: those that run count as much as those that wait, else running ones would look
/// like no work at all.
fn wanted(tasks: u64, slots: u32, most: u32) -> u32 {
    let machines = tasks.div_ceil(u64::from(slots.max(1)));
    u32::try_from(machines).unwrap_or(u32::MAX).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_for_what_waits_and_runs() {
        let cases = [
            ((0, 1, 5), 0),
            ((1, 4, 5), 1),
            ((4, 4, 5), 1),
            ((5, 4, 5), 2),
            ((900, 1, 5), 5),
            ((3, 0, 5), 3),
        ];
        for ((tasks, slots, most), expected) in cases {
            assert_eq!(wanted(tasks, slots, most), expected, "{tasks} tasks, {slots} slots, at most {most}");
        }
    }
}
