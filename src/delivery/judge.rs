//! What a subscriber's answer means. The one place where its status and headers are interpreted.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::outbound::{Failure, FailureKind, Outcome, harmless};
use crate::domain::config::Success;
use crate::limits;

/// Longest place of a redirect that is shown, bytes.
const LOCATION_MAX: usize = 200;

/// An attempt, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the endpoint took the event.
    pub success: bool,
    /// When the attempt began, Unix milliseconds.
    pub at: i64,
    /// How long it took.
    pub duration_ms: u32,
    /// The answer's status.
    pub status: Option<u16>,
    /// What went wrong, for a person; `None` for a success.
    pub error: Option<String>,
    /// The beginning of the answer's body, made harmless.
    pub excerpt: Option<String>,
    /// The address that was connected to.
    pub remote_ip: Option<String>,
    /// The receiver asks not to be asked again before this time, Unix milliseconds.
    pub not_before: Option<i64>,
    /// The endpoint as a whole asks to be left alone for a while: 429 or 503, until [`Verdict::not_before`] where it
    /// says how long.
    pub slow_down: bool,
    /// What the receiver wants to end.
    pub stop: Option<Stop>,
    /// Not the endpoint's fault (the forward proxy's, for example): it counts neither against the endpoint nor in the
    /// delivery's schedule.
    pub excused: bool,
    /// It was sent a second time, on a fresh connection: the one that had been kept open died before a byte of the
    /// answer came.
    pub sent_again: bool,
    /// Whether its host was reached; `None` where that can't be told (no answer came, or nothing was sent on purpose).
    pub reached: Option<bool>,
    /// A word for the metrics: `success`, the status's class, or the kind of failure.
    pub word: &'static str,
}

/// What a receiver wants to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// This delivery: no more attempts. The header `webhook-delivery: abort-message` in a failed answer.
    Message,
    /// All deliveries to this endpoint. 410 Gone, or the header `webhook-delivery: disable` in any answer.
    Endpoint,
}

/// Judges an attempt that began at `at` (Unix milliseconds).
///
/// The status decides, as soon as it came: a body that never ends changes nothing.
#[must_use]
pub fn judge(outcome: &Outcome, rule: Success, at: i64) -> Verdict {
    let success = match (outcome.status, rule) {
        (Some(200), _) => true,
        (Some(status), Success::Any2xx) => (200..300).contains(&status),
        _ => false,
    };
    let ended_at = at.saturating_add(i64::from(outcome.duration_ms));
    Verdict {
        success,
        at,
        duration_ms: outcome.duration_ms,
        status: outcome.status,
        error: if success { None } else { Some(told(outcome)) },
        excerpt: excerpt(outcome),
        remote_ip: outcome.remote_ip.map(|ip| ip.to_string()),
        not_before: if success { None } else { retry_after(outcome, ended_at) },
        slow_down: matches!(outcome.status, Some(429 | 503)),
        stop: stop(success, outcome),
        excused: outcome.status.is_none() && outcome.failure.as_ref().is_some_and(Failure::is_excused),
        sent_again: outcome.sent_again,
        reached: reached(outcome),
        word: metric_word(success, outcome),
    }
}

fn reached(outcome: &Outcome) -> Option<bool> {
    match (outcome.status, outcome.failure.as_ref().map(|failure| failure.kind)) {
        (Some(_), _) => Some(true),
        (None, Some(FailureKind::Dns | FailureKind::Connect | FailureKind::ConnectTimeout)) => Some(false),
        _ => None,
    }
}

/// The header is that of Svix, <https://docs.svix.com/receiving/delivery-control>; 410 is of Standard Webhooks.
fn stop(success: bool, outcome: &Outcome) -> Option<Stop> {
    let wish = outcome.header("webhook-delivery").map(|value| value.trim().to_ascii_lowercase());
    match (outcome.status?, wish.as_deref()) {
        (410, _) | (_, Some("disable")) => Some(Stop::Endpoint),
        (_, Some("abort-message")) if !success => Some(Stop::Message),
        _ => None,
    }
}

fn told(outcome: &Outcome) -> String {
    let words = words(outcome);
    if outcome.sent_again { format!("{words} (sent again on a fresh connection)") } else { words }
}

fn words(outcome: &Outcome) -> String {
    let Some(status) = outcome.status else {
        return outcome
            .failure
            .as_ref()
            .map_or_else(|| "no answer".to_owned(), |failure| failure.text.clone());
    };
    match status {
        300..400 => match outcome.header("location") {
            Some(place) => {
                let place = harmless(place.as_bytes(), LOCATION_MAX);
                format!("the answer is {status}, a redirect to {place}; redirects are not followed")
            }
            None => format!("the answer is {status}, a redirect; redirects are not followed"),
        },
        410 => "the answer is 410: the endpoint is gone for good, and is turned off".to_owned(),
        201..300 => format!("the answer is {status}; this endpoint's success is 200 exactly"),
        _ => format!("the answer is {status}"),
    }
}

fn excerpt(outcome: &Outcome) -> Option<String> {
    if outcome.body.is_empty() {
        return None;
    }
    match outcome.header("content-encoding").filter(|coding| !coding.eq_ignore_ascii_case("identity")) {
        Some(coding) => Some(harmless(format!("(compressed, not shown: {coding})").as_bytes(), LOCATION_MAX)),
        None => Some(harmless(&outcome.body, limits::RESPONSE_KEPT_MAX)),
    }
}

/// `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date. What is neither counts as not said; of several the
/// latest counts.
pub(crate) fn retry_after(outcome: &Outcome, now: i64) -> Option<i64> {
    let values = outcome.headers.iter().filter(|(name, _)| name == "retry-after");
    values.filter_map(|(_, value)| moment(value.trim(), now)).max()
}

