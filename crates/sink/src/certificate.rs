//! The certificate that a listener shows.

use std::{fmt, io, path::PathBuf, str::FromStr, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde::{Deserialize, Deserializer, de};

use crate::value::ValueError;

/// Where a listener's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Made at the start, for the listener's name and address.
    SelfSigned,
    /// Two PEM files.
    Files {
        /// The certificate, with what stands between it and its root.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
}

/// How a listener begins with TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// It offers STARTTLS.
    #[default]
    StartTls,
    /// With the connection.
    Implicit,
}

/// Parses `self-signed` or `CERT:KEY`.
///
/// # Errors
/// When it is neither.
pub fn parse_tls(text: &str) -> Result<Certificate, ValueError> {
    text.parse()
}

impl FromStr for Certificate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.split_once(':') {
            None if text == "self-signed" => Ok(Certificate::SelfSigned),
            Some((certificate, key)) if !certificate.is_empty() && !key.is_empty() => {
                Ok(Certificate::Files {
                    certificate: certificate.into(),
                    key: key.into(),
                })
            }
            _ => Err(ValueError::new(format!(
                "{text:?} is no certificate; write self-signed, or CERT:KEY for two PEM files"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for Certificate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

impl Certificate {
    /// The server's side of TLS for a listener called `names`.
    ///
    /// # Errors
    /// The files cannot be used.
    pub(crate) fn load(&self, names: &[String]) -> io::Result<Arc<ServerConfig>> {
        let (chain, key) = match self {
            Certificate::SelfSigned => self_signed(names)?,
            Certificate::Files { certificate, key } => {
                let named = |path: &PathBuf, error: &dyn fmt::Display| {
                    io::Error::new(
                        io::ErrorKind::InvalidInput,
                        format!("{}: {error}", path.display()),
                    )
                };
                let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)
                    .map_err(|error| named(certificate, &error))?
                    .collect();
                let chain = chain.map_err(|error| named(certificate, &error))?;
                (
                    chain,
                    PrivateKeyDer::from_pem_file(key).map_err(|error| named(key, &error))?,
                )
            }
        };
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        config
            .map(Arc::new)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn self_signed(names: &[String]) -> io::Result<Pair> {
    let made = rcgen::generate_simple_self_signed(names.to_vec()).map_err(io::Error::other)?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    Ok((vec![made.cert.der().clone()], key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_or_read_from_two_files() {
        assert_eq!(parse_tls("self-signed").unwrap(), Certificate::SelfSigned);
        let files = parse_tls("a.pem:b.pem").unwrap();
        assert!(matches!(&files, Certificate::Files { key, .. } if key.to_str() == Some("b.pem")));
        for wrong in ["", "selfsigned", ":b", "a:"] {
            assert!(parse_tls(wrong).is_err(), "{wrong:?}");
        }
        assert!(Certificate::SelfSigned.load(&["sink.test".to_owned()]).is_ok());
        let error = files.load(&[]).unwrap_err().to_string();
        assert!(error.starts_with("a.pem: "), "{error}");
    }
}
