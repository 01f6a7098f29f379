//! Where mail that waits is to go now, and the second look before it bounces.
//!
//! A message is resolved when it is taken, and waits under the destination that this came to. The world changes
//! meanwhile: a route is made or removed, a domain becomes ours, an account vanishes.
//!
//! # Contract
//! * **Mail follows its route**: what waits for another host than its routes name now, or for the MX of a domain
//!   that is ours now, is to move.
//! * **What waits for a mailbox here waits for one here**: whom an address means was decided when it was taken
//!   (G13).
//! * **Nobody knows** is an answer: then nothing goes.
//! * **The second look is the database's own word** ([`Addressing::second_look`]), and finds nobody where the mail
//!   has just been.
//!
//! # Not here
//! When to ask, and what becomes of the answer (`actor`).

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use remuda_directory::resolve::{ADDRESSES_MAX, From};
use remuda_mail::{Address, Destination, Domain, NextHop, Recipient};
use remuda_spool::{Pending, Queued, Readdressed, Reroute};

use super::{Addressed, Addressing, Asking, Hop, Unroutable, Verdict};
use crate::route::is_role;

/// Where an entry is to go.
#[derive(Clone, Debug, PartialEq)]
pub enum Heading {
    /// Where it waits, by this hop.
    Here(Hop),
    /// All of its recipients, some of them perhaps to where it waits.
    Elsewhere(Vec<Reroute>),
    /// Nobody knows now, for this reason.
    Unknown(String),
}

/// Who, and under which destination.
pub type To = (Address, Destination);

/// What is found when a recipient is looked at again before it bounces.
#[derive(Clone, Debug, PartialEq)]
pub enum SecondLook {
    /// Nothing new: it bounces.
    Same,
    /// Its mail goes to these by now.
    Redirected(Vec<To>),
    /// Nobody knows now, for this reason.
    Unknown(String),
}

impl Addressing {
    /// Where an entry is to go now.
    pub async fn heading(&self, queued: &Queued) -> Heading {
        let (mut all, mut last) = (Vec::with_capacity(queued.recipients.len()), None);
        for pending in &queued.recipients {
            match self.whom(queued, pending, &mut last).await {
                Ok(whom) => all.push(whom),
                Err(why) => return Heading::Unknown(why.to_string()),
            }
        }
        let mut each = queued.recipients.iter().zip(&all);
        if each.all(|(pending, whom)| is_still(whom, &queued.destination, &pending.recipient.address)) {
            return match all.swap_remove(0).into_iter().next() {
                Some(addressed) => Heading::Here(addressed.hop),
                None => Heading::Unknown("nobody gets it".to_owned()),
            };
        }
        let each = queued.recipients.iter().zip(all);
        let to = |whom: Vec<Addressed>| whom.into_iter().map(Addressed::to).collect();
        let each = each.map(|(pending, whom)| (pending.recipient.clone(), to(whom)));
        Heading::Elsewhere(reroutes(each.collect()))
    }

    /// Who gets a recipient's mail now. `last`: the domain elsewhere that was asked for last, since the recipients
    /// of an entry are mostly in one.
    async fn whom(
        &self,
        queued: &Queued,
        pending: &Pending,
        last: &mut Option<(Domain, Hop)>,
    ) -> Result<Vec<Addressed>, Unroutable> {
        let address = &pending.recipient.address;
        if let Some(hop) = waits_here(&queued.destination) {
            return Ok(vec![Addressed::new(address.clone(), hop.into())]);
        }
        if let Some((domain, hop)) = last
            && domain == address.domain()
            && !is_role(address)
        {
            return Ok(vec![Addressed::new(address.clone(), hop.clone())]);
        }
        match self.resolved(queued, address, false).await {
            Verdict::Accepted(to) => {
                if let [one] = &to[..]
                    && !one.is_here()
                    && one.address == *address
                {
                    *last = Some((address.domain().clone(), one.hop.clone()));
                }
                Ok(to)
            }
            // Local delivery has the last word, and tells the sender.
            Verdict::Refused(_) | Verdict::NotRelayed => Ok(vec![Addressed::here(address.clone())]),
            Verdict::Unavailable(why) => Err(why),
        }
    }

