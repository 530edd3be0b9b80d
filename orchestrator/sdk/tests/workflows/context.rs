//! Headers and interceptors: what goes around the work, and along with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::executor::block_on;
use millrace::client::{Client, Payload};
use millrace::codec::{AesGcm, Key};
use millrace::dev::{Dev, Options};
use millrace::intercept::{Attempt, Interceptor, Next, WorkflowRun};
use millrace::{Headers, RunError, TestEnv, prelude::*};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[activity]
async fn trace(ctx: ActivityContext) -> Result<String, ActivityError> {
    Ok(ctx.headers().get("traceparent").cloned().unwrap_or_default())
}

#[activity]
async fn traces(ctx: ActivityContext, n: u32) -> Result<String, ActivityError> {
    Ok(format!("{n} {}", ctx.headers().get("traceparent").cloned().unwrap_or_default()))
}

#[workflow]
async fn traced_child(ctx: WorkflowContext) -> Result<(Headers, String), WorkflowError> {
    Ok((ctx.headers().clone(), ctx.activity(trace, ()).await?))
}

type Seen = Vec<String>;

#[workflow]
async fn traced(ctx: WorkflowContext, round: u32, mut seen: Seen) -> Result<Seen, WorkflowError> {
    seen.push(ctx.headers().get("traceparent").cloned().unwrap_or_default());
    seen.push(ctx.activity(trace, ()).await?);
    seen.push(ctx.local(trace, ()).await?);
    let (headers, below) = ctx.child(traced_child, ()).await?;
    seen.extend([headers["tenant"].clone(), headers["traceparent"].clone(), below]);
    for item in ctx.map(traces, [1, 2]).await? {
        seen.push(item?);
    }
    if round == 0 {
        return ctx.continue_as_new(traced, (1, seen));
    }
    Ok(seen)
}

fn tracing_app() -> App {
    App::new().workflow(traced).workflow(traced_child).activity(trace).activity(traces)
}

async fn are_handed_on(client: &Client) {
    let start =
        client.start(traced, "t", (0, Vec::new())).header("traceparent", PARENT).header("tenant", "7");
    let seen = start.await.unwrap().result().await.unwrap();
    let (one, two) = (format!("1 {PARENT}"), format!("2 {PARENT}"));
    let round = [PARENT, PARENT, PARENT, "7", PARENT, PARENT, &one, &two];
    assert_eq!(seen, [round, round].concat());
    let history = client.handle(traced, "t").unwrap().history().await.unwrap();
    let events = history.iter().filter(|event| format!("{event:?}").contains("headers: {\""));
    assert_eq!(events.map(|event| event.kind.name()).collect::<Vec<_>>(), ["RunStarted"]);
}

#[tokio::test]
async fn headers_reach_activities_children_maps_and_the_run_that_follows() {
    are_handed_on(&TestEnv::of(tracing_app())).await;
}

#[test]
fn headers_reach_them_in_the_engine() {
    let dev = Dev::start(&tracing_app(), Options { port: None, ..Options::in_memory() }).unwrap();
    block_on(are_handed_on(&dev.client()));
}

#[tokio::test]
async fn a_header_that_is_none_is_refused_at_the_door() {
    let env = TestEnv::of(tracing_app());
    let refused = env.start(traced, "t", (0, Vec::new())).header("trace parent", PARENT).await.map(drop);
    let Err(RunError::Rejected(text)) = refused else { panic!("{refused:?}") };
    assert!(text.starts_with("headers: `trace parent` is no name"), "{text}");
    assert!(matches!(env.handle(traced, "t").unwrap().describe().await, Err(RunError::NotFound(_))));
}

/// Writes down when it is entered and left, with what it sees.
struct Logs {
    name: &'static str,
    log: Arc<Mutex<Vec<String>>>,
}

impl Logs {
    fn log(&self, line: String) {
        self.log.lock().unwrap().push(format!("{} {line}", self.name));
    }
}

#[millrace::async_trait]
impl Interceptor for Logs {
    async fn activity(&self, attempt: Attempt, next: Next<'_>) -> Result<Payload, ActivityError> {
        let name = attempt.name().to_owned();
        self.log(format!("{name}({}) attempt {}", attempt.input, attempt.context.attempt));
        let ended = next.run(attempt).await;
        match &ended {
            Ok(output) => self.log(format!("{name} gave {output}")),
            Err(error) => self.log(format!("{name} failed: {error}")),
        }
        ended
    }

