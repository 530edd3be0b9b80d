//! The HTTP API of a real engine: raw requests, the token included. It answers or closes, and lives on.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use millrace::Dev;
use millrace::dev::Options;

use super::world::app;
use crate::campaign::loud_panics;
use crate::{Memory, Target};

/// A request as it goes over the wire; `$TOKEN` and `$PORT` are filled in.
pub const TARGET: Target = Target {
    name: "http",
    seeds: &[],
    read,
    // The client's side alone: the engine's threads are their own, and take no body above 1 MiB.
    memory: Memory { times: 16, plus: 4_000_000 },
    slice: 60,
};

/// How long an answer is waited for. Who asks for a result that does not come waits longer, and is left.
const PATIENCE: Duration = Duration::from_millis(80);

struct Engine {
    _dev: Dev,
    _data: tempfile::TempDir,
    address: SocketAddr,
    token: String,
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let data = tempfile::tempdir().expect("a folder");
        let dev = Dev::start(app(), Options::new(data.path())).expect("an engine");
        let api = std::fs::read(data.path().join("api.json")).expect("api.json");
        let api: serde_json::Value = serde_json::from_slice(&api).expect("JSON");
        let token = api["token"].as_str().expect("a token").to_owned();
        let address = dev.address().expect("an address");
        Engine { _dev: dev, _data: data, address, token }
    })
}

fn read(input: &[u8]) -> String {
    let engine = engine();
    let panics = loud_panics();
    let answer = ask(engine, input, PATIENCE);
    let alive = b"GET /v1/engine HTTP/1.1\r\nHost: 127.0.0.1:$PORT\r\nAuthorization: Bearer $TOKEN\r\nConnection: close\r\n\r\n";
    assert_eq!(ask(engine, alive, Duration::from_secs(20)), "200 json", "the engine lives");
    assert_eq!(loud_panics(), panics, "a thread of the engine has panicked");
    answer
}

fn ask(engine: &Engine, request: &[u8], patience: Duration) -> String {
    let request = filled_in(
        filled_in(request.to_vec(), b"$TOKEN", &engine.token),
        b"$PORT",
        &engine.address.port().to_string(),
    );
    let mut stream = TcpStream::connect(engine.address).expect("a connection");
    stream.set_read_timeout(Some(patience)).expect("a limit");
    stream.set_write_timeout(Some(Duration::from_secs(5))).expect("a limit");
    if stream.write_all(&request).is_err() {
        return "not taken".to_owned();
    }
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer)
        && answer.is_empty()
    {
        return if error.kind() == std::io::ErrorKind::ConnectionReset { "reset" } else { "waits" }
            .to_owned();
    }
    status(&answer)
}

fn filled_in(text: Vec<u8>, name: &[u8], value: &str) -> Vec<u8> {
    match text.windows(name.len()).position(|window| window == name) {
        Some(at) => [&text[..at], value.as_bytes(), &text[at + name.len()..]].concat(),
        None => text,
    }
}

fn status(answer: &[u8]) -> String {
    if answer.is_empty() {
        return "closed".to_owned();
    }
    let text = String::from_utf8_lossy(answer);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    let status: u16 = status.and_then(|digits| digits.parse().ok()).expect("an answer in HTTP");
    assert!(matches!(status, 200..=299 | 400..=499 | 503), "{text:.300}");
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    let is_error = serde_json::from_str::<serde_json::Value>(body)
        .ok()
        .and_then(|body| body["error"]["kind"].as_str().map(str::to_owned));
    format!("{} {}", spelled(status), is_error.unwrap_or_else(|| "json".to_owned()))
}

/// Digits do not tell kinds of answers apart.
fn spelled(status: u16) -> String {
    match status {
        200 => "200".to_owned(),
        other => format!("{other} {}", char::from(b'a' + (other % 26) as u8)),
    }
}
