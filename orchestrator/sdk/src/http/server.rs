//! The server: a port on the loopback address.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use millrace_engine::Stop;
use millrace_engine::ports::Entropy as _;
use millrace_local::OsEntropy;

use super::guard::Guard;
use super::routes::{Service, router};
use crate::client::EngineInfo;
use crate::dev::{DevError, Options, system};
use crate::{App, Client};

/// What this engine can run.
pub(crate) fn about(app: &App, options: &Options) -> EngineInfo {
    EngineInfo {
        version: env!("CARGO_PKG_VERSION").into(),
        build: options.build.clone(),
        pid: std::process::id(),
        namespace: options.namespace.to_string(),
        workflows: app.workflow_names(),
        activities: app.activity_code().names(),
        task_queues: app.task_queues().iter().map(ToString::to_string).collect(),
    }
}

/// A server that has its port.
pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
    token: String,
    service: Arc<Service>,
}

impl Server {
    /// Takes the port; 0 lets the system choose one.
    pub(crate) fn bind(port: u16, client: &Client, about: EngineInfo) -> Result<Self, DevError> {
        let failed = || system(format!("port {port} of 127.0.0.1 cannot be listened on; choose another"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed())?;
        listener.set_nonblocking(true).map_err(failed())?;
        let address = listener.local_addr().map_err(failed())?;
        let token = format!("{:032x}", OsEntropy.bits());
        Ok(Self { listener, address, token, service: Arc::new(Service { client: client.clone(), about }) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Serves until `stop`. Requests that are still waiting then are cut off: they may be asked again.
    pub(crate) async fn run(self, stop: Stop) {
        let guard = Arc::new(Guard { token: self.token, port: self.address.port() });
        let router = router(self.service, guard);
        let listener = match tokio::net::TcpListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "the HTTP API cannot be served");
                return;
            }
        };
        let serving = Box::pin(axum::serve(listener, router).into_future());
        let ended = futures::future::select(serving, stop).await;
        if let futures::future::Either::Left((Err(error), _)) = ended {
            tracing::error!(%error, "the HTTP API has ended");
        }
    }
}
