//! Updates over the embedded engine: answers, refusals, and what becomes of them when a run goes on or ends.

use std::future::IntoFuture as _;

use futures::executor::block_on;
use millrace::client::{Event, EventKind};
use millrace::dev::{Dev, Folder, Options};
use millrace::{Blocked, IdConflict, RunError, prelude::*, reject};
use serde::{Deserialize, Serialize};

#[derive(Debug, Update, Serialize, Deserialize)]
#[update(output = u32)]
struct Add(u32);
#[derive(Debug, Update, Serialize, Deserialize)]
#[update(output = ())]
struct Reset;
#[derive(Debug, Signal, Serialize, Deserialize)]
struct Close;
#[derive(Debug, Signal, Serialize, Deserialize)]
struct TurnOver;

/// Answers at once, from its state.
#[workflow(accepts(Add, Close))]
async fn sum(ctx: WorkflowContext, start: u32) -> Result<u32, WorkflowError> {
    let sum = ctx.state((start, false)).on_signal(|(_, closed), Close| *closed = true).on_update(
        |(sum, _), Add(more)| {
            *sum += more;
            if *sum > 100 { reject("that is too much") } else { Ok(*sum) }
        },
    );
    sum.until(|(_, closed)| *closed).await?;
    Ok(sum.get().0)
}

#[derive(Debug, Update, Serialize, Deserialize)]
#[update(output = String)]
struct Ask(String);

#[activity]
async fn think(question: String) -> Result<String, ActivityError> {
    Ok(format!("{question}? 42"))
}

/// Answers after some work, or never.
#[workflow(accepts(Ask))]
async fn oracle(ctx: WorkflowContext) -> Result<u32, WorkflowError> {
    let asks = ctx.updates::<Ask>();
    for answered in 0.. {
        let (Ask(question), reply) = asks.recv().await?;
        match question.as_str() {
            "" => reply.reject("ask something"),
            "bye" => return Ok(answered),
            "panic" => panic!("on purpose"),
            _ => reply.ok(ctx.activity(think, question).await?),
        }
    }
    Ok(0)
}

/// Continues as new after each update that it has answered, and whenever it is told to.
#[workflow(accepts(Add, TurnOver, Close))]
async fn relay(ctx: WorkflowContext, sum: u32) -> Result<u32, WorkflowError> {
    let (adds, turns, closes) = (ctx.updates::<Add>(), ctx.signals::<TurnOver>(), ctx.signals::<Close>());
    let sum = select! {
        close = closes.recv() => { close?; return Ok(sum) }
        turn = turns.recv() => { turn?; sum }
        add = adds.recv() => {
            let (Add(more), reply) = add?;
            reply.ok(sum + more);
            sum + more
        }
    };
    ctx.continue_as_new(relay, sum)
}

/// Reads no update before it ends.
#[workflow(accepts(Add, Close))]
async fn deaf(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    ctx.signals::<Close>().recv().await?;
    Ok(())
}

/// Gives the answer to a task that it leaves no time for.
#[workflow(accepts(Ask, Close))]
async fn hasty(ctx: WorkflowContext, goes_on: bool) -> Result<(), WorkflowError> {
    let (_, reply) = ctx.updates::<Ask>().recv().await?;
    drop(ctx.spawn(async move { reply.ok("late".into()) }));
    if goes_on {
        return ctx.continue_as_new(hasty, false);
    }
    Ok(())
}

fn dev() -> Dev {
    let app = App::new()
        .workflow(hasty)
        .workflow(deaf)
        .workflow(sum)
        .workflow(oracle)
        .workflow(relay)
        .activity(think);
    Dev::start(&app, Options::in_memory()).unwrap()
}

fn kinds(history: &[Event]) -> Vec<&'static str> {
    history.iter().map(|event| event.kind.name()).collect()
}

#[test]
fn a_handler_answers_and_what_it_refuses_leaves_no_event() {
    let dev = dev();
    block_on(async {
        let run = dev.client().start(sum, "a", 1).await.unwrap();
        assert_eq!(run.update(Add(2)).await, Ok(3));
        assert_eq!(run.update(Add(4)).await, Ok(7));
        let before = run.history().await.unwrap();
        assert_eq!(run.update(Add(1_000)).await, Err(RunError::Rejected("that is too much".into())));
        assert_eq!(run.history().await.unwrap(), before);
        assert_eq!(run.update(Add(1)).await, Ok(8), "the refused update changed nothing");
        run.signal(Close).await.unwrap();
        assert_eq!(run.result().await, Ok(8));
    });
}

