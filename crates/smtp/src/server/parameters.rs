//! The parameters of MAIL and RCPT: SIZE, BODY, SMTPUTF8, RET, ENVID, AUTH; NOTIFY, ORCPT.
//!
//! smtp-proto reads the values that are words and numbers. ENVID, AUTH and ORCPT are read here: their
//! escapes must be undone without dropping a broken one, and ORCPT has types that it does not know.
//!
//! # Contract
//! * **Only what was announced is taken, and once**: else 555 5.5.4 or 501 5.5.4 (RFC 5321 §4.1.1.11).
//! * **A parameter's text holds no control character**, also none that was escaped.

use std::borrow::Cow;

use remuda_mail::{Address, Body, Envelope, Notify, OriginalRecipient, Return};
use smtp_proto::{
    Error as Grammar, MAIL_BODY_8BITMIME, MAIL_BODY_BINARYMIME, MAIL_RET_FULL, MAIL_RET_HDRS, MAIL_SMTPUTF8,
    RCPT_NOTIFY_DELAY, RCPT_NOTIFY_FAILURE, RCPT_NOTIFY_NEVER, RCPT_NOTIFY_SUCCESS,
    request::parser::Rfc5321Parser,
};

use super::{answer::Answer, command::Mail, xtext};

/// RFC 3461 §4.4: octets of ENVID as sent.
const ENVID_LENGTH_MAX: usize = 100;
/// RFC 3461 §4.2: octets of ORCPT as sent.
const ORCPT_LENGTH_MAX: usize = 500;
/// RFC 4954 §5: octets of AUTH as sent.
const SUBMITTER_LENGTH_MAX: usize = 500;
/// RFC 1870 §3: digits of SIZE.
const SIZE_DIGITS_MAX: usize = 20;

/// What RCPT may carry.
#[derive(Debug, Default, PartialEq)]
pub(super) struct RcptParameters {
    pub notify: Option<Notify>,
    pub orcpt: Option<OriginalRecipient>,
}

/// Reads the parameters of MAIL; the sender is left to the caller.
pub(super) fn mail(text: &str) -> Result<Mail, Answer> {
    let mut mail = Mail {
        envelope: Envelope::default(),
        size: None,
        names_submitter: false,
    };
    if text.is_empty() {
        return Ok(mail);
    }
    let known = ["SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH"];
    let (words, [envid, submitter]) = split(text, &known, ["ENVID", "AUTH"])?;
    let mut octets = words.as_bytes().iter();
    let flags = Rfc5321Parser::new(&mut octets)
        .mail_from_parameters(Cow::Borrowed(""))
        .map_err(bad)?
        .flags;
    if flags & MAIL_BODY_BINARYMIME != 0 {
        return Err(Answer::new(555, "5.5.4", "BODY=BINARYMIME not offered"));
    }
    if flags & MAIL_BODY_8BITMIME != 0 {
        mail.envelope.body = Body::EightBitMime;
    }
    mail.envelope.smtputf8 = flags & MAIL_SMTPUTF8 != 0;
    mail.envelope.ret = match (flags & MAIL_RET_FULL != 0, flags & MAIL_RET_HDRS != 0) {
        (true, _) => Some(Return::Full),
        (_, true) => Some(Return::Headers),
        _ => None,
    };
    mail.size = size(text)?;
    mail.envelope.envid = envid.map(read_envid).transpose()?;
    mail.names_submitter = submitter.map(check_submitter).transpose()?.is_some();
    Ok(mail)
}

