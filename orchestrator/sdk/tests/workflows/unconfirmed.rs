//! Starts that are durable before any log has them: whatever is asked of their handles waits for the run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::executor::block_on;
use millrace::client::{Backend, Description, Event, Filter, Listed, Outcome, Payload, Sent, Status};
use millrace::dev::{Dev, Options};
use millrace::{Client, Fault, Handle, IdConflict, RunError, prelude::*};
use millrace_core::{RequestId, RunId, WorkflowId};
use millrace_format::message::InboxMessage;
use serde::{Deserialize, Serialize};

#[derive(Signal, Serialize, Deserialize)]
struct Add(u32);
#[derive(Update, Serialize, Deserialize)]
#[update(output = u32)]
struct AddNow(u32);
#[derive(Query, Serialize, Deserialize)]
#[query(output = u32)]
struct Total;

/// Adds up until it is a hundred.
#[workflow(accepts(Add, AddNow, Total))]
async fn sum(ctx: WorkflowContext, first: u32) -> Result<u32, WorkflowError> {
    let sum = ctx
        .state(first)
        .on_signal(|sum, Add(n)| *sum += n)
        .on_update(|sum, AddNow(n)| {
            *sum += n;
            Ok(*sum)
        })
        .on_query(|sum, Total| *sum)
        .published();
    sum.until(|sum| *sum >= 100).await?;
    Ok(sum.get())
}

/// An engine that takes its time: it looks at a start when somebody has asked for it once in vain.
struct Slow {
    engine: Arc<dyn Backend>,
    waiting: Mutex<Option<InboxMessage>>,
}

#[async_trait]
impl Backend for Slow {
    fn name(&self) -> String {
        self.engine.name()
    }

    fn is_live(&self) -> bool {
        true
    }

    async fn send(&self, mut message: InboxMessage) -> Result<Sent, RunError> {
        if !matches!(message, InboxMessage::Start(_)) {
            return self.engine.send(message).await;
        }
        static STARTS: AtomicU64 = AtomicU64::new(0);
        let request_id = RequestId::new(format!("start-{}", STARTS.fetch_add(1, Ordering::Relaxed))).unwrap();
        *message.to_complete().1 = Some(request_id.clone());
        *self.waiting.lock().unwrap() = Some(message);
        Ok(Sent { request_id, run_id: None })
    }

    async fn enqueue(&self, message: InboxMessage) -> Result<Sent, RunError> {
        self.engine.enqueue(message).await
    }

    async fn absorbed_by(
        &self,
        id: &WorkflowId,
        request: &RequestId,
        wait: Duration,
    ) -> Result<Option<RunId>, RunError> {
        let waiting = self.waiting.lock().unwrap().take();
        let Some(start) = waiting else { return self.engine.absorbed_by(id, request, wait).await };
        assert_eq!(self.engine.absorbed_by(id, request, Duration::ZERO).await, Ok(None));
        self.engine.enqueue(start).await.map(|_| None)
    }

    async fn describe(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Description, RunError> {
        self.engine.describe(id, run).await
    }

    async fn history(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Vec<Event>, RunError> {
        self.engine.history(id, run).await
    }

    async fn outcome(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        wait: Duration,
    ) -> Result<Option<Outcome>, RunError> {
        self.engine.outcome(id, run, wait).await
    }

    async fn answer(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        update: &RequestId,
        wait: Duration,
    ) -> Result<Option<Payload>, RunError> {
        self.engine.answer(id, run, update, wait).await
    }

    async fn query(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        name: &str,
        input: &Payload,
    ) -> Result<Payload, RunError> {
        self.engine.query(id, run, name, input).await
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<Listed>, RunError> {
        self.engine.list(filter).await
    }
}

fn slow() -> (Dev, Client) {
    let dev = Dev::start(&App::new().workflow(sum), Options::in_memory()).unwrap();
    let slow = Slow { engine: dev.client().backend().clone(), waiting: Mutex::default() };
    (dev, Client::new(Arc::new(slow)))
}

/// A handle of a start that the engine has not looked at.
async fn started(client: &Client, id: &str, first: u32) -> Handle<SumWorkflow> {
    let run = client.start(sum, id, first).await.unwrap();
    assert_eq!(run.run_id(), None);
    run
}

#[test]
fn what_is_asked_of_a_start_that_waits_waits_for_the_run() {
    let (_dev, client) = slow();
    block_on(async {
        assert_eq!(started(&client, "result", 100).await.result().await, Ok(100));
        let run = started(&client, "describe", 1).await;
        let there = run.describe().await.unwrap();
        assert_eq!((there.status, run.run_id()), (Status::Running, Some(there.run_id)));
        assert!(started(&client, "signal", 1).await.signal(Add(1)).await.unwrap().run_id.is_some());
        assert_eq!(started(&client, "update", 1).await.update(AddNow(2)).await, Ok(3));
        assert_eq!(started(&client, "query", 4).await.query(Total).await, Ok(4));
        assert_eq!(started(&client, "state", 5).await.state().await, Ok(Some(5)));
        assert_eq!(
            started(&client, "history", 6).await.history().await.unwrap()[0].kind.name(),
            "RunStarted"
        );
        assert!(
            started(&client, "ordered", 1).await.in_order().signal(Add(1)).await.unwrap().run_id.is_some()
        );
        let run = started(&client, "cancel", 1).await;
        run.cancel("changed my mind").await.unwrap();
        let ended = run.clone().result().await;
        assert!(
            matches!(&ended, Err(RunError::Failed(f)) if matches!(f.fault, Fault::Canceled { .. })),
            "{ended:?}"
        );
        let (run, answer) = client.start(sum, "both", 7).update(AddNow(1)).await.unwrap();
        assert_eq!((answer, run.query(Total).await), (8, Ok(8)));
    });
}

#[test]
fn it_is_the_run_of_this_start_that_is_waited_for() {
    let (dev, client) = slow();
    block_on(async {
        assert_eq!(dev.client().start(sum, "again", 100).await.unwrap().result().await, Ok(100));
        assert_eq!(started(&client, "again", 101).await.result().await, Ok(101), "not the result of before");

        let open = dev.client().start(sum, "open", 1).await.unwrap();
        let uses = client.start(sum, "open", 2).id_conflict(IdConflict::UseExisting).await.unwrap();
        assert_eq!(uses.describe().await.unwrap().run_id, open.run_id().unwrap(), "it would change nothing");
        let refused = started(&client, "open", 3).await.result().await;
        assert!(matches!(&refused, Err(RunError::Rejected(why)) if why.contains("is open")), "{refused:?}");
    });
}

#[test]
fn nobody_waits_for_what_was_not_started() {
    let (_dev, client) = slow();
    block_on(async {
        let nobody = client.handle(sum, "nobody").unwrap();
        assert!(matches!(nobody.result().await, Err(RunError::NotFound(_))));
        assert!(matches!(nobody.describe().await, Err(RunError::NotFound(_))));
        assert!(matches!(nobody.update(AddNow(1)).await, Err(RunError::NotFound(_))));
        assert!(matches!(nobody.query(Total).await, Err(RunError::NotFound(_))));
        assert!(matches!(nobody.cancel("why").await, Err(RunError::NotFound(_))));
    });
}