#[test]
fn g2_a_request_counts_once_and_gives_the_same_answer_again() {
    let dev = dev();
    block_on(async {
        let run = dev.client().start(sum, "a", 0).await.unwrap();
        for _ in 0..3 {
            assert_eq!(run.update(Add(5)).request_id("add-5").await, Ok(5));
            let refused = run.update(Add(200)).request_id("add-200").await;
            assert_eq!(refused, Err(RunError::Rejected("that is too much".into())));
        }
        run.signal(Close).await.unwrap();
        assert_eq!(run.result().await, Ok(5));
        assert_eq!(run.update(Add(5)).request_id("add-5").await, Ok(5), "also after the end");
        let bad = run.update(Add(5)).request_id("no/slashes").await;
        assert!(matches!(&bad, Err(RunError::Rejected(text)) if text.contains("request_id")), "{bad:?}");
    });
}

#[test]
fn the_main_function_may_take_its_time_to_answer() {
    let dev = dev();
    block_on(async {
        let run = dev.client().start(oracle, "a", ()).await.unwrap();
        let asks = ["why", "how", "when"].map(|question| run.update(Ask(question.into())).into_future());
        let answers = futures::future::join_all(asks).await;
        assert_eq!(answers, ["why? 42", "how? 42", "when? 42"].map(|answer| Ok(answer.to_owned())));
        let refused = run.update(Ask(String::new())).await;
        assert_eq!(refused, Err(RunError::Rejected("ask something".into())));
        let unanswered = run.update(Ask("bye".into())).await;
        assert_eq!(unanswered, Err(RunError::Rejected("the workflow gave no answer".into())));
        assert_eq!(run.result().await, Ok(4));
        let late = run.update(Ask("still there".into())).await;
        assert!(matches!(&late, Err(RunError::Rejected(text)) if text.contains("closed")), "{late:?}");
    });
}

#[test]
fn nobody_waits_for_a_workflow_that_is_not_there_or_cannot_go_on() {
    let dev = dev();
    block_on(async {
        let nobody = dev.client().handle(oracle, "nobody").unwrap().update(Ask("why".into())).await;
        assert!(matches!(nobody, Err(RunError::NotFound(_))), "{nobody:?}");
        let run = dev.client().start(oracle, "a", ()).await.unwrap();
        let blocked = run.update(Ask("panic".into())).await;
        assert!(matches!(blocked, Err(RunError::Blocked(Blocked::Panic { .. }))), "{blocked:?}");
    });
}

#[test]
fn a_run_that_ends_leaves_nobody_waiting() {
    let dev = dev();
    block_on(async {
        let run = dev.client().start(deaf, "a", ()).await.unwrap();
        let close = async {
            while run.history().await.unwrap().len() < 2 {
                std::thread::yield_now();
            }
            run.signal(Close).await
        };
        let (unanswered, closed) = futures::join!(run.update(Add(1)).into_future(), close);
        closed.unwrap();
        let Err(RunError::Rejected(reason)) = unanswered else { panic!("{unanswered:?}") };
        assert!(reason.contains("ended before it answered"), "{reason}");
    });
}

#[test]
fn an_answer_in_a_task_that_never_ran_is_a_refusal() {
    let dev = dev();
    block_on(async {
        let run = dev.client().start(hasty, "a", true).await.unwrap();
        for _ in ["continues as new", "ends"] {
            let refused = run.update(Ask("why".into())).await;
            assert_eq!(refused, Err(RunError::Rejected("the workflow gave no answer".into())));
        }
        assert_eq!(run.result().await, Ok(()));
    });
}

#[test]
fn an_update_that_the_workflow_does_not_take_is_refused() {
    let dev = dev();
    block_on(async {
        let run = dev.client().start(sum, "a", 0).await.unwrap();
        // As a client of another version would.
        let refused = dev.client().handle(other_sum, "a").unwrap().update(Reset).await;
        assert!(
            matches!(&refused, Err(RunError::Rejected(text)) if text.contains("no update `reset`")),
            "{refused:?}"
        );
        assert_eq!(run.update(Add(1)).await, Ok(1));
    });
}

