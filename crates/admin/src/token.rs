//! The token that the API asks for: made on the first start, kept in a file only its owner reads.
//!
//! # Contract
//! * **A token is never shown**: not by `Debug`, not in an error.
//! * **Comparing takes the same time** for every wrong token of the right length.
//! * **The file appears whole or not at all**, mode 0600.

use std::{
    fmt, fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rand::{TryRng, rngs::SysRng};

/// Octets of randomness.
const RANDOM_LENGTH: usize = 32;
/// A token that people chose must be at least so long.
const LENGTH_MIN: usize = 16;
/// A token file is one line; more is a mistake.
const LENGTH_MAX: usize = 1024;

/// The secret of the API.
#[derive(Clone)]
pub struct Token(Box<str>);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or made.
    #[error("admin.token_file {path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// What stands in the file is no token.
    #[error(
        "admin.token_file {path}: needs one line of {LENGTH_MIN} to {LENGTH_MAX} printable characters without spaces; remove the file to get a new one"
    )]
    Unfit {
        /// Which.
        path: PathBuf,
    },
    /// The system gives no random numbers.
    #[error("no randomness for a new token: {0}")]
    Random(String),
}

impl Token {
    /// Reads the token; makes one when the file is not there.
    ///
    /// # Errors
    /// [`TokenError`]; a file that is there is never overwritten.
    pub fn read_or_make(path: &Path) -> Result<Token, TokenError> {
        match Token::read(path) {
            Err(TokenError::File { error, .. }) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let token = Token::random()?;
        match token.write(path) {
            Ok(()) => Ok(token),
            // Another process was first.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Token::read(path),
            Err(error) => Err(TokenError::File {
                path: path.to_owned(),
                error,
            }),
        }
    }

    /// Reads the token.
    ///
    /// # Errors
    /// [`TokenError::File`] or [`TokenError::Unfit`].
    pub fn read(path: &Path) -> Result<Token, TokenError> {
        let text = fs::read_to_string(path).map_err(|error| TokenError::File {
            path: path.to_owned(),
            error,
        })?;
        let token = text.trim_ascii();
        let fits =
            (LENGTH_MIN..=LENGTH_MAX).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
        if fits {
            Ok(Token(token.into()))
        } else {
            Err(TokenError::Unfit {
                path: path.to_owned(),
            })
        }
    }

    /// Answers whether `given` is the token.
    pub fn is(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differences = own.iter().zip(given).fold(0, |sum, (a, b)| sum | (a ^ b));
        own.len() == given.len() && std::hint::black_box(differences) == 0
    }

    /// The token itself, for the header of a client.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn random() -> Result<Token, TokenError> {
        let mut octets = [0; RANDOM_LENGTH];
        SysRng
            .try_fill_bytes(&mut octets)
            .map_err(|error| TokenError::Random(error.to_string()))?;
        Ok(Token(octets.iter().map(|octet| format!("{octet:02x}")).collect()))
    }

    /// Writes beside and links: a file that is there stays, and nobody reads half a token.
    fn write(&self, path: &Path) -> io::Result<()> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.new", std::process::id()));
        let beside = PathBuf::from(beside);
        let written = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut file| {
                file.write_all(format!("{}\n", self.0).as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| fs::hard_link(&beside, path));
        // Whatever happened, only the token's own name stays.
        let _ = fs::remove_file(&beside);
        written
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_start_makes_a_token_that_only_the_owner_reads() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.token");
        let made = Token::read_or_make(&path).unwrap();
        assert_eq!(made.reveal().len(), 2 * RANDOM_LENGTH);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let again = Token::read_or_make(&path).unwrap();
        assert!(again.is(made.reveal().as_bytes()));
        let other = Token::read_or_make(&directory.path().join("other")).unwrap();
        assert!(!other.is(made.reveal().as_bytes()));
    }

    #[test]
    fn comparing_finds_every_difference() {
        let token = Token("0123456789abcdef".into());
        assert!(token.is(b"0123456789abcdef"));
        for wrong in [
            "",
            "0123456789abcde",
            "0123456789abcdef0",
            "x123456789abcdef",
            "0123456789abcdex",
        ] {
            assert!(!token.is(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn a_file_that_holds_no_token_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.token");
        for text in ["", "short", "two words of a token", "0123456789abcdef\nmore"] {
            fs::write(&path, text).unwrap();
            assert!(
                matches!(Token::read_or_make(&path), Err(TokenError::Unfit { .. })),
                "{text}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        assert_eq!(format!("{:?}", Token("0123456789abcdef".into())), "Token(…)");
    }
}
