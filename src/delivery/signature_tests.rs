use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Vectors that were checked with the reference libraries of Standard Webhooks and of Svix.
const VECTORS: &str = include_str!("signature_vectors.json");

struct Vector {
    name: String,
    key: SigningKey,
    id: String,
    timestamp: i64,
    body: String,
    signature: String,
}

fn vectors() -> Vec<Vector> {
    let list: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    let text = |vector: &Value, key: &str| vector[key].as_str().unwrap().to_owned();
    list.iter()
        .map(|vector| Vector {
            name: text(vector, "name"),
            key: SigningKey::parse(&text(vector, "secret")).unwrap(),
            id: text(vector, "id"),
            timestamp: vector["ts"].as_i64().unwrap(),
            body: text(vector, "body"),
            signature: text(vector, "sig"),
        })
        .collect()
}

fn headers(id: &str, timestamp: &str, signature: &str) -> Vec<(String, String)> {
    [("Webhook-Id", id), ("webhook-timestamp", timestamp), ("WEBHOOK-SIGNATURE", signature)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

#[test]
fn vectors_hold() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 10);
    for vector in vectors {
        let body = vector.body.as_bytes();
        assert_eq!(vector.key.sign(&vector.id, vector.timestamp, body), vector.signature, "{}", vector.name);
        let sent = headers(&vector.id, &vector.timestamp.to_string(), &vector.signature);
        assert_eq!(verify(&sent, body, &vector.key, vector.timestamp), Ok(()), "{}", vector.name);
    }
}

