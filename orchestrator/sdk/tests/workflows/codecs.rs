//! Codecs around workflows: what is stored, what keys do, what a plain sender may send.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use millrace::client::{Client, Handle, Payload};
use millrace::codec::{AesGcm, Codec, CodecError, Key, Zstd};
use millrace::dev::{Dev, Options};
use millrace::{Blocked, Fault, RunError, Schedule, TestEnv, prelude::*};
use millrace_core::Task;
use millrace_engine::Attempt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::kit::blocked;

/// Every secret below begins with this, and nothing else does.
const SECRET: &str = "hush-";

#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Tell(String);

#[derive(Debug, Update, Serialize, Deserialize)]
#[update(output = String)]
pub struct Change(String);

#[derive(Debug, Update, Serialize, Deserialize)]
#[update(output = String)]
pub struct Ask(String);

#[derive(Debug, Query, Serialize, Deserialize)]
#[query(output = String)]
pub struct Look(String);

/// Fails once, after a heartbeat that the second attempt finds.
#[activity(heartbeat = "30s", initial_interval = "1ms")]
async fn work(ctx: ActivityContext, input: String) -> Result<String, ActivityError> {
    let Some(before) = ctx.progress::<String>() else {
        ctx.heartbeat("hush-beat")?;
        return Err(ApplicationFailure::new("TryAgain", "once").details(&"hush-details").into());
    };
    Ok(format!("{input} {before}"))
}

#[activity]
async fn shout(text: String) -> Result<String, ActivityError> {
    Ok(text.to_uppercase().replace("HUSH-", SECRET))
}

#[activity(max_attempts = 1)]
async fn breaks(text: String) -> Result<(), ActivityError> {
    Err(ApplicationFailure::new("Broken", "as it should").details(&text).into())
}

#[activity(completes_later)]
async fn later(
    ctx: ActivityContext,
    tokens: Shared<Mutex<Sender<String>>>,
    _what: String,
) -> Result<String, ActivityError> {
    tokens.lock().unwrap().send(ctx.token().unwrap()).unwrap();
    Err(ActivityError::CompletesLater)
}

#[workflow]
async fn inner(ctx: WorkflowContext, text: String) -> Result<String, WorkflowError> {
    if text == "hush-fails" {
        let failure = ctx.activity(breaks, "hush-broken".into()).await.unwrap_err();
        assert_eq!(failure.details::<String>().as_deref(), Some("hush-broken"));
        return Err(failure.into());
    }
    Ok(format!("{text} within"))
}

#[workflow(accepts(Tell, Change, Ask, Look))]
async fn everything(ctx: WorkflowContext, round: u32, input: String) -> Result<Vec<String>, WorkflowError> {
    let told = ctx
        .state(Vec::new())
        .on_signal(|told: &mut Vec<String>, Tell(what)| told.push(what))
        .on_update(|told, Change(what)| {
            if what == "no" {
                return reject("not that");
            }
            told.push(what.clone());
            Ok(format!("hush-answer to {what}"))
        })
        .on_query(|told, Look(at)| format!("{at}: {}", told.join(",")))
        .published();
    if round == 1 {
        told.until(|told| told.contains(&"hush-end".to_owned())).await?;
        return Ok(vec![input]);
    }
    let (Ask(question), reply) = ctx.updates::<Ask>().recv().await?;
    reply.ok(format!("hush-reply to {question}"));
    let worked = ctx.activity(work, input).await?;
    let local = ctx.local(shout, "hush-local".into()).await?;
    let child = ctx.child(inner, "hush-child".into()).memo("hush-memo").await?;
    let failed = ctx.child(inner, "hush-fails".into()).await.unwrap_err();
    let details: String = failed.details().unwrap_or_default();
    let items = ctx.map(shout, (0..3).map(|n| format!("hush-{}", n.to_string().repeat(200)))).await?;
    let later = ctx.activity(later, "hush-later".into()).await?;
    let lengths = items.into_iter().map(|item| item.map(|item| item.len())).collect::<Result<Vec<_>, _>>()?;
    ctx.continue_as_new(
        everything,
        (1, format!("{worked}, {local}, {child}, {details}, {lengths:?}, {later}")),
    )
}

