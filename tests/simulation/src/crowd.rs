//! Runs of which somebody asks the same, all at once, by what a list says of them; and who does so, in a process that is
//! killed in the middle and begins again.

use std::collections::BTreeSet;

use millrace::Workflow as _;
use millrace::client::{Filter, Operation, Payload};
use millrace::prelude::*;
use millrace_core::{RequestId, WorkflowId};
use serde_json::{Value, json};

use crate::Outside;
use crate::workflows::Note;

/// Those of whom something is asked, with their lots: the first lot is to leave at once, the second to come to an end.
const CROWD: [(&str, u64); 5] =
    [("crowd-1", 1), ("crowd-2", 2), ("crowd-3", 1), ("crowd-4", 2), ("crowd-5", 2)];
/// Somebody of the same type and lot, whose name no filter lets pass.
const PASSER_BY: &str = "passer-by-1";

/// Listens until its time is over, or it is asked to stop, and says what it was told.
#[workflow(accepts(Note))]
pub async fn listener(ctx: WorkflowContext, seconds: u64) -> Result<Vec<u64>, WorkflowError> {
    let told = ctx.state(Vec::new()).on_signal(|told, Note { n }| told.push(n));
    let _ = ctx.sleep(secs(seconds)).await;
    Ok(told.get())
}

/// All of them.
pub fn ids() -> impl Iterator<Item = &'static str> {
    CROWD.into_iter().map(|(id, _)| id).chain([PASSER_BY])
}

/// Their starts.
pub fn starts() -> Vec<(u64, Value)> {
    let start = |id: &str, lot: u64, seconds: u64| json!({"type": "start", "workflow": ListenerWorkflow::NAME, "id": id, "input": seconds, "attributes": {"lot": lot}, "request_id": format!("start-{id}")});
    let forever = 30 * 86_400;
    let crowd = CROWD.into_iter().zip(0..).map(|((id, lot), n)| (n * 20, start(id, lot, forever)));
    crowd.chain([(0, start(PASSER_BY, 2, 3 * 3_600))]).collect()
}

/// Tells all of them something, then has one lot terminated and the other canceled: each in a batch that is begun, under the
/// same id, until it has come through.
pub async fn asks_all(outside: Outside, client: millrace::Client) {
    let note = Payload::of(&json!({"n": 7})).unwrap_or_default();
    let reason = "the fair is over".to_owned();
    let batches = [
        ("tell", None, Operation::Signal { name: "note".into(), input: note }),
        ("leave", Some(1), Operation::Terminate { reason: reason.clone() }),
        ("stop", Some(2), Operation::Cancel { reason }),
    ];
    for (batch, of_lot, operation) in batches {
        let condition = of_lot.and_then(|lot| format!("lot={lot}").parse().ok());
        let attributes = condition.into_iter().collect();
        let filter =
            Filter { id_prefix: Some("crowd-".into()), attributes, limit: usize::MAX, ..Filter::default() };
        let is_asked = |(_, lot): &&(&str, u64)| of_lot.is_none_or(|of| of == *lot);
        let asked: BTreeSet<&str> = CROWD.iter().filter(is_asked).map(|(id, _)| *id).collect();
        loop {
            // Runs that are not listed yet are asked the next time.
            if let Ok(batch) = client.batch(batch, &filter, operation.clone()).await {
                batch.send_all().await;
            }
            outside.pause(200).await;
            if have_heard(&outside, batch, &asked).await {
                break;
            }
        }
    }
}

/// Whether each of these has the batch's request in its log.
async fn have_heard(outside: &Outside, batch: &str, asked: &BTreeSet<&str>) -> bool {
    for id in asked {
        let Ok(id) = id.parse::<WorkflowId>() else { return false };
        let Ok((head, events)) = outside.client.history(&id, None).await else { return false };
        let Ok(request) = RequestId::new(format!("{batch}:{}", head.header.run_id)) else { return false };
        if head.header.restore(&events).absorbed_request(&request).is_none() {
            return false;
        }
    }
    true
}
