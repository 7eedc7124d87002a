//! Owns what the server shows of itself: a certificate and its key, read from files and checked.
//! It must not be asked on the loop: it reads files.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore, ServerConfig};

use crate::config::TlsFiles;
use crate::time::WallUs;

/// The last second that a certificate can name (RFC 5280, section 4.1.2.5), which means that it has no end.
const END_OF_TIME: u64 = 253_402_300_799;

/// A certificate and its key, and where they are from.
#[derive(Debug)]
pub(in crate::server) struct Identity {
    files: TlsFiles,
    config: Arc<ServerConfig>,
}

impl Identity {
    /// Reads both.
    ///
    /// # Errors
    /// Says in one line which file cannot be used, by its flag and its path, and why.
    pub(in crate::server) fn read(files: &TlsFiles) -> Result<Identity, String> {
        Ok(Identity { files: files.clone(), config: read(files)? })
    }

    /// Says that it is what is shown from now on.
    pub(super) fn tell(&self) {
        let file = self.files.cert.display();
        tracing::info!(%file, "new connections get the certificate as it is now");
    }

    /// What connections are made with.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

/// The certificate, and those that lead to a root.
fn chain_of(files: &TlsFiles) -> Result<Vec<CertificateDer<'static>>, String> {
    let cert = &files.cert;
    let text = read_file("--tls-cert", cert)?;
    let unusable = |why: &str| format!("--tls-cert: failed to use {}: {why}", cert.display());
    let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| unusable("it is no well-formed PEM"))?;
    if chain.is_empty() {
        return Err(unusable("there is no certificate in PEM format"));
    }
    Ok(chain)
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, String> {
    let TlsFiles { cert, key } = files;
    let chain = chain_of(files)?;
    let unusable = |why: &dyn std::fmt::Display| format!("--tls-cert: failed to use {}: {why}", cert.display());
    let text = read_file("--tls-key", key)?;
    let private = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        let path = key.display();
        format!("--tls-key: failed to use {path}: there is no private key in PEM format that is not encrypted")
    })?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|why| unusable(&why))?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, private).map_err(|why| match why {
        Error::InconsistentKeys(_) => {
            format!("--tls-key: {} is not the key of the certificate in {}", key.display(), cert.display())
        }
        other => unusable(&other),
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// From when until when the certificate counts with all that lead to a root.
///
/// # Errors
/// Says in one line which file cannot be used, or that the certificate does not say.
pub fn certificate_times(files: &TlsFiles) -> Result<(WallUs, WallUs), String> {
    let chain = chain_of(files)?;
    let unusable = |why: String| format!("--tls-cert: failed to use {}: {why}", files.cert.display());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(chain.iter().cloned());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()));
    let verifier = verifier.build().map_err(|why| unusable(why.to_string()))?;
    // Its times are the first that is looked at: long before and long after them, the error tells what they are.
    let asked = |certificate: &CertificateDer<'_>, second: u64| {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(second));
        let name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
        match verifier.verify_server_cert(certificate, &[], &name, &[], at) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidYetContext { not_before: time, .. }
                | CertificateError::ExpiredContext { not_after: time, .. },
            )) => Ok(time.as_secs()),
            Ok(_) => Ok(second),
            Err(Error::InvalidCertificate(CertificateError::BadEncoding)) => {
                Err(unusable("its times cannot be read".to_owned()))
            }
            Err(_) => Ok(second),
        }
    };
    let mut times = (0, END_OF_TIME);
    for certificate in &chain {
        times = (times.0.max(asked(certificate, 0)?), times.1.min(asked(certificate, END_OF_TIME)?));
    }
    let wall = |second: u64| WallUs(i64::try_from(second).unwrap_or(i64::MAX).saturating_mul(1_000_000));
    Ok((wall(times.0), wall(times.1)))
}

fn read_file(flag: &str, path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|why| format!("{flag}: failed to read {}: {why}", path.display()))
}
