//! Who may send to a list (reference §3.3).
//!
//! # Contract
//! * **Who has logged in is who sends**; without a login it is MAIL FROM, which anybody can write.
//! * **Other names of a domain count as the domain**, for sender, members and owner; a name out of use stands for
//!   itself.
//! * **A stale name decides nothing**: the answer is unavailable.
//! * **`<>` may send to public lists only.**

use std::sync::Arc;

use super::{
    Refusal,
    ask::Named,
    walk::{Stop, Walk},
};
use crate::{
    found::{Cause, Origin},
    model::{List, Mailbox, Mode},
};

impl Walk<'_> {
    /// Ends the walk unless the sender may send to a list.
    pub(super) async fn permit(&mut self, list: &List) -> Result<(), Stop> {
        if list.require_auth && self.from.login.is_none() {
            return Err(Stop::Refused(Refusal::LoginNeeded));
        }
        if list.mode == Mode::Public {
            return Ok(());
        }
        let Some(sender) = self.sender() else {
            return Err(Stop::Refused(Refusal::NotAllowed));
        };
        let may = match list.mode {
            Mode::Public => true,
            Mode::Domain => *self.plain(sender.domain()).await? == *list.address.domain(),
            Mode::Announcement => self.is_one_of(&sender, list.owner.as_slice()).await?,
            Mode::Membership => self.is_one_of(&sender, &list.members).await?,
        };
        match may {
            true => Ok(()),
            false => Err(Stop::Refused(Refusal::NotAllowed)),
        }
    }

    fn sender(&self) -> Option<Mailbox> {
        let from = self.from;
        let sender = || from.sender.as_ref().and_then(|sender| Mailbox::of(sender).ok());
        from.login.clone().or_else(sender)
    }

    async fn is_one_of(&mut self, sender: &Mailbox, members: &[Mailbox]) -> Result<bool, Stop> {
        let local = sender.address().local_part();
        let domain = self.plain(sender.domain()).await?;
        // The other names of a domain are asked for only where it depends on them.
        let is_namesake = |member: &&Mailbox| member.address().local_part() == local;
        for member in members.iter().filter(is_namesake) {
            if member == sender || self.plain(member.domain()).await? == domain {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A domain under its own name.
    async fn plain(&mut self, domain: &str) -> Result<Arc<str>, Stop> {
        match self.domain(domain).await? {
            // It might be another's by now, and who is refused is refused for good.
            Named::Domain(_, Some(Origin::Stale)) | Named::Disabled(Origin::Stale) => {
                Err(Stop::Unavailable(Cause::Database))
            }
            Named::Domain(of_ours, _) => Ok(of_ours.name.shared()),
            Named::Disabled(_) | Named::Nobodys => Ok(domain.into()),
        }
    }
}
