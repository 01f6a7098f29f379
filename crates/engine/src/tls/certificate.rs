//! A certificate of ours with its key, from PEM files.
//!
//! # Contract
//! * **What is loaded can be used**: both files are readable, and the key is the certificate's.
//! * **What cannot is said in words that name the file**, and nothing of a key is in them.
//! * **An expired certificate is loaded**: whether to go on with it is the operator's decision ([`Certified::flaw`]).
//!
//! # Limits
//! [`PEM_SIZE_MAX`] octets of a file are read.

use std::{
    fmt, fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use remuda_clock::Wall;
use rustls::{
    RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::ParsedCertificate,
    sign::CertifiedKey,
};

use super::Problem;
use crate::settings::PemFiles;

/// Octets of a PEM file; a chain with its key is some ten thousand.
pub const PEM_SIZE_MAX: u64 = 1 << 20;

/// Why a certificate or its key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The file of the certificate.
    #[error("certificate {}: {why}; name a PEM file with the certificate and its issuers", path.display())]
    Certificate {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The file of the key.
    #[error("key {}: {why}; name the PEM file with the certificate's private key, without a passphrase", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Certified {
    pub(super) key: Arc<CertifiedKey>,
    digest: u64,
}

impl Certified {
    /// Reads both files.
    ///
    /// # Errors
    /// One cannot be read or holds nothing of use, or they do not belong together.
    pub fn load(files: &PemFiles) -> Result<Certified, CertificateError> {
        let wrong = |why: String| CertificateError::Certificate {
            path: files.certificate.clone(),
            why,
        };
        let chain = chain(&files.certificate).map_err(wrong)?;
        ParsedCertificate::try_from(&chain[0]).map_err(|error| wrong(Problem::of_tls(&error).to_string()))?;
        let wrong = |why: String| CertificateError::Key {
            path: files.key.clone(),
            why,
        };
        let key = private_key(&files.key).map_err(wrong)?;
        let mut hasher = DefaultHasher::new();
        (&chain, key.secret_der()).hash(&mut hasher);
        let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
        let key = certified.map_err(|error| wrong(mismatch(&error)))?;
        Ok(Certified {
            key: Arc::new(key),
            digest: hasher.finish(),
        })
    }

    /// What clients will object to at `now`: it has expired, or does not hold yet.
    pub fn flaw(&self, now: Wall) -> Option<Problem> {
        let millis = u64::try_from(now.0).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_millis(millis));
        let certificate = ParsedCertificate::try_from(self.key.cert.first()?).ok()?;
        let algorithms = provider_algorithms(&aws_lc_rs::default_provider());
        // Its dates are looked at first; that nobody is trusted here comes after.
        let roots = RootCertStore::empty();
        let checked = verify_server_cert_signed_by_trust_anchor(&certificate, &roots, &[], now, algorithms);
        let problem = Problem::of_tls(&checked.err()?);
        matches!(problem, Problem::Expired(_) | Problem::NotYetValid(_)).then_some(problem)
    }

    /// Answers whether both are the same certificate with the same key.
    pub(super) fn is_same(&self, other: &Certified) -> bool {
        self.digest == other.digest
    }
}

impl fmt::Debug for Certified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certified")
    }
}

fn provider_algorithms(
    provider: &CryptoProvider,
) -> &'static [&'static dyn rustls::pki_types::SignatureVerificationAlgorithm] {
    provider.signature_verification_algorithms.all
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let octets = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err("no certificate in it".to_owned()),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("no sound PEM ({error})")),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => "no private key in it".to_owned(),
        other => format!("no sound PEM ({other})"),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(PEM_SIZE_MAX).read_to_end(&mut octets));
    match read {
        Ok(_) => Ok(octets),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

fn mismatch(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => "it is the key of another certificate".to_owned(),
        other => format!("no key that can be used ({other})"),
    }
}

#[cfg(test)]
mod tests {
    use remuda_clock::{Clock, SystemClock};
    use remuda_testing::certificates::{Authority, Issued, Validity};

    use super::*;

    fn issued(validity: Validity) -> Issued {
        Authority::new().unwrap().issue(&["mx.test"], validity).unwrap()
    }

    fn load(certificate: &str, key: &str) -> Result<Certified, CertificateError> {
        let directory = tempfile::tempdir().unwrap();
        let files = PemFiles {
            certificate: directory.path().join("certificate.pem"),
            key: directory.path().join("key.pem"),
        };
        fs::write(&files.certificate, certificate).unwrap();
        fs::write(&files.key, key).unwrap();
        Certified::load(&files)
    }

    #[test]
    fn what_is_loaded_can_be_used() {
        let (one, other) = (issued(Validity::Now), issued(Validity::Now));
        let loaded = load(&one.certificate_pem, &one.key_pem).unwrap();
        assert!(loaded.is_same(&load(&one.certificate_pem, &one.key_pem).unwrap()));
        assert!(!loaded.is_same(&load(&other.certificate_pem, &other.key_pem).unwrap()));
        // One file may hold both.
        let both = format!("{}{}", one.key_pem, one.certificate_pem);
        load(&both, &both).unwrap();
    }

    #[test]
    fn what_cannot_be_used_is_said_in_words_that_name_the_file() {
        let (one, other) = (issued(Validity::Now), issued(Validity::Now));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let unfinished = &one.certificate_pem[..one.certificate_pem.len() / 2];
        for (certificate, key, said) in [
            ("", &*one.key_pem, "certificate.pem: no certificate in it"),
            (broken, &one.key_pem, "certificate.pem: its certificate"),
            (unfinished, &one.key_pem, "certificate.pem: no sound PEM"),
            (&one.certificate_pem, "", "key.pem: no private key in it"),
            (
                &one.certificate_pem,
                &one.certificate_pem,
                "key.pem: no private key in it",
            ),
            (
                &one.certificate_pem,
                &other.key_pem,
                "key.pem: it is the key of another certificate",
            ),
        ] {
            let error = load(certificate, key).unwrap_err().to_string();
            assert!(error.contains(said), "{said}: {error}");
            assert!(!error.contains(&one.key_pem[40..80]), "{error}");
        }
        let files = PemFiles {
            certificate: "/nowhere/c.pem".into(),
            key: "/nowhere/k.pem".into(),
        };
        let error = Certified::load(&files).unwrap_err().to_string();
        assert!(
            error.starts_with("certificate /nowhere/c.pem: cannot be read: "),
            "{error}"
        );
    }

    #[test]
    fn an_expired_certificate_is_loaded() {
        let now = SystemClock::new().now().wall;
        let flaw = |validity| {
            let issued = issued(validity);
            load(&issued.certificate_pem, &issued.key_pem).unwrap().flaw(now)
        };
        assert_eq!(flaw(Validity::Now), None);
        let expired = flaw(Validity::Past).unwrap();
        assert!(expired.to_string().contains("expired on 2021-02-01"), "{expired}");
        assert!(matches!(flaw(Validity::Future), Some(Problem::NotYetValid(_))));
    }
}
