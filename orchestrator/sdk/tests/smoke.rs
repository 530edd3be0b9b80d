use millrace::prelude::*;
use serde::{Deserialize, Serialize};
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec { n: f64 }
#[derive(Debug, thiserror::Error)]
#[error("below")]
pub struct BelowThreshold;
#[activity(task_queue = "gpu", start_to_close = "5h", heartbeat = "30s", non_retryable(BelowThreshold, "X"), exclusive, backoff_coefficient = 1.5)]
async fn train(ctx: ActivityContext, spec: Spec) -> Result<Spec, ActivityError> { ctx.heartbeat(&1)?; Ok(spec) }
#[activity]
async fn test(spec: Spec, (a, _b): (f64, u8)) -> anyhow::Result<f64> { Ok(spec.n + a) }
#[activity]
async fn deploy(s: Shared<String>, _x: f64) -> Result<(), std::io::Error> { let _ = s.len(); Ok(()) }
#[activity]
async fn elsewhere(x: f64) -> Result<String, ActivityError>;
#[derive(Debug, Signal, Serialize, Deserialize)]
struct Approve { by: String }
#[workflow(accepts(Approve))]
async fn wf(ctx: WorkflowContext, spec: Spec) -> Result<String, WorkflowError> {
    let m = ctx.activity(train, spec).await?;
    let (a, b) = try_join!(ctx.activity(test, (m.clone(), (1.0, 2))), ctx.activity(test, (m.clone(), (1.0, 2))))?;
    ctx.activity(deploy, a + b).retry(Retry::attempts(5).every(secs(1))).await?;
    let approvals = ctx.signals::<Approve>();
    if let Some(a) = approvals.recv().within(days(1)).await? { return Ok(a.by) }
    select! {
        a = approvals.recv() => Ok(a?.by),
        _ = ctx.sleep(days(7)) => Err(ApplicationFailure::new("NobodyCared", "no answer").into()),
    }
}
#[workflow]
async fn trip(ctx: WorkflowContext) -> Result<Vec<f64>, WorkflowError> {
    ctx.saga(async |saga| {
        let x = ctx.activity(elsewhere, 1.0).await?;
        saga.undo(ctx.activity(deploy, x.len() as f64));
        let all = ctx.join_all_bounded(3, (0..5).map(|_| ctx.activity(elsewhere, 1.0))).await;
        Ok(all.into_iter().flatten().map(|s| s.len() as f64).collect())
    }).await
}
#[test]
fn builds() {
    let app = App::new().workflow(wf).workflow(trip).activity(train).activity(test).activity(deploy);
    assert_eq!(app.check().unwrap_err(), "activity `deploy` needs `Shared<alloc::string::String>`: add `.share(..)` to the App");
    assert_eq!(app.share(String::new()).check(), Ok(()));
}
