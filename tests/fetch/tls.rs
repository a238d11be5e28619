//! Whom the client trusts over TLS.

use std::sync::Arc;

use bytes::Bytes;
use portcullis::fetch::{FetchErrorKind, HttpClient};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::CryptoProvider, pki_types::PrivateKeyDer},
};

use crate::client::fetch;

/// An authority and, on loopback, a server with a certificate of it for these names.
async fn server(names: &[&str]) -> (String, u16) {
    let mut authority = CertificateParams::new([]).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).expect("parameters");
    let certificate = certificate.signed_by(&key, &authority).expect("it signs");

    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut some = [0; 4096];
            let _ = stream.read(&mut some).await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nkeys";
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
    (authority.pem(), port)
}

#[tokio::test]
async fn a_server_is_trusted_by_its_authority_and_for_its_name() {
    let (authority, port) = server(&["localhost"]).await;
    let named = format!("https://localhost:{port}/keys");
    // Mozilla does not know this authority.
    let refused = fetch(&HttpClient::new(), &named).await;
    assert_eq!(refused, Err(FetchErrorKind::Unreachable));
    for client in [
        HttpClient::new()
            .add_root_pem(&authority)
            .expect("it is one"),
        HttpClient::new().root_pem(&authority).expect("it is one"),
    ] {
        assert_eq!(fetch(&client, &named).await, Ok(Bytes::from("keys")));
        // The certificate is for the name and not for the address.
        let refused = fetch(&client, &format!("https://127.0.0.1:{port}/keys")).await;
        assert_eq!(refused, Err(FetchErrorKind::Unreachable));
        // Nor is TLS left out where the server speaks it.
        let plain = client.dangerous_allow_http();
        let refused = fetch(&plain, &format!("http://localhost:{port}/keys")).await;
        assert!(refused.is_err());
    }
    // An authority says nothing of another's servers.
    let (other, _) = server(&["localhost"]).await;
    let client = HttpClient::new().root_pem(other).expect("it is one");
    assert_eq!(
        fetch(&client, &named).await,
        Err(FetchErrorKind::Unreachable)
    );
}

#[tokio::test]
async fn the_provider_of_the_process_is_neither_needed_nor_set() {
    let (authority, port) = server(&["localhost"]).await;
    let client = HttpClient::new()
        .add_root_pem(authority)
        .expect("it is one");
    let uri = format!("https://localhost:{port}/keys");
    assert_eq!(fetch(&client, &uri).await, Ok(Bytes::from("keys")));
    assert!(CryptoProvider::get_default().is_none());
}

#[test]
fn roots_must_be_certificates() {
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    for bad in [
        "",
        "no PEM",
        broken,
        key,
        "-----BEGIN CERTIFICATE-----\nAAAA",
    ] {
        assert!(HttpClient::new().root_pem(bad).is_err(), "{bad:?}");
        let error = HttpClient::new().add_root_pem(bad).expect_err("it is none");
        assert_eq!(error.setting(), "root_pem");
    }
}
