//! Where the payer goes: links that need no call, to the last parameter, and the page that posts a form.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kassir_providers::digest::Hash;
use kassir_providers::form::{Form, encode_percent};
use kassir_providers::{Method, State};
use serde_json::{Value, json};

use super::till::Till;
use super::vector::{Vector, target_of};

/// A created payment's pay link, without its host.
async fn link_of(vector: &Vector, more: Value) -> (Till, String) {
    let till = Till::open(vector).await;
    let mut wishes = Till::wishes(vector);
    wishes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = till.create(vector, wishes).await.is(201);
    assert_eq!(till.bank.take_asked().len(), 0);
    let url = made.word("pay_url").to_owned();
    assert!(url.starts_with(&till.bank.url()), "{url}");
    (till, target_of(&url))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_exact() {
    for (slug, name) in [
        ("yoomoney", "create"),
        ("yoomoney", "create-wallet"),
        ("uniteller", "create_form"),
        ("uniteller", "create_form_more"),
        ("unitpay", "create_form"),
        ("unitpay", "create_form_more"),
    ] {
        let vector = Vector::named(slug, name);
        let (_, link) = link_of(&vector, json!({})).await;
        // Words that nobody gave are made from the number; they are not signed.
        let link = link.replace("&Comment=%E2%84%96%201042", "");
        assert_eq!(link, target_of(vector.result("link").unwrap()), "{slug}/{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn robokassas_link_names_our_address_and_is_signed_with_it() {
    let vector = Vector::named("robokassa", "create_hold");
    let (till, link) = link_of(&vector, json!({})).await;
    let (path, query) = link.split_once('?').unwrap();
    assert_eq!(path, "/Merchant/Index.aspx");
    let form = Form::parse(query.as_bytes()).unwrap();
    let of = |name: &str| form.get(name).unwrap_or_default().to_owned();
    assert_eq!(
        (of("MerchantLogin"), of("OutSum"), of("InvId")),
        ("demo_shop".into(), "1499.90".into(), "1042".into())
    );
    assert_eq!((of("StepByStep"), of("Description")), ("true".into(), "Заказ № 1042".into()));
    assert_eq!(of("ResultUrl2"), till.shop.url);
    let base = format!("demo_shop:1499.90:1042:true:{}:Pass1_qwe", of("ResultUrl2"));
    let encoded = format!("demo_shop:1499.90:1042:true:{}:Pass1_qwe", encode_percent(&of("ResultUrl2")));
    let fits = [base, encoded].iter().any(|base| Hash::Md5.hex(base.as_bytes()) == of("SignatureValue"));
    assert!(fits, "{link}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn liqpays_link_names_our_address_and_is_signed() {
    let vector = Vector::named("liqpay", "create_hold");
    let (till, link) = link_of(&vector, json!({})).await;
    let (path, query) = link.split_once('?').unwrap();
    assert_eq!(path, "/api/3/checkout");
    let form = Form::parse(query.as_bytes()).unwrap();
    let (data, signature) = (form.get("data").unwrap(), form.get("signature").unwrap());
    let key = "kV3mQ9sT1xZ7bN5cL2pR8wJ4hG6fD0aYeUoIqWtB";
    let wanted = BASE64_STANDARD.encode(Hash::Sha1.digest(format!("{key}{data}{key}").as_bytes()));
    assert_eq!(signature, wanted);
    let object: Value = serde_json::from_slice(&BASE64_STANDARD.decode(data).unwrap()).unwrap();
    assert_eq!(
        object,
        json!({ "version": 3, "public_key": "i41279053618", "action": "hold", "amount": 1_000_000, "currency": "UAH",
            "description": "Оплата замовлення № 1004", "order_id": "1004", "language": "uk",
            "result_url": "https://t.me/examplebot", "server_url": till.shop.url, "info": "{\"chat\":77001}" })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_gets_a_page_that_posts_it() {
    let vector = Vector::named("yoomoney", "create-form");
    let till = Till::open(&vector).await;
    let mut wishes = Till::wishes(&vector);
    wishes["description"] = json!("Чай <b>\"&'");
    let made = till.create(&vector, wishes).await.is(201);
    let url = made.word("pay_url").to_owned();
    let start = format!("{}/pay/{}/72/", till.world.router.url(), till.world.merchant);
    assert_eq!(url.strip_prefix(&start).map(str::len), Some(32), "{url}");
    let get = async |url: &str| till.world.send(Method::Get, url, Vec::new(), Vec::new()).await;
    let page = get(&url).await;
    assert_eq!(page.status, 200);
    let html = page.body;
    let action =
        format!("method=\"post\" accept-charset=\"utf-8\" action=\"{}/quickpay/confirm\"", till.bank.url());
    assert!(html.contains(&action), "{html}");
    for (name, value) in [
        ("receiver", "4100118012345678"),
        ("quickpay-form", "button"),
        ("paymentType", "AC"),
        ("sum", "10.50"),
        ("label", "72"),
        ("successURL", "https://t.me/mybot"),
    ] {
        assert!(
            html.contains(&format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">")),
            "{html}"
        );
    }
    assert!(
        html.contains("Чай &lt;b&gt;&quot;&amp;&#39;") && html.contains("Pay 10.50 RUB</button>"),
        "{html}"
    );
    assert!(!html.contains("<script>") && html.contains("<script nonce=\""), "{html}");
    assert!(!html.contains("01234567890ABCDEF01234567890"));
    // Who does not know the address gets nothing.
    for wrong in
        [format!("{start}{}", "0".repeat(32)), url.replace("/72/", "/73/"), url.replace("/72/", "/x/")]
    {
        assert_eq!(get(&wrong).await.status, 404, "{wrong}");
    }
    // What is over is not paid again.
    let paid = crate::world::fixture::notice(&till.shop, State::Succeeded, 1_050, "72");
    assert_eq!(till.world.notify(&till.shop, &paid).await.status, 200);
    let page = get(&url).await;
    assert!(page.body.contains("The order is paid") && !page.body.contains("<form"), "{}", page.body);
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_long_for_a_link_gets_a_page() {
    for (slug, name) in [("liqpay", "create_form"), ("uniteller", "create_form_long_receipt")] {
        let vector = Vector::named(slug, name);
        let till = Till::open(&vector).await;
        let made = till.create(&vector, Till::wishes(&vector)).await.is(201);
        let url = made.word("pay_url");
        assert!(url.starts_with(&format!("{}/pay/", till.world.router.url())), "{slug}: {url}");
        let page = till.world.send(Method::Get, url, Vec::new(), Vec::new()).await;
        assert!(page.body.contains("<form id=\"pay\" method=\"post\""), "{slug}: {}", page.body);
    }
}
