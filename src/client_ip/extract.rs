//! [`ClientAddr`]: the client's address as an argument of a handler.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use http::{StatusCode, request::Parts};

use super::ClientIp;
use crate::{head::RequestHead, problem::Rejection};

/// Extracts the client's address by the [`ClientIp`] in the request's extensions.
///
/// `Extension(ClientIp::…)` as a layer puts it there. Without one the answer is a 500 with the code
/// `client_ip_not_configured`: to guess would be to trust somebody.
///
/// ```
/// use axum::{Extension, Router, routing::get};
/// use portcullis::client_ip::{ClientAddr, ClientIp};
///
/// let app: Router = Router::new()
///     .route("/", get(|ClientAddr(ip): ClientAddr| async move { ip.to_string() }))
///     .layer(Extension(ClientIp::peer()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddr(pub IpAddr);

impl<S: Sync> FromRequestParts<S> for ClientAddr {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        let found = match parts.extensions.get::<ClientIp>() {
            Some(strategy) => strategy
                .resolve(RequestHead::from(&*parts))
                .map_err(|error| error.rejection()),
            None => Err(Rejection::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "client_ip_not_configured",
                "The address of the client could not be determined.",
            )),
        };
        found.map(Self)
    }
}
