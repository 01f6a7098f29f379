//! Password hashes: made with argon2id, and checked in the forms that come from elsewhere.
//!
//! | form | from |
//! |---|---|
//! | `$argon2id$…`, `$argon2i$…` | here; PHC strings |
//! | `$2a$…`, `$2b$…`, `$2y$…` | bcrypt |
//! | `$6$…` | SHA-512-crypt, glibc |
//! | 70 hexadecimal digits | hMailServer: six of salt, then SHA-256 of salt and password |
//!
//! # Contract
//! * **A form that is not known fits no password**, and neither does a hash that would cost too much to check: who
//!   brings it in could stop the server with it.
//! * **Checking takes tens of milliseconds on purpose**: not for the runtime's threads.

use argon2::{
    Argon2, Params,
    password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString, rand_core::OsRng},
};
use hmac::digest::CtOutput;
use remuda_mail::Secret;
use sha2::{Digest, Sha256, digest::Output};

/// Hashes a password with argon2id, OWASP's parameters (19 MiB, two passes).
///
/// # Errors
/// The password is longer than argon2 takes (4 GiB).
pub fn hash(password: &str) -> Result<Secret, argon2::password_hash::Error> {
    let salt = SaltString::generate(&mut OsRng);
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt)?;
    Ok(Secret::new(&hash.to_string()))
}

/// Answers whether a hash is in a form that can be checked.
pub fn is_known(hash: &str) -> bool {
    form(hash).is_some()
}

/// Answers whether a password fits a hash.
pub fn fits(password: &str, hash: &str) -> bool {
    match form(hash) {
        Some(Form::Argon2) => PasswordHash::new(hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        }),
        Some(Form::Bcrypt) => bcrypt::verify(password, hash).unwrap_or(false),
        Some(Form::Sha512Crypt) => sha_crypt::sha512_check(password, hash).is_ok(),
        Some(Form::HMailServer) => fits_hmailserver(password, hash),
        None => false,
    }
}

enum Form {
    Argon2,
    Bcrypt,
    Sha512Crypt,
    HMailServer,
}

fn form(hash: &str) -> Option<Form> {
    let begins = |with: &[&str]| with.iter().any(|start| hash.starts_with(start));
    match hash {
        _ if begins(&["$argon2id$", "$argon2i$"]) => {
            let hash = PasswordHash::new(hash).ok().filter(|hash| hash.hash.is_some())?;
            let costs = Params::try_from(&hash).ok()?;
            let is_bearable = costs.m_cost() <= ARGON2_MEMORY_MAX && costs.t_cost() <= ARGON2_PASSES_MAX;
            is_bearable.then_some(Form::Argon2)
        }
        _ if begins(&["$2a$", "$2b$", "$2y$"]) => {
            let cost: u32 = hash.split('$').nth(2)?.parse().ok()?;
            (cost <= BCRYPT_COST_MAX).then_some(Form::Bcrypt)
        }
        _ if begins(&["$6$rounds="]) => {
            let rounds: u32 = hash.split(['$', '=']).nth(3)?.parse().ok()?;
            (rounds <= SHA512_ROUNDS_MAX).then_some(Form::Sha512Crypt)
        }
        _ if begins(&["$6$"]) => Some(Form::Sha512Crypt),
        _ if hash.len() == HMAILSERVER_LENGTH && hash.bytes().all(|octet| octet.is_ascii_hexdigit()) => {
            Some(Form::HMailServer)
        }
        _ => None,
    }
}

fn fits_hmailserver(password: &str, hash: &str) -> bool {
    let (salt, digest) = hash.split_at(HMAILSERVER_SALT);
    let computed = Sha256::new().chain_update(salt).chain_update(password).finalize();
    let octet = |place: usize| u8::from_str_radix(digest.get(2 * place..2 * place + 2)?, 16).ok();
    let stored: Option<Vec<u8>> = (0..computed.len()).map(octet).collect();
    // Compared without telling by time how much of it fits.
    stored.is_some_and(|stored| {
        let stored = Output::<Sha256>::clone_from_slice(&stored);
        CtOutput::<hmac::Hmac<Sha256>>::new(stored) == CtOutput::new(computed)
    })
}

/// Ours takes 19 MiB and two passes; KiB.
const ARGON2_MEMORY_MAX: u32 = 256 << 10;
const ARGON2_PASSES_MAX: u32 = 16;
/// Of a logarithm: some seconds.
const BCRYPT_COST_MAX: u32 = 16;
/// glibc's default is 5,000.
const SHA512_ROUNDS_MAX: u32 = 1_000_000;
const HMAILSERVER_SALT: usize = 6;
const HMAILSERVER_LENGTH: usize = HMAILSERVER_SALT + 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_from_here_and_elsewhere_are_checked() {
        let own = hash("correct horse").unwrap();
        assert!(own.reveal().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let hmail: String = Sha256::digest(b"abc123correct horse")
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        for hash in [
            own.reveal(),
            &bcrypt::hash("correct horse", 4).unwrap(),
            // mkpasswd -m sha512crypt -S saltsalt 'correct horse'
            &sha_crypt::sha512_simple("correct horse", &sha_crypt::Sha512Params::new(1000).unwrap()).unwrap(),
            &format!("abc123{hmail}"),
        ] {
            assert!(is_known(hash), "{hash}");
            assert!(fits("correct horse", hash), "{hash}");
            assert!(!fits("correct horsf", hash), "{hash}");
            assert!(!fits("", hash), "{hash}");
        }
    }

    #[test]
    fn a_form_that_is_not_known_fits_no_password() {
        for hash in [
            "",
            "secret",
            "$1$abc$def",
            "$argon2id$nonsense",
            "{PLAIN}secret",
            &"g".repeat(70),
        ] {
            assert!(!is_known(hash), "{hash}");
            assert!(!fits("secret", hash) && !fits(hash, hash), "{hash}");
        }
    }

    /// Terabytes of memory, or hours: whoever logs in would stop the server.
    #[test]
    fn a_hash_that_would_cost_too_much_to_check_is_not_known() {
        let argon2 =
            |costs| format!("$argon2id$v=19${costs}$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaA");
        assert!(is_known(&argon2("m=262144,t=16,p=4")));
        for hash in [
            argon2("m=4294967295,t=2,p=1"),
            argon2("m=262145,t=2,p=1"),
            argon2("m=64,t=4294967295,p=1"),
            format!("$2b$31${}", "a".repeat(53)),
            format!("$2y$000031${}", "a".repeat(53)),
            format!("$6$rounds=999999999$salt${}", "a".repeat(86)),
        ] {
            assert!(!is_known(&hash), "{hash}");
            assert!(!fits("secret", &hash), "{hash}");
        }
    }
}
