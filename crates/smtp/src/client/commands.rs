//! The commands, written safely: what goes out is one line, whatever the values are.
//!
//! # Contract
//! * **No value breaks a command.** Every address is checked again before it is written; parameters are
//!   xtext. CR, LF and NUL never come from a value.
//! * **A parameter is written only where the server offered its extension.**
//! * **8-bit content is declared** to a server that offers 8BITMIME, and so is what was declared to us.
//! * **A command is no longer than [`COMMAND_LENGTH_MAX`]**; a parameter over its own limit is left out.

use remuda_mail::{ADDRESS_LENGTH_MAX, Address, Body, Capabilities, Envelope, Notify, Recipient, Return};

/// Octets of a command with its CRLF: RFC 5321 §4.5.3.1.4's 512 and what the extensions add
/// (RFC 3461 §4.1 to 4.4, RFC 1870 §3, RFC 6152 §3, RFC 6531 §3.4).
pub const COMMAND_LENGTH_MAX: usize = 512 + 500 + 28 + 16;
/// Octets of ENVID= (RFC 3461 §4.4).
const ENVID_LENGTH_MAX: usize = 100;
/// Octets of ORCPT= (RFC 3461 §4.2).
const ORCPT_LENGTH_MAX: usize = 500;

/// Answers whether `address` may stand between angle brackets.
pub(super) fn is_safe_path(address: &str) -> bool {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for byte in address.bytes() {
        match byte {
            0..=0x1f | 0x7f => return false,
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b' ' | b'<' | b'>' if !is_quoted => return false,
            _ => {}
        }
    }
    !is_quoted && address.len() <= ADDRESS_LENGTH_MAX
}

/// Answers whether `name` may be said in EHLO.
pub(super) fn is_safe_word(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Answers whether `address` can be written without SMTPUTF8: its domain can always, as A-labels.
pub(super) fn is_ascii_able(address: &Address) -> bool {
    address.is_ascii() || address.local_part().is_ascii()
}

/// Writes EHLO or HELO.
pub(super) fn introduce(verb: &str, name: &str, out: &mut Vec<u8>) {
    push(out, &[verb, " ", name, "\r\n"]);
}

/// What a transaction uses of what the server offers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uses {
    pub(super) capabilities: Capabilities,
    pub(super) smtputf8: bool,
    pub(super) eight_bit: bool,
}

/// Writes MAIL.
pub(super) fn mail(envelope: &Envelope, size: u64, uses: Uses, out: &mut Vec<u8>) {
    push(out, &["MAIL FROM:<"]);
    if let Some(sender) = &envelope.sender.0 {
        write_address(sender, uses.smtputf8, out);
    }
    push(out, &[">"]);
    if uses.capabilities.size {
        // RFC 1870 §5: octets with CRLF, without the dots that stuff it.
        push(out, &[" SIZE=", &size.to_string()]);
    }
    // RFC 6152 §3: 8-bit content is declared, also when whoever sent it here did not (decision 0004).
    if uses.capabilities.eight_bit_mime && (uses.eight_bit || envelope.body == Body::EightBitMime) {
        push(out, &[" BODY=8BITMIME"]);
    }
    if uses.smtputf8 {
        push(out, &[" SMTPUTF8"]);
    }
    if uses.capabilities.dsn {
        match envelope.ret {
            Some(Return::Full) => push(out, &[" RET=FULL"]),
            Some(Return::Headers) => push(out, &[" RET=HDRS"]),
            None => {}
        }
        if let Some(envid) = &envelope.envid {
            parameter(" ENVID=", "", &xtext(envid), ENVID_LENGTH_MAX, out);
        }
    }
    push(out, &["\r\n"]);
}

/// Writes RCPT.
pub(super) fn rcpt(recipient: &Recipient, uses: Uses, out: &mut Vec<u8>) {
    push(out, &["RCPT TO:<"]);
    write_address(&recipient.address, uses.smtputf8, out);
    push(out, &[">"]);
    if uses.capabilities.dsn {
        if let Some(notify) = recipient.notify {
            push(out, &[" NOTIFY="]);
            write_notify(notify, out);
        }
        if let Some(original) = &recipient.orcpt {
            let is_sound = original
                .address_type
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            // RFC 6533 §3: what is not ASCII has the type utf-8.
            match (is_sound, original.address.is_ascii()) {
                (true, true) if original.address_type != "utf-8" => {
                    let prefix = format!("{};", original.address_type);
                    parameter(
                        " ORCPT=",
                        &prefix,
                        &xtext(&original.address),
                        ORCPT_LENGTH_MAX,
                        out,
                    );
                }
                (true, _) => {
                    let address = utf8_xtext(&original.address);
                    parameter(" ORCPT=", "utf-8;", &address, ORCPT_LENGTH_MAX, out);
                }
                (false, _) => {}
            }
        }
    }
    push(out, &["\r\n"]);
}

/// Writes a parameter, unless it is longer than its limit.
fn parameter(name: &str, prefix: &str, value: &str, length_max: usize, out: &mut Vec<u8>) {
    if prefix.len() + value.len() <= length_max && !value.is_empty() {
        push(out, &[name, prefix, value]);
    }
}

fn write_address(address: &Address, smtputf8: bool, out: &mut Vec<u8>) {
    if smtputf8 || address.is_ascii() {
        push(out, &[address.as_str()]);
    } else {
        push(out, &[address.local_part(), "@", address.domain().as_str()]);
    }
}

fn write_notify(notify: Notify, out: &mut Vec<u8>) {
    let wishes = [
        (notify.success, "SUCCESS"),
        (notify.failure, "FAILURE"),
        (notify.delay, "DELAY"),
    ];
    let mut before = "";
    for (_, wish) in wishes.iter().filter(|(is_wished, _)| *is_wished) {
        push(out, &[before, wish]);
        before = ",";
    }
    if before.is_empty() {
        push(out, &["NEVER"]);
    }
}

/// RFC 3461 §4: printable ASCII but `+` and `=`; everything else as `+HH`.
fn xtext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'+' | b'=' => hex(byte, &mut out),
            b'!'..=b'~' => out.push(char::from(byte)),
            _ => hex(byte, &mut out),
        }
    }
    out
}

fn hex(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('+');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// RFC 6533 §3 utf-8-addr-xtext, which needs no SMTPUTF8.
fn utf8_xtext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '+' | '=' | '\\' => out.push_str(&format!("\\x{{{:X}}}", u32::from(c))),
            '!'..='~' => out.push(c),
            c => out.push_str(&format!("\\x{{{:X}}}", u32::from(c))),
        }
    }
    out
}

fn push(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests;
