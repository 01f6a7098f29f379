//! The schedule's rules, one test each.

use remuda_mail::MessageId;

use super::*;

pub(crate) fn entry(id: u64, name: &str) -> Entry {
    Entry {
        id: EntryId(id),
        message: MessageId(id),
        destination: Destination::from_key(name),
        recipients: 1,
        size: 1000,
        smtputf8: false,
        arrived: Wall(0),
        expires: Wall(5 * 86_400_000),
        due: Wall(0),
    }
}
