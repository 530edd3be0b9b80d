use millrace::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    pub customer: String,
    pub cents: u64,
}

#[activity(start_to_close = "10s", max_attempts = 5, initial_interval = "500ms")]
async fn charge(ctx: ActivityContext, order: Order) -> Result<String, ActivityError> {
    if order.cents > 100_000 {
        let failure = ApplicationFailure::new("CardDeclined", "the limit is 1000.00");
        return Err(failure.non_retryable().details(&order.cents).into());
    }
    if ctx.attempt < 3 {
        return Err("the bank did not answer".into()); // any error will do
    }
    Ok(format!("receipt for {}", order.customer))
}

#[activity]
async fn apologize(customer: String, why: String) -> Result<(), ActivityError> {
    println!("mail to {customer}: {why}");
    Ok(())
}

#[workflow]
async fn pay(ctx: WorkflowContext, order: Order) -> Result<String, WorkflowError> {
    let customer = order.customer.clone();
    match ctx.activity(charge, order).schedule_to_close(minutes(2)).await {
        Err(failure) if failure.is("CardDeclined") => {
            ctx.activity(apologize, (customer, failure.to_string())).await?;
            Ok("not paid".into())
        }
        other => Ok(other?), // the receipt; any other failure ends the run
    }
}

pub fn add(app: App) -> App {
    app.workflow(pay).activity(charge).activity(apologize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace::dev::{Dev, Options};

    fn order(cents: u64) -> Order {
        Order { customer: "Ann".into(), cents }
    }

    #[tokio::test]
    async fn a_large_order_is_declined() {
        let charged = charge(ActivityContext::test(), order(200_000)).await;
        let Err(ActivityError::Failed(fault)) = charged else { panic!("{charged:?}") };
        assert!(fault.is("CardDeclined"));
        assert_eq!(fault.details(), Some(200_000));
    }

    #[tokio::test]
    async fn the_third_attempt_pays() {
        let dev = Dev::start(&add(App::new()), Options::in_memory()).unwrap();
        let run = dev.client().start(pay, "order-1", order(4_200)).await.unwrap();
        assert_eq!(run.result().await.unwrap(), "receipt for Ann");
        dev.stop().await;
    }
}
