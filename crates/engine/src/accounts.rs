//! The directory as the receiving side asks it: who logs in, and whose address is whose.
//!
//! # Not here
//! How (`remuda_directory::credentials`), and how often a client may be wrong (`receive::logins`).

use remuda_directory::{Directory, credentials, model::Mailbox};
use remuda_mail::{Address, Secret};

use crate::receive::{Answering, Authenticator, Identity, Login, Owns};

impl Authenticator for Directory {
    fn authenticate<'a>(&'a self, login: &'a str, password: &'a Secret) -> Answering<'a, Login> {
        Box::pin(async move {
            match Directory::authenticate(self, login, password).await {
                credentials::Login::Accepted(mailbox) => Login::Accepted(Identity {
                    address: mailbox.address().clone(),
                }),
                credentials::Login::Rejected => Login::Rejected,
                credentials::Login::Unavailable(_) => Login::Unavailable,
                credentials::Login::Busy => Login::TooMany,
            }
        })
    }

    fn owns<'a>(&'a self, identity: &'a Identity, sender: &'a Address) -> Answering<'a, Owns> {
        Box::pin(async move {
            let Ok(account) = Mailbox::of(&identity.address) else {
                return Owns::No;
            };
            match Directory::owns(self, &account, sender).await {
                credentials::Owns::Yes => Owns::Yes,
                credentials::Owns::No => Owns::No,
                credentials::Owns::Unavailable(_) => Owns::Unavailable,
            }
        })
    }
}
