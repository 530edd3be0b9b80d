//! Workflows that start, tell, stop and follow one another.

use futures::future::try_join_all;
use millrace::prelude::*;
use millrace::{IdReuse, OnCancel, Page, ParentClose};
use serde::{Deserialize, Serialize};

use crate::workflows::{Note, square};

/// Adds to a total; the steward refuses zero.
#[derive(Debug, Update, Serialize, Deserialize)]
#[update(output = u64)]
pub struct Add {
    /// How much.
    pub n: u64,
}

/// Asks for a square; the answer takes an activity.
#[derive(Debug, Update, Serialize, Deserialize)]
#[update(output = u64)]
pub struct Ask {
    /// Of what.
    pub n: u64,
}

/// Says that one who was left alone has come to its end.
#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Arrived {
    /// Who.
    pub who: String,
}

/// What [`family`] returns: the same whatever goes wrong underneath.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each field is one feature's result")]
pub struct Family {
    pub greeting: String,
    pub ward: u64,
    pub failed: bool,
    pub taken: usize,
    pub stopped: String,
    pub spawned: u64,
    pub superseded: bool,
    pub undone: String,
    pub arrived: Vec<String>,
    pub local: Vec<u64>,
    pub mapped: Vec<Option<u64>>,
    pub paged: Vec<Option<u64>>,
    pub counted: (u64, u64),
}

/// Has children of every kind.
#[workflow(accepts(Arrived))]
pub async fn family(ctx: WorkflowContext) -> Result<Family, WorkflowError> {
    let me = ctx.workflow_id().to_string();
    let spawned = ctx.spawn({
        let ctx = ctx.clone();
        async move { ctx.activity(square, 3).await }
    });
    let greeting = ctx.child(greet, ("ann".to_owned(), 5)).await?;
    let ward = ctx.child(ward, 3).id(format!("{me}-ward")).start();
    for n in 1..=3 {
        ward.signal(Note { n }).await?;
    }
    let failed = ctx.child(fails, ()).await.is_err_and(|failure| failure.is("Sulking"));
    // Two at once with one id: one of them cannot be started.
    let twin = || ctx.child(greet, ("a twin".to_owned(), 1_000)).id(format!("{me}-twin"));
    let twins = [(); 2].map(|()| twin().id_reuse(IdReuse::RejectDuplicate).start());
    let [one, two] = twins.map(|twin| twin.result());
    let (one, two) = join!(one, two);
    let taken =
        [one, two].into_iter().filter(|end| end.as_ref().is_err_and(|end| end.is("ChildNotStarted"))).count();

    // Asked to stop and waited for: it cleans up first.
    let waiting = ctx.scope();
    let patient = waiting.child(tidy, ()).id(format!("{me}-tidy")).on_cancel(OnCancel::Wait);
    let stop = async {
        ctx.sleep(minutes(20)).await?;
        waiting.cancel("time is up");
        Ok::<_, WorkflowError>(())
    };
    let (stopped, told) = join!(patient, stop);
    told?;
    let stopped = stopped.map_or_else(|failure| failure.to_string(), |()| "it went on".to_owned());

    let jobs = ctx.scope();
    let job = jobs.activity(square, 100);
    jobs.cancel("superseded");
    let superseded = job.await.is_err_and(|failure| failure.is_canceled());

    let undone = ctx
        .saga(async |saga| {
            ctx.activity(square, 1).await?;
            saga.undo(ctx.activity(square, 2));
            ctx.child(fails, ()).await?;
            Ok(())
        })
        .await
        .map_or_else(|error| error.to_string(), |()| String::new());

    // Within one turn, but for the retries.
    let local = try_join_all((1..=4).map(|n| ctx.local(quick, n))).await?;
    let mapped = ctx.map(picky, 0..6).concurrency(2).tolerate(2).await?;
    let mapped = mapped.into_iter().map(Result::ok).collect();
    let paged = ctx.map_pages(picky, upwards, 7).concurrency(3).pages_at_once(2).tolerate(3).await?;
    let paged = paged.into_iter().map(Result::ok).collect();
    let counted = ctx.map_pages(picky, upwards, 5).tolerate_share(0.5).summary().await?;
    let counted = (counted.count, counted.failed);

    // They outlive this run's interest, and say so when they end.
    let arrivals = ctx.signals::<Arrived>();
    for n in 1..=2 {
        let input = (me.clone(), n);
        ctx.child(wanderer, input)
            .id(format!("{me}-wanderer-{n}"))
            .parent_close(ParentClose::Abandon)
            .start();
    }
    let mut arrived = vec![arrivals.recv().await?.who, arrivals.recv().await?.who];
    arrived.sort();
    if ctx.patched("say goodbye") {
        ctx.signal(format!("{me}-ward"), Note { n: 4 }).await?;
    }
    // Nobody waits for this one any more when the run ends: it is terminated.
    ctx.child(patience, ()).id(format!("{me}-left")).start();
    let ward = ward.result().await?;
    let spawned = spawned.await?;
    Ok(Family {
        greeting,
        ward,
        failed,
        taken,
        stopped,
        spawned,
        superseded,
        undone,
        arrived,
        local,
        mapped,
        paged,
        counted,
    })
}

