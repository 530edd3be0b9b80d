//! State that signals change, waits, and what a run shows.

use millrace::{RunError, TestEnv, prelude::*};
use serde::{Deserialize, Serialize};

use crate::kit::{blocked, cold_and_warm};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cart {
    lines: Vec<(String, u32)>,
    paid: bool,
}
#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Add {
    sku: String,
    quantity: u32,
}
#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct CheckOut;

#[workflow(accepts(Add, CheckOut))]
async fn cart(ctx: WorkflowContext) -> Result<Cart, WorkflowError> {
    let cart = ctx
        .state(Cart::default())
        .on_signal(|cart, Add { sku, quantity }| cart.lines.push((sku, quantity)))
        .on_signal(|cart, CheckOut| cart.paid = true)
        .published();
    cart.until(|c| c.paid).await?;
    cart.modify(|c| c.lines.sort());
    assert_eq!(cart.read(|c| c.lines.len()), 2);
    Ok(cart.get())
}

#[workflow(accepts(Add))]
async fn late_handler(ctx: WorkflowContext) -> Result<usize, WorkflowError> {
    ctx.publish("asleep");
    ctx.sleep(hours(1)).await?;
    let cart =
        ctx.state(Cart::default()).on_signal(|cart, Add { sku, quantity }| cart.lines.push((sku, quantity)));
    ctx.publish("awake");
    let full = cart.until(|c| c.lines.len() == 3).within(hours(1)).await?;
    ctx.publish(&full.is_some());
    Ok(cart.read(|c| c.lines.len()))
}

#[workflow]
async fn reentrant(ctx: WorkflowContext) -> Result<u32, WorkflowError> {
    let cell = ctx.state(1);
    let again = cell.clone();
    Ok(cell.read(|_| again.get()))
}

/// Answers updates and queries from its state.
#[derive(Debug, Update, Serialize, Deserialize)]
#[update(output = u32)]
pub struct Order {
    sku: String,
    quantity: u32,
}
#[derive(Debug, Query, Serialize, Deserialize)]
#[query(output = u32)]
pub struct Total;

#[workflow(accepts(Order, Total, CheckOut))]
async fn shop(ctx: WorkflowContext) -> Result<Cart, WorkflowError> {
    let total = |cart: &Cart| cart.lines.iter().map(|line| line.1).sum();
    let cart = ctx
        .state(Cart::default())
        .on_update(move |cart, Order { sku, quantity }| {
            cart.lines.push((sku, quantity)); // works on a copy: a rejection undoes it
            if cart.lines.len() > 2 { reject("a cart holds two lines") } else { Ok(total(cart)) }
        })
        .on_signal(|cart, CheckOut| cart.paid = true)
        .on_query(move |cart, Total| total(cart))
        .published();
    cart.until(|c| c.paid).await?;
    Ok(cart.get())
}

fn add(sku: &str) -> Add {
    Add { sku: sku.into(), quantity: 2 }
}

#[tokio::test]
async fn signals_change_the_state_and_every_turn_shows_it() {
    for env in cold_and_warm(|| TestEnv::new().workflow(cart)) {
        let run = env.start(cart, "c", ()).await.unwrap();
        run.signal(add("tea")).await.unwrap();
        assert_eq!(run.state::<Cart>().await.unwrap().unwrap().lines, [("tea".to_owned(), 2)]);
        run.signal(add("jam")).await.unwrap();
        assert_eq!(run.state::<Cart>().await.unwrap().unwrap().lines.len(), 2);
        run.signal(CheckOut).await.unwrap();
        let result = run.result().await.unwrap();
        assert_eq!((result.lines[0].0.as_str(), result.paid), ("jam", true));
        assert_eq!(run.state().await.unwrap(), Some(result));
    }
}

#[tokio::test]
async fn an_update_is_answered_and_one_that_is_refused_leaves_no_trace() {
    for env in cold_and_warm(|| TestEnv::new().workflow(shop)) {
        let run = env.start(shop, "c", ()).await.unwrap();
        let order = |sku: &str, quantity| run.update(Order { sku: sku.into(), quantity });
        assert_eq!(order("tea", 2).await, Ok(2));
        assert_eq!(order("jam", 1).await, Ok(3));
        let before = run.history().await.unwrap();
        assert_eq!(order("oil", 9).await, Err(RunError::Rejected("a cart holds two lines".into())));
        assert_eq!(run.history().await.unwrap(), before);
        assert_eq!(run.query(Total).await, Ok(3));
        assert_eq!(run.state::<Cart>().await.unwrap().unwrap().lines.len(), 2);
        env.handle(shop, "c").unwrap().signal(CheckOut).await.unwrap();
        assert!(run.result().await.unwrap().paid);
        assert_eq!(run.query(Total).await, Ok(3), "as it was at its end");
        assert!(matches!(order("oil", 9).await, Err(RunError::Rejected(_))));
    }
}

#[tokio::test]
async fn a_handler_takes_the_signals_that_came_before_it() {
    let env = TestEnv::new().workflow(late_handler);
    let run = env.start(late_handler, "a", ()).await.unwrap();
    assert_eq!(run.state::<String>().await.unwrap().unwrap(), "asleep");
    run.signal(add("tea")).await.unwrap();
    run.signal(add("jam")).await.unwrap();
    env.advance(hours(1)).await;
    assert_eq!(run.state::<String>().await.unwrap().unwrap(), "awake");
    run.signal(add("oil")).await.unwrap();
    assert_eq!((run.result().await, run.state().await), (Ok(3), Ok(Some(true))));

    let run = env.start(late_handler, "b", ()).await.unwrap();
    run.signal(add("tea")).await.unwrap();
    assert_eq!((run.result().await, run.state().await), (Ok(1), Ok(Some(false))));
}

#[tokio::test]
async fn a_cell_inside_its_own_closure_is_told_so() {
    let run = TestEnv::new().workflow(reentrant).start(reentrant, "r", ()).await.unwrap();
    let blocked = blocked(&run).await.to_string();
    assert!(blocked.contains("state.rs") && blocked.contains("inside one of its own closures"), "{blocked}");
}

#[allow(unused)]
fn cells_and_contexts_are_clone_and_send() {
    fn is<T: Clone + Send + Sync>() {}
    is::<StateCell<Cart>>();
    is::<WorkflowContext>();
    is::<TestEnv>();
}
