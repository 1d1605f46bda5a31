//! Times as Docker and BuildKit write them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Unix nanoseconds of a time such as `2026-01-02T03:04:05.123456789Z`, where that is one and can be counted so (from the
/// years 1678 to 2261).
#[must_use]
pub fn nanoseconds(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos()).ok()
}

/// Unix milliseconds of such a time.
#[must_use]
pub fn milliseconds(text: &str) -> Option<i64> {
    Some(nanoseconds(text)?.div_euclid(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.000000001Z", 1),
            ("1969-12-31T23:59:59.999999999Z", -1),
            ("2026-11-22T17:35:18.146205397Z", 1_795_368_918_146_205_397),
            (
                "2026-11-22T18:35:18.146205397+01:00",
                1_795_368_918_146_205_397,
            ),
            ("2026-11-22t12:05:18.1462-05:30", 1_795_368_918_146_200_000),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000_000_000),
            ("2024-03-01T00:00:00Z", 1_709_251_200_000_000_000),
            ("2000-03-01T00:00:00.5z", 951_868_800_500_000_000),
            ("1900-03-01T00:00:00Z", -2_203_891_200_000_000_000),
        ] {
            assert_eq!(nanoseconds(text), Some(expected), "{text}");
        }
        assert_eq!(milliseconds("1969-12-31T23:59:59.9999Z"), Some(-1));
    }

    #[test]
    fn what_is_no_time_or_cannot_be_counted_is_none() {
        for text in [
            "",
            "now",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "2026-11-22",
            "2026-11-22T17:35:18",
            "2026-13-22T17:35:18Z",
            "2026-00-22T17:35:18Z",
            "2026-11-00T17:35:18Z",
            "2026-11-22T24:35:18Z",
            "2026-11-22T17:35:18.Z",
            "2026-11-22T17:35:18.1x2Z",
            "2026-11-22T17:35:18+1:00",
            "2026-11-22T17:35Z",
            "+026-11-22T17:35:18Z",
            "2026-11-22T17:35:18Zé",
        ] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
    }
}
