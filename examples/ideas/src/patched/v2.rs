//! The second version: what is published is moderated first.

use millrace::prelude::*;

use super::{Publish, moderate, store};

#[workflow(accepts(Publish))]
pub async fn index_document(ctx: WorkflowContext, mut text: String) -> Result<String, WorkflowError> {
    ctx.signals::<Publish>().recv().await?;
    if ctx.patched("moderate first") {
        text = ctx.activity(moderate, text).await?;
    }
    Ok(ctx.activity(store, text).await?)
}
