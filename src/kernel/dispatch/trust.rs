//! Owns whom this machine trusts: its own root certificates, and those it is started with.
//! It must not make a worker read files: that takes milliseconds.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::clock;
use crate::limits::ROOTS_RETRY_WAIT;
use crate::time::MonoUs;

/// How many root certificates there are in a text in PEM format.
///
/// # Errors
/// When it holds something else, or one that cannot be trusted as a root.
pub fn check_roots(pem: &[u8]) -> io::Result<usize> {
    Trust::new(pem).map(|trust| trust.extra.len())
}

/// How many root certificates this machine has, and why some could not be read.
pub fn machine_roots() -> (usize, Vec<String>) {
    let (certificates, troubles) = read_native();
    let mut roots = RootCertStore::empty();
    let (count, _) = roots.add_parsable_certificates(certificates);
    (count, troubles)
}

/// This machine's root certificates, and why some could not be read.
type Native = (Vec<CertificateDer<'static>>, Vec<String>);

/// Whom to trust.
#[derive(Debug)]
pub struct Trust {
    extra: Vec<CertificateDer<'static>>,
    /// Reads the machine's.
    native: fn() -> Native,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    config: Option<Result<Arc<ClientConfig>, String>>,
    /// How many of the machine's certificates are in it.
    native_len: usize,
    /// When the machine's certificates are read again, as some could not be.
    retry_at: Option<MonoUs>,
    /// What went wrong last.
    trouble: Option<String>,
    /// Whether that is still to be told.
    is_news: bool,
}

impl Trust {
    /// Trusts what the machine trusts and the certificates in `extra_pem`.
    ///
    /// # Errors
    /// When that is no text in PEM format, or holds what cannot be trusted as a root.
    pub fn new(extra_pem: &[u8]) -> io::Result<Trust> {
        let malformed =
            |why: String| io::Error::new(ErrorKind::InvalidData, format!("malformed root certificates: {why}"));
        let mut extra = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(extra_pem) {
            extra.push(certificate.map_err(|error| malformed(error.to_string()))?);
        }
        if extra.is_empty() && !extra_pem.is_empty() {
            return Err(malformed("there is no certificate in PEM format".to_owned()));
        }
        // What cannot serve as a root is an error now, not at the first connection.
        for certificate in &extra {
            RootCertStore::empty().add(certificate.clone()).map_err(|error| malformed(error.to_string()))?;
        }
        Ok(Trust { extra, native: read_native, state: Mutex::default() })
    }

    /// What connections are made with. The first time it reads the machine's certificates; if some could not be read, it
    /// lets a thread of their own try again now and then.
    pub(super) fn config(self: &Arc<Trust>, now: MonoUs) -> Result<Arc<ClientConfig>, String> {
        let mut state = self.lock();
        if state.config.is_none() {
            state.take((self.native)(), &self.extra, now);
        } else if state.retry_at.is_some_and(|at| now >= at) {
            state.retry_at = Some(now.plus(ROOTS_RETRY_WAIT));
            let trust = Arc::clone(self);
            let thread = std::thread::Builder::new().name("roots".to_owned()).spawn(move || {
                let native = (trust.native)();
                trust.lock().take(native, &trust.extra, clock::mono());
            });
            // If the system gives no thread, what there is has to do until the next time.
            thread.map(drop).unwrap_or_default();
        }
        state.config.clone().expect("it was read if it was not there")
    }

    /// What connections are made with that do not speak HTTP. It may read files.
    ///
    /// # Errors
    /// When TLS cannot be had at all.
    pub fn config_of_others(self: &Arc<Trust>, now: MonoUs) -> Result<ClientConfig, String> {
        let mut config = ClientConfig::clone(&*self.config(now)?);
        config.alpn_protocols.clear();
        // What an HTTP server of the same name gave is of no use here.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// Why some of the machine's certificates could not be read, once.
    pub(super) fn take_news(&self) -> Option<String> {
        let mut state = self.lock();
        if std::mem::take(&mut state.is_news) { state.trouble.clone() } else { None }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked with the lock leaves what was read before.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes in what was read. Connections go on with what there was if that is the same: it knows their sessions.
    fn take(&mut self, (native, errors): Native, extra: &[CertificateDer<'static>], now: MonoUs) {
        let trouble = (!errors.is_empty()).then(|| {
            let instead = if native.is_empty() { "; those that are built in are trusted instead" } else { "" };
            format!("{}{instead}", errors.join("; "))
        });
        self.retry_at = trouble.is_some().then(|| now.plus(ROOTS_RETRY_WAIT));
        self.is_news |= trouble.is_some() && trouble != self.trouble;
        self.trouble = trouble;
        if self.config.is_none() || self.native_len != native.len() {
            self.native_len = native.len();
            self.config = Some(configure(native, extra).map(Arc::new));
        }
    }
}

fn read_native() -> Native {
    let read = rustls_native_certs::load_native_certs();
    (read.certs, read.errors.iter().map(ToString::to_string).collect())
}

fn configure(native: Vec<CertificateDer<'static>>, extra: &[CertificateDer<'static>]) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(native);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots.add_parsable_certificates(extra.iter().cloned());
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use crossbeam_channel::{Receiver, Sender, unbounded};

    /// Told of every read.
    static READS: LazyLock<(Sender<usize>, Receiver<usize>)> = LazyLock::new(unbounded);

    /// Fails twice in the same way, then finds a certificate.
    fn failing_twice() -> Native {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::SeqCst);
        READS.0.send(count).unwrap();
        if count < 2 {
            return (Vec::new(), vec!["no such file".to_owned()]);
        }
        let made = rcgen::generate_simple_self_signed(vec!["root.test".to_owned()]).unwrap();
        (vec![made.cert.der().clone()], Vec::new())
    }

    #[test]
    fn roots_that_cannot_be_read_are_told_of_once_and_read_again_later() {
        let trust = Trust { native: failing_twice, ..Trust::new(&[]).unwrap() };
        let trust = Arc::new(trust);
        let first = trust.config(clock::mono()).unwrap();
        let read = || READS.1.recv_timeout(Duration::from_secs(20));
        assert_eq!(read(), Ok(0));
        let told = "no such file; those that are built in are trusted instead";
        assert_eq!(trust.take_news().as_deref(), Some(told));
        assert_eq!(trust.take_news(), None);

        // Before the time has come nobody reads; when it has, one thread does.
        for count in 1..3 {
            assert!(Arc::ptr_eq(&first, &trust.config(clock::mono()).unwrap()));
            assert!(READS.1.is_empty());
            let later = clock::mono().plus(ROOTS_RETRY_WAIT * 2);
            assert!(Arc::ptr_eq(&first, &trust.config(later).unwrap()));
            assert_eq!(read(), Ok(count));
            // It takes in what it read right after that, and stamps the time itself.
            let retry_at = || trust.lock().retry_at;
            while retry_at() == Some(later.plus(ROOTS_RETRY_WAIT)) {
                std::thread::yield_now();
            }
        }
        assert!(!Arc::ptr_eq(&first, &trust.config(clock::mono()).unwrap()), "what was read is trusted");
        assert_eq!(trust.take_news(), None);
        let state = trust.lock();
        assert_eq!((state.retry_at, state.native_len), (None, 1));
    }
}
