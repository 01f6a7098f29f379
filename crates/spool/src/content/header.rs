//! Finds the end of a header block as the content streams by.
//!
//! # Contract
//! * **The header ends at the first empty line**, or with the content.
//! * **How the content is cut into pieces changes nothing.**

/// Looks for octets above 127 up to the first empty line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeaderScan {
    place: Place,
    has_8bit: bool,
}

/// How much of an empty line was just seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    InLine,
    AfterCr,
    LineStart,
    LineStartCr,
    Body,
}

impl Default for HeaderScan {
    fn default() -> Self {
        HeaderScan {
            place: Place::LineStart,
            has_8bit: false,
        }
    }
}

impl HeaderScan {
    /// Answers whether the header, as far as it came, holds octets above 127.
    pub(crate) fn has_8bit(&self) -> bool {
        self.has_8bit
    }

    /// Takes the next piece. Costs nothing once the body is reached.
    pub(crate) fn scan(&mut self, piece: &[u8]) {
        for byte in piece {
            if self.place == Place::Body {
                return;
            }
            self.has_8bit |= !byte.is_ascii();
            self.place = match (self.place, byte) {
                (Place::LineStart, b'\r') => Place::LineStartCr,
                (Place::LineStartCr, b'\n') => Place::Body,
                (Place::AfterCr, b'\n') => Place::LineStart,
                (_, b'\r') => Place::AfterCr,
                _ => Place::InLine,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: [(&[u8], bool); 8] = [
        (b"", false),
        (b"Subject: a\r\n\r\nb\xc3\xbc", false),
        (b"Subject: \xc3\xbc\r\n\r\nb", true),
        (b"\r\n\xff", false),
        (b"\xff", true),
        (b"a: b\r\n\xff\r\n\r\n", true),
        (b"a: b\r\r\n\xff", true),
        (b"a: b\r\n\r\r\n\xff", true),
    ];

    #[test]
    fn only_octets_before_the_first_empty_line_count() {
        for (content, has_8bit) in CASES {
            let mut scan = HeaderScan::default();
            scan.scan(content);
            assert_eq!(scan.has_8bit(), has_8bit, "{content:?}");
        }
    }

    #[test]
    fn how_the_content_is_cut_changes_nothing() {
        for (content, has_8bit) in CASES {
            let mut scan = HeaderScan::default();
            content.chunks(1).for_each(|piece| scan.scan(piece));
            assert_eq!(scan.has_8bit(), has_8bit, "{content:?}");
        }
    }
}
