//! Credentials, TLS, and servers that answer what they should not.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use redis::AsyncCommands;
use redis_ring::ErrorKind;
use redis_ring::local::RedisOptions;
use redis_ring::placement::NodeId;
use redis_ring::policy::HedgePolicy;
use support::{FakeServer, FixedRing, direct, redis_with};

async fn ring_with(options: RedisOptions) -> FixedRing {
    FixedRing::of(vec![redis_with(options.clone()).await, redis_with(options).await])
}

#[tokio::test]
async fn a_password_is_needed_and_never_shown() {
    let ring = ring_with(RedisOptions::new().password("s3cret")).await;
    let client = ring.patient().password("s3cret").open().await.unwrap();
    let () = client.connection().set("k", "v").await.unwrap();
    assert!(!format!("{:?}", ring.builder().password("s3cret")).contains("s3cret"));
    assert!(!format!("{client:?}").contains("s3cret"));
    for (builder, expected) in [(ring.patient(), "wants a password"), (ring.patient().password("wr0ng"), "password")] {
        let error = builder.open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
        assert!(error.hint().unwrap().contains(expected), "{error:?}");
        assert!(!format!("{error:?}").contains("wr0ng"));
    }
}

#[tokio::test]
async fn an_acl_user_may_do_what_its_rules_say() {
    let ring = ring_with(RedisOptions::new()).await;
    for server in ring.servers.values() {
        for rules in [
            vec!["app", "on", ">pw", "~*", "+@all", "-@admin", "-@dangerous", "+info", "+client|kill", "+restore"],
            vec!["blind", "on", ">pw", "~*", "+get"],
        ] {
            let () = direct::ask(&server.addr(), redis::cmd("ACL").arg("SETUSER").arg(rules)).await;
        }
    }
    let client = ring.patient().user("app", "pw").open().await.unwrap();
    let () = client.connection().set("k", "v").await.unwrap();
    // A server that is not done with answering what the user may do is taken as it is.
    let error = ring.patient().user("blind", "pw").open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.hint().unwrap().contains("ACL SETUSER <user> +"), "{error:?}");
    let error = ring.patient().user("nobody", "pw").open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn the_database_of_the_ring_is_used() {
    let ring = ring_with(RedisOptions::new()).await;
    let client = redis_ring::RingClient::open(&format!("{}?db=3", ring.url())).await.unwrap();
    let () = client.connection().set("k", "v").await.unwrap();
    for server in ring.servers.values() {
        let keyspace: String = direct::ask(&server.addr(), redis::cmd("INFO").arg("keyspace")).await;
        assert!(keyspace.contains("db3:keys=1") && !keyspace.contains("db0"), "{keyspace}");
    }
}

#[tokio::test]
async fn a_server_that_is_loading_is_passed_over_for_reads_and_missed_by_writes() {
    let mut ring = FixedRing::start(2).await;
    let id = NodeId::new("r0").unwrap();
    let fake = FakeServer::start("-LOADING Redis is loading the dataset in memory\r\n").await;
    ring.reach(&id, fake.addr());
    let client = ring.client().await;
    let key = (0..).map(|i| format!("k{i}")).find(|key| client.locate(key).owners[0] == id).unwrap();
    let mut connection = client.connection();
    assert_eq!(connection.get::<_, Option<i64>>(&key).await.unwrap(), None, "the other owner answers");
    let () = connection.set(&key, "1").await.unwrap();
    assert_eq!(connection.get::<_, i64>(&key).await.unwrap(), 1);
    // LOADING means "not executed", so even a command that depends on what is there goes on to the next owner.
    assert_eq!(connection.incr::<_, _, i64>(&key, 1).await.unwrap(), 2);
    let stats = client.stats();
    assert!(stats.failed_over_reads >= 1 && stats.missed_writes >= 2, "{stats:?}");
    assert!(fake.calls() > 0);
}

