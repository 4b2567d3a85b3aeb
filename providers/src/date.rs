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

/// Names of the months in HTTP dates.
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// Names of the days of the week in HTTP dates, from the one of 1 January 1970.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// An HTTP `Date` (RFC 9110, IMF-fixdate) of a Unix time in milliseconds: `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub fn http_date_text(unix_ms: i64) -> String {
    let civil = Civil::at(unix_ms, 0);
    let days = civil.unix_ms(0).unwrap_or(0) / DAY_MS;
    let name = |names: &[&'static str], at: i64| {
        usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or_default()
    };
    let (weekday, month) = (name(&WEEKDAYS, days % 7), name(&MONTHS, civil.month - 1));
    let Civil { year, day, hour, minute, second, .. } = civil;
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Unix milliseconds of an ISO 8601 moment with its offset, as JSON APIs write it: `2023-04-14T13:07:01.836Z`,
/// `2020-07-16T18:06:04+00:00`. Digits of the fraction beyond milliseconds are cut off.
#[must_use]
pub fn iso_8601(text: &str) -> Option<i64> {
    /// Longest fraction that is read, digits.
    const FRACTION_MAX: usize = 9;
    let at = text.char_indices().skip(19).find(|(_, letter)| matches!(letter, 'Z' | '+' | '-'))?.0;
    let (moment, zone) = text.split_at_checked(at)?;
    let (seconds, fraction) = moment.split_once('.').unwrap_or((moment, "0"));
    let is_fraction =
        (1..=FRACTION_MAX).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !is_fraction {
        return None;
    }
    let milliseconds: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let offset = match zone.split_at_checked(1)? {
        ("Z", "") => 0,
        (sign, zone) => {
            let (hours, minutes) = zone.split_once(':')?;
            let [hours, minutes] = [hours, minutes].map(|part| {
                let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
                part.parse::<i64>().ok().filter(|_| digits)
            });
            let seconds =
                hours.filter(|hours| *hours < 24)? * 3600 + minutes.filter(|minutes| *minutes < 60)? * 60;
            if sign == "-" { -seconds } else { seconds }
        }
    };
    Civil::parse(seconds)?.unix_ms(offset)?.checked_add(milliseconds)
}

/// Unix seconds of an HTTP `Date` header in the one form that senders may use (RFC 9110, IMF-fixdate):
/// `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub fn http_date(text: &str) -> Option<i64> {
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
        assert_eq!(http_date_text(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date_text(1_634_208_716_000), "Thu, 14 Oct 2021 10:51:56 GMT");
        assert_eq!(http_date_text(0), "Thu, 01 Jan 1970 00:00:00 GMT");
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

    #[test]
    fn moments_with_an_offset() {
        for (text, ms) in [
            ("1994-11-06T08:49:37Z", 784_111_777_000),
            ("1994-11-06T08:49:37.5Z", 784_111_777_500),
            ("1994-11-06T08:49:37.123456Z", 784_111_777_123),
            ("1994-11-06T11:49:37+03:00", 784_111_777_000),
            ("1994-11-06T05:19:37.000-03:30", 784_111_777_000),
        ] {
            assert_eq!(iso_8601(text), Some(ms), "{text}");
        }
        for text in [
            "",
            "1994-11-06T08:49:37",
            "1994-11-06T08:49:37.Z",
            "1994-11-06T08:49:37Zx",
            "1994-11-06T08:49:37+3:00",
            "1994-11-06T08:49:37+0300",
            "1994-11-06T08:49:37+24:00",
            "1994-13-06T08:49:37Z",
        ] {
            assert_eq!(iso_8601(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn http_dates_round_trip(seconds in 0_i64..253_402_300_799) {
            proptest::prop_assert_eq!(http_date(&http_date_text(seconds * 1000)), Some(seconds));
        }

        #[test]
        fn any_moment_is_read_or_refused(text in ".*") {
            let _ = iso_8601(&text);
        }

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
