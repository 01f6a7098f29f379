//! The hosted side: a domain with its people, an alias and a list, in a directory of the demo's own.
//!
//! # Contract
//! * **Who gets a message depends on its index only**: both passes send the same.
//! * **What has arrived is counted in the Maildirs**, not by the server.
//! * **[`DESK`] is for the change alone**: no other mail goes there, nor to those whom it stands for.

use std::{io, path::Path};

use anyhow::Context;
use remuda_directory::{Directory, bulk::Format};

/// The domain whose mail is kept here.
pub(super) const DOMAIN: &str = "home.test";
/// The alias that is changed.
pub(super) const DESK: &str = "desk@home.test";
/// Whom it stands for before, and behind.
pub(super) const ANN: &str = "ann";
pub(super) const BOB: &str = "bob";

/// Stores the domain and everybody in it.
pub(super) async fn settle_in(directory: &Directory) -> anyhow::Result<()> {
    let file = io::Cursor::new(objects());
    directory.import_from(Format::Csv, file).await.context(DOMAIN)?;
    Ok(())
}

/// As a file for `remuda import`.
fn objects() -> String {
    let mut file = format!("type,name,address,targets,members\ndomain,{DOMAIN},,,\n");
    let people = (0..PEOPLE).map(person);
    for one in [ANN, BOB].map(str::to_owned).into_iter().chain(people) {
        file += &format!("account,,{one}@{DOMAIN},,\n");
    }
    let all = |count| {
        (0..count)
            .map(|n| format!("{}@{DOMAIN}", person(n)))
            .collect::<Vec<_>>()
            .join(" ")
    };
    file += &format!("alias,,{DESK},{ANN}@{DOMAIN},\n");
    file += &format!("alias,,office@{DOMAIN},{},\n", all(OFFICE));
    file += &format!("list,,team@{DOMAIN},,{}\n", all(TEAM));
    file
}

fn person(number: u64) -> String {
    format!("person{number}")
}

/// Who gets the `index`-th message: mostly a person, sometimes the office or the team.
pub(super) fn recipient(index: u64) -> String {
    let local = match index % TURNS {
        0 => "team".to_owned(),
        1 | 2 => "office".to_owned(),
        _ => person(index % PEOPLE),
    };
    format!("{local}@{DOMAIN}")
}

/// How many Maildirs have the `index`-th message in the end.
pub(super) fn copies(index: u64) -> u64 {
    match index % TURNS {
        0 => TEAM,
        1 | 2 => OFFICE,
        _ => 1,
    }
}

/// Messages in all Maildirs, but for those of the change.
///
/// # Errors
/// They cannot be read; that there are none yet is no error.
pub(super) fn kept(data_dir: &Path) -> io::Result<u64> {
    (0..PEOPLE)
        .map(|number| kept_for(data_dir, &person(number)))
        .sum()
}

/// Messages in one Maildir.
///
/// # Errors
/// As [`kept`].
pub(super) fn kept_for(data_dir: &Path, local: &str) -> io::Result<u64> {
    match std::fs::read_dir(data_dir.join("mail").join(DOMAIN).join(local).join("new")) {
        Ok(files) => Ok(files.count() as u64),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Accounts that get mail, those of the office, and those of the team.
const PEOPLE: u64 = 12;
const OFFICE: u64 = 2;
const TEAM: u64 = 4;
/// Of so many messages one goes to the team.
const TURNS: u64 = 10;

/// How many accounts, aliases and lists there are.
pub(super) const COUNTS: (u64, u64, u64) = (PEOPLE + 2, 2, 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_arrived_is_counted_in_the_maildirs() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(kept(data.path()).unwrap(), 0);
        for local in ["person3", "person11", ANN] {
            let new = data.path().join("mail/home.test").join(local).join("new");
            std::fs::create_dir_all(&new).unwrap();
            std::fs::write(new.join("1"), "x").unwrap();
        }
        assert_eq!(kept(data.path()).unwrap(), 2);
        assert_eq!(kept_for(data.path(), ANN).unwrap(), 1);
    }

    #[test]
    fn every_kind_gets_mail_and_the_desk_none() {
        let all: Vec<String> = (0..100).map(recipient).collect();
        for wanted in [
            "team@home.test",
            "office@home.test",
            "person0@home.test",
            "person11@home.test",
        ] {
            assert!(all.iter().any(|one| one == wanted), "{wanted}");
        }
        assert!(
            !all.iter()
                .any(|one| one == DESK || one.starts_with(ANN) || one.starts_with(BOB))
        );
        assert_eq!((0..TURNS).map(copies).sum::<u64>(), TEAM + 2 * OFFICE + 7);
    }
}
