//! A notification that fits the document, signed with the account's secrets: the document read backwards.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::amount::{Amount, Source, Unit};
use super::base::Builder;
use super::document::{self, Body, Document, Unwrap};
use super::envelope::Envelope;
use super::explain::Trace;
use super::keys::Keys;
use super::pointer::{Pointer, Root};
use super::prove;
use super::scheme::{Check, Expect, Missing, Part, Pick, Signature, TimeUnit};
use super::states::{Condition, Test, Verdict};
use super::{ABOUT, receive};
use crate::digest::{self, Hash};
use crate::operation::Sample;
use crate::{Account, Fact, Method, Money, Request, date, form, jws};

pub(super) fn imitate(sample: &Sample, account: &Account) -> Result<Request, String> {
    let known = |kind: &String| ABOUT.kinds.iter().any(|known| known.name == kind);
    if sample.kind.as_ref().is_some_and(|kind| !known(kind)) {
        return Err("the only kind is notification".to_owned());
    }
    let document = document::of(account).map_err(|_| "the integration has no document".to_owned())?;
    let map = document.map.as_ref().ok_or("the document has no map")?;
    let wanted = match (sample.refund, map.refund_amount.is_some()) {
        (false, _) => Verdict::Is(sample.state),
        (true, true) => Verdict::PartiallyRefunded,
        (true, false) => Verdict::Refunded,
    };
    let mut draft = Draft::new(&document);
    draft.values(sample, wanted)?;
    let rules = document.states.rules.iter().filter(|(_, verdict)| *verdict == wanted);
    let ways = rules.map(|(conditions, _)| conditions.as_slice()).chain([&[][..]]);
    let mut last = format!("no rule of the document gives {}", wanted.word());
    for conditions in ways {
        let mut draft = draft.clone();
        match draft.finish(conditions, sample, account) {
            Ok(request) => match receive::run(&document, &request, account, &mut Trace::off()) {
                Ok(received) if received.facts.iter().all(|fact| fits(fact, sample)) => return Ok(request),
                Ok(_) => {}
                Err(reject) => last = reject.reason,
            },
            Err(why) => last = why,
        }
    }
    Err(last)
}

fn fits(fact: &Fact, sample: &Sample) -> bool {
    match fact {
        Fact::Payment(fact) => !sample.refund && fact.state == sample.state,
        Fact::Refund(_) => sample.refund,
        Fact::Question(_) | Fact::Note(_) => false,
    }
}

/// A request in the making.
#[derive(Clone)]
struct Draft<'d, 'a> {
    document: &'d Document<'a>,
    body: Value,
    query: Value,
    unwrapped: Value,
    headers: Vec<(String, String)>,
    kind: Option<String>,
    peer: Option<IpAddr>,
}

impl<'d, 'a> Draft<'d, 'a> {
    fn new(document: &'d Document<'a>) -> Draft<'d, 'a> {
        let empty = || Value::Object(Map::new());
        Draft {
            document,
            body: empty(),
            query: empty(),
            unwrapped: empty(),
            headers: Vec::new(),
            kind: None,
            peer: None,
        }
    }

    fn tree(&mut self, root: Root) -> Option<&mut Value> {
        match root {
            Root::Body if self.document.reading.body == Body::Query => Some(&mut self.query),
            Root::Body => Some(&mut self.body),
            Root::Query => Some(&mut self.query),
            Root::X => Some(&mut self.unwrapped),
            _ => None,
        }
    }

    fn get(&mut self, pointer: Pointer<'_>) -> Option<String> {
        match pointer.root {
            Root::Headers => {
                let found = self.headers.iter().find(|(name, _)| name == pointer.name());
                found.map(|(_, value)| value.clone())
            }
            Root::Path => self.kind.clone(),
            Root::Method => Some("?".to_owned()),
            root => {
                let value = self.tree(root)?.pointer(pointer.rest)?;
                super::envelope::text(value).map(std::borrow::Cow::into_owned)
            }
        }
    }

    fn set(&mut self, pointer: Pointer<'_>, value: Value) -> Result<(), String> {
        let text = || super::envelope::text(&value).unwrap_or_default().into_owned();
        match pointer.root {
            Root::Headers => {
                let (name, text) = (pointer.name().to_owned(), text());
                self.headers.retain(|(known, _)| *known != name);
                self.headers.push((name, text));
                Ok(())
            }
            Root::Path if pointer.name() == "kind" => {
                self.kind = Some(text());
                Ok(())
            }
            root => {
                let no_place = || format!("{} can't be filled", pointer.text);
                put(self.tree(root).ok_or_else(no_place)?, pointer.rest, value).ok_or_else(no_place)
            }
        }
    }

    /// Writes a value into a list such as `t=…,v1=…`, or as it is.
    fn set_picked(
        &mut self,
        pointer: Pointer<'_>,
        pick: Option<Pick<'_>>,
        prefix: &str,
        text: &str,
    ) -> Result<(), String> {
        let text = match pick {
            None => format!("{prefix}{text}"),
            Some(pick) => {
                let piece = format!("{}{}{text}", pick.name, pick.kv);
                match self.get(pointer).filter(|before| !before.is_empty()) {
                    Some(before) => format!("{before}{}{piece}", pick.sep),
                    None => format!("{prefix}{piece}"),
                }
            }
        };
        self.set(pointer, Value::String(text))
    }

