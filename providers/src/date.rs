//! Civil dates and times of a fixed offset, as providers write them, from and to Unix time: arithmetic only, no clock.

/// Offset of Moscow from UTC, seconds: +03:00 all year since 2014.
pub const MOSCOW: i64 = 3 * 3600;
/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// A date and a time of day (proleptic Gregorian calendar, years 1970 to 9999).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: i64,
    /// Day of the month, 1 to 31.
    pub day: i64,
    /// Hour, 0 to 23.
    pub hour: i64,
    /// Minute, 0 to 59.
    pub minute: i64,
    /// Second, 0 to 59.
    pub second: i64,
}

impl Civil {
    /// The date and time at a Unix time (milliseconds) where clocks are `offset` seconds ahead of UTC. Times outside
    /// the years 1970 to 9999 become the nearest inside.
    #[must_use]
    pub fn at(unix_ms: i64, offset: i64) -> Civil {
        const LAST: i64 = 253_402_300_799;
        let seconds = unix_ms.div_euclid(1000).saturating_add(offset).clamp(0, LAST);
        let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // Howard Hinnant's civil_from_days: eras of 400 years that begin on 1 March.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }

    /// Unix milliseconds of this date and time where clocks are `offset` seconds ahead of UTC; `None` when there is no
    /// such date or time.
    #[must_use]
    pub fn unix_ms(&self, offset: i64) -> Option<i64> {
        let Civil { year, month, day, hour, minute, second } = *self;
        let in_range = (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..60).contains(&second);
        if !in_range {
            return None;
        }
        let shifted_year = year - i64::from(month <= 2);
        let era = shifted_year.div_euclid(400);
        let year_of_era = shifted_year.rem_euclid(400);
        let month_from_march = (month + 9) % 12;
        let of_year = (153 * month_from_march + 2) / 5 + day - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        let days = era * 146_097 + of_era - 719_468;
        let local_ms = (days * 86_400 + hour * 3600 + minute * 60 + second) * 1000;
        // 31 April would silently become 1 May.
        (Civil::at(local_ms, 0) == *self).then(|| local_ms - offset * 1000)
    }

    /// Reads `YYYY-MM-DD hh:mm:ss`; a `T` may stand in place of the space.
    #[must_use]
    pub fn parse(text: &str) -> Option<Civil> {
        let (date, time) = text.split_once([' ', 'T'])?;
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
        Some(Civil { year, month, day, hour, minute, second })
    }

    /// Reads `DD.MM.YYYY hh:mm:ss`.
    #[must_use]
    pub fn parse_dotted(text: &str) -> Option<Civil> {
        let (date, time) = text.split_once(' ')?;
        let [day, month, year] = numbers(date, '.', [2, 2, 4])?;
        let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
        Some(Civil { year, month, day, hour, minute, second })
    }

    /// `YYYY-MM-DD hh:mm:ss`.
    #[must_use]
    pub fn text(&self) -> String {
        let Civil { year, month, day, hour, minute, second } = self;
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

/// Unix seconds of an HTTP `Date` header in the one form that senders may use (RFC 9110, IMF-fixdate):
/// `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, date) = text.strip_suffix(" GMT")?.split_once(", ")?;
    let (day, rest) = date.split_once(' ')?;
    let (name, rest) = rest.split_once(' ')?;
    let (year, time) = rest.split_once(' ')?;
    let month = MONTHS.iter().position(|month| *month == name)?.checked_add(1)?;
    let civil = Civil::parse(&format!("{year}-{month:02}-{day} {time}"))?;
    civil.unix_ms(0).map(|ms| ms / 1000)
}

fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[i64; 3]> {
    let mut found = [0; 3];
    let mut parts = text.split(separator);
    for (slot, width) in found.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        // `date -u -d @1772046491` and its neighbours.
        assert_eq!(Civil::at(1_772_046_491_000, 0).text(), "2026-02-25 19:08:11");
        assert_eq!(Civil::at(1_772_046_491_000, MOSCOW).text(), "2026-02-25 22:08:11");
        assert_eq!(Civil::at(951_782_400_000, 0).text(), "2000-02-29 00:00:00");
        assert_eq!(Civil::at(0, 0).text(), "1970-01-01 00:00:00");
        let moscow = Civil::parse("2026-03-05 14:07:31").unwrap();
        assert_eq!(moscow.unix_ms(MOSCOW), Some(1_772_708_851_000));
        assert_eq!(Civil::parse_dotted("05.03.2026 14:07:31"), Some(moscow));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "2026-02-30 00:00:00",
            "2026-13-01 00:00:00",
            "2026-01-01 24:00:00",
            "2026-1-01 00:00:00",
            "2026-01-01",
            "2026-01-01 00:00",
            "",
        ] {
            assert_eq!(Civil::parse(text).and_then(|civil| civil.unix_ms(0)), None, "{text}");
        }
    }

    #[test]
    fn http_dates() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        for text in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
        ] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_date_header_is_read_or_refused(text in ".*") {
            let _ = http_date(&text);
        }

        #[test]
        fn round_trips(seconds in 0_i64..253_402_300_799, offset in -43_200_i64..50_400) {
            let civil = Civil::at(seconds * 1000, 0);
            proptest::prop_assert_eq!(civil.unix_ms(0), Some(seconds * 1000));
            proptest::prop_assert_eq!(Civil::parse(&civil.text()), Some(civil));
            let local = Civil::at(seconds * 1000, offset);
            let clamped = seconds + offset < 0 || seconds + offset > 253_402_300_799;
            proptest::prop_assert!(clamped || local.unix_ms(offset) == Some(seconds * 1000));
        }

        #[test]
        fn any_moment_has_a_date(ms: i64, offset in -50_400_i64..50_400) {
            let civil = Civil::at(ms, offset);
            proptest::prop_assert!((1970..=9999).contains(&civil.year));
        }
    }
}
