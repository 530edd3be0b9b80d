//! The embedded engine, assembled: one process, one folder, no server.
//!
//! What holds: the engine and the activities run on threads of their own, so an activity that blocks its thread holds
//! up neither heartbeats nor visibility nor other runs. Killing the process at any moment loses nothing; the next one
//! that opens the folder goes on. It deliberately spawns no processes and scales to no second machine: that is what the
//! adapters for AWS are for.

mod api_file;
mod loops;
mod runtimes;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use api_file::ApiFile;
use futures::FutureExt;
use futures::channel::oneshot;
use millrace_core::{Namespace, WorkflowCode};
use millrace_engine::ports::{Ports, Queues};
pub use millrace_engine::{BadRetention, Retention};
use millrace_engine::{Orchestrator, OrchestratorConfig, Stop};
use millrace_format::Keys;
use millrace_local::{Embedded, Memory, OpenError, OsEntropy, SystemClock, TokioSpawn};
use runtimes::Runtimes;
use tokio::task::JoinHandle;

use crate::client::{AtWork, Direct};
use crate::{App, Client, http};

/// How an embedded engine is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder that holds everything; `None` keeps it in memory, until the process ends.
    pub data: Option<PathBuf>,
    /// The port of the HTTP API on the loopback address; 0 lets the system choose, `None` leaves it out. Its address and
    /// token are written to `api.json` in the data folder.
    pub port: Option<u16>,
    /// Which workflows it serves.
    pub namespace: Namespace,
    /// How many attempts run at a time, for each task queue.
    pub slots: usize,
    /// How long running attempts may take to end when the engine stops.
    pub grace: Duration,
    /// How long closed runs are kept; `None` is for ever. They are looked at a minute after the start, then once a day.
    pub retention: Option<Retention>,
    /// Names the code in histories and block marks; by default the executable's name and when it was built.
    pub build: String,
}

impl Options {
    /// The default folder.
    pub const DATA: &'static str = ".millrace";

    /// The defaults for a folder.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self { data: Some(data.into()), port: Some(0), ..Self::in_memory() }
    }

    /// The defaults for tests: everything in memory, no HTTP.
    pub fn in_memory() -> Self {
        Self {
            data: None,
            port: None,
            namespace: Namespace::default(),
            slots: 32,
            grace: Duration::from_secs(10),
            retention: None,
            build: runtimes::build(),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new(Self::DATA)
    }
}

/// An engine that could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevError {
    /// The app cannot work as it is.
    #[error("{0}")]
    App(String),
    /// The folder could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The system gave no threads, no port, or no file.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> DevError {
    let what = what.into();
    move |source| DevError::System { what, source }
}

/// A running engine. Dropping it stops it as a crash would, which is safe; [`Dev::stop`] is kinder to activities.
pub struct Dev {
    client: Client,
    queues: Arc<dyn Queues>,
    address: Option<SocketAddr>,
    api_file: Option<ApiFile>,
    stop: Option<oneshot::Sender<()>>,
    tasks: Vec<JoinHandle<()>>,
    grace: Duration,
    runtimes: Runtimes,
}

impl Dev {
    /// Starts the engine for an app. Works in any async runtime, or none: it brings its own.
    pub fn start(app: &App, options: Options) -> Result<Self, DevError> {
        app.check().map_err(DevError::App)?;
        let runtimes = Runtimes::new(options.slots.max(1) * app.task_queues().len())?;
        let ports = ports(options.data.as_deref(), &runtimes)?;
        let (sender, receiver) = oneshot::channel::<()>();
        let stop: Stop = receiver.map(|_| ()).boxed().shared();
        let orchestrator = Arc::new(orchestrator(app, &options, &ports));
        let keys = Keys::new(options.namespace.clone());
        let at_work = AtWork::Here(orchestrator.notices());
        let direct = Direct::new(ports.clone(), keys, at_work, runtimes.engine());
        let direct = direct.with_code(Some(app.workflow_code()));
        let client = Client::of(Arc::new(direct), app.hooks().clone());
        let mut dev = Self {
            client,
            queues: ports.queues.clone(),
            address: None,
            api_file: None,
            stop: Some(sender),
            tasks: Vec::new(),
            grace: options.grace,
            runtimes,
        };
        if let Some(port) = options.port {
            dev.serve(app, &options, port, stop.clone())?;
        }
        dev.tasks.extend(loops::spawn(app, &options, &ports, &orchestrator, (stop, &dev.runtimes.engine())));
        Ok(dev)
    }

