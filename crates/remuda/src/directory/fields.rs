//! What is said of an object on the command line, as JSON.
//!
//! # Contract
//! * **Only what is said is told**: what is not named stays as it is, or gets its default.
//! * **`none` is null** where an object may be without.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::Path,
};

use remuda_directory::model::Kind;
use serde_json::{Map, Value, json};

use crate::{
    cli::fields::{
        AccountFields, AliasFields, DomainAliasFields, DomainFields, ListFields, ModeArgument, RouteFields,
        TlsArgument,
    },
    config,
    exit::{Exit, Failure},
};

/// The fields of a kind.
pub trait Told: clap::Args {
    /// Which.
    const KIND: Kind;

    /// What was said.
    ///
    /// # Errors
    /// A value cannot be read.
    fn told(&self) -> Result<Map<String, Value>, Failure>;
}

/// Fields as they are collected.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
        self
    }

    /// A text, or `none`.
    fn text(self, name: &str, value: &Option<String>) -> Self {
        let value = value.as_deref().map(|text| match text {
            "none" => Value::Null,
            text => text.into(),
        });
        self.put(name, value)
    }

    /// Texts; none of them: not said.
    fn texts(self, name: &str, values: &[String]) -> Self {
        self.put(name, (!values.is_empty()).then(|| json!(values)))
    }

    /// A size such as `10MiB`, or `none`.
    fn size(self, name: &str, value: &Option<String>) -> Result<Self, Failure> {
        self.read(name, value, config::size)
    }

    /// A number, or `none`.
    fn number(self, name: &str, value: &Option<String>) -> Result<Self, Failure> {
        self.read(name, value, |text| {
            text.parse()
                .map_err(|_| format!("{text:?} is neither a number nor none"))
        })
    }

    fn read(
        self,
        name: &str,
        value: &Option<String>,
        read: impl Fn(&str) -> Result<u64, String>,
    ) -> Result<Self, Failure> {
        let option = || name.replace('_', "-");
        let value = match value.as_deref() {
            None => None,
            Some("none") => Some(Value::Null),
            Some(text) => Some(
                read(text)
                    .map(Value::from)
                    .map_err(|wrong| Failure::new(Exit::Usage, format!("--{}: {wrong}", option())))?,
            ),
        };
        Ok(self.put(name, value))
    }

    fn password(self, file: Option<&Path>, is_none: bool) -> Result<Self, Failure> {
        match (file, is_none) {
            (Some(file), _) => {
                let password = password(file)?;
                Ok(self.put("password", Some(password)))
            }
            (None, true) => Ok(self.put("password", Some(Value::Null))),
            (None, false) => Ok(self),
        }
    }
}

impl Told for DomainFields {
    const KIND: Kind = Kind::Domain;

    fn told(&self) -> Result<Map<String, Value>, Failure> {
        Ok(Fields::default()
            .put("active", self.active)
            .text("catch_all", &self.catch_all)
            .size("message_size", &self.message_size)?
            .put("plus_addressing", self.plus_addressing)
            .put("plus_separator", self.plus_separator.clone())
            .number("account_limit", &self.account_limit)?
            .number("alias_limit", &self.alias_limit)?
            .number("list_limit", &self.list_limit)?
            .0)
    }
}

impl Told for DomainAliasFields {
    const KIND: Kind = Kind::DomainAlias;

    fn told(&self) -> Result<Map<String, Value>, Failure> {
        Ok(Fields::default()
            .put("domain", self.domain.clone())
            .put("active", self.active)
            .0)
    }
}

impl Told for AccountFields {
    const KIND: Kind = Kind::Account;

    fn told(&self) -> Result<Map<String, Value>, Failure> {
        Ok(Fields::default()
            .put("active", self.active)
            .size("quota", &self.quota)?
            .text("forward", &self.forward)
            .put("forward_keep", self.forward_keep)
            .password(self.password_file.as_deref(), self.no_password)?
            .0)
    }
}

impl Told for AliasFields {
    const KIND: Kind = Kind::Alias;

    fn told(&self) -> Result<Map<String, Value>, Failure> {
        Ok(Fields::default()
            .texts("targets", &self.targets)
            .put("active", self.active)
            .0)
    }
}

impl Told for ListFields {
    const KIND: Kind = Kind::List;