/// Fails at first.
#[activity(initial_interval = "10ms")]
pub async fn quick(ctx: ActivityContext, n: u64) -> Result<u64, ActivityError> {
    if ctx.attempt == 1 {
        return Err(ApplicationFailure::new("Slow", "not yet").into());
    }
    Ok(n + 1)
}

/// Does not like threes.
#[activity]
pub async fn picky(n: u64) -> Result<u64, ActivityError> {
    if n.is_multiple_of(3) {
        return Err(ApplicationFailure::new("Three", n).non_retryable().into());
    }
    Ok(n)
}

/// Counts from zero, two numbers to a page.
#[activity]
pub async fn upwards(up_to: u64, cursor: Option<String>) -> Result<Page<u64>, ActivityError> {
    let first = cursor.as_deref().unwrap_or("0").parse()?;
    let end = up_to.min(first + 2);
    Ok(Page { items: (first..end).collect(), next: (end < up_to).then(|| end.to_string()) })
}

/// Greets after a while.
#[workflow]
pub async fn greet(ctx: WorkflowContext, name: String, wait_s: u64) -> Result<String, WorkflowError> {
    ctx.sleep(secs(wait_s)).await?;
    Ok(format!("hello {name}"))
}

/// Adds up what it is told, four times.
#[workflow(accepts(Note))]
pub async fn ward(ctx: WorkflowContext, factor: u64) -> Result<u64, WorkflowError> {
    let notes = ctx.signals::<Note>();
    let mut sum = 0;
    for _ in 0..4 {
        sum += notes.recv().await?.n;
    }
    Ok(sum * factor)
}

/// Fails.
#[workflow]
pub async fn fails(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    ctx.activity(square, 1).await?;
    Err(ApplicationFailure::new("Sulking", "no").into())
}

/// Waits, and takes its time to stop.
#[workflow]
pub async fn tidy(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    let waited = ctx.sleep(days(9)).await;
    ctx.shielded().activity(square, 4).await?;
    waited?;
    Ok(())
}

/// Waits for ever.
#[workflow]
pub async fn patience(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    ctx.sleep(days(300)).await?;
    Ok(())
}

/// Goes on as new twice, then tells whoever sent it.
#[workflow]
pub async fn wanderer(ctx: WorkflowContext, home: String, n: u64) -> Result<u64, WorkflowError> {
    ctx.sleep(secs(30)).await?;
    if n < 20 {
        return ctx.continue_as_new(wanderer, (home, n + 10));
    }
    ctx.signal(&home, Arrived { who: format!("wanderer {}", n % 10) }).await?;
    Ok(n)
}

/// What an entity has come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// How many notes it has read.
    pub notes: u64,
    /// Their sum.
    pub sum: u64,
    /// How many questions it has answered, and the sum of the answers.
    pub asked: (u64, u64),
    /// What was added.
    pub added: u64,
}

impl Ledger {
    fn is_full(&self) -> bool {
        self.notes == 12 && self.asked.0 == 2 && self.added == 30
    }
}

/// Lives for twelve notes, two questions and two additions, in runs of three messages each.
#[workflow(accepts(Note, Ask, Add))]
pub async fn entity(ctx: WorkflowContext, ledger: Ledger) -> Result<Ledger, WorkflowError> {
    let (notes, asks) = (ctx.signals::<Note>(), ctx.updates::<Ask>());
    let added = ctx.state(ledger.added).on_update(|added, Add { n }| {
        *added += n;
        Ok(*added)
    });
    let mut ledger = ledger;
    for _ in 0..3 {
        select! {
            note = notes.recv() => {
                ledger.notes += 1;
                ledger.sum += note?.n;
            }
            ask = asks.recv() => {
                let (Ask { n }, reply) = ask?;
                let answer = ctx.activity(square, n).await?;
                ledger.asked = (ledger.asked.0 + 1, ledger.asked.1 + answer);
                reply.ok(answer);
            }
            changed = added.until({ let before = ledger.added; move |added| *added != before }) => {
                changed?;
                ledger.added = added.get();
            }
        }
        if ledger.is_full() {
            return Ok(ledger);
        }
    }
    // It may have been told while it asked for an answer.
    ledger.added = added.get();
    if ledger.is_full() { Ok(ledger) } else { ctx.continue_as_new(entity, ledger) }
}

/// Adds up for so long that no message comes too late.
#[workflow(accepts(Add))]
pub async fn steward(ctx: WorkflowContext) -> Result<u64, WorkflowError> {
    let total = ctx.state(0).on_update(|total, Add { n }| {
        if n == 0 {
            return reject("nothing to add");
        }
        *total += n;
        Ok(*total)
    });
    ctx.sleep(hours(9)).await?;
    Ok(total.get())
}
