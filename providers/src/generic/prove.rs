//! The checks of the document against a request.

use super::base::{Base, Builder};
use super::diagnose;
use super::envelope::{Envelope, Failed};
use super::explain::{Step, Trace};
use super::keys::Keys;
use super::scheme::{Case, Check, Encoding, Expect, Method, Part, Pick, RsaDigest, Signature, TimeUnit};
use ring::signature::UnparsedPublicKey;

use crate::date;
use crate::digest::{self, same};
use crate::outcome::RejectKind;
use crate::{Reject, Secret};

/// Most values that a list such as `t=…,v1=…,v1=…` may offer.
const OFFERED_MAX: usize = 8;

/// What the checks look at.
#[derive(Clone, Copy)]
pub(super) struct Prover<'e> {
    pub(super) envelope: &'e Envelope<'e>,
    pub(super) keys: Keys<'e>,
}

impl<'e> Prover<'e> {
    /// Passes when all of the checks do.
    pub(super) fn all(&self, checks: &[Check<'_>], trace: &mut Trace) -> Result<(), Reject> {
        checks.iter().try_for_each(|check| self.one(check, trace))
    }

    fn one(&self, check: &Check<'_>, trace: &mut Trace) -> Result<(), Reject> {
        match check {
            Check::Signature { signature, expect } => {
                let result = self.signature(signature, expect, trace);
                result.map_err(|reject| match reject.kind {
                    RejectKind::WrongProof => {
                        let found = diagnose::signature(*self, signature, expect);
                        reject.diagnosed(found)
                    }
                    _ => reject,
                })
            }
            Check::Rsa { digest, key, base, expect } => self.rsa(*digest, key, base, expect, trace),
            Check::Any(of) => self.any(of, trace),
            Check::When { ptr, then, otherwise } => {
                let scalar = trace.failed("when", self.envelope.scalar(*ptr))?;
                let filled = scalar.is_some_and(|text| !text.is_empty());
                let word = if filled { "then" } else { "else" };
                trace.add(|| Step::new("when", true, format!("{} decides for {word}", ptr.text)));
                self.one(if filled { then } else { otherwise }, trace)
            }
            plain => {
                let result = self.plain(plain);
                trace.add(|| match &result {
                    Ok(()) => Step::new(plain.word(), true, "passes"),
                    Err(reject) => Step::new(plain.word(), false, reject.reason.clone()),
                });
                result
            }
        }
    }

    fn any(&self, of: &[Check<'_>], trace: &mut Trace) -> Result<(), Reject> {
        let mut first: Option<Reject> = None;
        for check in of {
            match self.one(check, trace) {
                Ok(()) => return Ok(()),
                // A wrong proof says more than a missing one.
                Err(reject) if first.as_ref().is_none_or(|first| first.kind == RejectKind::MissingProof) => {
                    first = Some(reject);
                }
                Err(_) => {}
            }
        }
        Err(first.unwrap_or_else(|| Reject::new(RejectKind::MissingProof, "there is nothing to check")))
    }

    fn signature(
        &self,
        signature: &Signature<'_>,
        expect: &Expect<'_>,
        trace: &mut Trace,
    ) -> Result<(), Reject> {
        let word = if signature.method == Method::Hash { "hash" } else { "hmac" };
        let offered = trace.failed(word, self.offered(expect))?;
        let builder = Builder::new(self.envelope, self.keys, trace.is_on());
        let made = builder.build(&signature.base).and_then(|base| {
            let digest = sign(signature, &base.bytes, self.keys)?;
            Ok((base, digest))
        });
        let (base, digest) = trace.failed(word, made)?;
        let fits = offered.iter().any(|claimed| fits(expect, claimed, &digest));
        trace.add(|| {
            let step = Step::new(word, fits, format!("{} over the base string", signature.hash.name()));
            signed(step, base, Some(encode(expect.encoding, expect.case, &digest)), &offered)
        });
        verdict(fits, expect)
    }

    fn rsa(
        &self,
        rsa: RsaDigest,
        key: &str,
        parts: &[Part<'_>],
        expect: &Expect<'_>,
        trace: &mut Trace,
    ) -> Result<(), Reject> {
        let offered = trace.failed("rsa", self.offered(expect))?;
        let built = Builder::new(self.envelope, self.keys, trace.is_on()).build(parts);
        let base = trace.failed("rsa", built)?;
        let keys = trace.failed("rsa", self.keys.public(key))?;
        let parameters: &'static ring::signature::RsaParameters = match rsa {
            RsaDigest::Sha1 => &ring::signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            RsaDigest::Sha256 => &ring::signature::RSA_PKCS1_2048_8192_SHA256,
            RsaDigest::Sha512 => &ring::signature::RSA_PKCS1_2048_8192_SHA512,
        };
        let fits = offered.iter().filter_map(|text| decode(expect.encoding, text)).any(|signature| {
            keys.iter().any(|key| {
                UnparsedPublicKey::new(parameters, key.der()).verify(&base.bytes, &signature).is_ok()
            })
        });
        trace.add(|| signed(Step::new("rsa", fits, "over the base string"), base, None, &offered));
        verdict(fits, expect)
    }

    /// The signatures that came: one, or several of a list.
    pub(super) fn offered(&self, expect: &Expect<'_>) -> Result<Vec<String>, Reject> {
        let missing =
            || Reject::new(RejectKind::MissingProof, format!("{} holds no signature", expect.from.text));
        let text = self.envelope.scalar(expect.from)?.ok_or_else(missing)?;
        let text = text.trim();
        if text.is_empty() {
            return Err(missing());
        }
        let cut = text.strip_prefix(expect.prefix).ok_or_else(|| {
            let why = format!("{} does not begin with {:?}", expect.from.text, expect.prefix);
            Reject::new(RejectKind::MissingProof, why)
        })?;
        let offered: Vec<String> = match expect.pick {
            None => vec![cut.to_owned()],
            Some(pick) => pick.values(cut).take(OFFERED_MAX).map(|value| value.trim().to_owned()).collect(),
        };
        if offered.is_empty() { Err(missing()) } else { Ok(offered) }
    }

    /// Checks without a base string.
    fn plain(&self, check: &Check<'_>) -> Result<(), Reject> {
        match check {
            Check::Basic { user, password } => self.basic(user, password),
            Check::Static { from, secret, prefix } => {
                let missing = || Reject::new(RejectKind::MissingProof, format!("{} is missing", from.text));
                let text =
                    self.envelope.scalar(*from)?.filter(|text| !text.is_empty()).ok_or_else(missing)?;
                let wanted = self.keys.text(secret)?;
                let fits = text.strip_prefix(*prefix).is_some_and(|rest| wanted.same(rest));
                proved(fits, || format!("{} is not the account's {secret}", from.text))
            }
            Check::Ip { networks } => {
                let peer = self.envelope.request().peer.map(|address| address.to_canonical());
                let inside = peer.is_some_and(|peer| networks.iter().any(|network| network.contains(&peer)));
                if inside {
                    return Ok(());
                }
                let why = match peer {
                    Some(peer) => format!("came from {peer}, which is not in the networks of the document"),
                    None => "the sender's address is not known".to_owned(),
                };
                Err(Reject::new(RejectKind::ForeignSource, why))
            }
            Check::Timestamp { from, pick, unit, skew_s } => {
                let text = self.envelope.scalar(*from)?;
                let time = text.as_deref().and_then(|text| time(text, *pick, *unit));
                let missing =
                    || Reject::new(RejectKind::MissingProof, format!("{} holds no time", from.text));
                let now = self.envelope.request().received_at;
                let skew_ms = u64::from(*skew_s).saturating_mul(1000);
                let fits = time.ok_or_else(missing)?.abs_diff(now) <= skew_ms;
                proved(fits, || format!("the signed time is more than {skew_s} s away from now"))
            }
            // The others have a base string or hold other checks.
            _ => Ok(()),
        }
    }

    fn basic(&self, user: &str, password: &str) -> Result<(), Reject> {
        let missing = || Reject::new(RejectKind::MissingProof, "there is no Basic authorization");
        let request = self.envelope.request();
        if request.header_count("authorization") > 1 {
            return Err(Reject::malformed("the header authorization occurs more than once"));
        }
        let header = request.header("authorization").ok_or_else(missing)?;
        let (scheme, rest) = header.trim().split_once(' ').ok_or_else(missing)?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(missing());
        }
        let given = digest::from_base64_any(rest.trim()).ok_or_else(missing)?;
        let wanted: Secret =
            Secret::new(format!("{}:{}", self.keys.text(user)?.expose(), self.keys.text(password)?.expose()));
        proved(same(&given, wanted.expose().as_bytes()), || {
            "user and password are not the account's".to_owned()
        })
    }
}

fn proved(fits: bool, why: impl FnOnce() -> String) -> Result<(), Reject> {
    if fits { Ok(()) } else { Err(Reject::new(RejectKind::WrongProof, why())) }
}

fn verdict(fits: bool, expect: &Expect<'_>) -> Result<(), Reject> {
    proved(fits, || format!("the signature at {} does not fit", expect.from.text))
}

fn signed(step: Step, base: Base, expected: Option<String>, offered: &[String]) -> Step {
    Step { base: Some(base.shown), expected, received: offered.first().cloned(), ..step }
}

/// The digest or HMAC of a base string.
pub(super) fn sign(signature: &Signature<'_>, base: &[u8], keys: Keys<'_>) -> Result<Vec<u8>, Failed> {
    Ok(match signature.method {
        Method::Hash => signature.hash.digest(base),
        Method::Hmac(key) => signature.hash.hmac(&keys.bytes(key)?, base),
    })
}

/// Writes a digest as the document says.
pub(super) fn encode(encoding: Encoding, case: Case, digest: &[u8]) -> String {
    match (encoding, case) {
        (Encoding::Hex, Case::Upper) => hex::encode_upper(digest),
        (Encoding::Hex, _) => hex::encode(digest),
        (Encoding::Base64, _) => digest::base64(digest),
        (Encoding::Base64Url, _) => digest::base64url(digest),
    }
}

fn decode(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => hex::decode(text).ok(),
        Encoding::Base64 => digest::from_base64_any(text),
        Encoding::Base64Url => digest::from_base64url_any(text),
    }
}

/// Whether a received text is this digest, in constant time.
fn fits(expect: &Expect<'_>, claimed: &str, digest: &[u8]) -> bool {
    match (expect.encoding, expect.case) {
        (Encoding::Hex, Case::Lower | Case::Upper) => {
            same(claimed.as_bytes(), encode(Encoding::Hex, expect.case, digest).as_bytes())
        }
        (encoding, _) => decode(encoding, claimed).is_some_and(|claimed| same(&claimed, digest)),
    }
}

/// A time in Unix milliseconds.
fn time(text: &str, pick: Option<Pick<'_>>, unit: TimeUnit) -> Option<i64> {
    let text = match pick {
        Some(pick) => pick.values(text).next()?,
        None => text,
    };
    let text = text.trim();
    match unit {
        TimeUnit::Seconds => text.parse::<i64>().ok()?.checked_mul(1000),
        TimeUnit::Milliseconds => text.parse().ok(),
        TimeUnit::Rfc3339 => date::iso_8601(text),
    }
}