    fn serve(&mut self, app: &App, options: &Options, port: u16, stop: Stop) -> Result<(), DevError> {
        let engine = self.runtimes.engine();
        let server = http::Server::bind(port, &self.client, http::about(app, options))?;
        let address = server.address();
        if let Some(data) = &options.data {
            self.api_file = Some(ApiFile::write(data, address, server.token())?);
        }
        self.address = Some(address);
        self.tasks.push(engine.spawn(server.run(stop)));
        Ok(())
    }

    /// A client of this engine. It must not outlive the engine: after [`Dev::stop`] it answers `Unavailable`.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Where the HTTP API listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Stops: running attempts may end within the grace, the others go back to their queue without losing an attempt;
    /// then everything is on disk and the folder is free.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let (tasks, queues) = (std::mem::take(&mut self.tasks), self.queues.clone());
        let limit = self.grace + Duration::from_secs(5);
        let ended = self.runtimes.engine().spawn(async move {
            let aborts: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
            if tokio::time::timeout(limit, futures::future::join_all(tasks)).await.is_err() {
                tracing::warn!(
                    "some work did not end in time; it is abandoned and goes on at the next start"
                );
                aborts.iter().for_each(tokio::task::AbortHandle::abort);
            }
            if let Err(error) = queues.settle().await {
                tracing::error!(%error, "the last changes could not be made durable");
            }
        });
        let _ = ended.await;
    }
}

impl std::fmt::Debug for Dev {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dev").field("address", &self.address).finish_non_exhaustive()
    }
}

fn orchestrator(app: &App, options: &Options, ports: &Ports) -> Orchestrator {
    let config = OrchestratorConfig {
        namespace: options.namespace.clone(),
        build: options.build.clone(),
        ..OrchestratorConfig::default()
    };
    Orchestrator::new(ports.clone(), app.workflow_code(), config).with_local_activities(app.activity_code())
}

fn ports(data: Option<&Path>, runtimes: &Runtimes) -> Result<Ports, DevError> {
    let clock = Arc::new(SystemClock::default());
    let (entropy, spawn) = (Arc::new(OsEntropy), Arc::new(TokioSpawn::new(runtimes.activities())));
    Ok(match data {
        Some(data) => {
            let local = Embedded::open(data, clock.clone())?;
            Ports { store: local.clone(), queues: local, clock, entropy, spawn }
        }
        None => {
            let local = Memory::new(clock.clone());
            Ports { store: local.clone(), queues: local, clock, entropy, spawn }
        }
    })
}

/// A client of a folder that no engine has open: reads what is there, and leaves requests in the inbox. It keeps the
/// folder to itself until it is dropped.
pub struct Folder {
    direct: Direct,
    _runtimes: Runtimes,
}

impl Folder {
    /// Opens the folder.
    pub fn open(data: &Path, namespace: Namespace) -> Result<Self, DevError> {
        let runtimes = Runtimes::new(0)?;
        let ports = ports(Some(data), &runtimes)?;
        let direct = Direct::new(ports, Keys::new(namespace), AtWork::Nowhere, runtimes.engine());
        Ok(Self { direct, _runtimes: runtimes })
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        self.client_with_code(None)
    }

    /// A client of it that answers queries, with the app's workflows, and has the app's codecs.
    pub fn client_with(&self, app: &App) -> Client {
        self.client_with_code(Some(app.workflow_code())).with_hooks(app.hooks().clone())
    }

    pub(crate) fn client_with_code(&self, code: Option<Arc<dyn WorkflowCode>>) -> Client {
        Client::new(Arc::new(self.direct.clone().with_code(code)))
    }
}
