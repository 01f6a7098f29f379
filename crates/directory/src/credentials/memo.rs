//! Logins that have succeeded lately, so that a client that logs in for every message costs one hash a minute.
//!
//! # Contract
//! * **Nothing in it tells a password**: keys are HMACs under a secret of this process.
//! * **Any change of the account makes it void**: id and version are in the key.
//! * **Only successes are kept**, for [`KEPT`].

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hmac::{Hmac, Mac};
use rand::RngExt;
use remuda_clock::Monotonic;
use sha2::Sha256;

use crate::model::Account;

type Key = [u8; 32];

/// See the module.
pub(super) struct Memo {
    secret: [u8; 32],
    until: Mutex<HashMap<Key, Monotonic>>,
}

impl Memo {
    pub(super) fn new() -> Self {
        Memo {
            secret: rand::rng().random(),
            until: Mutex::default(),
        }
    }

    /// Answers whether this password was right for this version of the account lately.
    pub(super) fn knows(&self, account: &Account, password: &str, now: Monotonic) -> bool {
        let key = self.key(account, password);
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(&key).is_some_and(|until| *until > now)
    }

    /// This password is right.
    pub(super) fn keep(&self, account: &Account, password: &str, now: Monotonic) {
        let key = self.key(account, password);
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.len() >= KEPT_MAX {
            until.retain(|_, until| *until > now);
        }
        if until.len() < KEPT_MAX {
            until.insert(key, now + KEPT);
        }
    }

    fn key(&self, account: &Account, password: &str) -> Key {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(&account.head.id.to_be_bytes());
        mac.update(&account.head.version.to_be_bytes());
        if let Some(hash) = &account.hash {
            mac.update(hash.reveal().as_bytes());
        }
        mac.update(&[0]);
        mac.update(password.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// How long a success is believed.
const KEPT: Duration = Duration::from_secs(60);
/// Successes kept at a time.
const KEPT_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn account(version: i64) -> Account {
        let mut account: Account = serde_json::from_str(r#"{"address":"a@b.test","id":7}"#).unwrap();
        account.head.version = version;
        account
    }

    #[test]
    fn any_change_of_the_account_makes_it_void() {
        let memo = Memo::new();
        memo.keep(&account(1), "secret", Monotonic::ZERO);
        assert!(memo.knows(&account(1), "secret", Monotonic::ZERO));
        assert!(!memo.knows(&account(2), "secret", Monotonic::ZERO));
        assert!(!memo.knows(&account(1), "secreT", Monotonic::ZERO));
        assert!(!memo.knows(&account(1), "secret", Monotonic::ZERO + KEPT));
    }

    #[test]
    fn it_is_bounded() {
        let memo = Memo::new();
        for version in 0..2 * KEPT_MAX {
            memo.keep(&account(version as i64), "secret", Monotonic::ZERO);
        }
        assert_eq!(memo.until.lock().unwrap().len(), KEPT_MAX);
    }
}