    fn workflow(&self, context: &WorkflowContext, run: WorkflowRun) -> WorkflowRun {
        let workflow = context.workflow_type().to_string();
        let (name, log) = (self.name, self.log.clone());
        async move {
            let ended = run.await;
            let text = ended.as_ref().map_or_else(ToString::to_string, ToString::to_string);
            log.lock().unwrap().push(format!("{name} {workflow} ended: {text}"));
            ended
        }
        .boxed()
    }

    fn start(&self, workflow: &str, id: &str, headers: &mut Headers) {
        let all = headers.entry("by".into()).or_default();
        all.push_str(self.name);
        self.log(format!("starts {workflow} {id}"));
    }
}

#[activity(initial_interval = "1s")]
async fn flaky(ctx: ActivityContext, n: u32) -> Result<u32, ActivityError> {
    if ctx.attempt < 2 { Err("not yet".into()) } else { Ok(n + 1) }
}

#[activity]
async fn quick(n: u32) -> Result<u32, ActivityError> {
    Ok(n * 10)
}

#[activity]
async fn elsewhere(n: u32) -> Result<u32, ActivityError>;

#[workflow]
async fn sums(ctx: WorkflowContext, n: u32) -> Result<String, WorkflowError> {
    let n = ctx.activity(flaky, n).await?;
    let n = ctx.local(quick, n).await?;
    let n = ctx.activity(elsewhere, n).await?;
    Ok(format!("{n} by {}", ctx.headers()["by"]))
}

#[tokio::test]
async fn interceptors_nest_in_their_order_around_plain_values() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let logs = |name| Logs { name, log: log.clone() };
    let env = TestEnv::of(App::new().workflow(sums).activity(flaky).activity(quick));
    let env = env.codec(AesGcm::new(Key::new("k", [1; 32]).unwrap())).mock(elsewhere, |n| Ok(n + 7));
    let env = env.intercept(logs("A")).intercept(logs("B")).keep_code();
    let run = env.start(sums, "s", 1).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "27 by AB");
    // The kit replays the code that has ended, and so do interceptors around it.
    let mut lines: Vec<String> = log.lock().unwrap().clone();
    let mut ends = lines.split_off(lines.iter().position(|line| line.contains("ended")).unwrap());
    ends.truncate(2);
    assert_eq!(
        lines,
        [
            "A starts Sums s",
            "B starts Sums s",
            "A flaky(1) attempt 1",
            "B flaky(1) attempt 1",
            "B flaky failed: Error: not yet",
            "A flaky failed: Error: not yet",
            "A flaky(1) attempt 2",
            "B flaky(1) attempt 2",
            "B flaky gave 2",
            "A flaky gave 2",
            "A quick(2) attempt 1",
            "B quick(2) attempt 1",
            "B quick gave 20",
            "A quick gave 20",
            "A elsewhere(20) attempt 1",
            "B elsewhere(20) attempt 1",
            "B elsewhere gave 27",
            "A elsewhere gave 27",
        ]
    );
    assert_eq!(ends, [r#"B Sums ended: "27 by AB""#, r#"A Sums ended: "27 by AB""#]);
}

/// Fails the first attempt of everything, changes what goes in, and counts what comes out.
#[derive(Default)]
struct Meddles(Mutex<BTreeMap<String, u32>>);

#[millrace::async_trait]
impl Interceptor for Meddles {
    async fn activity(&self, mut attempt: Attempt, next: Next<'_>) -> Result<Payload, ActivityError> {
        tokio::task::yield_now().await;
        *self.0.lock().unwrap().entry(attempt.name().to_owned()).or_default() += 1;
        if attempt.context.attempt == 1 {
            return Err(ApplicationFailure::new("Meddled", "the first is mine").into());
        }
        attempt.input = Payload::of(&100).unwrap();
        next.run(attempt).await
    }
}

#[workflow]
async fn meddled(ctx: WorkflowContext) -> Result<(u32, u32), WorkflowError> {
    Ok((ctx.activity(quick, 1).await?, ctx.local(quick, 1).await?))
}

#[test]
fn an_interceptor_may_fail_an_attempt_and_change_its_input() {
    let app = || App::new().workflow(meddled).activity(quick).intercept(Meddles::default());
    let env = TestEnv::of(app());
    let dev = Dev::start(&app(), Options { port: None, ..Options::in_memory() }).unwrap();
    block_on(async {
        for client in [(*env).clone(), dev.client()] {
            let run = client.start(meddled, "m", ()).await.unwrap();
            assert_eq!(run.result().await.unwrap(), (1_000, 1_000));
            let history = format!("{:?}", run.history().await.unwrap());
            assert!(history.contains("Meddled"), "{history}");
        }
    });
}
