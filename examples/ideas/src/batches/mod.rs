//! **Batches**: the same request to every open run that a filter finds.
//!
//! When: a customer leaves, a vendor is down, a bad deployment has started a thousand runs. The batch has an id: begun again, it asks
//! each run once.
//!
//! Costs: a listing, and a request for each run. `docs/operations.md`, Many runs at once.

use anyhow::{bail, ensure};
use millrace::client::{Filter, Operation};
use millrace::{Client, RunError, prelude::*};

#[workflow]
pub async fn sync_data(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    Ok(ctx.sleep(days(30)).await?)
}

pub fn app(app: App) -> App {
    app.workflow(sync_data)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let start =
        |id: &str, customer: &str| client.start(sync_data, id, ()).attributes([("customer", customer)]);
    let (ann, bob) = (start("sync-ann", "ann").await?, start("sync-bob", "bob").await?);
    let filter = Filter {
        attributes: vec!["customer=ann".parse().map_err(anyhow::Error::msg)?],
        id_prefix: Some("sync-".into()),
        limit: usize::MAX,
        ..Filter::default()
    };
    let found = async || {
        let cancel = Operation::Cancel { reason: "the contract has ended".into() };
        let batch = client.batch("ann-leaves", &filter, cancel).await?;
        Ok((batch.runs().count() == 1).then_some(batch))
    };
    let report = crate::eventually("Ann's run in the list", found).await?.send_all().await;
    ensure!(report.sent == 1 && report.failed.is_empty(), "{report:?}");
    let Err(RunError::Failed(failure)) = ann.result().await else { bail!("Ann's goes on") };
    ensure!(failure.is_canceled(), "{failure}");
    ensure!(bob.describe().await?.status.is_open(), "nobody else's is touched");
    bob.terminate("the example is over").await?;
    Ok(())
}
