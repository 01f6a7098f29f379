//! Whom `verify` trusts: the issuers in `ca_file`, or those of the system.
//!
//! # Contract
//! * **A `ca_file` that is named is used or the start fails**; one bad certificate of the system's is only
//!   logged.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// `delivery.tls.ca_file` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("delivery.tls.ca_file {}: {why}; name a file with certificates in PEM, or \"\" for the system's", path.display())]
pub struct TrustError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

/// Reads the issuers.
pub(super) fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TrustError> {
    match ca_file {
        Some(path) => from_file(path).map_err(|why| TrustError {
            path: path.to_owned(),
            why,
        }),
        None => Ok(from_system()),
    }
}

/// What stands for these issuers, as long as the program runs.
pub(super) fn digest(roots: &RootCertStore) -> u64 {
    let mut hasher = DefaultHasher::new();
    for root in &roots.roots {
        (root.subject.as_ref(), root.subject_public_key_info.as_ref()).hash(&mut hasher);
    }
    hasher.finish()
}

fn from_file(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("no certificate in it".to_owned());
    }
    Ok(roots)
}

fn from_system() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (_, bad) = roots.add_parsable_certificates(found.certs);
    if bad > 0 || !found.errors.is_empty() {
        let errors = found.errors.len();
        tracing::debug!(
            bad,
            errors,
            "some certificates of the system's trust store cannot be used"
        );
    }
    roots
}

#[cfg(test)]
mod tests {
    use remuda_testing::certificates::Authority;

    use super::*;

    #[test]
    fn a_ca_file_that_is_named_is_used_or_the_start_fails() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let failed = |why: &str| {
            let error = roots(Some(&path)).unwrap_err().to_string();
            let named = format!("delivery.tls.ca_file {}: ", path.display());
            assert!(error.starts_with(&named) && error.contains(why), "{error}");
        };
        failed("");
        std::fs::write(&path, "no certificate").unwrap();
        failed("no certificate in it");
        let good = Authority::new().unwrap().pem();
        let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, format!("{good}{bad}")).unwrap();
        failed("");
        std::fs::write(&path, &good).unwrap();
        let used = roots(Some(&path)).unwrap();
        assert_eq!(used.len(), 1, "and nobody else's");
    }
}
