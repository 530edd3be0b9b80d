//! **Dead letters**: what nobody could do anything with is kept with the reason, and sent again or thrown away.
//!
//! When: a message came for a run that is closed, a deployment spoke of types that nobody had. Look, put right what was wrong, and
//! send it again: it counts once, however often it is sent.
//!
//! Costs: a look is a receive for each ten; 1 message to send one again. `docs/operations.md`, Dead letters.

use anyhow::{Context, ensure};
use millrace::client::{DeadLetter, Letters, Treatment};
use millrace::{Client, prelude::*};
use serde::{Deserialize, Serialize};

const INBOX: &str = "inbox";
const ID: &str = "survey";

/// Somebody's opinion of an answer.
#[derive(Signal, Serialize, Deserialize)]
pub struct Opinion {
    pub of: String,
    pub stars: u32,
}

/// Ends with the first opinions.
#[workflow(accepts(Opinion))]
pub async fn ask_opinions(ctx: WorkflowContext, wanted: u32) -> Result<u32, WorkflowError> {
    let opinions = ctx.signals::<Opinion>();
    let mut stars = 0;
    for _ in 0..wanted {
        stars += opinions.recv().await?.stars;
    }
    Ok(stars)
}

pub fn app(app: App) -> App {
    app.workflow(ask_opinions)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    client.start(ask_opinions, ID, 0).await?.result().await?;
    // Too late. Whether the sender hears of that depends on where the engine is; the message is kept in any case.
    let survey = client.handle(ask_opinions, ID)?;
    for (of, stars) in [("ann", 5), ("a robot", 1)] {
        let _ = survey.signal(Opinion { of: of.into(), stars }).await;
    }
    let (ann, robot) = (letter(client, "ann").await?, letter(client, "a robot").await?);
    ensure!(ann.error.as_ref().context("why it is there")?.contains("closed"), "{ann:?}");

    client.start(ask_opinions, ID, 1).await?;
    let is_open = async || Ok(survey.describe().await?.status.is_open().then_some(()));
    crate::eventually("the second survey", is_open).await?;
    treat(client, Treatment::Redrive, ann).await?;
    ensure!(survey.result().await? == 5, "Ann's opinion has been heard after all");
    treat(client, Treatment::Delete, robot).await
}

/// The dead letter that has this in it.
async fn letter(client: &Client, of: &str) -> anyhow::Result<DeadLetter> {
    let look = async || {
        let letters = client.dead_letters(INBOX, 100).await?;
        Ok(letters.into_iter().find(|letter| letter.body.contains(&format!("\"{of}\""))))
    };
    crate::eventually("the dead letter", look).await
}

async fn treat(client: &Client, treatment: Treatment, letter: DeadLetter) -> anyhow::Result<()> {
    let letters = Letters::Ids([letter.message_id].into());
    crate::eventually("the letter, which somebody else may look at", async || {
        let treated = client.treat_dead_letters(INBOX, treatment, &letters).await?;
        ensure!(treated.refused.is_empty(), "{treated:?}");
        Ok((treated.done.len() == 1).then_some(()))
    })
    .await
}
