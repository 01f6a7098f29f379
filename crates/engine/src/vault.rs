//! The credentials that routes log in with, behind ids.
//!
//! What decides and what is shown knows an id only; the password comes out where it is said to the host.
//!
//! # Contract
//! * **An id is as good as what it stands for**: equal credentials have one id, as long as the program runs,
//!   and a changed password is another.
//! * **An id tells nothing**: it is hashed with a key that nobody knows.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::OnceLock,
};

use remuda_mail::{Credentials, CredentialsId};

use crate::settings::Settings;

/// The credentials of one configuration.
#[derive(Debug, Default)]
pub struct Vault {
    by_id: HashMap<CredentialsId, Credentials>,
}

impl Vault {
    /// The credentials of every route.
    pub fn new(settings: &Settings) -> Self {
        let logins = settings.routes.iter().filter_map(|route| route.login.as_ref());
        let by_id = logins.map(|login| (id(&login.credentials), login.credentials.clone()));
        Vault {
            by_id: by_id.collect(),
        }
    }

    /// What stands behind an id; None when a reload has taken it away.
    pub fn get(&self, id: CredentialsId) -> Option<&Credentials> {
        self.by_id.get(&id)
    }
}

/// The id of these credentials.
pub fn id(credentials: &Credentials) -> CredentialsId {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    CredentialsId(KEY.get_or_init(RandomState::new).hash_one(credentials))
}

#[cfg(test)]
mod tests {
    use remuda_mail::Secret;

    use super::*;

    /// Whoever guesses a password cannot tell from an id whether it is right.
    #[test]
    fn an_id_tells_nothing() {
        let guess = Credentials {
            username: "a".into(),
            password: Secret::new("x"),
        };
        let unkeyed = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
        assert_ne!(id(&guess).0, unkeyed.hash_one(&guess));
    }

    #[test]
    fn an_id_is_as_good_as_what_it_stands_for() {
        let credentials = |username: &str, password| Credentials {
            username: username.into(),
            password: Secret::new(password),
        };
        assert_eq!(id(&credentials("a", "x")), id(&credentials("a", "x")));
        assert_ne!(id(&credentials("a", "x")), id(&credentials("a", "y")));
        assert_ne!(id(&credentials("a", "x")), id(&credentials("b", "x")));
        assert_ne!(id(&credentials("ab", "c")), id(&credentials("a", "bc")));
    }
}
