//! The first version: what is in production, with runs on their way.

use millrace::prelude::*;

use super::{Publish, store};

#[workflow(accepts(Publish))]
pub async fn index_document(ctx: WorkflowContext, text: String) -> Result<String, WorkflowError> {
    ctx.signals::<Publish>().recv().await?;
    Ok(ctx.activity(store, text).await?)
}
