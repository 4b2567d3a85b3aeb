//! How an operation's steps are taken one after the other, by a provider's API that is a list of replies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kassir::operations::{Caller, NoReply, Operations, Visit, had_no_turn};
use kassir_providers::operation::{Context, Target, Wish};
use kassir_providers::{Account, Call, Done, Failure, Money, Reply, Retry, Secret, Settings, State, by_slug};

/// Answers the calls in turn; past the last nobody is there.
struct Script {
    replies: Vec<(u16, String)>,
    /// Begins anew at the end.
    again: bool,
    asked: AtomicUsize,
}

impl Script {
    fn new(replies: &[(u16, &str)], again: bool) -> Arc<Script> {
        let replies = replies.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        Arc::new(Script { replies, again, asked: AtomicUsize::new(0) })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Caller for Script {
    async fn call(&self, _: Call) -> Result<Reply, NoReply> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let at = if self.again { asked % self.replies.len() } else { asked };
        match self.replies.get(at) {
            Some((status, body)) => {
                Ok(Reply { status: *status, headers: Vec::new(), body: body.clone().into_bytes() })
            }
            None => Err(NoReply { why: "connection refused".to_owned(), may_have_arrived: false }),
        }
    }
}

/// Answers the first call; after that nobody ever answers.
struct Silence {
    first: Option<&'static str>,
    asked: AtomicUsize,
}

#[async_trait]
impl Caller for Silence {
    async fn call(&self, _: Call) -> Result<Reply, NoReply> {
        let first = self.asked.fetch_add(1, Ordering::SeqCst) == 0;
        match self.first.filter(|_| first) {
            Some(body) => Ok(Reply { status: 200, headers: Vec::new(), body: body.as_bytes().to_vec() }),
            None => std::future::pending().await,
        }
    }
}

/// A list of two pages, both without what is looked for.
struct Pages;

#[async_trait]
impl Caller for Pages {
    async fn call(&self, call: Call) -> Result<Reply, NoReply> {
        let next = if call.url.contains("cursor=") { "" } else { r#","next_cursor":"c-1""# };
        let body = format!(r#"{{"type":"list","items":[]{next}}}"#).into_bytes();
        Ok(Reply { status: 200, headers: Vec::new(), body })
    }
}

fn account(credentials: &[(&str, &str)]) -> Account {
    let credentials = credentials.iter().map(|(key, value)| ((*key).to_owned(), Secret::new(*value)));
    Account { credentials: credentials.collect(), settings: Settings::default() }
}

fn target(provider_id: Option<&str>, state: State) -> Target {
    Target {
        number: 72,
        reference: None,
        provider_id: provider_id.map(str::to_owned),
        operation_key: None,
        amount: Money::new(149_000, "RUB".parse().unwrap()),
        refunded: 0,
        state,
        created_at: crate::world::START,
    }
}

async fn run(operations: &Operations, slug: &str, account: &Account, wish: Wish) -> Result<Done, Failure> {
    let context = Context { now: crate::world::START, idempotency_key: "key-1".to_owned() };
    operations.run(by_slug(slug).unwrap(), account, wish, context).await
}

fn part() -> Option<Money> {
    Some(Money::new(49_000, "RUB".parse().unwrap()))
}

fn refund(provider_id: &str) -> Wish {
    let payment = target(Some(provider_id), State::Succeeded);
    Wish::Refund { payment, amount: part(), reason: None, receipt: None }
}

fn cloudpayments() -> Account {
    account(&[("public_id", "pk_1"), ("api_secret", "secret-1")])
}

fn uniteller() -> Account {
    account(&[("shop_id", "00012345"), ("password", "password-1"), ("login", "1001")])
}

/// Uniteller's answer to a release that it took.
fn taken() -> String {
    r#"<?xml version='1.0' encoding='UTF-8' standalone='yes'?>
<unitellerresult firstcode="" secondcode="" count="1">
 <request><shopordernumber>72</shopordernumber><shop_id>00012345</shop_id></request>
 <orders>
  <field><ordernumber>OrderNumber</ordernumber><status>Status</status></field>
  <order><ordernumber>72</ordernumber><response_code>AS000</response_code><total>1490.00</total><currency>RUB</currency><billnumber>947192142100</billnumber><status>Paid</status></order>
 </orders>
</unitellerresult>"#
        .to_owned()
}

#[tokio::test]
async fn a_refund_that_was_done_stays_done_when_nobody_answers_the_look_up() {
    let script =
        Script::new(&[(200, r#"{"Model":{"TransactionId":568},"Success":true,"Message":null}"#)], false);
    let operations = Operations::new(script.clone());
    let done = run(&operations, "cloudpayments", &cloudpayments(), refund("455")).await.unwrap();
    assert_eq!((done.refund_id.as_deref(), done.facts.len()), (Some("568"), 0));
    assert_eq!(script.asked(), 2);
}

#[tokio::test]
async fn a_refund_without_a_number_stays_done_when_nobody_answers_the_look_up() {
    let operations = Operations::new(Script::new(&[(200, &taken())], false));
    let done = run(&operations, "uniteller", &uniteller(), refund("947192142100")).await.unwrap();
    assert_eq!((done.refund_id.as_deref(), done.facts.len()), (Some("72-key-1"), 0));
}

#[tokio::test]
async fn a_capture_in_part_is_not_begun_anew_after_its_first_call() {
    let operations = Operations::new(Script::new(&[(200, &taken())], false));
    let payment = target(Some("947192142100"), State::WaitingForCapture);
    let wish = Wish::Capture { payment, amount: part(), receipt: None };
    let failure = run(&operations, "uniteller", &uniteller(), wish).await.unwrap_err();
    assert_eq!(failure.retry, Retry::LookUp, "{}", failure.why);
    assert!(failure.why.contains("capture what is left by hand"), "{}", failure.why);
}

#[tokio::test]
async fn the_first_call_of_a_refund_that_nobody_got_may_be_made_again() {
    let operations = Operations::new(Script::new(&[], false));
    for (slug, account) in [("cloudpayments", cloudpayments()), ("uniteller", uniteller())] {
        let failure = run(&operations, slug, &account, refund("455")).await.unwrap_err();
        assert_eq!(failure.retry, Retry::Later(None), "{slug}: {}", failure.why);
    }
}

#[tokio::test]
async fn a_list_is_looked_through_to_its_last_page() {
    let script = Script::new(&[(200, r#"{"type":"list","items":[],"next_cursor":"c-1"}"#)], true);
    let account = account(&[("shop_id", "100500"), ("secret_key", "live_1")]);
    let wish = Wish::Status(target(None, State::Pending));
    let failure = run(&Operations::new(script.clone()), "yookassa", &account, wish).await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("not_found"), "{}", failure.why);
    assert_eq!(script.asked(), 50);
}

/// Each of the others would come again and take the next turn.
#[tokio::test]
async fn a_question_that_was_begun_is_not_sent_away_for_those_that_come_after_it() {
    let operations = Operations::new(Arc::new(Pages)).paced();
    let account = account(&[("shop_id", "100500"), ("secret_key", "live_1")]);
    let ask = || run(&operations, "yookassa", &account, Wish::Status(target(None, State::Pending)));
    let others = futures_util::future::join_all((0..40).map(|_| ask()));
    let failure = tokio::select! {
        biased;
        ended = ask() => ended.unwrap_err(),
        _ = others => panic!("the others have ended before it"),
    };
    assert_eq!(failure.code.as_deref(), Some("not_found"), "{}", failure.why);
}

#[tokio::test]
async fn questions_that_belong_together_keep_their_place() {
    let operations = Operations::new(Arc::new(Pages)).paced();
    let account = account(&[("shop_id", "100500"), ("secret_key", "live_1")]);
    let wish = || Wish::Status(target(Some("22e12f66-000f-5000-8000-18db351245c7"), State::Pending));
    let others = (0..40).map(|_| run(&operations, "yookassa", &account, wish()));
    let both = async {
        let (mut visit, yookassa) = (Visit::default(), by_slug("yookassa").unwrap());
        for _ in 0..2 {
            let context = Context { now: crate::world::START, idempotency_key: "key-1".to_owned() };
            let asked = operations.run_within(&mut visit, yookassa, &account, wish(), context).await;
            // The list is no payment.
            assert!(!had_no_turn(&asked.unwrap_err()));
        }
    };
    tokio::select! {
        biased;
        () = both => {}
        _ = futures_util::future::join_all(others) => panic!("the others have ended before them"),
    }
}

#[tokio::test]
async fn a_refund_that_may_have_been_made_is_said_again_only_under_a_key_of_its_own() {
    let yookassa = account(&[("shop_id", "100500"), ("secret_key", "live_1")]);
    for (status, keyed, keyless) in [
        (500, Retry::Later(Some(60_000)), Retry::LookUp),
        (202, Retry::Later(Some(1_800)), Retry::LookUp),
        (429, Retry::Later(None), Retry::Later(None)),
        (400, Retry::Never, Retry::Never),
    ] {
        let operations = Operations::new(Script::new(&[(status, "{}")], true));
        let wish = || refund("22e12f66-000f-5000-8000-18db351245c7");
        let failure = run(&operations, "yookassa", &yookassa, wish()).await.unwrap_err();
        assert_eq!(failure.retry, keyed, "{status}: {}", failure.why);
        let failure = run(&operations.said_once(), "yookassa", &yookassa, wish()).await.unwrap_err();
        assert_eq!(failure.retry, keyless, "{status}: {}", failure.why);
    }
}

/// Another refund of the payment may begin some time later: by then this one has ended, whatever the provider does.
#[tokio::test]
async fn what_changes_something_ends_in_time() {
    let done = r#"{"Model":{"TransactionId":568},"Success":true,"Message":null}"#;
    let within_no_time = |first| {
        let silence = Silence { first, asked: AtomicUsize::new(0) };
        Operations::new(Arc::new(silence)).within(Duration::ZERO)
    };
    let failure =
        run(&within_no_time(None), "cloudpayments", &cloudpayments(), refund("455")).await.unwrap_err();
    assert_eq!(failure.retry, Retry::LookUp, "{}", failure.why);
    assert!(failure.why.contains("no answer within"), "{}", failure.why);
    // What was done before stays done.
    let done =
        run(&within_no_time(Some(done)), "cloudpayments", &cloudpayments(), refund("455")).await.unwrap();
    assert_eq!(done.refund_id.as_deref(), Some("568"));
}