fn app() -> (App, Receiver<String>) {
    let (tokens, taken) = channel();
    let app = App::new().share(Mutex::new(tokens)).workflow(everything).workflow(inner);
    (app.activity(work).activity(shout).activity(breaks).activity(later), taken)
}

/// A whole life with every kind of payload, as a client sees it.
async fn life(client: &Client, tokens: &Receiver<String>) {
    let start = client.start(everything, "e", (0, "hush-input".into())).memo("hush-memo");
    let run = start.signal(Tell("hush-with-start".into())).await.unwrap();
    assert_eq!(run.update(Change("hush-update".into())).await.unwrap(), "hush-answer to hush-update");
    assert_eq!(run.update(Change("no".into())).await, Err(RunError::Rejected("not that".into())));
    assert_eq!(run.query(Look("hush-at".into())).await.unwrap(), "hush-at: hush-with-start,hush-update");
    assert_eq!(run.state::<Vec<String>>().await.unwrap().unwrap(), ["hush-with-start", "hush-update"]);
    assert_eq!(run.update(Ask("hush-ask".into())).await.unwrap(), "hush-reply to hush-ask");
    let token = tokens.recv_timeout(Duration::from_secs(60)).unwrap();
    client.complete(&token, "hush-completed").await.unwrap();
    run.signal(Tell("hush-signal".into())).await.unwrap();
    while run.describe().await.unwrap().first_run_id.is_none() {}
    run.signal(Tell("hush-end".into())).await.unwrap();
    let expected =
        "hush-input hush-beat, hush-LOCAL, hush-child within, hush-broken, [205, 205, 205], hush-completed";
    assert_eq!(run.result().await.unwrap(), [expected]);
}

fn keys(id: &str, byte: u8) -> AesGcm {
    AesGcm::new(Key::new(id, [byte; 32]).unwrap())
}

/// Everything on the disk.
fn stored(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.is_file()).flat_map(|path| std::fs::read(path).unwrap()).collect()
}

fn secrets(bytes: &[u8]) -> usize {
    bytes.windows(SECRET.len()).filter(|window| *window == SECRET.as_bytes()).count()
}

/// What a folder holds after that life, and of a schedule's.
fn lived(app: App, tokens: &Receiver<String>) -> Vec<u8> {
    let data = tempfile::tempdir().unwrap();
    let dev = Dev::start(&app, Options { port: None, ..Options::new(data.path()) }).unwrap();
    block_on(async {
        let client = dev.client();
        life(&client, tokens).await;
        let schedule = Schedule::every(Duration::from_secs(3_600)).starts(inner, "hush-scheduled".into());
        let schedule = client.schedule("s", schedule).await.unwrap();
        let started = schedule.trigger().await.unwrap().workflow_id;
        let run = client.handle(inner, started).unwrap();
        while let Err(RunError::NotFound(_)) = run.describe().await {}
        assert_eq!(run.result().await.unwrap(), "hush-scheduled within");
        let changed = Schedule::every(Duration::from_secs(60)).starts(inner, "hush-changed".into());
        schedule.update(changed).await.unwrap();
        assert!(schedule.describe().await.unwrap().fired > 0);
        dev.stop().await;
    });
    stored(data.path())
}

#[test]
fn nothing_that_is_stored_or_sent_shows_a_value() {
    let (app_of_plain, tokens) = app();
    let plain = lived(app_of_plain, &tokens);
    assert!(secrets(&plain) > 20, "the folder can be read: {}", secrets(&plain));
    let (app, tokens) = app();
    let encoded = lived(app.codec(Zstd::new().threshold(100)).codec(keys("k", 1)), &tokens);
    let at = encoded.windows(SECRET.len()).position(|window| window == SECRET.as_bytes());
    let around = at.map(|at| String::from_utf8_lossy(&encoded[at.saturating_sub(200)..at + 50]).into_owned());
    assert_eq!(around, None);
    let has = |text: &str| encoded.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("aes-gcm/1:k") && has("zstd/1+aes-gcm/1:k"));
}

