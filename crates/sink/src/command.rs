//! The client's commands, parsed by the sink's own grammar.
//!
//! The grammar is written here once more on purpose: the sink tests a server whose parser it must
//! not share.
//!
//! # Contract
//! * **Every line is some command**: what cannot be understood is [`Command::Unknown`] or
//!   [`Command::Malformed`], with the reason.
//! * **Addresses are kept as written**, between the angle brackets.

/// A command line, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Ehlo,
    Helo,
    Mail(Path<'a>),
    Rcpt(Path<'a>),
    Data,
    Bdat {
        length: u64,
        is_last: bool,
    },
    Rset,
    StartTls,
    /// A mechanism in upper case, and perhaps the first answer.
    Auth(String, &'a str),
    Noop,
    Vrfy,
    Expn,
    Help,
    Quit,
    /// A known command whose arguments are wrong.
    Malformed(Verb, &'static str),
    Unknown,
}

/// The commands that have a state of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Helo,
    Mail,
    Rcpt,
    Data,
    Bdat,
    Other,
}

/// The arguments of MAIL or RCPT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path<'a> {
    /// Without the angle brackets and a source route; empty for `<>`.
    pub address: &'a str,
    /// As written.
    pub parameters: &'a str,
}

impl<'a> Path<'a> {
    /// The parameters, name and value.
    pub fn each_parameter(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        self.parameters.split_ascii_whitespace().map(|word| {
            word.split_once('=')
                .map_or((word, None), |(name, value)| (name, Some(value)))
        })
    }

    /// The domain in lower case; empty for an address without.
    pub fn domain(&self) -> String {
        self.address
            .rsplit_once('@')
            .map(|(_, domain)| domain.to_lowercase())
            .unwrap_or_default()
    }
}

impl<'a> Command<'a> {
    /// Parses a line without its line end.
    pub fn parse(line: &'a str) -> Self {
        let (verb, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let is_bare = line.len() == verb.len();
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" if is_name(arguments) => Command::Ehlo,
            "HELO" if is_name(arguments) => Command::Helo,
            "EHLO" | "HELO" => Command::Malformed(Verb::Helo, "EHLO and HELO take one name"),
            "MAIL" => {
                path(arguments, "FROM:").map_or_else(|why| Command::Malformed(Verb::Mail, why), Command::Mail)
            }
            "RCPT" => recipient(arguments),
            "DATA" if is_bare => Command::Data,
            "DATA" => Command::Malformed(Verb::Data, "DATA takes no argument"),
            "BDAT" => chunk(arguments),
            "STARTTLS" if is_bare => Command::StartTls,
            "AUTH" if !is_bare => {
                let (mechanism, initial) = arguments.split_once(' ').unwrap_or((arguments, ""));
                Command::Auth(mechanism.to_ascii_uppercase(), initial)
            }
            "RSET" if is_bare => Command::Rset,
            "QUIT" if is_bare => Command::Quit,
            "RSET" | "QUIT" => Command::Malformed(Verb::Other, "RSET and QUIT take no argument"),
            "NOOP" => Command::Noop,
            "VRFY" => Command::Vrfy,
            "EXPN" => Command::Expn,
            "HELP" => Command::Help,
            _ => Command::Unknown,
        }
    }

    /// Whether it must be the last of a group (RFC 2920 §3.1).
    pub fn ends_group(&self) -> bool {
        match self {
            Command::Mail(_) | Command::Rcpt(_) | Command::Rset | Command::Bdat { .. } | Command::Unknown => {
                false
            }
            Command::Malformed(verb, _) => matches!(verb, Verb::Helo | Verb::Data),
            Command::Ehlo | Command::Helo | Command::Data | Command::Quit | Command::StartTls => true,
            Command::Auth(..) => true,
            Command::Noop | Command::Vrfy | Command::Expn | Command::Help => true,
        }
    }

    /// The longest line with its line end (RFC 5321 §4.5.3.1.4 and what the extensions offered add).
    pub fn line_max(line: &[u8]) -> usize {
        match line.get(..4).map(<[u8]>::to_ascii_uppercase).as_deref() {
            // RFC 1870 26, RFC 6152 17, RFC 6531 10, RFC 3461 107.
            Some(b"MAIL") => 512 + 26 + 17 + 10 + 107,
            // RFC 3461 500.
            Some(b"RCPT") => 512 + 500,
            // RFC 4954 §4.
            Some(b"AUTH") => 12_288,
            _ => 512,
        }
    }
}

fn is_name(argument: &str) -> bool {
    !argument.is_empty() && !argument.contains([' ', '\t'])
}

fn recipient(arguments: &str) -> Command<'_> {
    match path(arguments, "TO:") {
        Ok(path) if path.address.is_empty() => {
            Command::Malformed(Verb::Rcpt, "the null path is no recipient")
        }
        Ok(path) => Command::Rcpt(path),
        Err(why) => Command::Malformed(Verb::Rcpt, why),
    }
}