#[tokio::test]
async fn a_server_out_of_memory_is_an_error_and_no_copy_is_written_behind_its_back() {
    let ring = FixedRing::of(vec![redis_with(RedisOptions::new()).await, redis_with(RedisOptions::new()).await]);
    // A copy that was written is not asked in the place of its primary.
    let client = ring.connected(ring.patient().hedge_policy(HedgePolicy::Never)).await;
    let mut connection = client.connection();
    let () = connection.set("k", 1).await.unwrap();
    let owners = ring.owners(&client, "k");
    let () = direct::ask(&owners[0].addr(), redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1mb")).await;
    // Depends on what is there: the primary refuses first, the copy gets nothing.
    let error = connection.append::<_, _, i64>("k", "x").await.unwrap_err();
    assert_eq!(error.code(), Some("OOM"), "{error}");
    assert!(ring.copies_are_equal(&client, "k").await);
    // Absolute: the copy has it already, so the outcome is unknown.
    let error = connection.set::<_, _, ()>("k", 2).await.unwrap_err();
    let own = redis_ring::Error::of_redis(&error).unwrap();
    assert_eq!(own.outcome(), redis_ring::Outcome::Unknown);
    assert_eq!(client.stats().differing_replies, 1);
    // Reads and deletions go on.
    assert_eq!(connection.get::<_, i64>("k").await.unwrap(), 1);
    let () = connection.del("k").await.unwrap();
    assert!(ring.copies_are_equal(&client, "k").await);
}

#[tokio::test]
async fn a_server_without_resp3_is_spoken_to_in_resp2() {
    let mut ring = FixedRing::start(1).await;
    let fake = FakeServer::old("$5\r\nhello\r\n").await;
    ring.reach(&NodeId::new("r0").unwrap(), fake.addr());
    let client = ring.client().await;
    assert_eq!(client.connection().get::<_, String>("k").await.unwrap(), "hello");
}

#[tokio::test]
async fn something_that_is_no_redis_is_an_error_and_no_hang() {
    let mut ring = FixedRing::start(1).await;
    let fake = FakeServer::talking("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    ring.reach(&NodeId::new("r0").unwrap(), fake.addr());
    let error = ring.patient().open().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Server | ErrorKind::Unreachable), "{error:?}");
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn servers_with_tls_are_reached_with_their_authority_and_not_without() {
    use redis_ring::RingClient;
    use redis_ring::local::TlsFiles as ServerFiles;
    use redis_ring::membership::TlsFiles;
    use redis_ring::policy::Timeouts;
    use support::{Certificates, SOON};

    let certificates = Certificates::new();
    let files = ServerFiles {
        certificate: certificates.file("server.crt", &certificates.certificate),
        key: certificates.file("server.key", &certificates.key),
        authority: certificates.file("ca.crt", &certificates.authority),
    };
    let server = redis_with(RedisOptions::new().tls(files).set("tls-auth-clients", "yes")).await;
    let url = format!("static://r0=rediss://localhost:{}", server.tls_port().unwrap());

    let identity = Some((certificates.certificate.clone(), certificates.key.clone()));
    let tls = TlsFiles { authorities: certificates.authority.clone(), identity };
    assert!(!format!("{tls:?}").contains("PRIVATE"));
    let timeouts = Timeouts { connect: SOON, read: SOON, write: SOON, ..Timeouts::default() };
    let patient = RingClient::builder(&url).unwrap().timeouts(timeouts);
    let client = patient.clone().tls(tls).open().await.unwrap();
    let () = client.connection().set("k", "v").await.unwrap();
    assert_eq!(client.connection().get::<_, String>("k").await.unwrap(), "v");

    // The system's authorities do not know this one; and without a certificate of its own the server hangs up.
    let strangers = TlsFiles { authorities: certificates.authority.clone(), identity: None };
    for builder in [patient.clone(), patient.tls(strangers)] {
        let error = builder.open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:?}");
    }
}
