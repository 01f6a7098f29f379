//! Command lines: octets in, one typed command or a refusal out.
//!
//! The grammar is that of the smtp-proto crate, which is lenient where leniency is dangerous: it drops
//! quotes from local parts, knows no address literals, wraps sizes that overflow, and ignores what
//! follows a complete command. So paths and chunk sizes are read here, and what it accepts is looked at
//! again before it counts.
//!
//! # Contract
//! * **No control character gets past a line** into an address, a parameter or a log.
//! * **A parameter that was not announced is refused** (RFC 5321 §4.1.1.11), and so is one given twice.
//!
//! # Not here
//! Whether the command is in order (`server`), MAIL's and RCPT's parameters (`parameters`).

use std::str;

use remuda_mail::{Address, Envelope, Notify, OriginalRecipient, Secret, Sender};
use smtp_proto::{Error as Grammar, Request};

use super::{
    answer::Answer,
    auth::Mechanism,
    parameters::{self, RcptParameters},
};

/// One command of a client.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Command {
    Ehlo(String),
    Helo(String),
    Mail(Box<Mail>),
    Rcpt(Box<Rcpt>),
    Data,
    Bdat {
        octets: u64,
        is_last: bool,
    },
    StartTls,
    /// `mechanism` is None when it is not one of ours.
    Auth {
        mechanism: Option<Mechanism>,
        initial: Option<Secret>,
    },
    Rset,
    Noop,
    Vrfy,
    Expn,
    Help,
    Quit,
}

impl Command {
    /// Answers whether it brings no mail nearer.
    pub(super) fn is_chatter(&self) -> bool {
        match self {
            Command::Ehlo(_) | Command::Helo(_) | Command::Rset | Command::Noop => true,
            Command::Vrfy | Command::Expn | Command::Help => true,
            Command::StartTls | Command::Auth { .. } => true,
            Command::Mail(_) | Command::Rcpt(_) | Command::Data | Command::Bdat { .. } => false,
            Command::Quit => false,
        }
    }
}

/// MAIL, understood and sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    /// Sender and parameters.
    pub envelope: Envelope,
    /// SIZE= (RFC 1870), octets.
    pub size: Option<u64>,
    /// AUTH= was given and is sound. What it says is dropped: whoever does not trust the client's word for a
    /// submitter goes on as if it were `<>` (RFC 4954 §5).
    pub names_submitter: bool,
}

/// RCPT, understood and sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Rcpt {
    /// Who.
    pub path: ForwardPath,
    /// NOTIFY=.
    pub notify: Option<Notify>,
    /// ORCPT=, decoded.
    pub orcpt: Option<OriginalRecipient>,
}

impl Rcpt {
    /// Answers whether it can be sent without SMTPUTF8.
    pub(super) fn is_ascii(&self) -> bool {
        match &self.path {
            ForwardPath::Postmaster => true,
            ForwardPath::Mailbox(address) => address.is_ascii(),
        }
    }
}

/// Whom RCPT names.
#[derive(Clone, Debug, PartialEq)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain (RFC 5321 §4.5.1).
    Postmaster,
    /// A mailbox.
    Mailbox(Address),
}

/// Reads a line, given with its CRLF.
///
/// # Errors
/// The refusal to answer with.
pub(super) fn parse(line: &[u8]) -> Result<Command, Answer> {
    let text = str::from_utf8(line).map_err(|_| Answer::new(500, "5.5.2", "Not UTF-8"))?;
    let bare = text.strip_suffix("\r\n").unwrap_or(text);
    if bare.contains(|c: char| c.is_control() && c != '\t') {
        return Err(Answer::new(500, "5.5.2", "Control character in command"));
    }
    let (verb, arguments) = bare.split_once([' ', '\t']).unwrap_or((bare, ""));
    match verb {
        _ if verb.eq_ignore_ascii_case("mail") => mail(arguments),
        _ if verb.eq_ignore_ascii_case("rcpt") => rcpt(arguments),
        _ if verb.eq_ignore_ascii_case("bdat") => bdat(arguments),
        _ if verb.eq_ignore_ascii_case("auth") => auth(arguments),
        _ if verb.eq_ignore_ascii_case("starttls") => alone(Command::StartTls, arguments),
        _ if verb.is_empty() => Err(Answer::new(500, "5.5.2", "No command")),
        _ => other(line, arguments),
    }
}

