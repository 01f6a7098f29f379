//! The directory as the engine asks it: who logs in, whose address is whose, who has a mailbox here.
//!
//! # Not here
//! How (`remuda_directory::credentials`), and how often a client may be wrong (`receive::logins`).

use remuda_directory::{
    Directory, credentials,
    found::{Found, Origin},
    model,
};
use remuda_mail::{Address, Secret};

use crate::{
    local::{Mailbox, Mailboxes},
    receive::{Answering, Authenticator, Identity, Login, Owns},
    session::content::Boxed,
};

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
            let Ok(account) = model::Mailbox::of(&identity.address) else {
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

impl Mailboxes for Directory {
    fn mailbox<'a>(&'a self, address: &'a Address) -> Boxed<'a, Mailbox> {
        Box::pin(async move {
            let Ok(name) = model::Mailbox::of(address) else {
                return Mailbox::Unknown;
            };
            match self.find::<model::Account>(name.as_str()).await {
                Found::Found(account, Origin::Stale) if !account.head.active => Mailbox::Unavailable,
                Found::Found(account, _) if account.head.active => Mailbox::Open { quota: account.quota },
                Found::Found(..) => Mailbox::Disabled,
                Found::NotFound(_) => Mailbox::Unknown,
                Found::Unavailable(_) => Mailbox::Unavailable,
            }
        })
    }
}
