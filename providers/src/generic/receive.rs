//! Reading a notification as the document says: read, unwrap, check, map, decide.

use serde_json::Value;

use super::confirm::Confirm;
use super::document::{self, Absent, Body, Document, Running};
use super::envelope::{Envelope, Failed};
use super::explain::{Step, Trace};
use super::keys::Keys;
use super::mapping::Map;
use super::prove::Prover;
use super::states::{self, Verdict};
use crate::account::Mode;
use crate::digest::Hash;
use crate::outcome::RejectKind;
use crate::{Account, Fact, Note, PaymentRef, Proof, Received, Reject, Request, State, json, nested};

/// Largest body that is taken while there is no document, bytes.
const OBSERVED_LEN_MAX: usize = 64 * 1024;

pub(super) fn receive(request: &Request, account: &Account) -> Result<Received, Reject> {
    let observe = account.settings.mode == Some(Mode::Observe);
    let document = match document::of(account) {
        Ok(document) => document,
        Err(Absent::NotGiven) if observe => return observed(request, "there is no document yet"),
        Err(Absent::NotGiven) => {
            return Err(Reject::new(RejectKind::Unsupported, "the integration has no document yet"));
        }
        Err(Absent::Wrong(wrong)) => {
            return Err(Reject::new(RejectKind::Unsupported, wrong.to_string()));
        }
    };
    match document.running {
        Running::Off if !observe => {
            Err(Reject::new(RejectKind::Unsupported, "the document is switched off (mode off)"))
        }
        Running::Live if !observe => run(&document, request, account, &mut Trace::off()),
        // Observing keeps everything, also what the document would refuse.
        _ => match run(&document, request, account, &mut Trace::off()) {
            Ok(received) if observe => Ok(received),
            Ok(_) => observed(request, "the document only observes (mode observe)"),
            Err(reject) => observed(request, &format!("it would be refused: {}", reject.reason)),
        },
    }
}

/// A request that is only kept.
fn observed(request: &Request, why: &str) -> Result<Received, Reject> {
    if request.body.len() > OBSERVED_LEN_MAX || request.query.len() > OBSERVED_LEN_MAX {
        return Err(Reject::malformed(format!("is larger than {OBSERVED_LEN_MAX} bytes")));
    }
    let payload = json::raw_body(&request.body).unwrap_or_else(|| {
        let text = if request.body.is_empty() { request.query.as_bytes() } else { &request.body };
        json::raw(&nested::parse(text, nested::Style::default()).unwrap_or(Value::Null))
    });
    let all = [request.query.as_bytes(), b"\n", &request.body].concat();
    let note = Note { what: super::OBSERVED.to_owned(), why: why.to_owned(), payment: PaymentRef::default() };
    Ok(Received {
        facts: vec![Fact::Note(note)],
        proof: Proof::Unproven("the integration only observes".to_owned()),
        payload,
        dedupe: format!("observed:{}", Hash::Sha256.hex(&all)),
        warnings: Vec::new(),
    })
}

/// Reads a request, telling every step.
pub(super) fn run(
    document: &Document<'_>,
    request: &Request,
    account: &Account,
    trace: &mut Trace,
) -> Result<Received, Reject> {
    let keys = Keys::new(document, account);
    let mut envelope = trace.failed("read", Envelope::open(document, request))?;
    trace.add(|| Step::new("read", true, format!("{} bytes of body", request.body.len())));
    trace.failed("unwrap", envelope.unwrap(&document.reading.unwrap, &keys))?;
    if !document.reading.unwrap.is_empty() {
        trace.add(|| Step::new("unwrap", true, "what was wrapped is open"));
    }
    Prover { envelope: &envelope, keys }.all(&document.auth, trace)?;
    let map = document.map.as_ref();
    let map = map.ok_or_else(|| Reject::new(RejectKind::Unsupported, "the document has no map"))?;
    read(document, map, &envelope, trace)
}