/// The commands that smtp-proto may read alone.
fn other(line: &[u8], arguments: &str) -> Result<Command, Answer> {
    match Request::parse(&mut line.iter()) {
        Ok(Request::Ehlo { host }) => Ok(Command::Ehlo(host.into_owned())),
        Ok(Request::Helo { host }) => Ok(Command::Helo(host.into_owned())),
        Ok(Request::Data) => alone(Command::Data, arguments),
        Ok(Request::Rset) => alone(Command::Rset, arguments),
        Ok(Request::Quit) => alone(Command::Quit, arguments),
        Ok(Request::Noop { .. }) => Ok(Command::Noop),
        Ok(Request::Vrfy { .. }) => Ok(Command::Vrfy),
        Ok(Request::Expn { .. }) => Ok(Command::Expn),
        Ok(Request::Help { .. }) => Ok(Command::Help),
        Ok(request) => {
            let text = format!("{} not offered here", request.name());
            Err(Answer::new(502, "5.5.1", text))
        }
        Err(Grammar::UnknownCommand) => Err(Answer::new(500, "5.5.2", "Command not recognised")),
        Err(Grammar::SyntaxError { syntax }) => Err(Answer::new(501, "5.5.4", format!("Syntax: {syntax}"))),
        Err(_) => Err(Answer::new(501, "5.5.4", "Syntax error in arguments")),
    }
}

fn alone(command: Command, arguments: &str) -> Result<Command, Answer> {
    if arguments.trim().is_empty() {
        Ok(command)
    } else {
        Err(Answer::new(501, "5.5.4", "No argument allowed"))
    }
}

/// RFC 4954 §4. What was said with it is kept from every log.
fn auth(arguments: &str) -> Result<Command, Answer> {
    let syntax = || Answer::new(501, "5.5.4", "Syntax: AUTH mechanism [initial-response]");
    let mut words = arguments.split_ascii_whitespace();
    let mechanism = Mechanism::named(words.next().ok_or_else(syntax)?);
    let initial = words.next().map(Secret::new);
    match words.next() {
        None => Ok(Command::Auth { mechanism, initial }),
        Some(_) => Err(syntax()),
    }
}

fn mail(arguments: &str) -> Result<Command, Answer> {
    let syntax = || Answer::new(501, "5.5.4", "Syntax: MAIL FROM:<address> [parameters]");
    let (path, rest) = path(arguments, "from:").ok_or_else(syntax)?;
    let sender = match path {
        "" => Sender::NULL,
        path => match path.parse() {
            Ok(address) => Sender(Some(address)),
            Err(error) => return Err(Answer::new(501, "5.1.7", format!("Bad sender address: {error}"))),
        },
    };
    let mut mail = parameters::mail(rest)?;
    // RFC 6531 §3.4: without the parameter nothing may be sent that needs it.
    if !mail.envelope.smtputf8 && sender.0.as_ref().is_some_and(|address| !address.is_ascii()) {
        return Err(Answer::needs_smtputf8());
    }
    mail.envelope.sender = sender;
    Ok(Command::Mail(Box::new(mail)))
}

fn rcpt(arguments: &str) -> Result<Command, Answer> {
    let syntax = || Answer::new(501, "5.5.4", "Syntax: RCPT TO:<address> [parameters]");
    let (path, rest) = path(arguments, "to:").ok_or_else(syntax)?;
    let path = match path {
        path if path.eq_ignore_ascii_case("postmaster") => ForwardPath::Postmaster,
        path => match path.parse() {
            Ok(address) => ForwardPath::Mailbox(address),
            Err(error) => {
                return Err(Answer::new(
                    501,
                    "5.1.3",
                    format!("Bad recipient address: {error}"),
                ));
            }
        },
    };
    let RcptParameters { notify, orcpt } = parameters::rcpt(rest)?;
    Ok(Command::Rcpt(Box::new(Rcpt { path, notify, orcpt })))
}

/// Splits `FROM:<path> parameters` into the path, without brackets and source route, and the rest.
fn path<'a>(arguments: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let arguments = arguments.trim_start_matches(' ');
    let (head, rest) = arguments.split_at_checked(keyword.len())?;
    if !head.eq_ignore_ascii_case(keyword) {
        return None;
    }
    // A space behind the colon is wrong and common.
    let inner = rest.trim_start_matches(' ').strip_prefix('<')?;
    let end = closing_bracket(inner)?;
    let (path, rest) = (&inner[..end], &inner[end + 1..]);
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    // RFC 5321 §4.1.1.3, Appendix C: source routes are understood and ignored.
    let path = match path.strip_prefix('@') {
        Some(route) => route.split_once(':')?.1,
        None => path,
    };
    Some((path, rest))
}

/// The `>` that ends a path: the first one outside quotes.
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(index),
            _ => {}
        }
    }
    None
}