/// Reads the parameters of RCPT.
pub(super) fn rcpt(text: &str) -> Result<RcptParameters, Answer> {
    if text.is_empty() {
        return Ok(RcptParameters::default());
    }
    let (words, [orcpt]) = split(text, &["NOTIFY", "ORCPT"], ["ORCPT"])?;
    let mut octets = words.as_bytes().iter();
    let flags = Rfc5321Parser::new(&mut octets)
        .rcpt_to_parameters(Cow::Borrowed(""))
        .map_err(bad)?
        .flags;
    let notify = Notify {
        success: flags & RCPT_NOTIFY_SUCCESS != 0,
        failure: flags & RCPT_NOTIFY_FAILURE != 0,
        delay: flags & RCPT_NOTIFY_DELAY != 0,
    };
    let never = flags & RCPT_NOTIFY_NEVER != 0;
    // RFC 3461 §4.1: NEVER stands alone.
    if never && notify != Notify::NEVER {
        return Err(Answer::new(501, "5.5.4", "NOTIFY=NEVER stands alone"));
    }
    Ok(RcptParameters {
        notify: (never || notify != Notify::NEVER).then_some(notify),
        orcpt: orcpt.map(read_orcpt).transpose()?,
    })
}

/// Checks the names of all parameters, and splits the values of `own` from the rest, which ends with CRLF
/// as smtp-proto wants it.
fn split<'a, const N: usize>(
    text: &'a str,
    known: &[&str],
    own: [&str; N],
) -> Result<(String, [Option<&'a str>; N]), Answer> {
    let mut seen = 0u32;
    let mut values_of_own = [None; N];
    let mut words = String::with_capacity(text.len() + 2);
    for word in text.split_ascii_whitespace() {
        let (name, value) = word
            .split_once('=')
            .map_or((word, None), |(name, value)| (name, Some(value)));
        let place = known
            .iter()
            .position(|known| known.eq_ignore_ascii_case(name))
            .ok_or_else(Answer::not_offered)?;
        if seen & (1 << place) != 0 {
            return Err(Answer::new(501, "5.5.4", format!("{} given twice", known[place])));
        }
        seen |= 1 << place;
        // RFC 5321 §4.1.2 esmtp-value: no "=" in it.
        if value.is_some_and(|value| value.is_empty() || value.contains('=')) {
            return Err(invalid(known[place]));
        }
        if let Some(index) = own.iter().position(|own| *own == known[place]) {
            values_of_own[index] = Some(value.ok_or_else(|| invalid(known[place]))?);
        } else {
            words.push_str(word);
            words.push(' ');
        }
    }
    words.push_str("\r\n");
    Ok((words, values_of_own))
}

/// SIZE=, whose overflow smtp-proto wraps.
fn size(text: &str) -> Result<Option<u64>, Answer> {
    let Some(value) = text
        .split_ascii_whitespace()
        .filter_map(|word| word.split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("size"))
        .map(|(_, value)| value)
    else {
        return Ok(None);
    };
    if value.len() > SIZE_DIGITS_MAX || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid("SIZE"));
    }
    value.parse().map(Some).map_err(|_| invalid("SIZE"))
}

fn read_envid(value: &str) -> Result<String, Answer> {
    xtext::decode(value)
        .filter(|decoded| value.len() <= ENVID_LENGTH_MAX && decoded.is_ascii())
        .ok_or_else(|| invalid("ENVID"))
}

/// RFC 4954 §5: `<>`, or an address as xtext.
fn check_submitter(value: &str) -> Result<(), Answer> {
    let is_sound = value == "<>"
        || value.len() <= SUBMITTER_LENGTH_MAX
            && xtext::decode(value).is_some_and(|address| address.parse::<Address>().is_ok());
    if is_sound { Ok(()) } else { Err(invalid("AUTH")) }
}

fn read_orcpt(value: &str) -> Result<OriginalRecipient, Answer> {
    let read = || {
        let (kind, address) = value.split_once(';')?;
        let sound = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if value.len() > ORCPT_LENGTH_MAX || kind.is_empty() || !kind.bytes().all(sound) {
            return None;
        }
        let decoded = xtext::decode(address)?;
        let address_type = kind.to_ascii_lowercase();
        // RFC 6533 §3: within xtext, the type utf-8 has escapes of its own.
        let address = match address_type.as_str() {
            "utf-8" => xtext::decode_unicode(&decoded)?,
            _ => decoded,
        };
        (!address.is_empty()).then_some(OriginalRecipient {
            address_type,
            address,
        })
    };
    read().ok_or_else(|| invalid("ORCPT"))
}

