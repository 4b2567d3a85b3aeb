//! The state of a payment: by its transaction, by its pay page's token, or by its order number; then its children
//! (captures, voids, refunds), which are transactions of their own under the same order number.

use serde_json::Value;

use super::about::Host;
use super::amount;
use super::operations::{Api, is_child_of, key, never, reference};
use super::replies::{Answer, is_not_found, read, unreadable};
use super::transaction::{self, Key, Meaning, is_plain, meaning_of, tracking_id, uid, word};
use crate::fact::{AmountCheck, Fact, PaymentFact, PaymentRef, RefundFact, State, Sum};
use crate::json::member;
use crate::operation::{Done, Failure, Step, Target};
use crate::{Reply, json};

const TOKEN: &str = "token";
/// By uid, at the host that is more likely, then at the other one.
const FIRST: &str = "first";
const SECOND: &str = "second";
/// By order number, at the gateway of cards, then at the service of alternative methods.
const LIST: &str = "list";
const LIST_OTHER: &str = "list-other";
/// The children of a payment that was read: its fact follows.
const CHILDREN: &str = "children ";

pub(super) fn begin(api: &Api<'_>, target: &Target) -> Result<Step, Failure> {
    let alternative = key(target).is_some_and(|key| key.is_alternative());
    match (&target.provider_id, key(target)) {
        (Some(uid), _) => api.transaction(uid, alternative, FIRST),
        (None, Some(Key::Token(token))) => {
            Ok(api.get(Host::Checkout, &format!("/ctp/api/checkouts/{token}"), TOKEN))
        }
        (None, _) => Ok(api.transactions(&order_number(target)?, alternative, LIST)),
    }
}

fn order_number(target: &Target) -> Result<String, Failure> {
    let number = target.order_number();
    if is_plain(&number) {
        return Ok(number);
    }
    Err(never("an order number of letters, digits, - and _ is needed to ask for its transactions"))
}

pub(super) fn next(api: &Api<'_>, target: &Target, memo: &str, reply: &Reply) -> Result<Step, Failure> {
    let alternative = key(target).is_some_and(|key| key.is_alternative());
    if let Some(text) = memo.strip_prefix(CHILDREN) {
        return with_children(target, text, reply);
    }
    match memo {
        TOKEN => by_token(api, target, &read(reply)?),
        LIST | LIST_OTHER => listed(api, target, memo, reply, alternative),
        _ => {
            let (wanted, more) = memo
                .split_once(' ')
                .map_or((target.provider_id.as_deref(), memo), |(memo, uid)| (Some(uid), memo));
            let wanted = wanted.ok_or_else(|| never("bePaid's uid of the transaction is not known"))?;
            if is_not_found(reply) && more == FIRST {
                return api.transaction(wanted, !alternative, &format!("{SECOND} {wanted}"));
            }
            let answer = read(reply)?;
            let found = answer.object("transaction")?;
            if uid(found, "uid").as_deref() != Some(wanted) {
                return Err(unreadable("it is about another transaction"));
            }
            let at_alternative = if more == SECOND { !alternative } else { alternative };
            told(api, &answer, found, at_alternative)
        }
    }
}

/// The transaction itself was read. Money that is held or paid may have children.
fn told(api: &Api<'_>, answer: &Answer, found: &Value, alternative: bool) -> Result<Step, Failure> {
    let mut fact = transaction::fact(found).map_err(|why| unreadable(&why))?;
    let mut may_have_children = false;
    if let Fact::Payment(fact) = &mut fact {
        if alternative && fact.operation_key.is_none() {
            fact.operation_key = Some(Key::Alternative.text());
        }
        let own = matches!(meaning_of(found), Meaning::State(_));
        may_have_children = own && matches!(fact.state, State::WaitingForCapture | State::Succeeded);
    }
    let number = tracking_id(found).filter(|number| is_plain(number));
    if let (true, Some(number)) = (may_have_children, number) {
        let closed = member(found, "closed_at").is_some();
        let text = serde_json::to_string(&(closed, &fact)).map_err(|error| unreadable(&error.to_string()))?;
        return Ok(api.transactions(&number, alternative, &format!("{CHILDREN}{text}")));
    }
    Ok(done(vec![fact], Some(answer)))
}

/// The payment's fact and those of its children. What can't be listed leaves the payment as it was read.
fn with_children(target: &Target, text: &str, reply: &Reply) -> Result<Step, Failure> {
    let (closed, fact): (bool, Fact) =
        serde_json::from_str(text).map_err(|error| unreadable(&error.to_string()))?;
    if is_not_found(reply) {
        return Ok(done(vec![fact], None));
    }
    let answer = read(reply)?;
    let all = transactions(&answer)?;
    let facts = family(target, fact, closed, all)?;
    Ok(done(facts, Some(&answer)))
}