fn moment(text: &str, now: i64) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds: i64 = text.parse().unwrap_or(i64::MAX);
        return Some(now.saturating_add(seconds.saturating_mul(1000)));
    }
    let fixed = DateTimeParser::new().parse_timestamp(text).ok();
    fixed.or_else(|| obsolete_date(text)).map(|time| time.as_millisecond())
}

/// The two old forms of a date that a recipient must understand (RFC 9110, section 5.6.7).
fn obsolete_date(text: &str) -> Option<Timestamp> {
    ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"].into_iter().find_map(|form| {
        let time = strtime::parse(form, text).ok()?.to_datetime().ok()?;
        TimeZone::UTC.to_timestamp(time).ok()
    })
}

fn metric_word(success: bool, outcome: &Outcome) -> &'static str {
    match (success, outcome.status, &outcome.failure) {
        (true, ..) => "success",
        (_, Some(..300), _) => "status_2xx",
        (_, Some(300..400), _) => "status_3xx",
        (_, Some(400..500), _) => "status_4xx",
        (_, Some(_), _) => "status_5xx",
        (_, None, Some(failure)) => failure.kind.word(),
        (_, None, None) => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)]) -> Outcome {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Outcome { status: Some(status), headers, ..Outcome::default() }
    }

    #[test]
    fn every_status() {
        for status in 100..=999 {
            let outcome = answer(status, &[]);
            let strict = judge(&outcome, Success::Exactly200, 0);
            assert_eq!(strict.success, status == 200, "{status}");
            let wide = judge(&outcome, Success::Any2xx, 0);
            assert_eq!(wide.success, (200..300).contains(&status), "{status}");
            assert_eq!(strict.error.is_none(), strict.success);
        }
        assert!(!judge(&Outcome::default(), Success::Any2xx, 0).success);
    }

    #[test]
    fn the_status_decides_although_the_body_never_ended() {
        let outcome =
            Outcome { failure: Some(Failure::new(FailureKind::BodyTimeout, "slow")), ..answer(200, &[]) };
        let verdict = judge(&outcome, Success::Exactly200, 0);
        assert!(verdict.success && verdict.error.is_none());
    }

    #[test]
    fn words_for_people() {
        let error = |outcome: &Outcome| judge(outcome, Success::Exactly200, 0).error.unwrap();
        assert_eq!(
            error(&answer(302, &[("location", "http://[::1]/\u{1b}")])),
            "the answer is 302, a redirect to http://[::1]/\\u{1b}; redirects are not followed"
        );
        assert_eq!(error(&answer(204, &[])), "the answer is 204; this endpoint's success is 200 exactly");
        assert_eq!(error(&answer(503, &[])), "the answer is 503");
        let mut packed = answer(500, &[("content-encoding", "gzip")]);
        packed.body = vec![0x1f, 0x8b];
        let verdict = judge(&packed, Success::Exactly200, 0);
        assert_eq!(verdict.excerpt.as_deref(), Some("(compressed, not shown: gzip)"));
    }

    #[test]
    fn wishes_for_later() {
        let now = 1_700_000_000_000;
        for (value, expected) in [
            ("120", Some(now + 120_000)),
            (" 0 ", Some(now)),
            ("1000000000000", Some(now + 1_000_000_000_000_000)),
            ("99999999999999999999999", Some(i64::MAX)),
            ("Wed, 15 Nov 2023 00:00:00 GMT", Some(1_700_006_400_000)),
            ("Wednesday, 15-Nov-23 00:00:00 GMT", Some(1_700_006_400_000)),
            ("Wed Nov 15 00:00:00 2023", Some(1_700_006_400_000)),
            ("-5", None),
            ("soon", None),
            ("", None),
            ("1.5", None),
        ] {
            let verdict = judge(&answer(503, &[("retry-after", value)]), Success::Exactly200, now);
            assert_eq!(verdict.not_before, expected, "{value}");
        }
        let two = answer(429, &[("retry-after", "5"), ("retry-after", "9")]);
        assert_eq!(judge(&two, Success::Exactly200, 0).not_before, Some(9_000));
        let fine = answer(200, &[("retry-after", "5")]);
        assert_eq!(judge(&fine, Success::Exactly200, 0).not_before, None);
    }

    #[test]
    fn what_a_receiver_wants_to_end() {
        for (status, header, stop) in [
            (200, "", None),
            (410, "", Some(Stop::Endpoint)),
            (410, "abort-message", Some(Stop::Endpoint)),
            (200, " Disable ", Some(Stop::Endpoint)),
            (500, "disable", Some(Stop::Endpoint)),
            (500, "abort-message", Some(Stop::Message)),
            (200, "abort-message", None),
            (500, "pause", None),
        ] {
            let verdict = judge(&answer(status, &[("webhook-delivery", header)]), Success::Exactly200, 0);
            assert_eq!((verdict.stop, verdict.slow_down), (stop, false), "{status} {header}");
        }
        assert!([429, 503].iter().all(|status| judge(&answer(*status, &[]), Success::Any2xx, 0).slow_down));
        assert_eq!(judge(&Outcome::default(), Success::Any2xx, 0).stop, None);
    }

    proptest::proptest! {
        #[test]
        fn any_answer(status in 0_u16..1000, value: String, body: Vec<u8>, now: i64) {
            let mut outcome = answer(status, &[("retry-after", &value), ("location", &value)]);
            outcome.body = body;
            let verdict = judge(&outcome, Success::Any2xx, now);
            proptest::prop_assert!(verdict.excerpt.is_none_or(|text| text.len() <= limits::RESPONSE_KEPT_MAX));
        }
    }
}