    fn values(&mut self, sample: &Sample, wanted: Verdict) -> Result<(), String> {
        let document = self.document;
        let map = document.map.as_ref().ok_or("the document has no map")?;
        let id = sample.provider_id.clone().unwrap_or_else(|| format!("imitated-{}", sample.reference));
        let first = map.provider_id.first().ok_or("there is no place for provider_id")?;
        self.set(*first, Value::String(id))?;
        if let Some(pointer) = map.order_id.first() {
            self.set(*pointer, Value::String(sample.reference.clone()))?;
        }
        let currency = sample.amount.currency;
        if let Some(rule) = &map.currency {
            match rule.from.first() {
                Some(pointer) => {
                    let alias = rule.aliases.iter().find(|(_, known)| *known == currency);
                    let code =
                        alias.map_or_else(|| currency.code().to_owned(), |(alias, _)| (*alias).to_owned());
                    self.set(*pointer, Value::String(code))?;
                }
                None if rule.constant != Some(currency) => {
                    return Err(format!("the document knows no {currency}"));
                }
                None => {}
            }
        }
        if let Some(rule) = &map.amount {
            self.amount(rule, sample.amount)?;
        }
        match &map.refund_amount {
            Some(rule) if wanted == Verdict::PartiallyRefunded => self.amount(rule, sample.amount),
            _ => Ok(()),
        }
    }

    fn amount(&mut self, rule: &Amount<'_>, money: Money) -> Result<(), String> {
        let exponent = rule.exponent(money.currency).map_err(|failed| failed.1)?;
        let text = match rule.unit {
            Unit::Minor => money.minor.to_string(),
            Unit::Major => major(money.minor, exponent),
        };
        match &rule.source {
            Source::First(pointers) => {
                let pointer = pointers.first().ok_or("there is no place for the amount")?;
                self.set(*pointer, Value::String(text))
            }
            Source::Sum { over, item } => {
                let mut one = Value::Object(Map::new());
                put(&mut one, item, Value::String(text)).ok_or("an item can't be filled")?;
                self.set(*over, Value::Array(vec![one]))
            }
        }
    }

