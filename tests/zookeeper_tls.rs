//! A ring in a ZooKeeper that speaks TLS only to those who show a certificate.
#![cfg(all(feature = "cli", feature = "tls"))]
#![cfg(test)]

mod support;

use redis_ring::local::{Port, ZooKeeperOptions, ZooKeeperServer};
use redis_ring::membership::{MembershipOptions, Store, TlsFiles};
use redis_ring::placement::Config;
use support::{Certificates, membership_options, unique_root};

#[tokio::test]
async fn zookeeper_is_reached_over_tls_with_a_certificate_and_not_without() {
    let certificates = Certificates::new();
    let both = format!("{}{}", certificates.key, certificates.certificate);
    let store = certificates.file("zookeeper.pem", &both);
    let trust = certificates.file("ca.pem", &certificates.authority);
    let port = Port::reserve().unwrap();
    let options = ZooKeeperOptions::fast()
        .set("secureClientPort", &port.number().to_string())
        .set("secureClientPortAddress", "127.0.0.1")
        .set("ssl.keyStore.location", store.to_str().unwrap())
        .set("ssl.keyStore.type", "PEM")
        .set("ssl.trustStore.location", trust.to_str().unwrap())
        .set("ssl.trustStore.type", "PEM")
        .property("zookeeper.serverCnxnFactory", "org.apache.zookeeper.server.NettyServerCnxnFactory");
    let _zookeeper = ZooKeeperServer::start_async(options).await.unwrap();
    let url = format!("zk://127.0.0.1:{}{}", port.number(), unique_root()).parse().unwrap();

    let identity = Some((certificates.certificate.clone(), certificates.key.clone()));
    let known = TlsFiles { authorities: certificates.authority.clone(), identity };
    let options = MembershipOptions { tls: Some(known), ..membership_options() };
    let store = Store::open(&url, &options).await.unwrap();
    store.init(&Config::default(), 2).await.unwrap();
    assert!(store.snapshot().await.is_ok());

    let open_timeout = std::time::Duration::from_millis(1500);
    let stranger = TlsFiles { authorities: certificates.authority.clone(), identity: None };
    for tls in [Some(stranger), None] {
        let options = MembershipOptions { tls, open_timeout, ..membership_options() };
        let error = Store::open(&url, &options).await.unwrap_err();
        assert_eq!(error.kind(), redis_ring::ErrorKind::Unreachable, "{error:?}");
    }
}
