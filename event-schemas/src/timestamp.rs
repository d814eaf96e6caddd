//! Instants as text.

use chrono::{DateTime, Datelike, NaiveDate, Timelike};
use daybook_domain::values::Timestamp;

/// `YYYY-MM-DDTHH:MM:SS.ffffffZ`
const LEN: usize = 27;

/// The first and the last instant that four digits of a year can name.
const FIRST: i64 = -62_167_219_200_000_000;
const LAST: i64 = 253_402_300_799_999_999;

/// Writes an instant in RFC 3339, UTC, with microseconds. An instant outside the years 0000 to
/// 9999 is written as the nearest one inside.
pub fn format_timestamp(at: Timestamp) -> String {
    write(at).into()
}

/// Reads what [`format_timestamp`] writes, and no other form of RFC 3339. `None`: it is not that,
/// or no such instant exists.
pub fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let text = text.as_bytes();
    let fixed = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (26, b'Z')];
    if text.len() != LEN || fixed.iter().any(|&(place, byte)| text[place] != byte) {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(number(&text[..4])?).ok()?,
        number(&text[5..7])?,
        number(&text[8..10])?,
    )?;
    let time = date.and_hms_micro_opt(
        number(&text[11..13])?,
        number(&text[14..16])?,
        number(&text[17..19])?,
        number(&text[20..26])?,
    )?;
    Some(Timestamp::from_micros(time.and_utc().timestamp_micros()))
}

/// ASCII text of an instant, on the stack: instants are in every event.
pub(crate) struct Text([u8; LEN]);

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.as_str().into()
    }
}

pub(crate) fn write(at: Timestamp) -> Text {
    let at = DateTime::from_timestamp_micros(at.as_micros().clamp(FIRST, LAST)).unwrap_or_default();
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    digits(&mut text[..4], at.year().unsigned_abs());
    digits(&mut text[5..7], at.month());
    digits(&mut text[8..10], at.day());
    digits(&mut text[11..13], at.hour());
    digits(&mut text[14..16], at.minute());
    digits(&mut text[17..19], at.second());
    digits(&mut text[20..26], at.timestamp_subsec_micros());
    Text(text)
}

fn digits(text: &mut [u8], mut number: u32) {
    for byte in text.iter_mut().rev() {
        *byte = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn number(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_instant_is_written_to_the_microsecond() {
        let at = Timestamp::from_micros(1_323_435_000_000_042);

        assert_eq!(format_timestamp(at), "2011-12-09T12:50:00.000042Z");
    }

    #[test]
    fn an_instant_beyond_four_digit_years_becomes_the_nearest_within() {
        let written = |micros| format_timestamp(Timestamp::from_micros(micros));

        assert_eq!(written(i64::MAX), "9999-12-31T23:59:59.999999Z");
        assert_eq!(written(i64::MIN), "0000-01-01T00:00:00.000000Z");
    }

    #[test]
    fn only_the_one_form_is_read() {
        for text in [
            "",
            "2011-12-09",
            "2011-12-09T12:50:00Z",
            "2011-12-09T12:50:00.000042+00:00",
            "2011-12-09 12:50:00.000042Z",
            "2011-02-30T12:50:00.000042Z",
            "2011-12-09T24:00:00.000000Z",
            "2011-12-09T12:50:60.000000Z",
            "+011-12-09T12:50:00.000042Z",
            "2011-12-09T12:50:00.00004éZ",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_reads_back(micros in FIRST..=LAST) {
            let at = Timestamp::from_micros(micros);
            prop_assert_eq!(parse_timestamp(&format_timestamp(at)), Some(at));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            if let Some(at) = parse_timestamp(&text) {
                prop_assert_eq!(format_timestamp(at), text);
            }
        }
    }
}
