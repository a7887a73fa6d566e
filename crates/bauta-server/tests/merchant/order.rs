//! Orders and the catalogue.

use bauta_crypto::content;
use bauta_io::SystemRng;
use bauta_proto::{
    catalogue::Catalogue,
    codec::Message,
    customer::OpenedOffer,
    ids::{BankId, GoodId, MerchantId, PolicyId},
    offer::OrderRequest,
    problem::ProblemKind,
    transport::merchant::CATALOGUE_PATH,
};

use super::world::{NOW, Town, input, kind, status};

#[tokio::test]
async fn the_same_order_gets_the_same_bytes_for_ever() {
    let mut town = Town::new().await;
    let good = town.add_good(b"text");
    let order = town.order_of(&good, 1);
    let first = town.order(&order).await.expect("offered").to_bytes();
    town.set_clock(30);
    assert_eq!(town.order(&order).await.expect("offered").to_bytes(), first);
    let mut shop = town.shop();
    let path = town.config.data.with_file_name("good.txt");
    let (input, mut rng) = (input(), SystemRng::new());
    shop.new_version(good.good, &path, &input, &mut rng, &mut |_| ())
        .expect("added");
    town.crash();
    assert_eq!(town.order(&order).await.expect("offered").to_bytes(), first);
    shop.withdraw_from_sale(good.good)
        .expect("asks")
        .expect("done");
    assert_eq!(town.order(&order).await.expect("offered").to_bytes(), first);
}

#[tokio::test]
async fn the_offer_is_one_that_a_customer_opens() {
    let town = Town::new().await;
    let good = town.add_good(b"text");
    let order = town.order_of(&good, 1);
    let reply = town.order(&order).await.expect("offered");
    let opened = OpenedOffer::check(reply, &order, input().price, NOW).expect("opened");
    assert_eq!(opened.offer().ct_root, good.ct_root);
    assert_eq!(opened.terms().file_name, "good.txt");
    assert_eq!(Some(opened.offer().ct_len), content::ciphertext_len(4));
}

#[tokio::test]
async fn orders_that_cannot_be_met_are_refused_with_their_reason() {
    let town = Town::new().await;
    let good = town.add_good(b"text");
    let order = town.order_of(&good, 1);
    let refused = async |order: OrderRequest| kind(town.order(&order).await);
    let other = OrderRequest {
        merchant: MerchantId([1; 32]),
        ..order.clone()
    };
    assert_eq!(refused(other).await, ProblemKind::WrongRecipient);
    let other = OrderRequest {
        good: GoodId([1; 16]),
        ..order.clone()
    };
    assert_eq!(refused(other).await, ProblemKind::UnknownGood);
    let other = OrderRequest {
        bank: BankId([1; 32]),
        ..order.clone()
    };
    assert_eq!(refused(other).await, ProblemKind::BankNotAccepted);
    let other = OrderRequest {
        log_policy: PolicyId([1; 32]),
        ..order.clone()
    };
    assert_eq!(refused(other).await, ProblemKind::PolicyNotAccepted);
    let other = OrderRequest {
        version: 2,
        ..order
    };
    assert_eq!(refused(other).await, ProblemKind::VersionChanged);
}

#[tokio::test]
async fn another_process_changes_the_shelf_of_a_running_shop() {
    let town = Town::new().await;
    let good = town.add_good(b"text");
    let mut shop = town.shop();
    let path = town.config.data.with_file_name("good.txt");
    let (input, mut rng) = (input(), SystemRng::new());
    town.order(&town.order_of(&good, 1)).await.expect("offered");
    let newer = shop.new_version(good.good, &path, &input, &mut rng, &mut |_| ());
    let newer = newer.expect("added");
    let refused = town.order(&town.order_of(&good, 2)).await;
    assert_eq!(kind(refused), ProblemKind::VersionChanged);
    town.order(&town.order_of(&newer, 2))
        .await
        .expect("offered");
    shop.withdraw_from_sale(good.good)
        .expect("asks")
        .expect("done");
    let refused = town.order(&town.order_of(&newer, 3)).await;
    assert_eq!(kind(refused), ProblemKind::NotForSale);
}

#[tokio::test]
async fn the_catalogue_lists_what_is_for_sale_and_its_tag_changes_with_it() {
    let town = Town::new().await;
    let good = town.add_good(b"text");
    let answer = town.get(CATALOGUE_PATH, &[]).await;
    let catalogue: Catalogue = serde_json::from_slice(answer.body()).expect("a catalogue");
    assert_eq!(catalogue.goods.len(), 1);
    assert_eq!(catalogue.goods[0].good, good.good.hex());
    assert_eq!(catalogue.goods[0].price, "4.99 EUR");
    assert_eq!(catalogue.log_policy, town.archive.policy().text());
    let tag = answer.headers()["etag"].to_str().expect("ASCII").to_owned();
    let again = town.get(CATALOGUE_PATH, &[("if-none-match", &tag)]).await;
    assert_eq!((status(&again).as_u16(), again.body().len()), (304, 0));
    town.shop()
        .withdraw_from_sale(good.good)
        .expect("asks")
        .expect("done");
    let changed = town.get(CATALOGUE_PATH, &[("if-none-match", &tag)]).await;
    let catalogue: Catalogue = serde_json::from_slice(changed.body()).expect("a catalogue");
    assert_eq!(catalogue.goods, []);
}

#[tokio::test]
async fn offers_beyond_the_limit_wait_and_lapsed_ones_make_room() {
    let town = Town::new().await;
    let good = town.add_good(b"text");
    for nonce in 0..100 {
        town.order(&town.order_of(&good, nonce))
            .await
            .expect("offered");
    }
    let refused = town.order(&town.order_of(&good, 100)).await;
    assert_eq!(kind(refused), ProblemKind::Overloaded);
    town.set_clock(15 * 60 + 3_601);
    assert_eq!(town.merchant.expire().await.expect("forgets"), 100);
    town.order(&town.order_of(&good, 100))
        .await
        .expect("offered");
}
