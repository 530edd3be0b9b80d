//! boto3, through `foreign.py`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Emulator;

/// A client of its own: calls of several threads take turns.
pub struct Foreign(Mutex<Pipes>);

struct Pipes {
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// A message as boto3 received it.
#[derive(Clone, Debug, Deserialize)]
pub struct Received {
    /// The message's id.
    pub id: String,
    /// What deletes it.
    pub receipt: String,
    /// The body.
    pub body: String,
    /// How often it has been received.
    pub receive_count: u32,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
}

/// How full a queue is.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Depth {
    /// Messages that can be received.
    pub visible: u64,
    /// Messages that a receiver has.
    pub in_flight: u64,
    /// Messages that are not due.
    pub delayed: u64,
}

impl Foreign {
    /// Starts one.
    pub fn start(emulator: &Emulator) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/foreign.py");
        let mut command = Command::new(emulator.python());
        command.arg(script).arg(emulator.endpoint()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("foreign.py starts");
        let requests = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("a pipe"));
        Self(Mutex::new(Pipes { process, requests, answers }))
    }

    /// Asks, and fails the test if boto3 does.
    fn ask<T: DeserializeOwned>(&self, request: &Value) -> T {
        let answer = self.try_ask(request);
        let answer = answer.unwrap_or_else(|error| panic!("boto3: {error}; asked {}", shortened(request)));
        serde_json::from_value(answer).expect("foreign.py answers as this file expects")
    }

    fn try_ask(&self, request: &Value) -> Result<Value, String> {
        let mut pipes = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let requests = pipes.requests.as_mut().expect("it runs");
        writeln!(requests, "{request}").expect("foreign.py reads");
        requests.flush().expect("foreign.py reads");
        let mut line = String::new();
        pipes.answers.read_line(&mut line).expect("foreign.py answers");
        let mut answer: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("foreign.py said `{line}`"));
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["ok"].take()),
        }
    }

    /// Creates a queue with the attributes given.
    pub fn create_queue(&self, queue: &str, attributes: &Value) {
        self.ask::<Value>(&json!({ "do": "create_queue", "queue": queue, "attributes": attributes }));
    }

    /// Sends one message.
    pub fn send(&self, queue: &str, body: &str) -> String {
        self.ask(&json!({ "do": "send_one", "queue": queue, "body": body }))
    }

    /// Sends messages in batches of ten; their ids.
    pub fn send_all(&self, queue: &str, bodies: &[String]) -> Vec<String> {
        self.ask(&json!({ "do": "send", "queue": queue, "bodies": bodies }))
    }

    /// Receives what is there now.
    pub fn receive(&self, queue: &str, visibility_s: u32) -> Vec<Received> {
        self.ask(&json!({ "do": "receive", "queue": queue, "visibility_s": visibility_s }))
    }

    /// Deletes a message that was received.
    pub fn delete(&self, queue: &str, message: &Received) {
        self.ask::<Value>(&json!({ "do": "delete", "queue": queue, "receipt": message.receipt }));
    }

    /// How full a queue is.
    pub fn depth(&self, queue: &str) -> Depth {
        self.ask(&json!({ "do": "depth", "queue": queue }))
    }

    /// Creates a bucket.
    pub fn create_bucket(&self, bucket: &str) {
        self.ask::<Value>(&json!({ "do": "create_bucket", "bucket": bucket }));
    }

    /// All keys that begin so.
    pub fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        self.ask(&json!({ "do": "keys", "bucket": bucket, "prefix": prefix }))
    }

    /// An object's bytes; `None` if there is none.
    pub fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let text: Option<String> = self.ask(&json!({ "do": "get", "bucket": bucket, "key": key }));
        text.map(|text| base64(&text))
    }

    /// Writes an object.
    pub fn put(&self, bucket: &str, key: &str, text: &str) {
        self.ask::<Value>(&json!({ "do": "put", "bucket": bucket, "key": key, "text": text }));
    }

    /// Writes a message that is too large for the inbox into the bucket; what to send instead.
    pub fn put_inbox_payload(&self, bucket: &str, namespace: &str, text: &str) -> String {
        self.ask(
            &json!({ "do": "put_inbox_payload", "bucket": bucket, "namespace": namespace, "text": text }),
        )
    }

    /// The SHA-256 of an object, in hexadecimal digits.
    pub fn sha256(&self, bucket: &str, key: &str) -> String {
        self.ask(&json!({ "do": "sha256", "bucket": bucket, "key": key }))
    }

    /// Calls a function and waits for its answer.
    pub fn invoke(&self, function: &str, payload: &Value) -> Value {
        self.ask(&json!({ "do": "invoke", "function": function, "payload": payload }))
    }

    /// Sets how long a function may run.
    pub fn set_timeout(&self, function: &str, timeout_s: u32) {
        self.ask::<Value>(&json!({ "do": "set_timeout", "function": function, "timeout_s": timeout_s }));
    }

    /// Lets a queue's event source mapping run, or stops it.
    pub fn set_mapping(&self, queue: &str, enabled: bool) {
        self.ask::<Value>(&json!({ "do": "set_mapping", "queue": queue, "enabled": enabled }));
    }

    /// All lines of a log group.
    pub fn log(&self, group: &str) -> Vec<String> {
        self.ask(&json!({ "do": "log", "group": group }))
    }

    /// Makes a function's zip of a binary.
    pub(crate) fn zip(&self, binary: &Path, to: &Path) {
        self.ask::<Value>(&json!({ "do": "zip", "binary": binary, "to": to }));
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let pipes = self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        // It ends when its input does.
        drop(pipes.requests.take());
        let _ = pipes.process.wait();
    }
}

/// Standard alphabet with padding, as Python writes it.
fn base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = group.iter().fold(0_u32, |bits, c| bits << 6 | u32::from(value(*c)));
        let bits = bits << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}

fn shortened(request: &Value) -> String {
    let text = request.to_string();
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base_64_of_every_length() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob")]
        {
            assert_eq!(base64(text), bytes.as_bytes());
        }
        assert_eq!(base64("+/8="), [0xfb, 0xff]);
    }
}
