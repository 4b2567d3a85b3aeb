//! Times of the API: RFC 3339, UTC, milliseconds.

use jiff::Timestamp;

/// Unix milliseconds as text: `2026-11-21T21:07:48.123Z`.
#[must_use]
pub fn show(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| format!("{at:.3}"))
}

/// Reads RFC 3339 with any offset into Unix milliseconds.
///
/// # Errors
/// Says what is expected.
pub fn parse(text: &str) -> Result<i64, String> {
    text.parse::<Timestamp>()
        .map(Timestamp::as_millisecond)
        .map_err(|_| "must be an RFC 3339 time such as 2026-11-21T21:07:48Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_and_read() {
        assert_eq!(show(1_554_717_099_000), "2019-04-08T09:51:39.000Z");
        assert_eq!(parse("2019-04-08T12:51:39+03:00"), Ok(1_554_717_099_000));
        assert_eq!(parse(&show(1_554_717_099_120)), Ok(1_554_717_099_120));
        for wrong in ["", "2019-04-08", "now", "1554717099"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(show(i64::MAX), i64::MAX.to_string());
    }
}
