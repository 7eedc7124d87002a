//! Owns the oracle's own idea of one wall clock, that of Berlin in 2026: two changes and two offsets, written down.
//! It must not read zone data.

/// When its clock goes from 02:00 to 03:00, and from 03:00 to 02:00 (https://www.ptb.de, 2026), in Unix seconds.
pub(crate) const SPRING: i64 = 1_774_746_000;
pub(crate) const AUTUMN: i64 = 1_792_890_000;
const HOUR_S: i64 = 3_600;
pub(crate) const DAY_S: i64 = 86_400;

/// How far ahead of UTC it is.
pub(crate) fn offset_s(second: i64) -> i64 {
    if (SPRING..AUTUMN).contains(&second) { 2 * HOUR_S } else { HOUR_S }
}

/// The day since 1970 and the second of it that the clock shows.
pub(crate) fn shown(second: i64) -> (i64, i64) {
    let local = second + offset_s(second);
    (local.div_euclid(DAY_S), local.rem_euclid(DAY_S))
}

/// Whether that clock shows this moment for the first of two times, the second, or the only one (0).
pub(crate) fn showing(second: i64) -> u8 {
    match second - AUTUMN {
        first if (-HOUR_S..0).contains(&first) => 1,
        last if (0..HOUR_S).contains(&last) => 2,
        _ => 0,
    }
}

/// Whether the hour that holds this second of the day was left out right before this moment.
pub(crate) fn was_left_out(second_of_day: i64, before: i64) -> bool {
    before == SPRING && (2 * HOUR_S..3 * HOUR_S).contains(&second_of_day)
}