#[test]
fn what_must_not_verify() {
    let all = vectors();
    let (good, other) = (&all[0], &all[1]);
    let at = good.timestamp;
    let stamp = at.to_string();
    let body = good.body.as_bytes();
    let sent = headers(&good.id, &stamp, &good.signature);
    for (now, expected) in [
        (at - 301, Err(VerifyError::TooNew)),
        (at - 300, Ok(())),
        (at + 300, Ok(())),
        (at + 301, Err(VerifyError::TooOld)),
    ] {
        assert_eq!(verify(&sent, body, &good.key, now), expected, "{now}");
    }
    assert_eq!(verify(&sent, br#"{"test":2432232314}"#, &good.key, at), Err(VerifyError::Signature));
    let wrong = [
        ("another id", headers("msg_p5jXN8AQM9LWM0D4loKWxJeK", &stamp, &good.signature)),
        ("scheme v2", headers(&good.id, &stamp, &good.signature.replace("v1,", "v2,"))),
        ("another message's", headers(&good.id, &stamp, &other.signature)),
        ("cut off", headers(&good.id, &stamp, &good.signature[..20])),
        ("without scheme", headers(&good.id, &stamp, &good.signature[3..])),
    ];
    for (what, sent) in wrong {
        assert_eq!(verify(&sent, body, &good.key, at), Err(VerifyError::Signature), "{what}");
    }
    for (index, name) in [ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER].into_iter().enumerate() {
        let mut fewer = sent.clone();
        fewer.remove(index);
        assert_eq!(verify(&fewer, body, &good.key, at), Err(VerifyError::Missing(name)));
        let mut more = sent.clone();
        more.push(sent[index].clone());
        assert_eq!(verify(&more, body, &good.key, at), Err(VerifyError::Repeated(name)));
    }
    assert_eq!(
        verify(&headers(&good.id, &stamp, ""), body, &good.key, at),
        Err(VerifyError::Missing(SIGNATURE_HEADER))
    );
    for stamp in ["1614265330.0", "1614265330000", "-1", "+1614265330", " 1614265330", "1e9", "x"] {
        assert!(verify(&headers(&good.id, stamp, &good.signature), body, &good.key, at).is_err(), "{stamp}");
    }
}

#[test]
fn a_rotated_secret_verifies_with_either_key() {
    let all = vectors();
    let (new, old) = (&all[8], &all[9]);
    let list = header([&new.key, &old.key], &new.id, new.timestamp, new.body.as_bytes());
    assert_eq!(list, format!("{} {}", new.signature, old.signature));
    let sent = headers(&new.id, &new.timestamp.to_string(), &format!("v1a,AAAA {list}"));
    for key in [&new.key, &old.key] {
        assert_eq!(verify(&sent, new.body.as_bytes(), key, new.timestamp), Ok(()));
    }
    let stranger = SigningKey::generate().unwrap();
    assert_eq!(verify(&sent, new.body.as_bytes(), &stranger, new.timestamp), Err(VerifyError::Signature));
}

#[test]
fn secrets_are_read_strictly() {
    let of = |count: usize| format!("whsec_{}", digest::base64(&vec![7; count]));
    for (text, expected) in [
        (of(24), None),
        (of(64), None),
        (of(23), Some(KeyError::Length(23))),
        (of(65), Some(KeyError::Length(65))),
        ("whsec_".to_owned(), Some(KeyError::Length(0))),
        (of(32).replace("whsec_", ""), Some(KeyError::Prefix)),
        (of(32).trim_end_matches('=').to_owned(), Some(KeyError::Encoding)),
        (format!("{} ", of(24)), Some(KeyError::Encoding)),
        ("whsec_!!!!".to_owned(), Some(KeyError::Encoding)),
    ] {
        assert_eq!(SigningKey::parse(&text).err(), expected, "{text}");
    }
    let key = SigningKey::generate().unwrap();
    let again = SigningKey::parse(key.text().expose()).unwrap();
    assert_eq!(key.sign("evt_1", 1, b"x"), again.sign("evt_1", 1, b"x"));
    assert_eq!(key.text().expose().len(), SECRET_PREFIX.len() + 44);
}

/// Vectors of `v1a`; how they were made stands in them.
const PAIR_VECTORS: &str = include_str!("signature_v1a_vectors.json");

#[test]
fn key_pairs_sign_as_others_do() {
    let all: Value = serde_json::from_str(PAIR_VECTORS).unwrap();
    let vectors = all["vectors"].as_array().unwrap();
    assert!(vectors.len() >= 12, "{}", vectors.len());
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().unwrap();
        let (id, at, body) = (text("id"), vector["ts"].as_i64().unwrap(), text("body"));
        let key = SigningKey::parse(text("secret")).unwrap();
        let public = PublicKey::parse(text("public")).unwrap();
        assert_eq!(key.public(), Some(public.clone()));
        assert_eq!((key.text().expose(), public.text().as_str()), (text("secret"), text("public")));
        assert_eq!(key.sign(id, at, body.as_bytes()), text("sig"));
        let sent = headers(id, &at.to_string(), text("sig"));
        assert_eq!(verify(&sent, body.as_bytes(), &key, at), Ok(()));
        assert_eq!(verify_public(&sent, body.as_bytes(), &public, at), Ok(()));
        let changed = format!("{body} ");
        assert_eq!(verify_public(&sent, changed.as_bytes(), &public, at), Err(VerifyError::Signature));
        let as_v1 = headers(id, &at.to_string(), &text("sig").replace("v1a,", "v1,"));
        assert_eq!(verify_public(&as_v1, body.as_bytes(), &public, at), Err(VerifyError::Signature));
    }
}

#[test]
fn one_header_for_both_schemes_and_both_keys() {
    let keys: Vec<SigningKey> = vec![
        SigningKey::generate().unwrap(),
        SigningKey::generate().unwrap(),
        SigningKey::generate_pair().unwrap(),
        SigningKey::generate_pair().unwrap(),
    ];
    let list = header(&keys, "evt_1", 1_735_689_600, b"{}");
    let schemes: Vec<_> = list.split(' ').map(|entry| entry.split_once(',').unwrap().0).collect();
    assert_eq!(schemes, ["v1", "v1", "v1a", "v1a"]);
    let sent = headers("evt_1", "1735689600", &list);
    for key in &keys {
        assert_eq!(verify(&sent, b"{}", key, 1_735_689_600), Ok(()));
    }
    let stranger = SigningKey::generate_pair().unwrap();
    assert_eq!(verify(&sent, b"{}", &stranger, 1_735_689_600), Err(VerifyError::Signature));
}

#[test]
fn key_pairs_are_read_strictly() {
    let key = SigningKey::generate_pair().unwrap();
    let text = key.text().expose().to_owned();
    assert!(SigningKey::parse(&text).is_ok());
    let of = |prefix: &str, count: usize| format!("{prefix}{}", digest::base64(&vec![7; count]));
    for (text, expected) in [
        (of("whsk_", 64), KeyError::Pair),
        (of("whsk_", 32), KeyError::Pair),
        (of("whsk_", 96), KeyError::Pair),
        ("whsk_!".to_owned(), KeyError::Encoding),
        (key.public().unwrap().text(), KeyError::Prefix),
    ] {
        assert_eq!(SigningKey::parse(&text).err(), Some(expected), "{text}");
    }
    for (text, expected) in [
        (text, KeyError::Prefix),
        (of("whpk_", 31), KeyError::Pair),
        ("whpk_?".to_owned(), KeyError::Encoding),
    ] {
        assert_eq!(PublicKey::parse(&text).err(), Some(expected));
    }
}

proptest! {
    #[test]
    fn what_a_pair_signs_verifies_and_nothing_else(
        id in "[A-Za-z0-9_-]{1,64}",
        timestamp in 0_i64..4_000_000_000,
        body in proptest::collection::vec(any::<u8>(), 0..200),
        garbage in ".{0,100}",
    ) {
        let key = SigningKey::generate_pair().unwrap();
        let public = key.public().unwrap();
        let sent = headers(&id, &timestamp.to_string(), &format!("v1a,{garbage} {}", key.sign(&id, timestamp, &body)));
        prop_assert_eq!(verify_public(&sent, &body, &public, timestamp), Ok(()));
        let mut changed = body.clone();
        changed.push(0);
        prop_assert_eq!(verify_public(&sent, &changed, &public, timestamp), Err(VerifyError::Signature));
    }

    #[test]
    fn what_is_signed_verifies_and_nothing_else(
        id in "[A-Za-z0-9_-]{1,64}",
        timestamp in 0_i64..4_000_000_000,
        body in proptest::collection::vec(any::<u8>(), 0..200),
        flip in any::<usize>(),
        raw in proptest::collection::vec(any::<u8>(), 24..=64),
    ) {
        let key = SigningKey::parse(&format!("whsec_{}", digest::base64(&raw))).unwrap();
        let sent = headers(&id, &timestamp.to_string(), &header([&key], &id, timestamp, &body));
        prop_assert_eq!(verify(&sent, &body, &key, timestamp), Ok(()));
        let mut changed = body.clone();
        if changed.is_empty() {
            changed.push(0);
        } else {
            let at = flip % changed.len();
            changed[at] ^= 1;
        }
        prop_assert_eq!(verify(&sent, &changed, &key, timestamp), Err(VerifyError::Signature));
    }

    #[test]
    fn agrees_with_the_official_library(
        id in "[A-Za-z0-9_-]{1,64}",
        timestamp in 0_i64..4_000_000_000,
        body in ".{0,200}",
        raw in proptest::collection::vec(any::<u8>(), 24..=64),
    ) {
        let key = SigningKey::parse(&format!("whsec_{}", digest::base64(&raw))).unwrap();
        let theirs = standardwebhooks::Webhook::new(key.text().expose()).unwrap();
        let signed = theirs.sign(&id, timestamp, body.as_bytes()).unwrap();
        prop_assert_eq!(key.sign(&id, timestamp, body.as_bytes()), signed);
    }

    #[test]
    fn no_input_panics(
        id in ".{0,20}", timestamp in ".{0,20}", signature in ".{0,60}", now in any::<i64>(),
    ) {
        let key = SigningKey::parse("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX").unwrap();
        let sent = headers(&id, &timestamp, &signature);
        prop_assert!(verify(&sent, b"body", &key, now).is_err());
    }
}

/// A header that the released libraries verified; which ones stands in it.
#[test]
fn a_rotation_with_both_schemes_is_written_as_others_read_it() {
    let all: Value = serde_json::from_str(include_str!("signature_rotation.json")).unwrap();
    let text = |name: &str| all[name].as_str().unwrap();
    let secrets = all["secrets"].as_array().unwrap().iter();
    let keys: Vec<_> = secrets.map(|secret| SigningKey::parse(secret.as_str().unwrap()).unwrap()).collect();
    let at = all["ts"].as_i64().unwrap();
    assert_eq!(header(&keys, text("id"), at, text("body").as_bytes()), text("header"));
}
