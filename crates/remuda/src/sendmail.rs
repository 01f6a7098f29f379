//! `remuda sendmail`: takes a message from standard input and submits it to the local server, as other
//! programs expect of `sendmail`.
//!
//! # Contract
//! * **All recipients or none**: a refused recipient refuses the message, so that whoever tries again
//!   repeats nothing.
//! * **Exit 75 means try again later**: the server is not there, or says 4xx. Nothing was accepted then.
//! * **Bcc never leaves this program.**
//!
//! # Not here
//! A queue of its own: what the server does not take stays with the caller.
//!
//! # Limits
//! The message is held in memory, at most `limits.message_size` of the configuration.

mod addresses;
mod arguments;
mod message;
mod submit;

use std::{ffi::OsString, io::Read};

use remuda_engine::settings::{ListenerTls, Role};
use remuda_mail::{Address, Sender};

use crate::{
    cli::{Arguments, ConfigArguments, SENDMAIL_OPTIONS},
    config::Config,
    exit::{Exit, Failure},
    reachable,
};
use arguments::{Mode, Options};
use message::Message;
use submit::Submission;

/// Runs sendmail with these arguments, its own name left out.
///
/// # Errors
/// The message was not accepted.
pub fn run(arguments: &[OsString]) -> Result<(), Failure> {
    if arguments.len() == 1 && arguments[0] == "--help" {
        return crate::print(&format!(
            "Usage: sendmail [OPTIONS] [RCPT…]\n\n{SENDMAIL_OPTIONS}\n"
        ));
    }
    let options = arguments::parse(arguments).map_err(|message| Failure::new(Exit::Usage, message))?;
    match options.mode {
        Mode::Deliver => deliver(&options),
        // There is no table of aliases to rebuild.
        Mode::NewAliases => Ok(()),
        Mode::Queue => other_command(&options, &["queue", "list"]),
        Mode::Flush => other_command(&options, &["queue", "retry", "--all"]),
    }
}

fn other_command(options: &Options, words: &[&str]) -> Result<(), Failure> {
    use clap::Parser;
    let config = options
        .config
        .iter()
        .flat_map(|path| [OsString::from("--config"), path.into()]);
    let words = ["remuda"].iter().chain(words).map(OsString::from).chain(config);
    match Arguments::try_parse_from(words) {
        Ok(arguments) => crate::command(arguments.command),
        Err(error) => Err(Failure::new(Exit::Usage, error)),
    }
}

fn deliver(options: &Options) -> Result<(), Failure> {
    let config = ConfigArguments {
        config: options.config.clone(),
    }
    .source()
    .load()?;
    let content = read_input(options, config.settings.limits.message_size)?;
    let submission = prepare(options, &config, &content)?;
    let listener = config
        .settings
        .listeners
        .iter()
        .find(|listener| listener.role == Role::Mx && !matches!(listener.tls, ListenerTls::Implicit(_)))
        .map(|listener| reachable(listener.address));
    let Some(server) = listener else {
        return Err(Failure::new(
            Exit::Configuration,
            "no [[listener]] to submit to in clear and without a login; add one for this machine",
        ));
    };
    submit::submit(server, &config.settings.hostname, &submission)
}

fn read_input(options: &Options, size_max: u64) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    std::io::stdin()
        .lock()
        .take(size_max + 1)
        .read_to_end(&mut content)
        .map_err(|error| Failure::new(Exit::Failed, format!("the message cannot be read: {error}")))?;
    if content.len() as u64 > size_max {
        return Err(Failure::new(
            Exit::Failed,
            "the message is larger than limits.message_size",
        ));
    }
    Ok(message::with_crlf(&content, !options.ignores_dots))
}

/// Builds what is submitted.
fn prepare(options: &Options, config: &Config, content: &[u8]) -> Result<Submission, Failure> {
    let hostname = &*config.settings.hostname;
    let wrong = |text: &str, error| Failure::new(Exit::Usage, format!("{text:?} is not an address: {error}"));
    let complete = |text: &str| match text.contains('@') {
        true => text.to_owned(),
        false => format!("{text}@{hostname}"),
    };
    let mut message = Message::new(content);
    let mut recipients = options.recipients.clone();
    if options.reads_header {
        recipients.extend(
            message
                .recipients()
                .map_err(|error| Failure::new(Exit::Usage, error))?,
        );
    }
    message.remove_bcc();
    let mut to: Vec<Address> = Vec::new();
    for text in &recipients {
        let address = complete(text)
            .parse::<Address>()
            .map_err(|error| wrong(text, error))?;
        if !to.contains(&address) {
            to.push(address);
        }
    }
    if to.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "no recipients; name them, or give -t and a header with To, Cc or Bcc",
        ));
    }
    let sender = match options.sender.as_deref() {
        Some("" | "<>") => Sender::NULL,
        given => {
            let text = given.map_or_else(user_name, str::to_owned);
            Sender(Some(
                complete(&text).parse().map_err(|error| wrong(&text, error))?,
            ))
        }
    };
    message.add_from(&sender, options.full_name.as_deref());
    Ok(Submission {
        sender,
        recipients: to,
        dsn: options.dsn.clone(),
        content: message.into_content(),
    })
}

/// Who calls: as the environment says, else as the table of users says, else by number.
fn user_name() -> String {
    let named = ["LOGNAME", "USER"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()));
    let uid = rustix::process::getuid().as_raw();
    named
        .or_else(|| user_in(&std::fs::read_to_string("/etc/passwd").ok()?, uid))
        .unwrap_or_else(|| format!("uid{uid}"))
}

/// The name of a user in a table of the form of passwd(5).
fn user_in(table: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_environment_is_found_in_the_table_of_users() {
        let table = "root:x:0:0:root:/root:/bin/sh\nbroken\nwww-data:x:33:33::/:\n";
        assert_eq!(user_in(table, 33).as_deref(), Some("www-data"));
        assert_eq!(user_in(table, 5), None);
    }
}
