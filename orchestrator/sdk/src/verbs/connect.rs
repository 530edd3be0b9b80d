//! Where a verb's requests go: to a deployment on AWS if one is named, to the engine that is at work on the data folder,
//! else into the folder itself.

use std::sync::Arc;
use std::time::Duration;

use millrace_core::WorkflowCode;
use millrace_engine::ports::Clock;
use millrace_local::{Embedded, OpenError, SystemClock};

use super::MakeApp;
use super::args::Place;
use super::failure::Failure;
use crate::Client;
use crate::client::{Backend, EngineInfo, Remote};
use crate::dev::{ApiFile, DevError, Folder};
use crate::hooks::Hooks;

/// How long a folder may be locked without anybody answering: another verb has it for a moment, or an engine starts.
const PATIENCE: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_millis(50);
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// Whether a verb may be the first to use a folder.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Create,
    Refuse,
}

/// The workflows that answer queries where no engine does.
type Code = Arc<dyn WorkflowCode>;

/// What a verb talks to, and how.
pub(super) struct Connected {
    to: To,
    hooks: Hooks,
}

enum To {
    /// An engine at work.
    Engine(Client, EngineInfo),
    /// A folder without one.
    Folder(Box<Folder>, Option<Code>),
    /// A deployment on AWS.
    #[cfg(feature = "aws")]
    Deployment(Client),
}

impl Connected {
    pub(super) fn client(&self) -> Client {
        let client = match &self.to {
            To::Engine(client, _) => client.clone(),
            To::Folder(folder, code) => folder.client_with_code(code.clone()),
            #[cfg(feature = "aws")]
            To::Deployment(client) => client.clone(),
        };
        client.with_hooks(self.hooks.clone())
    }

    /// For requests without types. A program without codecs shows payloads as they are.
    pub(super) fn backend(&self) -> Arc<dyn Backend> {
        let client = self.client();
        if self.hooks.is_empty() { client.raw().clone() } else { client.backend().clone() }
    }

    /// What the engine can run, if one is at work.
    pub(super) fn engine(&self) -> Option<&EngineInfo> {
        match &self.to {
            To::Engine(_, info) => Some(info),
            _ => None,
        }
    }

    /// Refuses a workflow of which the engine that is at work has no code.
    pub(super) fn must_know(&self, workflow: &str) -> Result<(), Failure> {
        let Some(engine) = self.engine() else { return Ok(()) };
        if engine.workflows.iter().any(|known| known == workflow) {
            return Ok(());
        }
        let known = if engine.workflows.is_empty() { "none".into() } else { engine.workflows.join(", ") };
        Err(Failure::rejected(format!(
            "workflow: `{workflow}` is not registered in the engine (registered: {known}); name one of those, or start \
             `dev` with a program that registers it"
        )))
    }
}

pub(super) async fn connect(place: &Place, missing: Missing) -> Result<Connected, Failure> {
    connect_with(place, missing, None).await
}

/// Connects, and has the app's code answer queries where no engine does. The app is made only then.
pub(super) async fn connect_with(
    place: &Place,
    missing: Missing,
    app: Option<MakeApp>,
) -> Result<Connected, Failure> {
    let hooks = place.hooks.clone();
    #[cfg(feature = "aws")]
    if let Some(bucket) = &place.bucket {
        return Ok(Connected { to: deployment(place, bucket, code(place, app)?).await?, hooks });
    }
    let clock = SystemClock::default();
    let give_up = clock.now().plus(PATIENCE);
    loop {
        if let Some(engine) = engine(place).await? {
            return Ok(engine);
        }
        if missing == Missing::Refuse && !place.data.exists() {
            let data = place.data.display();
            return Err(Failure::not_found(format!("there is no data folder `{data}`; name it with --data")));
        }
        match Folder::open(&place.data, place.namespace.clone()) {
            Ok(folder) => {
                return Ok(Connected { to: To::Folder(Box::new(folder), code(place, app)?), hooks });
            }
            Err(DevError::Open(OpenError::InUse { .. })) if clock.now() < give_up => {
                clock.sleep_until(clock.now().plus(AGAIN)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn code(place: &Place, app: Option<MakeApp>) -> Result<Option<Code>, Failure> {
    let app = app.map(|app| app(&place.data)).transpose().map_err(|error| Failure::of(error.as_ref()))?;
    Ok(app.map(|app| app.workflow_code()))
}

/// The engine at work on the folder, if one answers. After a crash `api.json` is still there, and somebody else may listen
/// where it says by now: only while the folder is locked is whoever answers the engine.
pub(super) async fn engine(place: &Place) -> Result<Option<Connected>, Failure> {
    if !Embedded::is_in_use(&place.data) {
        return Ok(None);
    }
    let Some(api) = ApiFile::read(&place.data) else { return Ok(None) };
    let remote = Remote::new(api.url, api.token);
    let Ok(Ok(info)) = tokio::time::timeout(ANSWERS_WITHIN, remote.engine()).await else { return Ok(None) };
    if info.namespace != place.namespace.as_str() {
        let message = format!(
            "namespace: the engine at work on `{}` serves `{}`, not `{}`",
            place.data.display(),
            info.namespace,
            place.namespace
        );
        return Err(Failure::rejected(message));
    }
    let to = To::Engine(Client::new(Arc::new(remote)), info);
    Ok(Some(Connected { to, hooks: place.hooks.clone() }))
}

#[cfg(feature = "aws")]
async fn deployment(place: &Place, bucket: &str, code: Option<Code>) -> Result<To, Failure> {
    let variable = |name: &str| match name {
        "MILLRACE_BUCKET" => Some(bucket.to_owned()),
        "MILLRACE_QUEUE_PREFIX" => place.queue_prefix.clone(),
        "MILLRACE_NAMESPACE" => Some(place.namespace.to_string()),
        _ => None,
    };
    let settings =
        millrace_aws::Settings::from_variables(variable).map_err(|e| Failure::usage(e.to_string()))?;
    let client = Client::of_deployment_and(settings, code, Hooks::default()).await;
    let client = client.map_err(|e| Failure::engine(e.to_string()))?;
    Ok(To::Deployment(client))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn whoever_listens_where_a_dead_engine_did_is_not_asked() {
        let data = tempfile::tempdir().unwrap();
        let squatter = TcpListener::bind("127.0.0.1:0").unwrap();
        squatter.set_nonblocking(true).unwrap();
        let file = ApiFile::write(data.path(), squatter.local_addr().unwrap(), "token").unwrap();
        std::mem::forget(file); // Left behind, as after a crash.
        let place = Place {
            data: data.path().to_owned(),
            namespace: millrace_core::Namespace::default(),
            hooks: Default::default(),
            #[cfg(feature = "aws")]
            bucket: None,
            #[cfg(feature = "aws")]
            queue_prefix: None,
        };
        assert!(engine(&place).await.is_ok_and(|engine| engine.is_none()));
        assert!(squatter.accept().is_err(), "nobody has come");
    }
}
