//! Whom a listener knows.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use crate::value::ValueError;

/// A user with a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// Parses `USER:PASSWORD`.
///
/// # Errors
/// When there is no colon, or nothing on one of its sides.
pub fn parse_login(text: &str) -> Result<Login, ValueError> {
    match text.split_once(':') {
        Some((user, password)) if !user.is_empty() && !password.is_empty() => Ok(Login {
            user: user.to_owned(),
            password: password.to_owned(),
        }),
        _ => Err(ValueError::new(format!(
            "{text:?} is no login; write USER:PASSWORD"
        ))),
    }
}

impl FromStr for Login {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        parse_login(text)
    }
}

impl<'de> Deserialize<'de> for Login {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parse_login(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}

impl Login {
    /// The right answer to PLAIN (RFC 4616).
    pub(crate) fn plain(&self) -> String {
        base64(&format!("\0{}\0{}", self.user, self.password))
    }

    /// The right answers to LOGIN.
    pub(crate) fn name_and_password(&self) -> String {
        format!("{} {}", base64(&self.user), base64(&self.password))
    }
}

/// RFC 4648 §4.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let octet = |place: usize| usize::from(three.get(place).copied().unwrap_or(0));
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for (place, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            if place <= three.len() {
                out.push(char::from(ALPHABET[bits >> shift & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_has_two_parts_and_right_answers() {
        let login = parse_login("me:secret").unwrap();
        // printf '\0me\0secret' | base64
        assert_eq!(login.plain(), "AG1lAHNlY3JldA==");
        assert_eq!(login.name_and_password(), "bWU= c2VjcmV0");
        for wrong in ["", "me", "me:", ":secret"] {
            assert!(parse_login(wrong).is_err(), "{wrong:?}");
        }
    }
}
