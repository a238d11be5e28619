//! [`TestKeyServer`]: a key set over HTTP on loopback.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::TestIssuer;

/// The longest request head that is read.
const MOST_HEAD: usize = 16 * 1024;

/// Serves the keys of a [`TestIssuer`]: `/jwks.json`, and `/.well-known/openid-configuration` and
/// `/.well-known/oauth-authorization-server`, which name it. Anything else is answered 404. It stops when it
/// is dropped.
pub struct TestKeyServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    jwks: Mutex<String>,
    metadata: String,
    fetches: AtomicUsize,
    stopped: AtomicBool,
}

impl TestKeyServer {
    pub(super) fn start(issuer: &TestIssuer) -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            jwks: Mutex::new(issuer.jwks()),
            metadata: issuer.metadata(&format!("http://{address}/jwks.json")),
            fetches: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("test-key-server".into())
            .spawn(move || {
                for stream in listener.incoming() {
                    if serving.stopped.load(Ordering::Acquire) {
                        return;
                    }
                    // A client that goes away is its own affair.
                    let _ = stream.and_then(|stream| serving.answer(stream));
                }
            })?;
        Ok(Self {
            address,
            shared,
            thread: Some(thread),
        })
    }

    /// Where it listens, as a URL without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of the key set.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        format!("{}/jwks.json", self.url())
    }

    /// How often the key set was asked for.
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.shared.fetches.load(Ordering::Acquire)
    }

    /// Replaces the key set, by any text: another issuer's, or none at all.
    pub fn replace_jwks(&self, jwks: impl Into<String>) {
        let mut own = self
            .shared
            .jwks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *own = jwks.into();
    }
}

impl Shared {
    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut head = Vec::new();
        let mut buffer = [0; 1024];
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            let read = stream.read(&mut buffer)?;
            if read == 0 || head.len() > MOST_HEAD {
                return Ok(());
            }
            head.extend_from_slice(&buffer[..read]);
        }
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let path = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let (status, media_type, body) = match path {
            b"/jwks.json" => {
                self.fetches.fetch_add(1, Ordering::AcqRel);
                let jwks = self.jwks.lock().unwrap_or_else(PoisonError::into_inner);
                ("200 OK", "application/jwk-set+json", jwks.clone())
            }
            b"/.well-known/openid-configuration" | b"/.well-known/oauth-authorization-server" => {
                ("200 OK", "application/json", self.metadata.clone())
            }
            _ => ("404 Not Found", "text/plain", String::new()),
        };
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        )?;
        stream.flush()
    }
}

impl Drop for TestKeyServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // The thread waits for a connection: here is one.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for TestKeyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestKeyServer")
            .field("address", &self.address)
            .field("fetches", &self.fetches())
            .finish_non_exhaustive()
    }
}
