//! [`Tls`]: an authority of the tests' own, and a certificate of it for loopback.

use std::{fs, path::PathBuf, sync::Arc};

use super::server::new_folder;

/// Cloning it gives the same one. Its files are gone with the last.
#[derive(Clone)]
pub(crate) struct Tls(Arc<Files>);

struct Files {
    folder: PathBuf,
    root: String,
}

impl Tls {
    pub(crate) fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::new([]).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        // Of two certificates with one name OpenSSL takes either for the other's issuer.
        let name = |of: &mut rcgen::CertificateParams, name: &str| {
            of.distinguished_name = rcgen::DistinguishedName::new();
            of.distinguished_name.push(rcgen::DnType::CommonName, name);
        };
        name(&mut authority, "portcullis test authority");
        let authority = rcgen::CertifiedIssuer::self_signed(authority, key).unwrap();

        let own = rcgen::KeyPair::generate().unwrap();
        // Nodes of a Cluster, and masters, are named by their addresses.
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        name(&mut parameters, "portcullis test server");
        parameters.extended_key_usages = vec![
            rcgen::ExtendedKeyUsagePurpose::ServerAuth,
            rcgen::ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = parameters.signed_by(&own, &authority).unwrap();

        let (folder, root) = (new_folder(), authority.pem());
        for (name, text) in [
            ("ca.pem", &root),
            ("own.pem", &certificate.pem()),
            ("own.key.pem", &own.serialize_pem()),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        Self(Arc::new(Files { folder, root }))
    }

    /// The authority's certificate.
    pub(crate) fn root(&self) -> &str {
        &self.0.root
    }

    /// What a server is told, to listen on this port and to talk to other servers the same way.
    pub(super) fn options(&self, port: u16) -> Vec<String> {
        let file = |name: &str| self.0.folder.join(name).to_str().unwrap().to_owned();
        let options = [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", file("own.pem")),
            ("--tls-key-file", file("own.key.pem")),
            ("--tls-ca-cert-file", file("ca.pem")),
            ("--tls-auth-clients", "no".to_owned()),
            ("--tls-replication", "yes".to_owned()),
            ("--tls-cluster", "yes".to_owned()),
        ];
        let options = options.into_iter();
        options
            .flat_map(|(name, value)| [name.to_owned(), value])
            .collect()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