/// The kit replays every turn, and compares what is published: nonces are no nondeterminism.
#[tokio::test]
async fn nonces_that_differ_are_no_nondeterminism() {
    for keeps in [false, true] {
        let (app, tokens) = app();
        let env = TestEnv::of(app.codec(keys("k", 1)));
        let env = if keeps { env.keep_code() } else { env };
        life(&env, &tokens).await;
        let run = env.handle(everything, "e").unwrap();
        let history = run.history().await.unwrap();
        assert!(!format!("{history:?}").contains(SECRET));
        env.replay(everything, &history).unwrap();
        assert_eq!(env.calls(work)[0], "hush-input");
    }
}

/// A codec that changes while the world goes on, as with another deployment; `None` lets everything pass.
#[derive(Clone)]
struct Deployed(Arc<Mutex<Option<AesGcm>>>);

impl Deployed {
    fn new(codec: Option<AesGcm>) -> Self {
        Self(Arc::new(Mutex::new(codec)))
    }

    fn deploy(&self, codec: AesGcm) {
        *self.0.lock().unwrap() = Some(codec);
    }
}

impl Codec for Deployed {
    fn name(&self) -> &str {
        "aes-gcm/1"
    }

    fn encode(&self, payload: &Payload) -> Result<Option<Payload>, CodecError> {
        self.0.lock().unwrap().as_ref().map_or(Ok(None), |codec| codec.encode(payload))
    }

    fn decode(&self, payload: &Payload) -> Result<Option<Payload>, CodecError> {
        self.0.lock().unwrap().as_ref().map_or(Ok(None), |codec| codec.decode(payload))
    }
}

#[workflow(accepts(Tell, Change))]
async fn waits(ctx: WorkflowContext, input: String) -> Result<String, WorkflowError> {
    let shouted = ctx.activity(shout, input).await?;
    let told = ctx.state(String::new()).on_signal(|told, Tell(what)| *told = what).published();
    let told = told.on_update(|told, Change(what)| {
        *told = what;
        Ok("changed".into())
    });
    told.until(|told| !told.is_empty()).await?;
    Ok(format!("{shouted}, {}", told.get()))
}

#[tokio::test]
async fn keys_rotate_under_a_run_on_its_way() {
    let codec = Deployed::new(Some(keys("old", 1)));
    let env = TestEnv::new().workflow(waits).activity(shout).codec(codec.clone());
    let run = env.start(waits, "w", "hush-a".into()).await.unwrap();
    codec.deploy(keys("new", 2).also_decodes(Key::new("old", [1; 32]).unwrap()));
    run.signal(Tell("hush-b".into())).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "hush-A, hush-b");
    let history = format!("{:?}", run.history().await.unwrap());
    assert!(history.contains("aes-gcm/1:old") && history.contains("aes-gcm/1:new"), "{history}");
}

/// An engine on a folder, deployed with these keys for as long as `work` takes.
fn deployed(data: &Path, codec: AesGcm, work: impl AsyncFnOnce(Handle<WaitsWorkflow>, &Client)) {
    let app = App::new().workflow(waits).activity(shout).codec(codec);
    let dev = Dev::start(&app, Options { port: Some(0), ..Options::new(data) }).unwrap();
    block_on(async {
        let client = dev.client();
        work(client.handle(waits, "w").unwrap(), &client).await;
        drop(client);
        dev.stop().await;
    });
}

/// Starts the workflow and waits until it waits.
async fn begins(client: &Client) {
    let run = client.start(waits, "w", "hush-a".into()).await.unwrap();
    while run.state::<String>().await.unwrap().is_none() {}
}

#[test]
fn the_wrong_key_blocks_and_the_right_one_goes_on() {
    let data = tempfile::tempdir().unwrap();
    deployed(data.path(), keys("k", 1), async |_, client| begins(client).await);
    deployed(data.path(), keys("other", 2), async |run, _| {
        run.signal(Tell("hush-b".into())).await.unwrap();
        let Blocked::BadInput { message } = blocked(&run).await else { panic!("blocked by its key") };
        assert_eq!(
            message,
            "the input of workflow `Waits` cannot be decoded: a payload is encrypted with the key `k`, and this process \
             has only `other`; add that key with `AesGcm::also_decodes`, or to the variable that the keys come from"
        );
        let read = run.state::<String>().await;
        assert!(
            matches!(&read, Err(RunError::BadOutput(text)) if text.contains("`aes-gcm/1:k`")),
            "{read:?}"
        );
    });
    let both = keys("k", 1).also_decodes(Key::new("other", [2; 32]).unwrap());
    deployed(data.path(), both, async |run, _| {
        let _ = run.resume().await; // The engine may have tried it by itself.
        assert_eq!(run.result().await.unwrap(), "hush-A, hush-b");
    });
    deployed(data.path(), keys("other", 2), async |run, _| {
        let read = run.result().await;
        assert!(matches!(&read, Err(RunError::BadOutput(text)) if text.contains("the key `k`")), "{read:?}");
    });
}