#[workflow(name = "Sum", accepts(Reset))]
async fn other_sum(_ctx: WorkflowContext) -> Result<(), WorkflowError> {
    Ok(())
}

#[test]
fn a_handle_reaches_the_run_that_its_own_continued_as() {
    let dev = dev();
    block_on(async {
        let run = dev.client().start(relay, "a", 0).await.unwrap();
        let mut expected = 0;
        for more in 1..=10 {
            expected += more;
            assert_eq!(run.update(Add(more)).request_id(format!("add-{more}")).await, Ok(expected));
            run.signal(TurnOver).await.unwrap();
        }
        assert_eq!(run.update(Add(3)).request_id("add-3").await, Ok(6), "an earlier run has answered it");
        let now = run.describe().await.unwrap();
        assert!(now.first_run_id == run.run_id() && Some(now.run_id) != run.run_id(), "{now:?}");
        assert_eq!(kinds(&run.history().await.unwrap()), ["RunStarted"]);
        let again = dev.client().start(relay, "a", 0).id_conflict(IdConflict::UseExisting).await.unwrap();
        let or_existing = dev.client().start(relay, "a", 0).or_existing().await.unwrap();
        assert_eq!((again.run_id(), or_existing.run_id()), (run.run_id(), run.run_id()));
        run.signal(TurnOver).await.unwrap();
        again.signal(Close).await.unwrap();
        assert_eq!((run.result().await, again.result().await), (Ok(55), Ok(55)));
    });
}

#[test]
fn cancel_and_terminate_reach_the_last_run_too() {
    let dev = dev();
    block_on(async {
        for by_force in [false, true] {
            let run = dev.client().start(relay, "a", 0).await.unwrap();
            run.signal(TurnOver).await.unwrap();
            let stopped = if by_force { run.terminate("enough").await } else { run.cancel("enough").await };
            assert_ne!(stopped.unwrap().run_id, run.run_id());
            let ended = run.result().await;
            assert!(
                matches!(&ended, Err(RunError::Failed(failure)) if failure.to_string().contains("enough")),
                "{ended:?}"
            );
            let late = run.cancel("again").await;
            assert!(matches!(&late, Err(RunError::Rejected(text)) if text.contains("already")), "{late:?}");
        }
    });
}

#[test]
fn a_start_may_bring_an_update_and_gives_its_answer() {
    let dev = dev();
    block_on(async {
        let (run, answer) = dev.client().start(sum, "a", 10).update(Add(5)).await.unwrap();
        assert_eq!(answer, 15);
        assert_eq!(kinds(&run.history().await.unwrap())[..2], ["RunStarted", "UpdateReceived"]);
        let refused = dev.client().start(sum, "a", 10).update(Add(5)).await.map(drop);
        assert!(matches!(&refused, Err(RunError::Rejected(text)) if text.contains("is open")), "{refused:?}");
        let start = || dev.client().start(sum, "a", 0).id_conflict(IdConflict::UseExisting);
        let (same, answer) = start().request_id("r-1").update(Add(1)).await.unwrap();
        assert_eq!((same.run_id(), answer), (run.run_id(), 16));
        let (_, answer) = start().request_id("r-1").update(Add(1)).await.unwrap();
        assert_eq!(answer, 16, "the same request");
        let refused = start().update(Add(1_000)).await.map(drop);
        assert_eq!(refused, Err(RunError::Rejected("that is too much".into())));
        let refused = dev.client().start(sum, "b", 0).update(Add(1_000)).await.map(drop);
        assert_eq!(refused, Err(RunError::Rejected("that is too much".into())), "of a new run, too");
        let history = dev.client().handle(sum, "b").unwrap().history().await.unwrap();
        assert!(history.iter().any(|event| matches!(event.kind, EventKind::UpdateRejected(_))));
    });
}

#[test]
fn an_update_needs_an_engine() {
    let data = tempfile::tempdir().unwrap();
    let folder = Folder::open(data.path(), "default".parse().unwrap()).unwrap();
    let none = block_on(async { folder.client().handle(sum, "a").unwrap().update(Add(1)).await });
    assert!(matches!(&none, Err(RunError::Unavailable(text)) if text.contains("`dev`")), "{none:?}");
}
