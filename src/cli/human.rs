//! Numbers and times as people read and write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A length of time in its two largest units: `350ms`, `12s`, `5m12s`, `3h4m`, `2d5h`.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes, seconds % 60) {
        (0, 0, 0, 0) => format!("{}ms", time.as_millis()),
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, 0) => format!("{m}m"),
        (0, 0, m, s) => format!("{m}m{s}s"),
        (0, h, 0, _) => format!("{h}h"),
        (0, h, m, _) => format!("{h}h{m}m"),
        (d, 0, _, _) => format!("{d}d"),
        (d, h, _, _) => format!("{d}d{h}h"),
    }
}

/// How long ago a moment was, by this machine's clock; in whole seconds, since clocks differ.
pub(super) fn ago(unix_ms: u64) -> String {
    let ms = now_ms().saturating_sub(unix_ms);
    duration_of_seconds(ms / 1000)
}

fn duration_of_seconds(seconds: u64) -> String {
    if seconds == 0 { "0s".to_owned() } else { duration(Duration::from_secs(seconds)) }
}

/// Reads `350ms`, `30s`, `5m`, `1h`, and seconds without a unit.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err("write a number and ms, s, m or h, as in 30s".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| "write a number and ms, s, m or h, as in 30s".to_owned())?;
    // Rounded to a microsecond, so that 0.1 s is what it says.
    let micros = (number * seconds * 1e6).round();
    if !(0.0..=1e16).contains(&micros) {
        return Err("it is longer than any wait makes sense".to_owned());
    }
    Ok(Duration::from_micros(micros as u64))
}

/// As [`parse_duration`], for a wait that cannot be nothing.
pub(super) fn parse_wait(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("it must be longer than nothing".to_owned()),
        wait => Ok(wait),
    }
}

/// Bytes in powers of 1024: `512 B`, `1.2 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// A part of one, as `25.1%`.
pub(super) fn percent(part: f64) -> String {
    format!("{:.1}%", part * 100.0)
}

/// A round trip in milliseconds.
pub(super) fn round_trip(micros: u64) -> String {
    format!("{:.2} ms", micros as f64 / 1000.0)
}

/// `1 member`, `2 members`.
pub(super) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What stands in a table where there is nothing.
pub(super) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Unix milliseconds by this machine's clock.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A moment in UTC as RFC 3339 has it, with milliseconds: `2026-01-31T12:00:00.000Z`.
pub(super) fn timestamp(unix_ms: u64) -> String {
    let (days, in_day) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", in_day % 1000)
}

/// Year, month and day of a number of days since 1970. Years are counted from March, so that a leap day is the last
/// of its year. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_their_two_largest_units() {
        let text = |ms| duration(Duration::from_millis(ms));
        assert_eq!(
            [0, 350, 12_000, 312_000, 300_000, 11_040_000, 190_800_000].map(text),
            ["0ms", "350ms", "12s", "5m12s", "5m", "3h4m", "2d5h"]
        );
    }

    #[test]
    fn lengths_of_time_are_read_with_their_unit() {
        assert_eq!(parse_duration("350ms"), Ok(Duration::from_millis(350)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_duration("1h"), Ok(Duration::from_secs(3600)));
        for bad in ["", "s", "-1s", "1d", "1.2.3s", "99999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert!(parse_wait("0s").is_err());
    }

    #[test]
    fn sizes_and_moments_read_as_they_should() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([512, 1536, 1 << 20].map(bytes), ["512 B", "1.5 KiB", "1.0 MiB"]);
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(951_782_400_123), "2000-02-29T00:00:00.123Z");
        assert_eq!(timestamp(1_767_225_599_999), "2025-12-31T23:59:59.999Z");
    }
}
