//! What each listener offers its clients, with the certificates read.
//!
//! # Contract
//! * **A certificate that cannot be used is an error**: at start nothing listens, at a reload the old one stays.
//! * **A certificate that has not changed keeps its acceptor**, so that clients go on resuming.

use std::sync::Arc;

use remuda_clock::SharedClock;
use remuda_smtp::server::Security;

use super::Error;
use crate::{
    settings::{Listener, ListenerTls, Role},
    tls::{Acceptor, Certified},
};

/// What a listener offers.
#[derive(Debug)]
pub(super) struct Offer {
    role: Role,
    begin: Begin,
    auth: bool,
}

/// How TLS begins.
#[derive(Debug)]
enum Begin {
    Never,
    OnWish(Arc<Acceptor>),
    AtOnce(Arc<Acceptor>),
}

impl Offer {
    /// To those who came by a socket that no listener of the configuration is for.
    pub(super) fn plain() -> Self {
        Offer {
            role: Role::Mx,
            begin: Begin::Never,
            auth: false,
        }
    }

    /// For TLS, where there is any.
    pub(super) fn acceptor(&self) -> Option<&Arc<Acceptor>> {
        match &self.begin {
            Begin::Never => None,
            Begin::OnWish(acceptor) | Begin::AtOnce(acceptor) => Some(acceptor),
        }
    }

    /// For TLS that begins with the connection.
    pub(super) fn at_once(&self) -> Option<&Arc<Acceptor>> {
        match &self.begin {
            Begin::AtOnce(acceptor) => Some(acceptor),
            Begin::Never | Begin::OnWish(_) => None,
        }
    }

    /// For the server machine.
    pub(super) fn security(&self) -> Security {
        Security {
            offers_starttls: matches!(self.begin, Begin::OnWish(_)),
            offers_auth: self.auth,
            needs_login: self.role == Role::Submission,
        }
    }
}

/// Reads what the listeners offer, in their order; `old` offers give their acceptors where nothing has changed.
pub(super) fn read(
    listeners: &[Listener],
    clock: &SharedClock,
    old: &[Arc<Offer>],
) -> Result<Vec<Arc<Offer>>, Error> {
    let offer = |(place, listener): (usize, &Listener)| {
        let old = old.get(place).and_then(|offer| offer.acceptor());
        let acceptor = || {
            let Some(files) = listener.tls.files() else {
                return Ok(None);
            };
            let certified = Certified::load(files).map_err(|error| Error::Certificate {
                address: listener.address.to_string(),
                error,
            })?;
            let kept = old.filter(|old| old.presents(&certified)).cloned();
            Ok(Some(
                kept.unwrap_or_else(|| Arc::new(Acceptor::new(certified, clock))),
            ))
        };
        let begin = match (&listener.tls, acceptor()?) {
            (_, None) | (ListenerTls::None, _) => Begin::Never,
            (ListenerTls::StartTls(_), Some(acceptor)) => Begin::OnWish(acceptor),
            (ListenerTls::Implicit(_), Some(acceptor)) => Begin::AtOnce(acceptor),
        };
        Ok(Arc::new(Offer {
            role: listener.role,
            begin,
            auth: listener.auth,
        }))
    };
    listeners.iter().enumerate().map(offer).collect()
}