fn chunk(arguments: &str) -> Command<'_> {
    let (length, rest) = arguments.split_once(' ').unwrap_or((arguments, ""));
    let is_last = rest.eq_ignore_ascii_case("LAST");
    match length.parse() {
        Ok(length) if is_last || rest.is_empty() => Command::Bdat { length, is_last },
        _ => Command::Malformed(Verb::Bdat, "BDAT takes a length and perhaps LAST"),
    }
}

/// Parses `FROM:<address> parameters`.
fn path<'a>(arguments: &'a str, prefix: &str) -> Result<Path<'a>, &'static str> {
    let rest = match arguments.split_at_checked(prefix.len()) {
        Some((front, rest)) if front.eq_ignore_ascii_case(prefix) => rest,
        _ => return Err("MAIL needs FROM:<…>, RCPT needs TO:<…>"),
    };
    let inside = rest
        .strip_prefix('<')
        .ok_or("the address is not in angle brackets")?;
    let end = closing_bracket(inside).ok_or("the angle bracket is not closed")?;
    let (address, after) = (&inside[..end], &inside[end + 1..]);
    if !after.is_empty() && (!after.starts_with(' ') || after.ends_with(' ') || after.contains("  ")) {
        return Err("parameters are separated by one space");
    }
    // RFC 5321 appendix C: a source route is ignored.
    let address = match address.split_once(':') {
        Some((route, address)) if route.starts_with('@') => address,
        _ => address,
    };
    if !is_address(address) {
        return Err("the address is none");
    }
    Ok(Path {
        address,
        parameters: after.trim_start(),
    })
}

/// Where the path ends: the first `>` outside quotes.
fn closing_bracket(text: &str) -> Option<usize> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    text.bytes().position(|octet| {
        let is_end = !is_quoted && octet == b'>';
        match octet {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ => {}
        }
        is_end
    })
}

/// Whether this can be an address: empty, postmaster, or something on both sides of the last `@`
/// without blanks outside quotes.
fn is_address(text: &str) -> bool {
    if text.is_empty() || text.eq_ignore_ascii_case("postmaster") {
        return true;
    }
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let is_quoted = local.len() >= 2 && local.starts_with('"') && local.ends_with('"');
    let plain = |part: &str| {
        !part.is_empty() && !part.contains(|c: char| c.is_ascii_control() || " <>@\"".contains(c))
    };
    (is_quoted || plain(local)) && plain(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_has_an_address_and_parameters() {
        let Command::Mail(path) = Command::parse("mail from:<a@b.test> SIZE=5 SMTPUTF8") else {
            panic!("MAIL")
        };
        assert_eq!((path.address, path.domain().as_str()), ("a@b.test", "b.test"));
        let parameters: Vec<_> = path.each_parameter().collect();
        assert_eq!(parameters, [("SIZE", Some("5")), ("SMTPUTF8", None)]);
        assert!(matches!(Command::parse("MAIL FROM:<>"), Command::Mail(path) if path.address.is_empty()));
    }

    #[test]
    fn addresses_may_be_quoted_routed_or_international() {
        for (line, address) in [
            ("RCPT TO:<\"a > b\\\" @\"@c.test>", "\"a > b\\\" @\"@c.test"),
            ("RCPT TO:<@relay.test,@b.test:a@c.test>", "a@c.test"),
            ("RCPT TO:<\u{e4}@\u{f6}.test>", "\u{e4}@\u{f6}.test"),
            ("RCPT TO:<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
            ("RCPT TO:<Postmaster>", "Postmaster"),
        ] {
            assert!(
                matches!(Command::parse(line), Command::Rcpt(path) if path.address == address),
                "{line}"
            );
        }
    }

    #[test]
    fn wrong_arguments_are_malformed() {
        for line in [
            "MAIL FROM: <a@b>",
            "MAIL FROM:a@b",
            "MAIL <a@b>",
            "MAIL FROM:<a@b",
            "MAIL FROM:<a@b>SIZE=1",
            "MAIL FROM:<a@b>  SIZE=1",
            "MAIL FROM:<a@b> ",
            "RCPT TO:<>",
            "RCPT TO:<a b@c>",
            "RCPT TO:<a@>",
            "RCPT TO:<a>",
            "EHLO",
            "EHLO a b",
            "DATA now",
            "BDAT",
            "BDAT x",
            "BDAT 5 FIRST",
            "BDAT -1",
            "QUIT now",
        ] {
            assert!(matches!(Command::parse(line), Command::Malformed(..)), "{line}");
        }
        for line in ["", "STARTTLS now", "AUTH", "MAILFROM:<a@b>", "\u{e4}"] {
            assert_eq!(Command::parse(line), Command::Unknown, "{line}");
        }
    }

    #[test]
    fn bdat_has_a_length_and_perhaps_last() {
        assert_eq!(
            Command::parse("BDAT 5"),
            Command::Bdat {
                length: 5,
                is_last: false
            }
        );
        assert_eq!(
            Command::parse("bdat 0 last"),
            Command::Bdat {
                length: 0,
                is_last: true
            }
        );
    }
}