fn bad(error: Grammar) -> Answer {
    match error {
        Grammar::InvalidParameter { param } => invalid(param),
        _ => Answer::new(501, "5.5.4", "Syntax error in parameters"),
    }
}

fn invalid(parameter: &str) -> Answer {
    Answer::new(501, "5.5.4", format!("Bad value of {parameter}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_of_mail_is_read() {
        let read = mail(" SIZE=1000 BODY=8BITMIME  smtputf8 RET=HDRS ENVID=a+2Bb ").unwrap();
        assert_eq!(read.size, Some(1000));
        assert_eq!(read.envelope.body, Body::EightBitMime);
        assert!(read.envelope.smtputf8);
        assert_eq!(read.envelope.ret, Some(Return::Headers));
        assert_eq!(read.envelope.envid.as_deref(), Some("a+b"));
        assert!(!read.names_submitter);
        for submitter in ["<>", "a@b.test", "a+2Bb@b.test"] {
            assert!(
                mail(&format!(" AUTH={submitter}")).unwrap().names_submitter,
                "{submitter}"
            );
        }
    }

    #[test]
    fn every_parameter_of_rcpt_is_read() {
        let read = rcpt(" NOTIFY=success,DELAY ORCPT=rfc822;a+2Bb@c.test").unwrap();
        let notify = read.notify.unwrap();
        assert!(notify.success && notify.delay && !notify.failure);
        assert_eq!(read.orcpt.unwrap().address, "a+b@c.test");
        assert_eq!(rcpt(" NOTIFY=NEVER").unwrap().notify, Some(Notify::NEVER));
        let orcpt = rcpt(" ORCPT=UTF-8;j\\x{FC}rgen@c.test").unwrap().orcpt.unwrap();
        assert_eq!(
            (orcpt.address_type.as_str(), orcpt.address.as_str()),
            ("utf-8", "jürgen@c.test")
        );
    }

    #[test]
    fn what_is_wrong_in_mail_is_refused() {
        for (text, code) in [
            ("SIZE=", 501),
            ("SIZE=x", 501),
            ("SIZE=-1", 501),
            ("SIZE=999999999999999999999", 501),
            ("SIZE=1 SIZE=2", 501),
            ("SIZE", 501),
            ("BODY=9BIT", 501),
            ("BODY=BINARYMIME", 555),
            ("SMTPUTF8=yes", 555),
            ("RET=BOTH", 501),
            ("ENVID=+0D+0A", 501),
            ("ENVID=+4", 501),
            ("ENVID", 501),
            ("AUTH", 501),
            ("AUTH=nobody", 501),
            ("AUTH=a+0A@b.test", 501),
            ("AUTH=<> AUTH=<>", 501),
            ("REQUIRETLS", 555),
            ("X=1", 555),
            ("<>", 555),
        ] {
            let code_of = |answer: Answer| answer.code;
            let read = mail(&format!(" {text}")).map_err(code_of);
            assert!(matches!(read, Err(501 | 555)), "{text}: {read:?}");
            if text != "SMTPUTF8=yes" {
                assert_eq!(read.unwrap_err(), code, "{text}");
            }
        }
        assert!(mail(" SIZE=99999999999999999999").is_err());
        assert!(mail(&format!(" ENVID={}", "x".repeat(101))).is_err());
    }

    #[test]
    fn what_is_wrong_in_rcpt_is_refused() {
        for text in [
            "NOTIFY=",
            "NOTIFY",
            "NOTIFY=NEVER,SUCCESS",
            "NOTIFY=SUCCESS,NEVER",
            "NOTIFY=SOMETIMES",
            "NOTIFY=DELAY NOTIFY=DELAY",
            "ORCPT=a@b.test",
            "ORCPT=rfc822;",
            "ORCPT=rfc822;a+0A",
            "ORCPT=utf-8;\\x{0}",
            "ORCPT=r f;a",
            "SIZE=1",
        ] {
            assert!(rcpt(&format!(" {text}")).is_err(), "{text}");
        }
        assert!(rcpt(&format!(" ORCPT=rfc822;{}", "x".repeat(500))).is_err());
    }
}