fn read(
    document: &Document<'_>,
    map: &Map<'_>,
    envelope: &Envelope<'_>,
    trace: &mut Trace,
) -> Result<Received, Reject> {
    let (verdict, rule) = trace.failed("state", document.states.decide(envelope))?;
    let told = match rule {
        Some(at) => format!("rule {at} says {}", verdict.word()),
        None => format!("no rule holds: {}", verdict.word()),
    };
    // A rule that says so needs no amount: pings, and events that concern no payment.
    if verdict == Verdict::Ignore && rule.is_some() {
        trace.add(|| Step::new("state", true, told));
        return ignored(document, map, envelope);
    }
    let values = trace.failed("map", map.values(envelope))?;
    trace.add(|| {
        let amount = values.amount.map_or_else(|| "none".to_owned(), |money| money.to_string());
        let order = values.reference.as_deref().unwrap_or("none");
        Step::new(
            "map",
            true,
            format!("provider_id {}, order_id {order}, amount {amount}", values.provider_id),
        )
    });
    trace.add(|| Step::new("state", true, told));
    let test = match &document.test {
        Some(conditions) => states::all(conditions, envelope)?,
        None => false,
    };
    let mut dedupe = map.dedupe(envelope, &values, verdict)?;
    let proof = proof(document);
    let mut fact = values.fact(verdict, &dedupe, test)?;
    let trigger = matches!(document.confirm, Some(Confirm::Fetch(_)));
    if trigger && document.states.rules.is_empty() {
        // The notification only says that something happened; what, the provider's API tells.
        fact = Fact::Payment(values.state(State::Pending, test));
        dedupe = format!("{}:{}", values.provider_id, Hash::Sha256.hex(&whole(envelope.request())));
    }
    if matches!(document.confirm, Some(Confirm::Manual)) {
        fact = manual(fact);
    }
    let payload = map.payload(envelope, document.reading.body == Body::Json)?;
    Ok(Received { facts: vec![fact], proof, payload, dedupe, warnings: Vec::new() })
}

/// What a notification may do before a person has confirmed it: a payment is seen, no money is believed.
fn manual(fact: Fact) -> Fact {
    match fact {
        Fact::Payment(mut fact) => {
            if fact.state != State::Canceled {
                fact.state = State::Pending;
            }
            Fact::Payment(fact)
        }
        Fact::Refund(fact) => Fact::Note(Note {
            what: "refund".to_owned(),
            why: "a person has to confirm it (confirm.manual)".to_owned(),
            payment: fact.payment,
        }),
        other => other,
    }
}

/// How far a request that passed every check is to be believed.
fn proof(document: &Document<'_>) -> Proof {
    match &document.confirm {
        Some(Confirm::Fetch(_)) => {
            Proof::Unproven("the document says to ask the provider's API (confirm.fetch)".to_owned())
        }
        _ if document.is_proved() => Proof::Signed,
        _ => Proof::Unproven("the document has no check that proves the sender".to_owned()),
    }
}

fn ignored(document: &Document<'_>, map: &Map<'_>, envelope: &Envelope<'_>) -> Result<Received, Reject> {
    let why = "a rule of the document says to ignore it".to_owned();
    let note = Note { what: "ignored".to_owned(), why, payment: PaymentRef::default() };
    Ok(Received {
        facts: vec![Fact::Note(note)],
        proof: proof(document),
        payload: map.payload(envelope, document.reading.body == Body::Json)?,
        dedupe: format!("ignored:{}", Hash::Sha256.hex(&whole(envelope.request()))),
        warnings: Vec::new(),
    })
}

fn whole(request: &Request) -> Vec<u8> {
    [request.query.as_bytes(), b"\n", &request.body].concat()
}

/// Whether the document ignores this request: for the answer.
pub(super) fn is_ignored(document: &Document<'_>, envelope: &Envelope<'_>) -> Result<bool, Failed> {
    Ok(document.states.decide(envelope)?.0 == Verdict::Ignore)
}
