//! The command line over real processes. Ports come from the system; what a test starts, it stops.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod process;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use process::{Engine, app, run};
use serde_json::Value;

#[test]
fn a_run_through_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let (data, engine) = (folder.path(), Engine::start(folder.path()));
    let (code, out, err) = run(data, &["start", "Welcome", "--id", "ann", "--input", "\"Ann\""]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("started `ann` (run "), "{out}");
    assert_eq!(run(data, &["result", "ann", "-q"]), (0, "\"hello Ann\"".into(), String::new()));
    let (code, out, _) = run(data, &["show", "ann"]);
    assert!(code == 0 && out.contains("greet #1") && out.contains("completed"), "{out}");
    let (_, out, _) = run(data, &["show", "ann", "--json"]);
    let kinds: Vec<String> = out.lines().map(|line| json(line)["type"].as_str().unwrap().into()).collect();
    assert_eq!(kinds, ["RunStarted", "ActivityScheduled", "ActivityCompleted", "RunCompleted"]);
    let (_, out, _) = run(data, &["list", "--status", "completed", "--json"]);
    assert_eq!(json(&out)["workflow_id"], "ann");
    assert_eq!(engine.terminate(), 0);
    assert!(!data.join("api.json").exists());
}

#[test]
fn signals_stops_and_their_refusals() {
    let folder = tempfile::tempdir().unwrap();
    let (data, _engine) = (folder.path(), Engine::start(folder.path()));
    for id in ["a", "b", "c"] {
        assert_eq!(run(data, &["start", "Approval", "--id", id]).0, 0);
    }
    let (code, _, err) = run(data, &["start", "Approval", "--id", "a"]);
    assert!(code == 6 && err.contains("is open"), "{code} {err}");
    let (code, _, err) = run(data, &["result", "a", "--timeout", "10ms"]);
    assert!(code == 7 && err.contains("the time is up"), "{code} {err}");
    assert_eq!(run(data, &["signal", "a", "approve", "--input", r#"{"by":"bob"}"#]).0, 0);
    assert_eq!(run(data, &["result", "a", "-q"]).1, "\"bob\"");
    assert_eq!(run(data, &["cancel", "b", "--reason", "superseded"]).0, 0);
    let (code, _, err) = run(data, &["result", "b", "-q"]);
    assert!(code == 3 && err.contains("canceled: superseded"), "{code} {err}");
    assert_eq!(run(data, &["terminate", "c"]).0, 0);
    assert_eq!(run(data, &["result", "c", "-q"]).0, 3);
    for verb in ["cancel", "terminate", "resume"] {
        let (code, _, err) = run(data, &[verb, "a"]);
        assert!(code == 6 && err.contains("completed") | err.contains("closed"), "{verb}: {code} {err}");
        assert_eq!(run(data, &[verb, "nobody"]).0, 5, "{verb}");
    }
    let (code, _, err) = run(data, &["signal", "a", "approve"]);
    assert!(code == 6 && err.contains("closed"), "{code} {err}");
    assert_eq!(run(data, &["start", "Doomed", "--id", "d"]).0, 0);
    let (code, _, err) = run(data, &["result", "d", "-q"]);
    assert!(code == 3 && err.contains("Refused: never"), "{code} {err}");
}

#[test]
fn a_workflow_answers_updates_and_queries_and_goes_on_as_new() {
    let folder = tempfile::tempdir().unwrap();
    let (data, engine) = (folder.path(), Engine::start(folder.path()));
    let (code, out, err) = run(data, &["start", "Sum", "--id", "s", "--input", "1", "--json"]);
    assert_eq!(code, 0, "{err}");
    let first = json(&out)["run_id"].as_str().unwrap().to_owned();
    let add = |more: &str, options: &[&str]| {
        run(data, &[&["update", "s", "add", "--input", more, "--run-id", &first], options].concat())
    };
    assert_eq!(add("2", &[]), (0, "3".into(), String::new()));
    let (code, _, err) = add("1000", &[]);
    assert!(code == 6 && err.contains("that is too much"), "{code} {err}");
    let answer = json(&add("4", &["--request-id", "r-1", "--json"]).1);
    assert_eq!((&answer["result"], &answer["request_id"]), (&Value::from(7), &Value::from("r-1")));
    assert_eq!(add("4", &["--request-id", "r-1"]).1, "7", "the same request");
    assert_eq!(run(data, &["query", "s", "total"]), (0, "7".into(), String::new()));
    assert_eq!(json(&run(data, &["query", "s", "total", "--json"]).1)["result"], 7);
    let (code, _, err) = run(data, &["query", "s", "taste"]);
    assert!(code == 6 && err.contains("answers no query `taste`"), "{code} {err}");
    for verb in ["update", "query"] {
        assert_eq!(run(data, &[verb, "nobody", "x"]).0, 5, "{verb}");
    }
    assert_eq!(run(data, &["signal", "s", "turn_over", "--run-id", &first]).0, 0);
    assert_eq!(run(data, &["result", "s", "-q", "--run-id", &first]).1, "11");
    assert_eq!(add("4", &["--request-id", "r-1"]).1, "7", "the run that answered has gone on");
    let (_, out, _) = run(data, &["show", "s", "--run-id", &first]);
    for line in ["update `add`", "answered after", "continued as new", "continued_as_new in"] {
        assert!(out.contains(line), "{line}: {out}");
    }
    let (_, out, _) = run(data, &["show", "s"]);
    for line in ["continues run", "child Four #1", "started as `four`", "completed after"] {
        assert!(out.contains(line), "{line}: {out}");
    }
    let (_, out, _) = run(data, &["list", "--status", "continued_as_new", "--json"]);
    assert_eq!(json(&out)["run_id"], Value::from(first.clone()));
    assert_eq!(engine.terminate(), 0);
    let (code, _, err) = add("4", &[]);
    assert!(code == 1 && err.contains("no engine is at work"), "{code} {err}");
    let (code, _, err) = run(data, &["query", "s", "total"]);
    assert!(code == 6 && err.contains("answers no query"), "this program's own code is asked: {code} {err}");
}

#[test]
fn a_start_says_when_how_long_and_what_for() {
    let folder = tempfile::tempdir().unwrap();
    let (data, _engine) = (folder.path(), Engine::start(folder.path()));
    let start = [
        "start",
        "Approval",
        "--id",
        "a",
        "--delay",
        "1h",
        "--execution-timeout",
        "7d",
        "--run-timeout",
        "2d",
    ];
    let notes = ["--memo", r#"{"for":"people"}"#, "--attribute", "customer=ann", "--attribute", "priority=3"];
    let (code, _, err) = run(data, &[&start[..], &notes[..]].concat());
    assert_eq!(code, 0, "{err}");
    let (_, out, _) = run(data, &["show", "a", "--json"]);
    let started = json(out.lines().next().unwrap());
    assert_eq!(started["memo"]["for"], "people");
    assert_eq!(started["attributes"], serde_json::json!({"customer": "ann", "priority": 3}));
    assert!(started["begins_at"].is_string() && started["run_timeout_ms"] == 172_800_000_u64, "{started}");
    let (_, out, _) = run(data, &["show", "a"]);
    assert!(out.contains("start delay") && out.contains(r#"attributes {"customer":"ann""#), "{out}");
    let (code, _, err) = run(data, &["query", "a", "total"]);
    assert!(code == 6 && err.contains("begins at"), "{code} {err}");
    assert_eq!(run(data, &["start", "Approval", "--id", "b", "--attribute", "odd"]).0, 2);
}

#[test]
fn requests_wait_for_an_engine_and_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (code, out, _) = run(data, &["start", "Approval", "--id", "a"]);
    assert!(code == 0 && out.contains("no engine is at work"), "{out}");
    assert_eq!(run(data, &["signal", "a", "approve", "--input", r#"{"by":"early"}"#]).0, 0);
    assert_eq!(run(data, &["show", "a"]).0, 5);
    let mut engine = Engine::start(data);
    assert_eq!(run(data, &["start", "Approval", "--id", "b"]).0, 0);
    engine.0.kill().unwrap();
    drop(engine);
    assert_eq!(run(data, &["show", "b"]).0, 0, "the stale api.json misleads nobody");
    let (code, _, err) = run(data, &["result", "b"]);
    assert!(code == 1 && err.contains("start `dev`"), "{code} {err}");
    let _engine = Engine::start(data);
    assert_eq!(run(data, &["result", "a", "-q"]).1, "\"early\"");
    assert_eq!(run(data, &["signal", "b", "approve", "--input", r#"{"by":"late"}"#]).0, 0);
    assert_eq!(run(data, &["result", "b", "-q"]).1, "\"late\"");
}

#[test]
fn a_blocked_run_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (data, _engine) = (folder.path(), Engine::start(folder.path()));
    assert_eq!(run(data, &["start", "Welcome", "--id", "a", "--input", "7"]).0, 0);
    let (code, _, err) = run(data, &["result", "a", "-q"]);
    assert!(code == 4 && err.contains("Welcome"), "{code} {err}");
    let (_, out, _) = run(data, &["list", "--blocked"]);
    assert!(out.lines().count() == 2 && out.contains("blocked"), "{out}");
    assert!(run(data, &["show", "a"]).1.contains("blocked since"));
    assert_eq!(run(data, &["terminate", "a", "--reason", "wrong input"]).0, 0);
}

#[test]
fn bad_input_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (data, _engine) = (folder.path(), Engine::start(folder.path()));
    let long = "x".repeat(10_240);
    for id in ["", &long, "a/b", "..", "🦀", "a b"] {
        let (code, _, err) = run(data, &["start", "Welcome", "--id", id]);
        assert!(code == 2 && err.contains("workflow id"), "{id:.9}: {code} {err}");
        assert_eq!(run(data, &["show", id]).0, 2, "{id:.9}");
    }
    for input in ["{", "Ann", "", "@/no/such/file"] {
        let (code, _, err) = run(data, &["start", "Welcome", "--id", "a", "--input", input]);
        assert!(code == 2 && err.contains("--input"), "{input}: {code} {err}");
    }
    let (code, _, err) = run(data, &["start", "Nope", "--id", "a"]);
    assert!(code == 6 && err.contains("`Nope` is not registered") && err.contains("Welcome"), "{code} {err}");
    for args in
        [&["result", "a", "--timeout", "soon"][..], &["list", "--status", "odd"], &["frobnicate"], &[]]
    {
        assert_eq!(run(data, args).0, 2, "{args:?}");
    }
    let (code, _, err) = run(data, &["list", "--namespace", "other"]);
    assert!(code == 6 && err.contains("namespace"), "{code} {err}");
}

#[test]
fn folders_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, err) = run(&folder.path().join("none"), &["list"]);
    assert!(code == 5 && err.contains("there is no data folder"), "{code} {err}");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (code, _, err) = run(&file, &["dev"]);
    assert!(code == 1 && err.contains("file"), "{code} {err}");
    let data = folder.path().join("data");
    let _engine = Engine::start(&data);
    let (code, _, err) = run(&data, &["dev"]);
    assert!(code == 1 && err.contains("in use by the engine in process"), "{code} {err}");
}

#[test]
fn an_activity_needs_no_workflow() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let engine = Engine::start(data);
    let greet = [
        "activity",
        "greet",
        "--id",
        "g",
        "--input",
        "\"Ann\"",
        "--start-to-close",
        "90s",
        "--max-attempts",
        "3",
    ];
    let (code, out, err) = run(data, &greet);
    assert!(code == 0 && out.starts_with("started `g` (run "), "{out} {err}");
    assert_eq!(run(data, &["result", "g", "-q"]), (0, "\"hello Ann\"".into(), String::new()));
    let (_, out, _) = run(data, &["show", "g", "--json"]);
    let scheduled = out.lines().map(json).find(|event| event["type"] == "ActivityScheduled").unwrap();
    assert_eq!(scheduled["options"]["start_to_close_ms"], 90_000);
    assert_eq!(scheduled["options"]["retry"]["maximum_attempts"], 3);
    let (code, _, err) = run(data, &["activity", "refuse", "--id", "r"]);
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = run(data, &["result", "r", "-q"]);
    assert!(code == 3 && err.contains("Refused: never"), "{code} {err}");
    let (code, _, err) = run(data, &["activity", "greet", "--id", "x", "--start-to-close", "0s"]);
    assert!(code == 6 && err.contains("start_to_close_ms: 0"), "{code} {err}");
    let (code, _, err) = run(data, &["activity", "charge", "--id", "c"]);
    assert!(code == 6 && err.contains("`.standalone(charge)`"), "only workflows may: {code} {err}");
    // The same from any program.
    let api = Api::of(data);
    let start = r#"{"type":"start","workflow":"millrace.activity","id":"foreign",
        "input":{"activity":"greet","task_queue":"cpu","input":"Bob","options":{"start_to_close_ms":5000}}}"#;
    let (status, body) = api.ask("POST", "/v1/messages?wait=absorbed", start);
    assert!(status == 200 && body["run_id"].is_string(), "{status} {body}");
    let (status, body) = api.ask("GET", "/v1/workflows/foreign/result?timeout_s=20", "");
    assert_eq!((status, &body["result"]), (200, &Value::from("hello Bob")));
    assert_eq!(engine.terminate(), 0);
}

#[test]
fn the_http_api_is_guarded_and_names_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let _engine = Engine::start(folder.path());
    let api = Api::of(folder.path());
    let start = r#"{"type":"start","workflow":"Welcome","id":"ann","input":"Ann"}"#;
    let (status, body) = api.ask("POST", "/v1/messages?wait=absorbed", start);
    assert!(status == 200 && body["run_id"].is_string(), "{status} {body}");
    let (status, body) = api.ask("GET", "/v1/workflows/ann/result?timeout_s=20", "");
    assert_eq!((status, &body["result"]), (200, &Value::from("hello Ann")));
    assert_eq!(api.ask("GET", "/v1/workflows/ann", "").1["status"], "completed");
    let found =
        |query: &str| api.ask("GET", &format!("/v1/workflows?{query}"), "").1.as_array().unwrap().len();
    assert_eq!(
        (found("id_prefix=an&since=2020-01-01T00:00:00Z"), found("until=2020-01-01T00:00:00Z")),
        (1, 0)
    );
    assert_eq!(found("attribute=a%3D1&attribute=b%3E%3D2"), 0);
    let (status, body) = api.ask(
        "POST",
        "/v1/messages?wait=absorbed",
        r#"{"type":"start","workflow":"Sum","id":"s","input":1}"#,
    );
    assert_eq!(status, 200, "{body}");
    let later = r#"{"type":"start","workflow":"Sum","id":"later","input":1,"request_id":"l-1"}"#;
    let (status, body) = api.ask("GET", "/v1/workflows/later/request/l-1", "");
    assert_eq!((status, body), (202, serde_json::json!({"request_id": "l-1"})));
    assert_eq!(api.ask("POST", "/v1/messages", later).0, 202);
    let (status, body) = api.ask("GET", "/v1/workflows/later/request/l-1?timeout_s=60", "");
    assert_eq!((status, &body["run_id"]), (200, &api.ask("GET", "/v1/workflows/later", "").1["run_id"]));
    let add = r#"{"name":"add","input":2,"request_id":"r-1"}"#;
    let (status, body) = api.ask("POST", "/v1/workflows/s/update", add);
    assert!(status == 200 && body["outcome"] == "completed" && body["result"] == 3, "{status} {body}");
    let (status, body) = api.ask("GET", "/v1/workflows/s/update/r-1", "");
    assert!(status == 200 && body["result"] == 3, "{status} {body}");
    let (status, body) = api.ask("GET", "/v1/workflows/s/update/r-2?timeout_s=0.01", "");
    assert!(status == 202 && body["outcome"] == "none", "{status} {body}");
    assert_eq!(
        api.ask("POST", "/v1/workflows/s/query", r#"{"name":"total"}"#),
        (200, serde_json::json!({"result": 3}))
    );
    let large = format!(r#"{{"type":"signal","id":"ann","name":"x","input":"{}"}}"#, "x".repeat(17 << 20));
    for (method, path, body, status, said) in [
        ("POST", "/v1/messages", "{", 400, "not JSON"),
        ("POST", "/v1/messages", r#"{"type":"start","workflow":"W","id":"a/b"}"#, 400, "id: "),
        ("POST", "/v1/messages", r#"{"type":"start","workflow":7,"id":"a"}"#, 400, "workflow: "),
        ("POST", "/v1/messages", r#"{"type":"outcome"}"#, 400, "internal"),
        ("POST", "/v1/messages", r#"{"type":"start","workflow":"W","id":"a","typo":1}"#, 400, "typo"),
        (
            "POST",
            "/v1/messages",
            r#"{"type":"start","workflow":"millrace.map","id":"a"}"#,
            400,
            "engine's own",
        ),
        (
            "POST",
            "/v1/messages",
            r#"{"type":"start","workflow":"millrace.activity","id":"a","input":{"activity":"greet","queue":"gpu"}}"#,
            400,
            "unknown field `queue`",
        ),
        ("POST", "/v1/messages?wait=never", "{}", 400, "wait"),
        ("POST", "/v1/messages", &large, 413, "larger than"),
        ("POST", "/v1/workflows/s/update", r#"{"name":"add","input":1000}"#, 409, "too much"),
        ("POST", "/v1/workflows/s/update", r#"{"name":7}"#, 400, "name: "),
        ("POST", "/v1/workflows/s/update?timeout_s=x", "{}", 400, "timeout_s"),
        ("POST", "/v1/workflows/nobody/update", r#"{"name":"add"}"#, 404, "nobody"),
        ("GET", "/v1/workflows/s/update/..", "", 400, "request_id: "),
        ("POST", "/v1/workflows/s/query", r#"{"name":"taste"}"#, 409, "no query"),
        ("POST", "/v1/workflows/s/query", r#"{"typo":"total"}"#, 400, "typo"),
        ("POST", "/v1/workflows/nobody/query", r#"{"name":"total"}"#, 404, "nobody"),
        ("GET", "/v1/workflows/s/query", "", 404, "there is no"),
        ("GET", "/v1/workflows/nobody", "", 404, "nobody"),
        ("GET", "/v1/workflows/..%2F..", "", 400, "id: "),
        ("GET", "/v1/workflows/ann?run_id=x", "", 400, "run_id"),
        ("GET", "/v1/workflows/ann/result?timeout_s=-1", "", 400, "timeout_s"),
        ("GET", "/v1/workflows?limit=many", "", 400, "limit"),
        ("GET", "/v1/workflows?attribute=customer", "", 400, "is not a condition"),
        ("GET", "/v1/workflows?since=monday", "", 400, "since"),
        ("GET", "/v1/dead-letters/a%2Fb", "", 409, "queue: "),
        ("POST", "/v1/dead-letters/inbox", r#"{"do":"redrive"}"#, 400, "letters"),
        ("DELETE", "/v1/workflows/ann", "", 404, "there is no"),
        ("GET", "/elsewhere", "", 404, "there is no"),
    ] {
        let (got, answer) = api.ask(method, path, body);
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(got == status && message.contains(said), "{method} {path} {body:.60}: {got} {answer}");
    }
    assert_eq!(Api { token: "0".repeat(32), ..Api::of(folder.path()) }.ask("GET", "/v1/engine", "").0, 401);
    assert_eq!(
        Api { host: "evil.example".into(), ..Api::of(folder.path()) }.ask("GET", "/v1/engine", "").0,
        403
    );
}

#[cfg(unix)]
#[test]
fn the_token_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let _engine = Engine::start(folder.path());
    let mode = std::fs::metadata(folder.path().join("api.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// A client that says exactly what it is told to.
struct Api {
    address: String,
    host: String,
    token: String,
}

impl Api {
    fn of(data: &Path) -> Self {
        let api = json(&std::fs::read_to_string(data.join("api.json")).unwrap());
        let address = api["url"].as_str().unwrap().trim_start_matches("http://").to_owned();
        Self { host: address.clone(), address, token: api["token"].as_str().unwrap().into() }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (host, token, length) = (&self.host, &self.token, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let _ = stream.write_all(body.as_bytes()); // an answer may come before the body is through
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), json(body))
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn an_exported_history_is_replayed_with_todays_code() {
    let folder = tempfile::tempdir().unwrap();
    let (data, engine) = (folder.path(), Engine::start(folder.path()));
    assert_eq!(run(data, &["start", "Welcome", "--id", "ann", "--input", "\"Ann\""]).0, 0);
    assert_eq!(run(data, &["start", "Approval", "--id", "open"]).0, 0);
    assert_eq!(run(data, &["result", "ann", "-q"]).0, 0);
    let file = folder.path().join("recorded.ndjson");
    let exported = ["ann", "open"].map(|id| run(data, &["export", id]));
    assert!(exported.iter().all(|(code, ..)| *code == 0), "{exported:?}");
    std::fs::write(&file, exported.map(|(_, lines, _)| lines + "\n").concat()).unwrap();
    assert_eq!(engine.terminate(), 0);

    let file = file.to_str().unwrap();
    let (code, out, err) = run(data, &["replay", file]);
    assert_eq!((code, out.lines().count(), err.as_str()), (0, 2, ""), "{out}");
    assert!(out.starts_with("ok       Welcome ann (4 events)\nok       Approval open ("), "{out}");
    let (code, out, _) = run(data, &["replay", "--id", "ann", "--json"]);
    assert!(code == 0 && json(&out)["id"] == "ann" && json(&out)["blocked"].is_null(), "{out}");

    let changed = app(data, &["replay", file]).env("VERBS_APP_CHANGED", "1").output().unwrap();
    let (out, err) = (String::from_utf8(changed.stdout).unwrap(), String::from_utf8(changed.stderr).unwrap());
    assert_eq!(changed.status.code(), Some(4), "{err}");
    assert!(out.contains("blocked  Welcome ann (run ") && out.contains("event 2"), "{out}");
    assert!(out.contains("ok       Approval open"), "the others are told of as well: {out}");
    assert!(err.contains("1 of 2 runs could not go on with this code"), "{err}");

    let (code, _, err) = run(data, &["replay", "--id", "nobody"]);
    assert!(code == 5 && err.contains("nobody"), "{code} {err}");
    let (code, _, err) = run(data, &["replay", "no-such-file"]);
    assert!(code == 2 && err.starts_with("error: no-such-file: "), "{code} {err}");
    let events = std::fs::read_to_string(file).unwrap().lines().skip(1).collect::<Vec<_>>().join("\n");
    std::fs::write(file, events).unwrap();
    let (code, _, err) = run(data, &["replay", file]);
    assert!(code == 2 && err.contains("line 1: an event, but no line says whose"), "{code} {err}");
    assert_eq!(run(data, &["replay"]).0, 2, "neither files nor an id");
}
