//! Certificates made in memory: an authority, and what it issues.
//!
//! # Contract
//! * **Keys are new each time**: nothing that is made here is trusted by anything but the test.

use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// Authorities with one name would be taken for each other.
static NUMBER: AtomicU32 = AtomicU32::new(1);

/// Whoever issues certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key.
pub struct Issued {
    /// As a PEM file.
    pub certificate_pem: String,
    /// The key as a PEM file.
    pub key_pem: String,
    /// As it goes over the wire.
    pub certificate_der: Vec<u8>,
    /// The key as PKCS #8.
    pub key_der: Vec<u8>,
}

/// When a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Now.
    Now,
    /// It held, until the first of February 2021.
    Past,
    /// From the first of February 2090 on.
    Future,
}

impl Authority {
    /// One that nobody knows yet.
    ///
    /// # Errors
    /// The library's.
    pub fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("authority {number} for tests");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Authority { issuer })
    }

    /// Its own certificate, as the file that whoever trusts it has.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for these names.
    ///
    /// # Errors
    /// A name is none, or the library's.
    pub fn issue(&self, names: &[&str], validity: Validity) -> Result<Issued, rcgen::Error> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        match validity {
            Validity::Now => {}
            Validity::Past => {
                params.not_before = date_time_ymd(2021, 1, 1);
                params.not_after = date_time_ymd(2021, 2, 1);
            }
            Validity::Future => params.not_before = date_time_ymd(2090, 2, 1),
        }
        let key = KeyPair::generate()?;
        let certificate: Certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            certificate_der: certificate.der().to_vec(),
            key_der: key.serialize_der(),
        })
    }
}
