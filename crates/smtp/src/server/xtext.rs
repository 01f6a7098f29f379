//! xtext and its relatives: how DSN parameters hide octets in a command (RFC 3461 §4, RFC 6533 §3).
//!
//! # Contract
//! * **What decodes holds no control character**, so that it can be written into a header or a command.
//! * **A broken escape is an error**, never dropped: two servers must not read two addresses.

/// Decodes xtext: `+HH` is the octet HH; anything else from `!` to `~`, and UTF-8, stands for itself.
pub fn decode(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        octets.push(match byte {
            b'+' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            b'!'..=b'~' | 0x80.. => byte,
            _ => return None,
        });
    }
    String::from_utf8(octets)
        .ok()
        .filter(|decoded| !decoded.contains(char::is_control))
}

/// Decodes a `utf-8` address of RFC 6533 §3: `\x{HEX}` is a character.
pub fn decode_unicode(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once("\\x{") {
        let (digits, after) = escape.split_once('}')?;
        let sound = (2..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let value = u32::from_str_radix(digits, 16).ok().filter(|_| sound)?;
        decoded.push_str(before);
        decoded.push(char::from_u32(value).filter(|c| !c.is_control())?);
        rest = after;
    }
    decoded.push_str(rest);
    (!decoded.contains(char::is_control)).then_some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_come_out_of_their_escapes() {
        assert_eq!(decode("a+2Bb+3dc"), Some("a+b=c".into()));
        assert_eq!(decode("j+C3+BCrgen"), Some("jürgen".into()));
        assert_eq!(
            decode_unicode("j\\x{FC}rgen@b\\x{1F600}"),
            Some("jürgen@b\u{1F600}".into())
        );
    }

    #[test]
    fn broken_escapes_and_controls_are_errors() {
        for text in ["+", "+4", "+G0", "+0D+0A", "+00", "a b", "+FF", "+C2+85"] {
            assert_eq!(decode(text), None, "{text}");
        }
        for text in [
            "\\x{",
            "\\x{}",
            "\\x{D800}",
            "\\x{+41}",
            "\\x{0A}",
            "\\x{1234567}",
        ] {
            assert_eq!(decode_unicode(text), None, "{text}");
        }
    }
}