    /// Looks once more, past the cache, where a recipient would bounce because it has no mailbox here, or because
    /// its mail loops back to us: whom its address means now, else what it was written to, if that is one person.
    pub async fn second_look(&self, queued: &Queued, recipient: &Recipient) -> SecondLook {
        let (address, destination) = (&recipient.address, &queued.destination);
        match self.resolved(queued, address, true).await {
            Verdict::Accepted(to) if to.iter().any(|one| one.is_at(destination, address)) => SecondLook::Same,
            Verdict::Accepted(to) => SecondLook::Redirected(to.into_iter().map(Addressed::to).collect()),
            Verdict::Refused(_) | Verdict::NotRelayed => match waits_here(destination) {
                Some(_) => self.look_at_the_original(queued, recipient).await,
                // The domain is ours: local delivery has the last word.
                None => SecondLook::Redirected(vec![Addressed::here(address.clone()).to()]),
            },
            Verdict::Unavailable(why) => SecondLook::Unknown(why.to_string()),
        }
    }

    async fn look_at_the_original(&self, queued: &Queued, recipient: &Recipient) -> SecondLook {
        let address = &recipient.address;
        let original: Option<Address> = recipient.original.as_deref().and_then(|text| text.parse().ok());
        let Some(original) = original.filter(|original| original != address) else {
            return SecondLook::Same;
        };
        match self.resolved(queued, &original, true).await {
            // Of several the others have theirs already.
            Verdict::Accepted(to) if to.len() == 1 && !to[0].is_at(&queued.destination, address) => {
                SecondLook::Redirected(to.into_iter().map(Addressed::to).collect())
            }
            Verdict::Unavailable(why) => SecondLook::Unknown(why.to_string()),
            Verdict::Accepted(_) | Verdict::Refused(_) | Verdict::NotRelayed => SecondLook::Same,
        }
    }

    /// Whom an address means now for the sender of an entry; `is_anew`: past the cache.
    async fn resolved(&self, queued: &Queued, address: &Address, is_anew: bool) -> Verdict {
        let asking = Asking {
            may_relay: true,
            from: From {
                sender: queued.envelope.sender.0.clone(),
                login: None,
            },
            budget: ADDRESSES_MAX,
        };
        match is_anew {
            true => self.resolve_anew(address, &asking).await.verdict,
            false => self.resolve(address, &asking).await.verdict,
        }
    }

    /// How often what decides where mail goes has changed.
    pub fn changes(&self) -> u64 {
        self.directory
            .as_ref()
            .map_or(0, |directory| *directory.rerouting().borrow())
    }
}

impl Addressed {
    fn to(self) -> To {
        (self.address, self.destination)
    }

    fn is_at(&self, destination: &Destination, address: &Address) -> bool {
        self.destination == *destination && self.address == *address
    }
}

/// What can be answered from memory; None: it has to wait for the database, which goes on.
pub fn at_once<T>(answer: impl Future<Output = T>) -> Option<T> {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// The hop of those that wait for a mailbox here.
fn waits_here(destination: &Destination) -> Option<NextHop> {
    let mut here = [NextHop::Local, NextHop::Postmaster].into_iter();
    here.find(|hop| hop.destination() == *destination)
}

fn is_still(whom: &[Addressed], destination: &Destination, address: &Address) -> bool {
    matches!(whom, [one] if one.is_at(destination, address))
}

/// Where recipients go, by destination.
pub fn reroutes(each: Vec<(Recipient, Vec<To>)>) -> Vec<Reroute> {
    let mut to: Vec<Reroute> = Vec::new();
    for (was, whom) in each {
        for (address, destination) in whom {
            let one = Readdressed {
                now: readdressed(&was, address),
                was: was.clone(),
            };
            match to.iter_mut().find(|known| known.destination == destination) {
                Some(known) => known.recipients.push(one),
                None => to.push(Reroute {
                    destination,
                    recipients: vec![one],
                }),
            }
        }
    }
    to
}

fn readdressed(was: &Recipient, address: Address) -> Recipient {
    if address == was.address {
        return was.clone();
    }
    let original = was.original.clone();
    Recipient {
        original: Some(original.unwrap_or_else(|| was.address.to_string())),
        address,
        ..was.clone()
    }
}