    fn told(&self) -> Result<Map<String, Value>, Failure> {
        let mode = self.mode.map(|mode| match mode {
            ModeArgument::Public => "public",
            ModeArgument::Membership => "membership",
            ModeArgument::Announcement => "announcement",
            ModeArgument::Domain => "domain",
        });
        Ok(Fields::default()
            .texts("members", &self.members)
            .put("mode", mode)
            .text("owner", &self.owner)
            .put("require_auth", self.require_auth)
            .put("active", self.active)
            .0)
    }
}

impl Told for RouteFields {
    const KIND: Kind = Kind::Route;

    fn told(&self) -> Result<Map<String, Value>, Failure> {
        let tls = self.tls.map(|tls| match tls {
            TlsArgument::Default => Value::Null,
            TlsArgument::None => "none".into(),
            TlsArgument::May => "may".into(),
            TlsArgument::Encrypt => "encrypt".into(),
            TlsArgument::Verify => "verify".into(),
        });
        Ok(Fields::default()
            .texts("hosts", &self.hosts)
            .put("mx", self.mx)
            .put("tls", tls)
            .put("preference", self.preference.clone())
            .text("username", &self.username)
            .password(self.password_file.as_deref(), self.no_password)?
            .put("active", self.active)
            .0)
    }
}

/// The first line of a file, or of standard input.
fn password(file: &Path) -> Result<String, Failure> {
    let (name, line) = match file.to_str() {
        Some("-") => ("standard input".to_owned(), first_line(io::stdin().lock())),
        _ => {
            let line = fs::File::open(file).and_then(|file| first_line(BufReader::new(file)));
            (file.display().to_string(), line)
        }
    };
    match line {
        Ok(line) if line.is_empty() => Err(Failure::new(
            Exit::Failed,
            format!("{name}: no password in its first line"),
        )),
        Ok(line) => Ok(line),
        Err(error) => Err(Failure::new(Exit::Failed, format!("{name}: {error}"))),
    }
}

fn first_line(from: impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.take(PASSWORD_MAX).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Octets of a password.
const PASSWORD_MAX: u64 = 4096;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Arguments, Command, ObjectAction};

    fn told(line: &str) -> Result<Value, Failure> {
        let told = match Arguments::try_parse_from(line.split(' ')).unwrap().command {
            Command::Domain(of) => fields_of(of.action).told(),
            Command::Account(of) => fields_of(of.action).told(),
            Command::Route(of) => fields_of(of.action).told(),
            Command::Alias(of) => fields_of(of.action).told(),
            _ => panic!("{line}"),
        };
        told.map(Value::Object)
    }

    fn fields_of<F: clap::Args>(action: ObjectAction<F>) -> F {
        match action {
            ObjectAction::Add { fields, .. } | ObjectAction::Set { fields, .. } => fields,
            _ => panic!("an action with fields"),
        }
    }

    #[test]
    fn only_what_is_said_is_told() {
        for (line, expected) in [
            ("remuda domain add a.test", json!({})),
            (
                "remuda domain set a.test --message-size 10MiB --catch-all none --account-limit 5 --active false",
                json!({"message_size": 10 << 20, "catch_all": null, "account_limit": 5, "active": false}),
            ),
            (
                "remuda account set a@a.test --quota none --no-password --forward b@b.test",
                json!({"quota": null, "password": null, "forward": "b@b.test"}),
            ),
            (
                "remuda route set a.test mx.b.test [::1]:25 --preference 10,20 --tls default",
                json!({"hosts": ["mx.b.test", "[::1]:25"], "preference": [10, 20], "tls": null}),
            ),
            (
                "remuda alias add a@a.test b@b.test c@c.test",
                json!({"targets": ["b@b.test", "c@c.test"]}),
            ),
        ] {
            assert_eq!(told(line).unwrap(), expected, "{line}");
        }
        for (line, said) in [
            ("remuda domain set a.test --message-size much", "--message-size: "),
            ("remuda domain set a.test --list-limit -1", "--list-limit: "),
        ] {
            let line = line.replace("--list-limit -1", "--list-limit=-1");
            let failure = told(&line).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.message.starts_with(said), "{}", failure.message);
        }
    }

    #[test]
    fn a_password_is_the_first_line() {
        assert_eq!(first_line(&b"secret \r\nmore"[..]).unwrap(), "secret ");
        assert_eq!(first_line(&b"secret"[..]).unwrap(), "secret");
    }
}
