//! Plain tables and times for people.

use jiff::{Timestamp, tz::TimeZone};

/// Lines up columns; the last one is not padded. Controls are shown as `?`, so that nothing that came by
/// mail moves the cursor.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    for row in std::iter::once(&head).chain(rows) {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{:<width$}", printable(cell)))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The text without controls.
pub fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control(), "?")
}

/// A time of day in this machine's zone.
pub fn time(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(at) => at
            .to_zoned(TimeZone::system())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => "never".to_owned(),
    }
}

/// A length of time in two units at most: `2d4h`, `3m7s`, `0.4s`.
pub fn length(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..=9 => format!("{:.1}s", seconds.max(0.0)),
        10..=59 => format!("{whole}s"),
        60..=3599 => format!("{}m{}s", whole / 60, whole % 60),
        3600..=86_399 => format!("{}h{}m", whole / 3600, whole % 3600 / 60),
        _ => format!("{}d{}h", whole / 86_400, whole % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_nothing_moves_the_cursor() {
        let text = table(
            &["A", "LONG"],
            &[
                vec!["xyz".into(), "1\x1b[2J".into()],
                vec!["é".into(), "2".into()],
            ],
        );
        assert_eq!(text, "A    LONG\nxyz  1?[2J\né    2\n");
    }

    #[test]
    fn lengths_have_two_units_at_most() {
        for (seconds, text) in [
            (0.44, "0.4s"),
            (59.9, "59s"),
            (187.0, "3m7s"),
            (7500.0, "2h5m"),
            (200_000.0, "2d7h"),
        ] {
            assert_eq!(length(seconds), text);
        }
    }
}
