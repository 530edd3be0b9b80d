use std::collections::BTreeMap;

use millrace::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Signal, Serialize, Deserialize)]
pub struct AddItem {
    sku: String,
    quantity: u32,
}

#[derive(Signal, Serialize, Deserialize)]
pub struct CheckOut;

#[derive(Clone, Default, Serialize)]
struct Cart {
    lines: BTreeMap<String, u32>,
    checked_out: bool,
}

#[workflow(accepts(AddItem, CheckOut))]
async fn cart(ctx: WorkflowContext) -> Result<u32, WorkflowError> {
    let cart = ctx
        .state(Cart::default())
        .on_signal(|cart, AddItem { sku, quantity }| *cart.lines.entry(sku).or_default() += quantity)
        .on_signal(|cart, CheckOut| cart.checked_out = true)
        .published();
    cart.until(|cart| cart.checked_out).await?;
    Ok(cart.read(|cart| cart.lines.values().sum()))
}

pub fn add(app: App) -> App {
    app.workflow(cart)
}
