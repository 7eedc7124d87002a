//! Owns what the server shows of itself: a certificate and its key, read from files and checked.
//! It must not be asked on the loop: it reads files.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{Error, ServerConfig};

use crate::config::TlsFiles;

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

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, String> {
    let TlsFiles { cert, key } = files;
    let text = read_file("--tls-cert", cert)?;
    let unusable = |why: &dyn std::fmt::Display| format!("--tls-cert: failed to use {}: {why}", cert.display());
    let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| unusable(&"it is no well-formed PEM"))?;
    if chain.is_empty() {
        return Err(unusable(&"there is no certificate in PEM format"));
    }
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

fn read_file(flag: &str, path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|why| format!("{flag}: failed to read {}: {why}", path.display()))
}
