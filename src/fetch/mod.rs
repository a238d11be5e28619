//! What the crate asks other servers for: key sets and discovery documents.
//!
//! [`Fetch`] is the seam. `HttpClient`, which the feature `http-client` brings, is what fetches unless
//! something else is plugged in; an application that has a client of its own (with a proxy, with metrics)
//! implements the trait over it in a dozen lines. [`Background`] is where work goes on that must outlive
//! the request that began it.
//!
//! # Where it may connect to
//!
//! Every address that this crate fetches from comes from its configuration, or (the `jwks_uri` of OpenID
//! discovery) from a document fetched from there: nothing in a token or a request ever names one, redirects
//! are not followed, and no proxy is taken from the environment. An application that lets its users name
//! issuers hands them the client's place in the network: let it use
//! [`public_addresses_only`](HttpClient::public_addresses_only), which refuses to connect to loopback,
//! private, link-local and other special addresses, whatever name they hide behind.
//!
//! # A fetch of your own
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use portcullis::fetch::{Fetch, FetchError, FetchErrorKind, FetchLimits, Fetched};
//!
//! /// Answers from a table, as a test may want.
//! struct Table(Vec<(&'static str, &'static str)>);
//!
//! impl Fetch for Table {
//!     fn fetch(&self, request: Request<Bytes>, _limits: FetchLimits) -> Fetched {
//!         let asked = request.uri().to_string();
//!         let found = self.0.iter().find(|(uri, _)| *uri == asked);
//!         let answer = match found {
//!             Some((_, body)) => Ok(Response::new(Bytes::from_static(body.as_bytes()))),
//!             None => Err(FetchError::new(FetchErrorKind::Unreachable)),
//!         };
//!         Box::pin(std::future::ready(answer))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), FetchError> {
//! let table = Table(vec![("https://login.example.com/keys", r#"{"keys":[]}"#)]);
//! let mut request = Request::new(Bytes::new());
//! *request.uri_mut() = http::Uri::from_static("https://login.example.com/keys");
//! let response = table.fetch(request, FetchLimits::default()).await?;
//! assert_eq!(response.body(), r#"{"keys":[]}"#);
//! # Ok(())
//! # }
//! ```

mod background;
#[cfg(feature = "http-client")]
mod client;
mod error;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};

#[cfg(feature = "http-client")]
pub use self::client::HttpClient;
pub use self::{
    background::{Background, TokioBackground, Work},
    error::{FetchError, FetchErrorKind},
};

/// Sends one request and brings back the whole answer.
///
/// What an implementation promises:
///
/// - It returns within [`FetchLimits::deadline`], connecting and reading the body included.
/// - It stops reading a body that is longer than [`FetchLimits::max_bytes`] and fails; it never hands on a
///   part of one.
/// - It follows no redirect: a 302 is an answer like any other.
/// - It sends the request as it is, and no credentials of its own.
/// - Dropping its future gives up the request.
pub trait Fetch: Send + Sync + 'static {
    /// Sends the request, whose URI is absolute.
    ///
    /// # Errors
    ///
    /// If there is no whole answer. An answer of whatever status is none.
    fn fetch(&self, request: Request<Bytes>, limits: FetchLimits) -> Fetched;
}

/// The answer to come of a [`Fetch`].
pub type Fetched = Pin<Box<dyn Future<Output = Result<Response<Bytes>, FetchError>> + Send>>;

impl<F: Fetch + ?Sized> Fetch for Arc<F> {
    fn fetch(&self, request: Request<Bytes>, limits: FetchLimits) -> Fetched {
        (**self).fetch(request, limits)
    }
}

/// What one fetch may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchLimits {
    /// The time until the answer is there as a whole; 5 seconds unless said otherwise.
    pub deadline: Duration,
    /// The length of the answer's body in bytes; 512 KiB unless said otherwise.
    pub max_bytes: usize,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            max_bytes: 512 * 1024,
        }
    }
}

impl FetchLimits {
    /// Replaces the time until the answer is there as a whole.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Replaces the length in bytes of the answer's body.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }
}
