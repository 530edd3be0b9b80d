//! State that signals change, waits, and what a run shows.

use millrace::prelude::*;
use serde::{Deserialize, Serialize};

use crate::driver::World;

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

fn add(sku: &str) -> Add {
    Add { sku: sku.into(), quantity: 2 }
}

#[test]
fn signals_change_the_state_and_every_turn_shows_it() {
    for cold in [false, true] {
        let mut world = World::new(App::new().workflow(cart));
        world.cold = cold;
        world.start(cart, ()).signal(&add("tea"));
        assert_eq!(world.published::<Cart>().unwrap().lines, [("tea".to_owned(), 2)]);
        world.signal(&add("jam"));
        assert_eq!(world.published::<Cart>().unwrap().lines.len(), 2);
        world.signal(&CheckOut);
        let result: Cart = world.result().unwrap();
        assert_eq!((result.lines[0].0.as_str(), result.paid), ("jam", true));
        assert_eq!(world.published(), Some(result));
    }
}

#[test]
fn a_handler_takes_the_signals_that_came_before_it() {
    let mut world = World::new(App::new().workflow(late_handler));
    world.start(late_handler, ());
    assert_eq!(world.published::<String>().unwrap(), "asleep");
    world.signal(&add("tea")).signal(&add("jam")).advance(hours(1));
    assert_eq!(world.published::<String>().unwrap(), "awake");
    world.signal(&add("oil"));
    assert_eq!((world.result::<usize>().unwrap(), world.published()), (3, Some(true)));

    let mut world = World::new(App::new().workflow(late_handler));
    world.start(late_handler, ()).signal(&add("tea")).finish();
    assert_eq!((world.result::<usize>().unwrap(), world.published()), (1, Some(false)));
}

#[test]
fn a_cell_inside_its_own_closure_is_told_so() {
    let mut world = World::new(App::new().workflow(reentrant));
    world.start(reentrant, ());
    let blocked = world.blocked().unwrap().to_string();
    assert!(blocked.contains("state.rs") && blocked.contains("inside one of its own closures"), "{blocked}");
}

#[allow(unused)]
fn cells_and_contexts_are_clone_and_send() {
    fn is<T: Clone + Send + Sync>() {}
    is::<StateCell<Cart>>();
    is::<WorkflowContext>();
}