/// The code has seen its input by then: only the update is of another key.
#[test]
fn an_update_that_cannot_be_decoded_is_kept_and_not_refused() {
    let data = tempfile::tempdir().unwrap();
    deployed(data.path(), keys("k", 1), async |run, client| {
        begins(client).await;
        let input = keys("sender", 3).encode(&Payload::of("hush-b").unwrap()).unwrap().unwrap();
        let update =
            format!(r#"{{"type":"update","id":"w","name":"change","request_id":"u-1","input":{input}}}"#);
        let sent = http::ask(data.path(), "POST", "/v1/messages?wait=absorbed", false, &update);
        assert!(sent.contains("run_id"), "{sent}");
        let reason = blocked(&run).await.to_string();
        assert!(
            reason.starts_with("update `change` cannot be decoded: ") && reason.contains("`sender`"),
            "{reason}"
        );
    });
    let both = keys("k", 1).also_decodes(Key::new("sender", [3; 32]).unwrap());
    deployed(data.path(), both, async |run, _| {
        let _ = run.resume().await;
        assert_eq!(run.result().await.unwrap(), "hush-A, hush-b");
        let kinds = crate::kit::kinds(&run).await;
        assert!(kinds.contains(&"UpdateCompleted") && !kinds.contains(&"UpdateRejected"), "{kinds:?}");
    });
}

/// An attempt as a worker of another deployment meets it.
struct Attempted(Task);

impl Attempt for Attempted {
    fn task(&self) -> &Task {
        &self.0
    }

    fn heartbeat(&self, _details: Payload) -> Result<(), Fault> {
        Ok(())
    }

    fn progress(&self) -> Option<Payload> {
        None
    }

    fn epoch(&self) -> u64 {
        0
    }

    fn stopped(&self) -> BoxFuture<'static, Fault> {
        futures::future::pending().boxed()
    }
}

#[test]
fn an_attempt_without_the_key_fails_to_be_tried_again() {
    let text = r#"{"v":1,"workflow_id":"w","run_id":"0198c0de-0000-4000-8000-000000000007","workflow":"W","activity_id":1,
        "activity":"shout","task_queue":"cpu","attempt":1,"input":null,"scheduled_at":"2026-11-23T02:05:11.123Z",
        "available_at":"2026-11-23T02:05:12.123Z","options":{}}"#;
    let task: Task = serde_json::from_str(text).unwrap();
    let input = keys("k", 1).encode(&Payload::of("hush-a").unwrap()).unwrap().unwrap();
    let attempt = || Arc::new(Attempted(Task { input: input.clone(), ..task.clone() }));
    let worker = |codec| App::new().activity(shout).codec(codec).activity_code();
    let Err(Fault::Application(failure)) = block_on(worker(keys("other", 2)).run(attempt())) else {
        panic!("it lacks the key")
    };
    assert_eq!((failure.kind.as_str(), failure.non_retryable), ("NotDecoded", false));
    assert!(failure.message.starts_with("the input of activity `shout` cannot be decoded: "), "{failure}");
    let output = block_on(worker(keys("k", 1)).run(attempt())).unwrap();
    assert_eq!(keys("k", 1).decode(&output).unwrap(), Some(Payload::of("hush-A").unwrap()));
}

