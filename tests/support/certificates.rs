//! Certificates for servers on this machine.

use std::path::PathBuf;

/// An authority and one certificate that it signed, for `localhost` and `127.0.0.1`, all as PEM.
pub struct Certificates {
    pub authority: String,
    pub certificate: String,
    pub key: String,
    directory: tempfile::TempDir,
}

impl Certificates {
    pub fn new() -> Certificates {
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).expect("no names");
        // With one name for both, the certificate would look as if it had signed itself.
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_key = rcgen::KeyPair::generate().expect("a key");
        let authority = params.self_signed(&authority_key).expect("an authority").pem();
        let issuer = rcgen::Issuer::new(params, authority_key);
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = rcgen::CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate").pem();
        let directory = tempfile::tempdir().expect("a directory");
        Certificates { authority, certificate, key: key.serialize_pem(), directory }
    }

    /// Writes a file that lives as long as this.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }
}
