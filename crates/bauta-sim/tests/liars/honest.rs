//! Without liars everybody gets what is theirs: else the attacks below would fail for nothing.

use crate::town::{PRICE, PURSE, Town, foiled};

#[tokio::test]
async fn an_honest_purchase() {
    let town = Town::new().await;
    town.good("song");
    let mut customer = town.customer().await;
    customer.buy("song").await.expect("bought");
    town.settle().await;
    customer.ended_in_goods_or_money(&town, "song").await;
    foiled(customer.goods("song").await, "no goods");
    foiled(customer.available() == PURSE - PRICE, "another price");
    foiled(town.shop_earned() == PRICE, "the shop was not paid");
    town.check_books(PURSE);
}
