//! The verbs that intervene: pause, unpause, retry, reset, fork.

use millrace_core::{ActivityId, RunId, WorkflowId};
use millrace_format::PendingActivity;
use millrace_format::message::{
    ForkMessage, InboxMessage, PauseMessage, ResetMessage, RetryMessage, UnpauseMessage,
};

use super::args::{ForkArgs, HeldArgs, PauseArgs, Place, ResetArgs, RetryArgs, Target};
use super::connect::{Connected, Missing, connect};
use super::failure::{Failure, Verdict};
use super::requests::send;

pub(super) async fn pause(place: &Place, PauseArgs { held, reason }: PauseArgs) -> Verdict {
    let connected = connect(place, Missing::Refuse).await?;
    let Target { id, run_id } = held.target;
    let activity = activity(&connected, (&id, run_id), held.activity.as_deref()).await?;
    let message = PauseMessage::new(id.clone(), activity, reason).of_run(run_id);
    send(&connected, place, InboxMessage::Pause(message), (&id, "paused", held.json)).await
}

pub(super) async fn unpause(place: &Place, args: HeldArgs) -> Verdict {
    let connected = connect(place, Missing::Refuse).await?;
    let Target { id, run_id } = args.target;
    let activity = activity(&connected, (&id, run_id), args.activity.as_deref()).await?;
    let message = UnpauseMessage::new(id.clone(), activity).of_run(run_id);
    send(&connected, place, InboxMessage::Unpause(message), (&id, "unpaused", args.json)).await
}

pub(super) async fn retry(place: &Place, args: RetryArgs) -> Verdict {
    let connected = connect(place, Missing::Refuse).await?;
    let Target { id, run_id } = args.target;
    let activity = match activity(&connected, (&id, run_id), args.activity.as_deref()).await? {
        Some(activity) => activity,
        None => only(&open(&connected, &id, run_id).await?, "--activity: the run has")?,
    };
    let message = RetryMessage::new(id.clone(), activity).of_run(run_id);
    send(&connected, place, InboxMessage::Retry(message), (&id, "retried", args.json)).await
}

pub(super) async fn reset(place: &Place, args: ResetArgs) -> Verdict {
    let connected = connect(place, Missing::Refuse).await?;
    let (Target { id, run_id }, cut) = (args.target, args.cut);
    // What was shown is the run that is there now.
    let run_id = match run_id {
        None => connected.client().backend().describe(&id, None).await?.run_id,
        Some(named) => named,
    };
    let message = ResetMessage {
        request_id: cut.request_id,
        ..ResetMessage::new(id.clone(), cut.event, cut.reason, !cut.no_reapply).of_run(Some(run_id))
    };
    send(&connected, place, InboxMessage::Reset(message), (&id, "reset", cut.json)).await
}

pub(super) async fn fork(place: &Place, args: ForkArgs) -> Verdict {
    let connected = connect(place, Missing::Refuse).await?;
    let (id, from, cut) = (args.id, args.from, args.cut);
    let message = ForkMessage {
        request_id: cut.request_id,
        ..ForkMessage::new(id.clone(), from, args.from_run_id, cut.event, cut.reason, !cut.no_reapply)
    };
    send(&connected, place, InboxMessage::Fork(message), (&id, "begun", cut.json)).await
}

/// The number of the activity that is meant.
async fn activity(
    connected: &Connected,
    (id, run_id): (&WorkflowId, Option<RunId>),
    named: Option<&str>,
) -> Result<Option<ActivityId>, Failure> {
    let Some(named) = named else { return Ok(None) };
    if let Ok(number) = named.parse() {
        return Ok(Some(number));
    }
    let mut open = open(connected, id, run_id).await?;
    open.retain(|activity| activity.activity == named);
    only(&open, &format!("--activity: of `{named}` the run has")).map(Some)
}

async fn open(
    connected: &Connected,
    id: &WorkflowId,
    run_id: Option<RunId>,
) -> Result<Vec<PendingActivity>, Failure> {
    Ok(connected.client().backend().describe(id, run_id).await?.activities)
}

fn only(open: &[PendingActivity], what: &str) -> Result<ActivityId, Failure> {
    match open {
        [only] => Ok(only.activity_id),
        [] => Err(Failure::rejected(format!("{what} no open activity"))),
        several => {
            let name =
                |activity: &PendingActivity| format!("{} #{}", activity.activity, activity.activity_id);
            let names: Vec<String> = several.iter().take(20).map(name).collect();
            let (count, names) = (several.len(), names.join(", "));
            Err(Failure::rejected(format!("{what} {count} open activities: {names}; give the number of one")))
        }
    }
}
