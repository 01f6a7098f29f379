//! Who may send to a list (reference §3.3).
//!
//! # Contract
//! * **Who has logged in is who sends**; without a login it is MAIL FROM, which anybody can write.
//! * **Other names of a domain count as the domain**, for sender, members and owner; a name out of use stands for
//!   itself.
//! * **A stale name decides nothing**: the answer is unavailable.
//! * **`<>` may send to public lists only.**

use std::collections::HashMap;

use super::{
    Refusal,
    walk::{Named, Stop, Walk},
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
        let mut names = HashMap::new();
        let Some(sender) = self.sender() else {
            return Err(Stop::Refused(Refusal::NotAllowed));
        };
        let sender = self.plain(&sender, &mut names).await?;
        let may = match list.mode {
            Mode::Public => true,
            Mode::Domain => sender
                .split_once('@')
                .is_some_and(|(_, domain)| domain == list.address.domain()),
            Mode::Announcement => self.is_one_of(&sender, list.owner.as_slice(), &mut names).await?,
            Mode::Membership => self.is_one_of(&sender, &list.members, &mut names).await?,
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

    async fn is_one_of(
        &mut self,
        sender: &str,
        members: &[Mailbox],
        names: &mut HashMap<String, String>,
    ) -> Result<bool, Stop> {
        for member in members {
            if self.plain(member, names).await? == sender {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// An address under its domain's own name. `names`: what is known of the domains.
    async fn plain(
        &mut self,
        address: &Mailbox,
        names: &mut HashMap<String, String>,
    ) -> Result<String, Stop> {
        let domain = address.domain();
        if !names.contains_key(domain) {
            let plain = match self.domain(domain).await? {
                // It might be another's by now, and who is refused is refused for good.
                Named::Domain(_, Some(Origin::Stale)) | Named::Disabled(Origin::Stale) => {
                    return Err(Stop::Unavailable(Cause::Database));
                }
                Named::Domain(of_ours, _) => of_ours.name.as_str().to_owned(),
                Named::Disabled(_) | Named::Nobodys => domain.to_owned(),
            };
            names.insert(domain.to_owned(), plain);
        }
        Ok(format!("{}@{}", address.address().local_part(), names[domain]))
    }
}
