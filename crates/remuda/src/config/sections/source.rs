//! `[[source]]`.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use remuda_mail::Source;

use super::host_name;
use crate::config::reader::{Section, text};

/// Reads every `[[source]]`; without a name of its own one introduces itself as all do.
pub fn sources(top: &Section<'_, '_>, helo_name: &Arc<str>) -> Vec<Arc<Source>> {
    let mut sources: Vec<Arc<Source>> = Vec::new();
    for section in top.sections("source").unwrap_or_default() {
        let address = section.required("address", "\"192.0.2.10\"", text(address));
        let name = |text: &str| match text {
            "" => Ok(helo_name.clone()),
            text => host_name(text).map_err(|message| format!("{message}, or \"\" for delivery.helo_name")),
        };
        let helo_name = section.read("helo_name", helo_name.clone(), text(name)).value;
        if let Some(address) = address {
            if sources.iter().any(|other| other.address == address) {
                let message = format!("{address} has a [[source]] already; remove one of them");
                section.problem(Some(section.line()), "address", message);
            }
            sources.push(Arc::new(Source { address, helo_name }));
        }
        section.close();
    }
    sources
}

/// An address that a connection can come from. Whether this machine has it is not asked: it may come and go
/// (failover), and a dial that finds it missing takes another source.
fn address(text: &str) -> Result<IpAddr, String> {
    let example = "write an address of this machine such as \"192.0.2.10\" or \"2001:db8::10\"";
    let address: IpAddr = text
        .parse()
        .map_err(|_| format!("{text:?} is not an address; {example}, without a port"))?;
    let address = address.to_canonical();
    let is_many = address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST);
    if address.is_unspecified() || is_many {
        return Err(format!("nothing can be sent from {text}; {example}"));
    }
    Ok(address)
}