#[tokio::test]
async fn a_plain_start_works_and_what_follows_is_encoded() {
    let codec = Deployed::new(None);
    let env = TestEnv::new().workflow(waits).activity(shout).codec(codec.clone());
    env.hold(shout);
    let run = env.start(waits, "w", "hush-plain".into()).await.unwrap();
    codec.deploy(keys("k", 1));
    env.release(shout).await;
    run.signal(Tell("hush-b".into())).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "hush-PLAIN, hush-b");
    let history = format!("{:?}", run.history().await.unwrap());
    assert_eq!(history.matches("hush-plain").count(), 2, "start and task: {history}");
    assert!(!history.contains("hush-PLAIN") && !history.contains("hush-b"), "{history}");
}

#[activity]
async fn echo(value: Value) -> Result<Value, ActivityError> {
    Ok(value)
}

#[workflow]
async fn parrot(ctx: WorkflowContext, value: Value) -> Result<Value, WorkflowError> {
    Ok(ctx.activity(echo, value).await?)
}

#[tokio::test]
async fn a_value_with_the_reserved_key_is_nothing_but_a_value() {
    let plain = || TestEnv::new().workflow(parrot).activity(echo);
    for env in [plain(), plain().codec(keys("k", 1)), plain().codec(Zstd::new().threshold(0))] {
        for value in
            [json!({ "$millrace": "aes-gcm/1:k", "data": "AAAA" }), json!({ "a": 1, "$millrace": null })]
        {
            let id = format!("p-{}", value.to_string().len());
            let run = env.start(parrot, id, value.clone()).await.unwrap();
            assert_eq!(run.result().await.unwrap(), value);
        }
    }
}

#[activity(max_attempts = 1)]
async fn counts(n: u32) -> Result<u32, ActivityError> {
    Ok(n)
}

#[activity(name = "counts", max_attempts = 1)]
async fn counts_words(words: String) -> Result<u32, ActivityError>;

#[workflow]
async fn miscalls(ctx: WorkflowContext) -> Result<u32, WorkflowError> {
    Ok(ctx.activity(counts_words, "hush-words".into()).await?)
}

#[tokio::test]
async fn what_does_not_fit_is_not_quoted() {
    let env = TestEnv::new().workflow(miscalls).activity(counts).codec(keys("k", 1));
    let failed = env.start(miscalls, "m", ()).await.unwrap().result().await.unwrap_err().to_string();
    assert!(
        failed.contains("the input of activity `counts` is not a `u32`: it does not fit at line 1"),
        "{failed}"
    );
    assert!(!failed.contains(SECRET), "{failed}");
}

mod http {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    pub fn ask(data: &Path, method: &str, path: &str, plain: bool, body: &str) -> String {
        let api: Value = serde_json::from_slice(&std::fs::read(data.join("api.json")).unwrap()).unwrap();
        let (address, token) =
            (api["url"].as_str().unwrap().strip_prefix("http://").unwrap(), api["token"].as_str().unwrap());
        let payloads = if plain { "Millrace-Payloads: plain\r\n" } else { "" };
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
             {payloads}Content-Length: {length}\r\n\r\n{body}"
        );
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn payloads_are_as_stored_or_plain_if_that_is_asked_for() {
        let data = tempfile::tempdir().unwrap();
        let app =
            App::new().workflow(inner).workflow(waits).activity(shout).activity(breaks).codec(keys("k", 1));
        let dev = Dev::start(&app, Options { port: Some(0), ..Options::new(data.path()) }).unwrap();
        let start = r#"{"type":"start","workflow":"Inner","id":"i","input":"hush-http"}"#;
        let started = ask(data.path(), "POST", "/v1/messages?wait=absorbed", true, start);
        assert!(started.contains("200 OK") && started.contains("run_id"), "{started}");
        let result = |plain| ask(data.path(), "GET", "/v1/workflows/i/result?timeout_s=20", plain, "");
        assert!(result(true).contains(r#""result":"hush-http within""#), "{}", result(true));
        assert!(
            result(false).contains("aes-gcm/1:k") && !result(false).contains(SECRET),
            "{}",
            result(false)
        );
        let history = |plain| ask(data.path(), "GET", "/v1/workflows/i/history", plain, "");
        assert!(history(true).contains(r#""input":"hush-http""#), "{}", history(true));
        assert!(!history(false).contains(SECRET), "{}", history(false));
        let bad = ask(data.path(), "GET", "/v1/engine", false, "");
        assert!(bad.contains("200 OK"), "{bad}");
        block_on(dev.stop());
    }
}
