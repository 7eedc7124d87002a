//! Owns how connections are encrypted: whom to trust, and what a login is bound to.
//! It must not open a connection.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ring::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring as provider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// What connections are encrypted with that go to the host that is meant, or (without `is_verified`) to whomever is there.
pub(super) fn config(is_verified: bool, root_file: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(provider::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = if is_verified {
        builder.with_root_certificates(roots(root_file)?).with_no_client_auth()
    } else {
        let verifier = Arc::new(Anybody { algorithms });
        builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
    };
    // So that no server of another protocol can be taken for a database.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The certificates in a file, or those of this machine, or, where there are none, those that are built in.
fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        let malformed = |why: String| format!("sslrootcert {}: {why}", file.display());
        let pem = fs::read(file).map_err(|why| malformed(why.to_string()))?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|why| malformed(why.to_string()))?;
            roots.add(certificate).map_err(|why| malformed(why.to_string()))?;
        }
        if roots.is_empty() {
            return Err(malformed("there is no certificate in PEM format".to_owned()));
        }
        return Ok(roots);
    }
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
}

/// Takes any certificate, of which the server must still have the key.
#[derive(Debug)]
struct Anybody {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What a login is bound to: the server's certificate, hashed as its own signature is (RFC 5929, `tls-server-end-point`).
/// None: that says no hash function which is known here.
pub(super) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    hash_of(certificate).map(|algorithm| digest(algorithm, certificate).as_ref().to_vec())
}

/// The hash function of a certificate's signature; SHA-256 in place of those that are broken.
fn hash_of(certificate: &[u8]) -> Option<&'static Algorithm> {
    // Certificate ::= SEQUENCE { what is signed, AlgorithmIdentifier, signature } (RFC 5280).
    let (certificate, _) = element(SEQUENCE, certificate)?;
    let (_, rest) = element(SEQUENCE, certificate)?;
    let (identifier, _) = element(SEQUENCE, rest)?;
    let (algorithm, parameters) = element(OBJECT, identifier)?;
    if algorithm == RSA_PSS {
        return hash_of_pss(parameters);
    }
    match algorithm {
        // MD5 and SHA-1 with RSA.
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04 | 0x05] => Some(&SHA256),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b] => Some(&SHA256),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c] => Some(&SHA384),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d] => Some(&SHA512),
        // ECDSA with SHA-1, then with the others.
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01] => Some(&SHA256),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02] => Some(&SHA256),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03] => Some(&SHA384),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04] => Some(&SHA512),
        // Ed25519 has none of its own, SHA-224 is not known here.
        _ => None,
    }
}

/// The hash function that the parameters of RSASSA-PSS name (RFC 4055); SHA-1 is what they leave out.
fn hash_of_pss(parameters: &[u8]) -> Option<&'static Algorithm> {
    let (parameters, _) = element(SEQUENCE, parameters)?;
    let Some((hash, _)) = element(FIRST_OF_CONTEXT, parameters) else { return Some(&SHA256) };
    let (identifier, _) = element(SEQUENCE, hash)?;
    let (algorithm, _) = element(OBJECT, identifier)?;
    match algorithm {
        [0x2b, 0x0e, 0x03, 0x02, 0x1a] => Some(&SHA256),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01] => Some(&SHA256),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02] => Some(&SHA384),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03] => Some(&SHA512),
        _ => None,
    }
}

const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
const SEQUENCE: u8 = 0x30;
const OBJECT: u8 = 0x06;
const FIRST_OF_CONTEXT: u8 = 0xa0;

/// The content of the element at the beginning of some DER, if it has this tag, and what stands behind it.
fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [found, len, rest @ ..] = bytes else { return None };
    if *found != tag {
        return None;
    }
    if *len < 0x80 {
        return rest.split_at_checked(usize::from(*len));
    }
    let (len, rest) = rest.split_at_checked(usize::from(*len & 0x7f))?;
    if len.len() > 4 {
        return None;
    }
    let len = len.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    rest.split_at_checked(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate with this algorithm; what is signed is a long nothing.
    fn certificate(algorithm: &[u8], parameters: &[u8]) -> Vec<u8> {
        let wrapped = |tag: u8, content: &[u8]| {
            let len = u16::try_from(content.len()).expect("it is short").to_be_bytes();
            [&[tag, 0x82, len[0], len[1]], content].concat()
        };
        let identifier = [wrapped(OBJECT, algorithm), parameters.to_vec()].concat();
        let content = [wrapped(SEQUENCE, &[0; 300]), wrapped(SEQUENCE, &identifier), vec![3, 1, 0]].concat();
        wrapped(SEQUENCE, &content)
    }

    #[test]
    fn a_certificate_is_hashed_as_its_signature_says() {
        let made = rcgen::generate_simple_self_signed(vec!["db.test".to_owned()]).expect("a certificate");
        let der = made.cert.der();
        assert_eq!(end_point(der), Some(digest(&SHA256, der).as_ref().to_vec()), "ECDSA with SHA-256");
        let rsa = |last: u8| [&RSA_PSS[..8], &[last]].concat();
        for (last, len) in [(4, 32), (5, 32), (0x0b, 32), (0x0c, 48), (0x0d, 64)] {
            let hash = end_point(&certificate(&rsa(last), &[5, 0])).expect("it is known");
            assert_eq!(hash.len(), len, "{last}");
        }
        assert_eq!(end_point(&certificate(&rsa(0x0e), &[5, 0])), None, "SHA-224");
        assert_eq!(end_point(&certificate(&[0x2b, 0x65, 0x70], &[])), None, "Ed25519");
        let hash = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
        let named = [&[0x30, 15, 0xa0, 13, 0x30, 11, 6, 9], &hash[..]].concat();
        assert_eq!(end_point(&certificate(RSA_PSS, &named)).map(|hash| hash.len()), Some(48));
        assert_eq!(end_point(&certificate(RSA_PSS, &[0x30, 0])).map(|hash| hash.len()), Some(32));
    }

    #[test]
    fn what_is_no_certificate_has_no_hash() {
        let whole = certificate(RSA_PSS, &[0x30, 0]);
        for len in 0..whole.len() {
            assert_eq!(end_point(&whole[..len]), None, "{len} bytes");
        }
        assert_eq!(end_point(&[0x30, 0x85, 0xff, 0xff, 0xff, 0xff, 0xff, 0x30]), None);
    }

    #[test]
    fn roots_come_from_the_file_that_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("roots");
        assert!(config(true, Some(&path)).expect_err("it is not there").contains("No such file"));
        fs::write(&path, "nothing\n").expect("it can be written");
        assert!(config(true, Some(&path)).expect_err("it is empty").ends_with("there is no certificate in PEM format"));
        let made = rcgen::generate_simple_self_signed(vec!["db.test".to_owned()]).expect("a certificate");
        fs::write(&path, made.cert.pem()).expect("it can be written");
        assert_eq!(roots(Some(&path)).map(|roots| roots.len()), Ok(1));
    }
}