/// The payment's state with its captures and voids, then its refunds.
fn family(target: &Target, fact: Fact, closed: bool, all: &[Value]) -> Result<Vec<Fact>, Failure> {
    let payment = fact.payment().clone();
    let of = |parent: &Option<String>| payment.provider_id.is_some() && *parent == payment.provider_id;
    let read = |found: &Value| transaction::fact(found).map_err(|why| unreadable(&why));
    let mut state = fact;
    let mut captures = Vec::new();
    for found in all.iter().filter(|found| of(&uid(found, "parent_uid"))) {
        match meaning_of(found) {
            Meaning::Captured => {
                captures.push(uid(found, "uid"));
                state = read(found)?;
            }
            Meaning::Voided if captures.is_empty() => state = read(found)?,
            _ => {}
        }
    }
    if let Fact::Payment(fact) = &mut state {
        fact.payment = payment.clone();
        // A hold that was closed with no capture to be seen.
        if closed && fact.state == State::WaitingForCapture {
            fact.state = State::Canceled;
            fact.reason = Some("closed".to_owned());
        }
    }
    let mut facts = vec![state];
    for found in all {
        let parent = uid(found, "parent_uid");
        let ours = of(&parent) || captures.contains(&parent) || is_child_of(found, target);
        let went_back = matches!(meaning_of(found), Meaning::Refunded | Meaning::ChargedBack);
        if ours
            && parent.is_some()
            && went_back
            && let Fact::Refund(refund) = read(found)?
        {
            facts.push(Fact::Refund(RefundFact { payment: payment.clone(), ..refund }));
        }
    }
    Ok(facts)
}

fn transactions(answer: &Answer) -> Result<&[Value], Failure> {
    let list = answer.body.get("transactions").and_then(Value::as_array);
    list.map(Vec::as_slice).ok_or_else(|| unreadable("it has no list of transactions"))
}

/// By order number: of several attempts the one that took money counts, else one that may still, else the newest.
fn listed(
    api: &Api<'_>,
    target: &Target,
    memo: &str,
    reply: &Reply,
    alternative: bool,
) -> Result<Step, Failure> {
    let number = order_number(target)?;
    let nothing = is_not_found(reply);
    let answer = if nothing { None } else { Some(read(reply)?) };
    let all = answer.as_ref().map(transactions).transpose()?.unwrap_or_default();
    let rank = |found: &&Value| match meaning_of(found) {
        Meaning::State(State::Succeeded) => Some(3),
        Meaning::State(State::WaitingForCapture) => Some(2),
        Meaning::State(State::Pending) => Some(1),
        Meaning::State(State::Canceled) => Some(0),
        _ => None,
    };
    let ours =
        all.iter().filter(|found| tracking_id(found).as_ref() == Some(&number) && rank(found).is_some());
    // Newest first, and the last of equals would win: so from the end.
    if let Some(found) = ours.rev().max_by_key(rank) {
        let fact = transaction::fact(found).map_err(|why| unreadable(&why))?;
        let facts = family(target, fact, member(found, "closed_at").is_some(), all)?;
        return Ok(done(facts, answer.as_ref()));
    }
    if memo == LIST {
        return Ok(api.transactions(&number, !alternative, LIST_OTHER));
    }
    // Nobody has tried to pay yet.
    Ok(done(vec![pending(target, None)], answer.as_ref()))
}

fn pending(target: &Target, amount: Option<Sum>) -> Fact {
    Fact::Payment(PaymentFact {
        payment: reference(target),
        state: State::Pending,
        amount_check: if amount.is_some() { AmountCheck::Equal } else { AmountCheck::Ignore },
        amount,
        reason: None,
        test: false,
        method: None,
        saved_method: None,
        operation_key: None,
        expires_at: None,
    })
}

/// By the pay page's token. It shows the last try only, whose transaction is then asked for.
fn by_token(api: &Api<'_>, target: &Target, answer: &Answer) -> Result<Step, Failure> {
    let checkout = answer.object("checkout")?;
    let order = checkout.get("order").unwrap_or(&Value::Null);
    if tracking_id(order).is_some_and(|told| told != target.order_number()) {
        return Err(unreadable("it is about another payment"));
    }
    let is = |name: &str| checkout.get(name) == Some(&Value::Bool(true));
    let sections = checkout.get("gateway_response").and_then(Value::as_object);
    let tried = sections.and_then(|sections| sections.values().find_map(|section| uid(section, "uid")));
    if let (Some(uid), true) = (tried, is("finished")) {
        return api.transaction(&uid, false, &format!("{FIRST} {uid}"));
    }
    let amount = amount::read(order).map_err(|error| unreadable(&error.words()))?;
    let mut fact = pending(target, Some(Sum::Money(amount)));
    if let Fact::Payment(fact) = &mut fact {
        fact.test = transaction::is_test(checkout);
        if is("expired") && word(checkout, "status") != "successful" {
            fact.state = State::Canceled;
            fact.reason = Some("expired".to_owned());
        }
        fact.expires_at = json::member(order, "expired_at")
            .filter(|_| fact.state == State::Pending)
            .and_then(|text| crate::date::iso_8601(&text));
    }
    Ok(done(vec![fact], Some(answer)))
}

fn done(facts: Vec<Fact>, answer: Option<&Answer>) -> Step {
    let provider_id =
        facts.first().map(Fact::payment).and_then(|payment: &PaymentRef| payment.provider_id.clone());
    Step::done(Done {
        provider_id,
        facts,
        payload: answer.map(|answer| answer.raw.clone()),
        ..Done::default()
    })
}
