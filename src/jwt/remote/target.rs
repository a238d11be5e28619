//! Where the keys are: an address, or an issuer that says it.

use http::Uri;
use serde_json::Value;

use super::{JwksError, JwksErrorKind};
use crate::{
    config::ConfigError,
    jwt::{address::shown, json},
};

/// Where the keys are.
#[derive(Debug)]
pub(super) enum Target {
    Keys(Uri),
    Issuer { issuer: String, document: Uri },
}

impl Target {
    /// The address of the keys themselves.
    pub(super) fn keys(uri: &str, allow_http: bool) -> Result<Self, ConfigError> {
        match read(uri, allow_http) {
            Some(uri) => Ok(Self::Keys(uri)),
            None => Err(ConfigError::new("uri", shown(uri), expected(allow_http))),
        }
    }

    /// The issuer whose discovery document names the address.
    pub(super) fn issuer(
        discovery: Discovery,
        issuer: &str,
        allow_http: bool,
    ) -> Result<Self, ConfigError> {
        let wrong = || ConfigError::new("issuer", shown(issuer), expected(allow_http));
        let own = read(issuer, allow_http).ok_or_else(wrong)?;
        if own.query().is_some() {
            return Err(wrong());
        }
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        let document = match discovery {
            Discovery::OpenId => format!("{base}/.well-known/openid-configuration"),
            Discovery::OAuth => {
                // Where the path begins: at the first slash behind the authority's two.
                let start = base.find("://").map_or(0, |at| at + 3);
                let path = base[start..].find('/').map_or(base.len(), |at| start + at);
                let (origin, path) = base.split_at(path);
                format!("{origin}/.well-known/oauth-authorization-server{path}")
            }
        };
        Ok(Self::Issuer {
            issuer: issuer.to_owned(),
            document: read(&document, allow_http).ok_or_else(wrong)?,
        })
    }
}

/// Which document an issuer says it in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Discovery {
    /// OpenID Connect Discovery 1.0 section 4: the well-known name behind the issuer's path.
    OpenId,
    /// RFC 8414 section 3.1: the well-known name before the issuer's path.
    OAuth,
}

fn expected(allow_http: bool) -> &'static str {
    match allow_http {
        true => "must be an absolute http: or https: URL without credentials and fragment",
        false => "must be an absolute https: URL without credentials and fragment",
    }
}

/// An address to fetch from.
fn read(text: &str, allow_http: bool) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let scheme = match uri.scheme_str()? {
        "https" => true,
        "http" => allow_http,
        _ => false,
    };
    let authority = uri.authority()?;
    let sound = scheme
        && !authority.host().is_empty()
        && !authority.as_str().contains('@')
        && !text.contains('#');
    sound.then_some(uri)
}

/// The address of the keys, as the discovery document of `issuer` names it.
///
/// The document's `issuer` is the one that was asked for, character for character (OpenID Connect Discovery
/// 1.0 section 4.3, RFC 8414 section 3.3); otherwise whoever can put a document somewhere could supply the keys of somebody else.
pub(super) fn discovered(
    issuer: &str,
    document: &[u8],
    allow_http: bool,
) -> Result<Uri, JwksError> {
    let document = json::read(document).ok_or(JwksErrorKind::DiscoveryMalformed)?;
    match document.get("issuer").and_then(Value::as_str) {
        Some(own) if own == issuer => {}
        Some(_) => return Err(JwksErrorKind::IssuerMismatch.into()),
        None => return Err(JwksErrorKind::DiscoveryMalformed.into()),
    }
    let uri = document.get("jwks_uri").and_then(Value::as_str);
    uri.and_then(|uri| read(uri, allow_http))
        .ok_or_else(|| JwksErrorKind::DiscoveryMalformed.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_absolute_and_over_tls() {
        for uri in [
            "",
            "keys",
            "/keys",
            "login.example.com",
            "http://login.example.com/keys",
            "ftp://login.example.com/keys",
            "file:///etc/keys",
            "https:///keys",
            "https://user:secret@login.example.com/keys",
            "https://login.example.com/keys#fragment",
            "https://login.example.com/ke ys",
        ] {
            assert!(Target::keys(uri, false).is_err(), "{uri}");
        }
        assert!(Target::keys("https://login.example.com/keys?tenant=7", false).is_ok());
        assert!(Target::keys("http://127.0.0.1:9/keys", true).is_ok());
        for discovery in [Discovery::OpenId, Discovery::OAuth] {
            assert!(Target::issuer(discovery, "https://login.example.com/?a=7", false).is_err());
            assert!(Target::issuer(discovery, "https://login.example.com#a", false).is_err());
            assert!(Target::issuer(discovery, "login.example.com", false).is_err());
        }
    }

    #[test]
    fn the_document_of_an_issuer_stands_under_its_path() {
        for (issuer, expected) in [
            (
                "https://a.example",
                "https://a.example/.well-known/openid-configuration",
            ),
            (
                "https://a.example/",
                "https://a.example/.well-known/openid-configuration",
            ),
            (
                "https://a.example/t/7",
                "https://a.example/t/7/.well-known/openid-configuration",
            ),
            (
                "https://a.example/t/7/",
                "https://a.example/t/7/.well-known/openid-configuration",
            ),
        ] {
            match Target::issuer(Discovery::OpenId, issuer, false) {
                Ok(Target::Issuer {
                    document,
                    issuer: own,
                }) => {
                    assert_eq!(document, expected);
                    assert_eq!(own, issuer);
                }
                other => panic!("{issuer}: {other:?}"),
            }
        }
    }

    /// RFC 8414 section 3.1.
    #[test]
    fn the_document_of_an_authorization_server_stands_before_its_path() {
        let name = ".well-known/oauth-authorization-server";
        for (issuer, expected) in [
            ("https://a.example", format!("https://a.example/{name}")),
            ("https://a.example/", format!("https://a.example/{name}")),
            (
                "https://a.example:8443/t/7",
                format!("https://a.example:8443/{name}/t/7"),
            ),
            (
                "https://a.example/t/7/",
                format!("https://a.example/{name}/t/7"),
            ),
            (
                "https://[::1]:9/t//7",
                format!("https://[::1]:9/{name}/t//7"),
            ),
        ] {
            match Target::issuer(Discovery::OAuth, issuer, false) {
                Ok(Target::Issuer {
                    document,
                    issuer: own,
                }) => {
                    assert_eq!(document.to_string(), expected);
                    assert_eq!(own, issuer);
                }
                other => panic!("{issuer}: {other:?}"),
            }
        }
    }
}
