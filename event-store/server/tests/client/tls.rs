use std::fs;
use std::path::{Path, PathBuf};

use daybook_event_store::Store;
use daybook_event_store_server::{ServerOptions, Tls, TlsError};
use kurrentdb::AppendToStreamOptions;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

use crate::given::{client, events, serve};

/// A certificate for this machine, and its key, in files.
fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let names = ["localhost".into(), "127.0.0.1".into()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let files = (folder.join(name).with_extension("crt"), folder.join(name).with_extension("key"));
    fs::write(&files.0, cert.pem()).unwrap();
    fs::write(&files.1, signing_key.serialize_pem()).unwrap();
    files
}

#[tokio::test]
async fn who_trusts_the_certificate_is_served_encrypted() {
    let folder = TempDir::new().unwrap();
    let (certificate, key) = certificate(folder.path(), "server");
    let tls = Tls::read(&certificate, &key).unwrap();
    let options = ServerOptions { tls: Some(tls), ..ServerOptions::default() };
    let given = serve(Store::memory(), options).await;
    let trusted = certificate.display();
    let port = given.address.port();

    let client = client(&format!("kurrentdb://localhost:{port}?tlsCaFile={trusted}"));
    let options = AppendToStreamOptions::default();
    let appended = client.append_to_stream("order-1", &options, events(2)).await.unwrap();

    assert_eq!(appended.next_expected_version, 1);
    let plain = given.client.append_to_stream("order-1", &options, events(1)).await;
    assert!(plain.is_err(), "{plain:?}");
}

#[test]
fn what_is_no_certificate_is_refused() {
    let folder = TempDir::new().unwrap();
    let (certificate, key) = certificate(folder.path(), "server");
    let (_, other) = self::certificate(folder.path(), "other");
    let garbage = folder.path().join("garbage");
    fs::write(&garbage, "no certificate").unwrap();
    let absent = folder.path().join("absent");

    for (certificate, key, what) in [
        (&garbage, &key, "certificate"),
        (&absent, &key, "certificate"),
        (&certificate, &garbage, "private key"),
        (&certificate, &certificate, "private key"),
    ] {
        let refused = Tls::read(certificate, key).unwrap_err();
        assert!(refused.to_string().contains(what), "{refused}");
    }
    let refused = Tls::read(&certificate, &other).unwrap_err();
    assert!(matches!(refused, TlsError::Pair { .. }), "{refused}");
}