/// RFC 3030 §2. The size must be read exactly: whoever reads another one reads content as commands.
fn bdat(arguments: &str) -> Result<Command, Answer> {
    let syntax = || Answer::new(501, "5.5.4", "Syntax: BDAT octets [LAST]").closing();
    let mut words = arguments.split_ascii_whitespace();
    let octets = words
        .next()
        .filter(|word| word.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|word| word.parse().ok())
        .ok_or_else(syntax)?;
    let is_last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("last") => true,
        Some(_) => return Err(syntax()),
    };
    match words.next() {
        None => Ok(Command::Bdat { octets, is_last }),
        Some(_) => Err(syntax()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(line: &str) -> Result<String, String> {
        match parse(format!("{line}\r\n").as_bytes()) {
            Ok(Command::Mail(mail)) => Ok(mail.envelope.sender.to_string()),
            Ok(other) => panic!("{other:?}"),
            Err(answer) => Err(answer.to_string()),
        }
    }

    #[test]
    fn paths_keep_quotes_and_lose_routes() {
        for (line, address) in [
            ("MAIL FROM:<>", ""),
            ("mail from: <a@b.test>", "a@b.test"),
            ("MAIL FROM:<@x.test,@y.test:a@b.test>", "a@b.test"),
            ("MAIL FROM:<\"a@b> c\"@d.test>", "\"a@b> c\"@d.test"),
            ("MAIL FROM:<a@[192.0.2.1]>", "a@[192.0.2.1]"),
            ("MAIL FROM:<a@[IPv6:2001:db8::1]> SIZE=5", "a@[IPv6:2001:db8::1]"),
        ] {
            assert_eq!(sender(line), Ok(address.into()), "{line}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for (line, code) in [
            ("MAIL FROM:a@b.test", "501 5.5.4"),
            ("MAIL FROM:<a@b.test", "501 5.5.4"),
            ("MAIL FROM:<a@b.test>SIZE=5", "501 5.5.4"),
            ("MAIL FROM:<a@b.test>, <c@d.test>", "501 5.5.4"),
            ("MAIL TO:<a@b.test>", "501 5.5.4"),
            ("MAIL", "501 5.5.4"),
            ("MAIL FROM:<a b@c.test>", "501 5.1.7"),
            ("MAIL FROM:<a@b..test>", "501 5.1.7"),
            ("MAIL FROM:<postmaster>", "501 5.1.7"),
            ("MAIL FROM:<a\0@b.test>", "500 5.5.2"),
            ("MAIL FROM:<\"a\rRCPT TO:\"@b.test>", "500 5.5.2"),
            ("MAIL FROM:<jürgen@b.test>", "553 5.6.7"),
        ] {
            let answer = sender(line).unwrap_err();
            assert!(answer.starts_with(code), "{line:?}: {answer}");
        }
    }

    #[test]
    fn a_chunk_size_is_read_exactly_or_ends_the_session() {
        let read = |line: &str| parse(format!("{line}\r\n").as_bytes());
        let chunk = |octets, is_last| Ok(Command::Bdat { octets, is_last });
        assert_eq!(read("BDAT 86 last"), chunk(86, true));
        assert_eq!(read("bdat 0"), chunk(0, false));
        assert_eq!(read("BDAT 18446744073709551615"), chunk(u64::MAX, false));
        for line in [
            "BDAT",
            "BDAT x",
            "BDAT -1",
            "BDAT +1",
            "BDAT 0x10",
            "BDAT 18446744073709551616 LAST",
            "BDAT 5 LAST LAST",
            "BDAT 5 FIRST",
        ] {
            assert!(read(line).unwrap_err().closes, "{line}");
        }
    }

    #[test]
    fn other_commands_are_known_in_any_case() {
        let read = |line: &str| parse(format!("{line}\r\n").as_bytes());
        assert_eq!(read("ehlo client.test"), Ok(Command::Ehlo("client.test".into())));
        assert_eq!(read("Helo [192.0.2.1]"), Ok(Command::Helo("[192.0.2.1]".into())));
        assert_eq!(read("noop anything"), Ok(Command::Noop));
        assert_eq!(read("quit "), Ok(Command::Quit));
        assert_eq!(read("vrfy postmaster"), Ok(Command::Vrfy));
        assert_eq!(read("StartTLS "), Ok(Command::StartTls));
        let auth = |mechanism, initial: Option<&str>| {
            let initial = initial.map(Secret::new);
            Ok(Command::Auth { mechanism, initial })
        };
        assert_eq!(read("auth plain"), auth(Some(Mechanism::Plain), None));
        assert_eq!(read("AUTH Login ="), auth(Some(Mechanism::Login), Some("=")));
        assert_eq!(read("AUTH CRAM-MD5"), auth(None, None));
        for (line, code) in [
            ("EHLO", 501),
            ("DATA now", 501),
            ("QUIT x", 501),
            ("STARTTLS now", 501),
            ("AUTH", 501),
            ("AUTH PLAIN a b", 501),
            ("LHLO x", 502),
            ("", 500),
            (" QUIT", 500),
            ("GET / HTTP/1.1", 500),
            ("MAILFROM:<>", 500),
        ] {
            assert_eq!(read(line).map_err(|answer| answer.code), Err(code), "{line}");
        }
    }
}