    /// Makes the conditions hold, signs, and writes the request.
    fn finish(
        &mut self,
        conditions: &[Condition<'_>],
        sample: &Sample,
        account: &Account,
    ) -> Result<Request, String> {
        conditions.iter().try_for_each(|condition| self.hold(condition))?;
        let document = self.document;
        for check in &document.auth {
            let mut needed = Vec::new();
            check.walk(&mut |check| {
                check.base().iter().for_each(|part| {
                    part.walk(&mut |part| {
                        if let Part::Field { field, .. } = part
                            && field.missing == Missing::Error
                            && field.pick.is_none()
                        {
                            needed.push(field.ptr);
                        }
                    });
                });
            });
            for pointer in needed {
                if self.get(pointer).is_none() {
                    self.set(pointer, Value::String("1".to_owned()))?;
                }
            }
        }
        document.auth.iter().try_for_each(|check| self.pass(check, sample.now, account))?;
        self.request(sample.now, account)
    }

    fn hold(&mut self, condition: &Condition<'_>) -> Result<(), String> {
        for test in &condition.tests {
            let text = match test {
                Test::In { words, wanted: true, .. } => {
                    let set = self.get(condition.ptr);
                    if set.is_some_and(|set| words.contains(&set.as_str())) {
                        continue;
                    }
                    words.first().map(|word| (*word).to_owned())
                }
                Test::In { .. } if self.get(condition.ptr).is_none() => Some("other".to_owned()),
                Test::Present(true) | Test::NonEmpty(true) if self.get(condition.ptr).is_none() => {
                    Some("1".to_owned())
                }
                Test::Greater(limit) if self.get(condition.ptr).is_none() => {
                    limit.checked_add(rust_decimal::Decimal::ONE).map(|number| number.to_string())
                }
                Test::Equals(other) => self.get(*other),
                _ => None,
            };
            if let Some(text) = text {
                self.set(condition.ptr, Value::String(text))?;
            }
        }
        Ok(())
    }

    fn pass(&mut self, check: &Check<'_>, now: i64, account: &Account) -> Result<(), String> {
        let document = self.document;
        let keys = Keys::new(document, account);
        let text = |name: &str| keys.text(name).map_err(|failed| failed.1);
        match check {
            Check::Signature { signature, expect } => self.sign(signature, expect, now, account),
            Check::Rsa { .. } => Err("the provider's private key is not ours".to_owned()),
            Check::Basic { user, password } => {
                let both = format!("{}:{}", text(user)?.expose(), text(password)?.expose());
                let value = format!("Basic {}", digest::base64(both.as_bytes()));
                self.headers.push(("authorization".to_owned(), value));
                Ok(())
            }
            Check::Static { from, secret, prefix } => {
                let value = format!("{prefix}{}", text(secret)?.expose());
                self.set(*from, Value::String(value))
            }
            Check::Ip { networks } => {
                self.peer = networks.first().map(ipnet::IpNet::addr);
                Ok(())
            }
            Check::Timestamp { from, pick, unit, .. } => {
                let time = match unit {
                    TimeUnit::Seconds => now.div_euclid(1000).to_string(),
                    TimeUnit::Milliseconds => now.to_string(),
                    TimeUnit::Rfc3339 => format!("{}Z", date::Civil::at(now, 0).text().replace(' ', "T")),
                };
                self.set_picked(*from, *pick, "", &time)
            }
            Check::Any(of) => {
                let mut last = String::new();
                for check in of {
                    let mut draft = self.clone();
                    match draft.pass(check, now, account) {
                        Ok(()) => {
                            *self = draft;
                            return Ok(());
                        }
                        Err(why) => last = why,
                    }
                }
                Err(last)
            }
            Check::When { then, otherwise, .. } => {
                let mut draft = self.clone();
                match draft.pass(then, now, account) {
                    Ok(()) => {
                        *self = draft;
                        Ok(())
                    }
                    Err(_) => self.pass(otherwise, now, account),
                }
            }
        }
    }

    fn sign(
        &mut self,
        signature: &Signature<'_>,
        expect: &Expect<'_>,
        now: i64,
        account: &Account,
    ) -> Result<(), String> {
        let document = self.document;
        let keys = Keys::new(document, account);
        let request = self.request(now, account)?;
        let mut envelope = Envelope::open(document, &request).map_err(|failed| failed.1)?;
        envelope.unwrap(&document.reading.unwrap, &keys).map_err(|failed| failed.1)?;
        let base = Builder::new(&envelope, keys, false).build(&signature.base).map_err(|failed| failed.1)?;
        let digest = prove::sign(signature, &base.bytes, keys).map_err(|failed| failed.1)?;
        let text = prove::encode(expect.encoding, expect.case, &digest);
        self.set_picked(expect.from, expect.pick, expect.prefix, &text)
    }

    /// The request as it stands, wrapped again.
    fn request(&self, now: i64, account: &Account) -> Result<Request, String> {
        let mut draft = self.clone();
        let reading = &self.document.reading;
        for step in reading.unwrap.iter().rev() {
            let inside = draft.unwrapped.get(step.to).cloned();
            let Some(inside) = inside else {
                if step.optional {
                    continue;
                }
                return Err(format!("there is nothing to wrap for {}", step.from.text));
            };
            let text = match &step.how {
                Unwrap::Base64Json => digest::base64(inside.to_string().as_bytes()),
                Unwrap::Json => inside.to_string(),
                Unwrap::Form => written(&inside),
                Unwrap::Jwt { algorithms, key, .. } => {
                    if !algorithms.contains(&Hash::Sha256) {
                        return Err("only HS256 tokens are imitated".to_owned());
                    }
                    let key = Keys::new(self.document, account).bytes(key).map_err(|failed| failed.1)?;
                    jws::sign_hs256(inside.to_string().as_bytes(), &key)
                }
            };
            draft.set(step.from, Value::String(text))?;
        }
        let method = reading.methods.first().copied().unwrap_or(Method::Post);
        let (content_type, body) = match reading.body {
            Body::Json => ("application/json", draft.body.to_string()),
            Body::Form => ("application/x-www-form-urlencoded", written(&draft.body)),
            Body::Query | Body::None => ("", String::new()),
        };
        let mut request = Request::post(content_type, body);
        if content_type.is_empty() {
            request.headers.clear();
        }
        request.headers.extend(draft.headers);
        request.method = method;
        request.query = written(&draft.query);
        request.kind = draft.kind;
        request.peer = draft.peer;
        request.received_at = now;
        Ok(request)
    }
}

/// Major units with every digit of the minor unit, but no more than a document reads.
fn major(minor: i64, exponent: u32) -> String {
    let width = usize::try_from(exponent).unwrap_or(0);
    let digits = format!("{minor:0>width$}", width = width.saturating_add(1));
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(width));
    let fraction = if width > 2 { fraction.trim_end_matches('0') } else { fraction };
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// Puts a value where a pointer says, making objects on the way.
fn put(tree: &mut Value, rest: &str, value: Value) -> Option<()> {
    let mut place = tree;
    for step in rest.split('/').skip(1) {
        let name = step.replace("~1", "/").replace("~0", "~");
        if !place.is_object() && !place.is_null() {
            return None;
        }
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        place = place.as_object_mut()?.entry(name).or_insert(Value::Null);
    }
    *place = value;
    Some(())
}

/// A form or query with bracket names.
fn written(value: &Value) -> String {
    let mut pairs = Vec::new();
    if let Value::Object(map) = value {
        map.iter().for_each(|(name, value)| flatten(name.clone(), value, &mut pairs));
    }
    form::build(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

fn flatten(name: String, value: &Value, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| flatten(format!("{name}[{at}]"), item, pairs));
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, item)| flatten(format!("{name}[{key}]"), item, pairs));
        }
        scalar => {
            pairs.push((name, super::envelope::text(scalar).unwrap_or_default().into_owned()));
        }
    }
}
