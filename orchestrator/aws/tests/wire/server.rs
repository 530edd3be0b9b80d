//! An HTTP server that answers as a test scripts it, and remembers what it was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::Region;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use millrace_aws::{Aws, Settings};
use millrace_core::Namespace;
use millrace_local::SystemClock;

/// How often the SDK asks in all.
pub(crate) const ATTEMPTS: usize = 3;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Method, path and query.
    pub(crate) line: String,
    /// `name: value` in lower case, one a line.
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Request {
    /// Whether it is this action of SQS.
    pub(crate) fn is(&self, action: &str) -> bool {
        self.headers.contains(&format!("x-amz-target: amazonsqs.{}\r\n", action.to_lowercase()))
    }
}

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Reply {
        status: u16,
        headers: String,
        body: String,
    },
    /// It reads the request and hangs up: the request may have been carried out.
    Cut,
    /// It hangs up in the middle of the body.
    Half,
    /// It reads the request and says nothing for a second.
    Silence,
}

/// An answer with this status and body.
pub(crate) fn reply(status: u16, body: &str) -> Answer {
    Answer::Reply { status, headers: String::new(), body: body.to_owned() }
}

/// An error of S3.
pub(crate) fn s3(status: u16, code: &str) -> Answer {
    let body =
        format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>so it is</Message></Error>");
    reply(status, &body)
}

/// An error of SQS.
pub(crate) fn sqs(status: u16, code: &str) -> Answer {
    reply(status, &format!(r#"{{"__type":"com.amazonaws.sqs#{code}","message":"so it is"}}"#))
}

/// A server whose `script` answers the n-th request.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    patience: Duration,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn new(script: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (asked, script) = (Arc::new(Mutex::new(Vec::new())), Arc::new(script));
        let server = Self { endpoint, patience: Duration::from_secs(60), asked: asked.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (asked, script) = (asked.clone(), script.clone());
                std::thread::spawn(move || serve(stream, &asked, &*script));
            }
        });
        server
    }

    /// The same answer to everything.
    pub(crate) fn always(answer: Answer) -> Self {
        Self::new(move |_, _| answer.clone())
    }

    /// Its clients wait for an answer no longer than a server is silent. For what is silent only: a machine that stands still
    /// is, too.
    pub(crate) fn impatiently(self) -> Self {
        Self { patience: Duration::from_millis(300), ..self }
    }

    /// What it was asked, in order.
    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) async fn aws(&self) -> Aws {
        self.aws_with_bucket("bucket").await
    }

    /// Three quick attempts.
    pub(crate) async fn config(&self) -> aws_config::SdkConfig {
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS as u32)
            .with_initial_backoff(Duration::from_millis(1))
            .with_max_backoff(Duration::from_millis(5));
        let config = millrace_aws::config_loader()
            .endpoint_url(&self.endpoint)
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .retry_config(retries)
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(self.patience).build());
        config.load().await
    }

    pub(crate) async fn aws_with_bucket(&self, bucket: &str) -> Aws {
        let settings = Settings {
            bucket: bucket.to_owned(),
            queue_prefix: "mill".to_owned(),
            namespace: Namespace::default(),
        };
        Aws::with_config(settings, self.config().await, Arc::new(SystemClock::default())).unwrap()
    }
}

fn serve(
    stream: TcpStream,
    asked: &Mutex<Vec<Request>>,
    script: &(dyn Fn(usize, &Request) -> Answer + Send + Sync),
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let request = read(&mut reader)?;
        let n = {
            let mut asked = asked.lock().unwrap();
            asked.push(request.clone());
            asked.len() - 1
        };
        match script(n, &request) {
            Answer::Reply { status, headers, body } => {
                let length = body.len();
                let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
                writer.write_all(text.as_bytes()).ok()?;
            }
            Answer::Half => {
                writer
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\netag: \"1\"\r\n\r\nhalf")
                    .ok()?;
                return None;
            }
            Answer::Cut => return None,
            Answer::Silence => std::thread::park_timeout(Duration::from_secs(1)),
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut request = Request::default();
    if reader.read_line(&mut request.line).ok()? == 0 {
        return None;
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line == "\r\n" {
            break;
        }
        line.make_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        request.headers.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}
