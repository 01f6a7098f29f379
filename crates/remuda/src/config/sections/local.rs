//! `[local]`.

use remuda_engine::settings::{LmtpServer, LocalDelivery};

use crate::config::{
    reader::{Section, text},
    values,
};

/// Reads `[local]`.
pub fn local(top: &Section<'_, '_>) -> LocalDelivery {
    let section = top.section("local");
    let delivery = section.read("delivery", LocalDelivery::default(), text(delivery));
    section.close();
    delivery.value
}

fn delivery(text: &str) -> Result<LocalDelivery, String> {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    let read = match (kind, rest.strip_prefix("unix:")) {
        ("maildir", _) => rest
            .parse()
            .map(LocalDelivery::Maildir)
            .map_err(|error| error.to_string()),
        ("lmtp", Some(path)) => path
            .parse()
            .map(|path| LocalDelivery::Lmtp(LmtpServer::Unix(path)))
            .map_err(|_| format!("{path:?} is not the absolute path of a socket, of 107 octets at most")),
        ("lmtp", None) => tcp(rest),
        _ => Err("it begins with maildir: or lmtp:".to_owned()),
    };
    read.map_err(|what| format!("{text:?}: {what}; write one such as {EXAMPLES}"))
}

fn tcp(text: &str) -> Result<LocalDelivery, String> {
    let host = values::host_port(text).map_err(|_| format!("{text:?} is not HOST:PORT"))?;
    if host.port.is_none() {
        return Err("the port is missing".to_owned());
    }
    Ok(LocalDelivery::Lmtp(LmtpServer::Tcp([host].into())))
}

const EXAMPLES: &str =
    "\"maildir:mail/{domain}/{local}\", \"lmtp:127.0.0.1:24\" or \"lmtp:unix:/run/dovecot/lmtp\"";
