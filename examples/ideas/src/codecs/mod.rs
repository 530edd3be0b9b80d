//! **Codecs**: what leaves the process is compressed and encrypted, and what comes back is plain again.
//!
//! When: patients' records, contracts, customers' mail: whoever runs the bucket and the queues is not to read them. Every process
//! of the program has the same codecs, so this idea is a program of its own. Names, attributes and why something failed stay
//! readable.
//!
//! Costs: no calls; about 100 bytes, and a third more for base64. `docs/language.md`, Data and context.

use anyhow::ensure;
use millrace::codec::{AesGcm, Key, Zstd};
use millrace::{Client, prelude::*};
use serde::{Deserialize, Serialize};

/// A real one comes from where you keep secrets: see [`AesGcm::from_env`].
const KEY: &[u8; 32] = b"never write a key into a program";

/// What must be neither in the bucket nor in a queue.
pub const SECRETS: [&str; 3] = ["Ada Byron", "fracture", "Dr. Hull"];

/// What is said after a visit.
#[derive(Serialize, Deserialize)]
pub struct Dictation {
    pub patient: String,
    pub text: String,
}

/// Somebody has read the summary.
#[derive(Signal, Serialize, Deserialize)]
pub struct Approve {
    pub by: String,
}

#[activity]
pub async fn summarize(dictation: Dictation) -> Result<String, ActivityError> {
    let first = dictation.text.split('.').next().unwrap_or_default();
    Ok(format!("{}: {first}", dictation.patient))
}

#[workflow(accepts(Approve))]
pub async fn file_report(ctx: WorkflowContext, dictation: Dictation) -> Result<String, WorkflowError> {
    let summary = ctx.activity(summarize, dictation).await?;
    let Approve { by } = ctx.signals::<Approve>().recv().await?;
    Ok(format!("{summary}, says {by}"))
}

pub fn app(app: App) -> App {
    let key = Key::new("2026-11", *KEY).expect("the name has letters, digits and `-` only");
    let app = app.workflow(file_report).activity(summarize);
    app.codec(Zstd::new()).codec(AesGcm::new(key)) // in this order: what is encrypted cannot be compressed
}

/// A visit.
pub fn dictation() -> Dictation {
    let text = "A fracture of the left wrist. ".to_owned() + &"It is to be kept still. ".repeat(50);
    Dictation { patient: "Ada Byron".into(), text }
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(file_report, "visit-7", dictation()).await?;
    run.signal(Approve { by: "Dr. Hull".into() }).await?;
    let report = run.result().await?;
    ensure!(report == "Ada Byron: A fracture of the left wrist, says Dr. Hull", "{report}");
    let stored = run.record().await?.write();
    let read: Vec<_> = SECRETS.into_iter().filter(|secret| stored.contains(secret)).collect();
    ensure!(read.is_empty(), "the history shows {read:?}: {stored}");
    ensure!(stored.contains("zstd/1") && stored.contains("aes-gcm/1"), "how it was encoded: {stored}");
    ensure!(stored.contains("FileReport"), "names are readable: {stored}");
    ensure!(stored.len() < dictation().text.len() + 2_000, "and it is compressed: {} bytes", stored.len());
    Ok(())
}
