//! Who does what a program does with a client, and is killed in the middle and begins again: starts what may be there
//! already and waits for its end, asks, and looks after dead letters.

use futures::FutureExt;
use futures::future::BoxFuture;
use millrace::client::{Letters, RunError, Start, Treatment};
use millrace::prelude::*;
use millrace::{Client, Workflow, WorkflowFailure};
use serde_json::{Value, json};

use crate::Outside;
use crate::backend::Simulated;
use crate::family::greet;
use crate::office::{FULL, Total, addressee, app, roundabout, till};

/// Told something before there is a run of it.
const EARLY: &str = "early-1";
/// Where money is brought.
pub const TILL: &str = "till-1";
/// All that the clerk has to do with.
pub const IDS: [&str; 5] = [EARLY, TILL, ONCE, ONCE_MORE, ROUND];

const ONCE: &str = "once-1";
const ONCE_MORE: &str = "once-2";
const ROUND: &str = "round-1";
const EARLY_REQUEST: &str = "too-early";
const INBOX: &str = "inbox";

/// What it is told too early.
pub fn too_early() -> Value {
    json!({"type": "signal", "id": EARLY, "name": "note", "input": {"n": 9}, "request_id": EARLY_REQUEST})
}

/// All the work.
pub fn works(outside: Outside) -> Vec<BoxFuture<'static, ()>> {
    let code = app(outside.clock.clone(), outside.probe.clone()).workflow_code();
    let client = Simulated::client(&outside, code);
    let clerk = Clerk { outside, client };
    vec![
        clerk.clone().greets_once().boxed(),
        clerk.clone().sends_round().boxed(),
        clerk.clone().counts().boxed(),
        clerk.looks_after_letters().boxed(),
    ]
}

#[derive(Clone)]
struct Clerk {
    outside: Outside,
    client: Client,
}

impl Clerk {
    /// Begins what may have been begun before, and waits for its end: by its id, and by that of the request.
    async fn greets_once(self) {
        let bob = || ("bob".to_owned(), 600);
        let by_id = self.insists(|client| client.start(greet, ONCE, bob()).or_existing());
        let by_request = self.insists(|client| client.start(greet, ONCE_MORE, bob()).request_id(ONCE_MORE));
        let (by_id, by_request) = futures::join!(by_id, by_request);
        for greeting in [by_id, by_request] {
            if greeting.as_deref() != Ok("hello bob") {
                self.outside.probe.blames(format!("the clerk is told {greeting:?}"));
            }
        }
    }

    /// The same with what would go on for ever: its time ends it.
    async fn sends_round(self) {
        let start =
            |client: &Client| client.start(roundabout, ROUND, 0).execution_timeout(hours(2)).or_existing();
        let end = self.insists(start).await;
        if !end.as_ref().is_err_and(|failure| failure.is_timeout()) {
            self.outside.probe.blames(format!("the clerk is told {end:?} of `{ROUND}`"));
        }
    }

    /// Again until the workflow has ended: a client is told of what is not there, or not just now.
    async fn insists<W: Workflow>(
        &self,
        start: impl Fn(&Client) -> Start<W>,
    ) -> Result<W::Output, WorkflowFailure> {
        loop {
            let ended = match start(&self.client).await {
                Ok(run) => run.result().await,
                Err(error) => Err(error),
            };
            match ended {
                Ok(result) => return Ok(result),
                Err(RunError::Failed(failure)) => return Err(failure),
                Err(error @ (RunError::Rejected(_) | RunError::BadOutput(_))) => {
                    self.outside.probe.blames(format!("the clerk is refused: {error}"));
                }
                Err(_) => {}
            }
            self.outside.pause(60).await;
        }
    }

    /// What is in the till grows, whatever answers.
    async fn counts(self) {
        let mut last = 0;
        while last < FULL {
            self.outside.pause(90).await;
            let Ok(till) = self.client.handle(till, TILL) else { return };
            let Ok(total) = till.query(Total).await else { continue };
            if total < last {
                self.outside.probe.blames(format!("{total} is in the till, after {last}"));
            }
            last = total;
        }
    }

    /// Sends again what came too early, once there is a run to hear it. Everything else came too late, or is wanted by nobody,
    /// and is thrown away: that it is not more than that, the histories tell.
    async fn looks_after_letters(self) {
        loop {
            self.outside.pause(200).await;
            let Ok(letters) = self.client.dead_letters(INBOX, 100).await else { continue };
            for letter in letters {
                let treatment = match letter.body.contains(EARLY_REQUEST) {
                    false => Treatment::Delete,
                    true if self.addressee_is_there().await => Treatment::Redrive,
                    true => continue,
                };
                let this = Letters::Ids([letter.message_id].into());
                let _ = self.client.treat_dead_letters(INBOX, treatment, &this).await;
            }
        }
    }

    async fn addressee_is_there(&self) -> bool {
        match self.client.start(addressee, EARLY, ()).or_existing().await {
            Ok(run) => run.describe().await.is_ok(),
            Err(_) => false,
        }
    }
}
