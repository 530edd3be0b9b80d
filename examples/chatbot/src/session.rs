//! The conversation.

use std::fs;

use document_processing::index::Index;
use millrace::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Archive;

/// How long a silence may last. Not over 15 minutes: then its timer is a message, else it is an object in the bucket.
const SILENCE_MINUTES: u64 = 10;

/// A question. It is answered, or refused with a reason.
#[derive(Update, Serialize, Deserialize)]
#[update(output = String)]
pub struct Ask(pub String);

/// A question, and its answer once there is one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    pub question: String,
    pub answer: Option<String>,
}

/// All that was said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    pub visitor: String,
    pub said: Vec<Exchange>,
}

impl Transcript {
    fn asked(&mut self, question: String) {
        self.said.push(Exchange { question, answer: None });
    }

    fn answered(&mut self, answer: String) {
        if let Some(last) = self.said.last_mut() {
            last.answer = Some(answer);
        }
    }
}

#[activity(start_to_close = "1m", max_attempts = 3)]
pub async fn find_answer(handbook: Shared<Index>, question: String) -> Result<String, ActivityError> {
    let unknown = || "The handbook says nothing about that.".to_owned();
    Ok(handbook.best(&question).map_or_else(unknown, |chunk| format!("{} ({})", chunk.text, chunk.document)))
}

/// Keeps what was said, under the conversation's name: doing it again changes nothing.
#[activity]
pub async fn keep(
    archive: Shared<Archive>,
    name: String,
    transcript: Transcript,
) -> Result<(), ActivityError> {
    fs::create_dir_all(&archive.0)?;
    Ok(fs::write(archive.0.join(format!("{name}.json")), serde_json::to_vec_pretty(&transcript)?)?)
}

#[workflow(accepts(Ask))]
pub async fn session(ctx: WorkflowContext, visitor: String) -> Result<Transcript, WorkflowError> {
    let transcript = ctx.state(Transcript { visitor, said: Vec::new() }).published();
    let ended = talk(&ctx, &transcript).await;
    // However it ended, canceled too.
    ctx.shielded().activity(keep, (ctx.run_id().to_string(), transcript.get())).await?;
    ended.map(|()| transcript.get())
}

/// Answers one question after the other, until nobody asks.
async fn talk(ctx: &WorkflowContext, transcript: &StateCell<Transcript>) -> Result<(), WorkflowError> {
    let questions = ctx.updates::<Ask>();
    while let Some((Ask(question), reply)) = questions.recv().within(minutes(SILENCE_MINUTES)).await? {
        if question.trim().is_empty() {
            reply.reject("ask something");
            continue;
        }
        transcript.modify(|transcript| transcript.asked(question.clone())); // to be seen while the answer is looked for
        let answer = ctx.activity(find_answer, question).await?; // on an error, `reply` is dropped: refused
        transcript.modify(|transcript| transcript.answered(answer.clone()));
        reply.ok(answer);
    }
    Ok(())
}
