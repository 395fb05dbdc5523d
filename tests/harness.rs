//! The harness itself: if a server does not die, hang or come back as said, every other test says nothing.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use redis_ring::local::{Error, Process, RedisOptions, RedisServer, ZooKeeperOptions, ZooKeeperServer};
use support::{
    FaultProxy, Met, Mode, SOON, direct, eventually, eventually_some, is_alive, redis, redis_with, shared_zookeeper,
    unique_root, zookeeper,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zookeeper_client as zk;

/// Long enough that something that should not come would have come.
const SILENCE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn restarted_redis_is_empty_with_a_new_run_id_on_the_same_port() {
    let server = redis().await;
    let (port, pid, run_id) = (server.port(), server.pid(), run_id(&server).await);
    let _: () = connect(&server.url()).await.set("key", "value").await.unwrap();

    server.restart_async().await.unwrap();

    assert_eq!(server.port(), port);
    assert_ne!(server.pid(), pid);
    assert_ne!(run_id_of(&mut connect(&server.url()).await).await, run_id);
    let value: Option<String> = connect(&server.url()).await.get("key").await.unwrap();
    assert_eq!(value, None);
}

#[tokio::test]
async fn killed_redis_refuses_at_once_and_its_process_is_gone() {
    let server = redis().await;
    let pid = server.pid().unwrap();
    assert!(is_alive(pid));

    server.kill();

    assert!(!is_alive(pid));
    assert_eq!(server.pid(), None);
    let error = TcpStream::connect(server.addr()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(matches!(server.stop(), Err(Error::NotRunning { .. })));
}

#[tokio::test]
async fn terminated_redis_ends_by_itself() {
    let server = redis().await;
    let pid = server.pid().unwrap();
    server.term().unwrap();
    assert!(!is_alive(pid));
    assert!(server.log().contains("User requested shutdown"));
}

#[tokio::test]
async fn stopped_redis_is_silent_yet_connectable_and_goes_on_after() {
    let server = redis().await;
    server.stop().unwrap();

    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(b"PING\r\n").await.unwrap();
    assert_silent(&mut stream).await;

    server.cont().unwrap();
    assert_reply(&mut stream, "+PONG\r\n").await;
}

#[tokio::test]
async fn stopped_redis_dies_when_it_is_dropped() {
    let server = redis().await;
    let (pid, directory) = (server.pid().unwrap(), server.directory().to_owned());
    server.stop().unwrap();
    drop(server);
    assert!(!is_alive(pid));
    assert!(!directory.exists());
}

#[tokio::test]
async fn options_reach_redis() {
    let options = RedisOptions::new().password("a word:with@signs").set("maxmemory", "10mb").set("appendonly", "yes");
    let server = redis_with(options).await;
    let mut connection = connect(&server.url()).await;
    let (_, bytes): (String, u64) =
        redis::cmd("CONFIG").arg("GET").arg("maxmemory").query_async(&mut connection).await.unwrap();
    assert_eq!(bytes, 10 * 1024 * 1024);

    let _: () = connection.set("key", "value").await.unwrap();
    server.restart_async().await.unwrap();
    let value: Option<String> = connect(&server.url()).await.get("key").await.unwrap();
    assert_eq!(value.as_deref(), Some("value"), "an append-only file keeps the data");
}

#[tokio::test]
async fn bad_option_is_told_with_the_words_of_redis() {
    let error = RedisServer::start_async(RedisOptions::new().set("maxmemory", "much")).await.unwrap_err();
    assert!(matches!(error, Error::Exited { .. }));
    assert!(error.to_string().contains("maxmemory"), "{error}");
}

#[tokio::test]
async fn many_servers_start_at_once_on_different_ports() {
    let servers = support::redis_servers(12).await;
    let ports: std::collections::BTreeSet<u16> = servers.iter().map(|server| server.port()).collect();
    assert_eq!(ports.len(), servers.len());
}

#[tokio::test]
async fn zookeeper_session_and_its_ephemeral_survive_a_restart() {
    let server = zookeeper().await;
    let path = unique_root();
    // Longer than a ZooKeeper may take to start, as far as it grants that.
    let client = zookeeper_client(&server, Duration::from_secs(40)).await;
    let session = client.session_id();
    client.create(&path, b"data", &ephemeral()).await.unwrap();

    server.restart_async().await.unwrap();

    let (data, stat) =
        eventually_some(SOON, "the session goes on", || async { client.get_data(&path).await.ok() }).await;
    assert_eq!(data, b"data");
    assert_eq!(stat.ephemeral_owner, session.0);
    assert_eq!(client.session_id(), session);
}

#[tokio::test]
async fn zookeeper_ends_a_short_session_when_its_client_is_cut_off() {
    let server = shared_zookeeper().await;
    let path = unique_root();
    let proxy = FaultProxy::start(server.addr()).await;
    // The other first: ZooKeeper, which may just have started, is warm when the short session begins.
    let other = zookeeper_client(server, Duration::from_secs(20)).await;
    let short = Duration::from_secs(3);
    let lost = zk::Client::connector().with_session_timeout(short).connect(&proxy.addr()).await.unwrap();
    assert_eq!(lost.session_timeout(), short);
    lost.create(&path, b"", &ephemeral()).await.unwrap();
    assert!(other.check_stat(&path).await.unwrap().is_some(), "the session has not ended yet");

    proxy.set(Mode::Stall).await;

    eventually(SOON, "the ephemeral goes with its session", || async {
        other.check_stat(&path).await.is_ok_and(|stat| stat.is_none())
    })
    .await;
}

#[tokio::test]
async fn stopped_zookeeper_is_silent_and_goes_on_after() {
    let server = zookeeper().await;
    server.stop().unwrap();
    server.stop().unwrap();
    assert!(server.four_letter_word("srvr").is_err());
    server.cont().unwrap();
    eventually(SOON, "ZooKeeper answers again", || async { server.four_letter_word("srvr").is_ok() }).await;
}

#[tokio::test]
async fn zookeeper_is_gone_with_its_directory_after_drop() {
    let server = ZooKeeperServer::start_async(ZooKeeperOptions::fast()).await.unwrap();
    let (pid, directory) = (server.pid().unwrap(), server.directory().to_owned());
    assert!(is_alive(pid));
    drop(server);
    assert!(!is_alive(pid));
    assert!(!directory.exists());
}

#[tokio::test]
async fn proxy_passes_and_counts() {
    let server = redis().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let mut connection = connect(&format!("redis://{}", proxy.addr())).await;
    let value = vec![7_u8; 1_000_000];
    let _: () = connection.set("key", &value).await.unwrap();
    let read: Vec<u8> = connection.get("key").await.unwrap();
    assert_eq!(read, value);
    let counts = proxy.counts();
    assert_eq!((counts.accepted, counts.open), (1, 1));
    assert!(counts.request_bytes > 1_000_000 && counts.reply_bytes > 1_000_000, "{counts:?}");
    drop(connection);
    eventually(SOON, "the connection counts as closed", || async { proxy.counts().open == 0 }).await;
}

#[tokio::test]
async fn refusing_proxy_refuses_new_connections_and_keeps_the_old() {
    let server = redis().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let mut old = ping_through(&proxy).await;

    proxy.set(Mode::Refuse).await;
    let error = TcpStream::connect(proxy.addr()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    old.write_all(b"PING\r\n").await.unwrap();
    assert_reply(&mut old, "+PONG\r\n").await;

    proxy.set(Mode::Pass).await;
    ping_through(&proxy).await;
}

#[tokio::test]
async fn cut_resets_all_connections_and_new_ones_pass() {
    let server = redis().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let mut first = ping_through(&proxy).await;
    let mut second = ping_through(&proxy).await;

    proxy.cut().await;

    assert_eq!(proxy.counts().open, 0);
    for stream in [&mut first, &mut second] {
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    ping_through(&proxy).await;
}

#[tokio::test]
async fn stalled_proxy_accepts_and_passes_nothing_until_released() {
    let server = redis().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let mut old = ping_through(&proxy).await;
    proxy.set(Mode::Stall).await;
    let before = proxy.counts();

    let mut new = TcpStream::connect(proxy.addr()).await.unwrap();
    for stream in [&mut old, &mut new] {
        stream.write_all(b"INCR counter\r\n").await.unwrap();
        assert_silent(stream).await;
    }
    assert_eq!(proxy.counts().request_bytes, before.request_bytes);
    let counter: Option<u32> = connect(&server.url()).await.get("counter").await.unwrap();
    assert_eq!(counter, None, "no request reached the server");

    proxy.set(Mode::Pass).await;
    let mut replies = [read_line(&mut old).await, read_line(&mut new).await];
    replies.sort();
    assert_eq!(replies, [":1\r\n", ":2\r\n"]);
}

#[tokio::test]
async fn held_replies_come_after_the_request_took_effect() {
    let server = redis().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let mut stream = ping_through(&proxy).await;
    proxy.set(Mode::HoldReplies).await;

    stream.write_all(b"SET key value\r\n").await.unwrap();
    let direct = connect(&server.url()).await;
    eventually(SOON, "the write reaches the server", || {
        let mut direct = direct.clone();
        async move { direct.exists("key").await.unwrap() }
    })
    .await;
    assert_silent(&mut stream).await;

    proxy.set(Mode::Pass).await;
    assert_reply(&mut stream, "+OK\r\n").await;
}

#[tokio::test]
async fn delay_adds_to_each_way_and_does_not_lower_the_rate() {
    let server = redis().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let mut stream = ping_through(&proxy).await;
    let way = Duration::from_millis(50);
    proxy.set(Mode::Delay { requests: way, replies: way }).await;

    let begun = Instant::now();
    let count = 100;
    for _ in 0..count {
        stream.write_all(b"PING\r\n").await.unwrap();
        // Each on its own, not all in one chunk.
        tokio::task::yield_now().await;
    }
    for _ in 0..count {
        assert_reply(&mut stream, "+PONG\r\n").await;
    }
    assert!(begun.elapsed() >= way * 2);
    assert!(begun.elapsed() < way * 2 * count, "the delays of {count} requests must overlap");
}

#[tokio::test]
async fn death_of_the_server_passes_through_the_proxy_as_a_reset() {
    let server = redis().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let mut stream = ping_through(&proxy).await;
    server.kill();
    let ended = tokio::time::timeout(SOON, stream.read_u8()).await.unwrap();
    assert!(ended.is_err());
    let mut new = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(new.read_u8().await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);

    server.restart_async().await.unwrap();
    ping_through(&proxy).await;
}

/// Not a test of its own: the process that the next one kills.
#[tokio::test]
async fn child_that_is_killed() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let redis = redis().await;
    let stopped = support::redis().await;
    stopped.stop().unwrap();
    let zookeeper = shared_zookeeper().await;
    for (pid, directory) in [
        (redis.pid(), redis.directory()),
        (stopped.pid(), stopped.directory()),
        (zookeeper.pid(), zookeeper.directory()),
    ] {
        println!("{CHILD} {} {}", pid.unwrap(), directory.display());
    }
    println!("{CHILD} ready");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn nothing_is_left_of_a_process_that_was_killed() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_that_is_killed", "--nocapture"]).env(CHILD, "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = Process::spawn(&mut command, None).unwrap();
    let output = BufReader::new(child.child().stdout.take().unwrap());
    let left: Vec<(u32, std::path::PathBuf)> = output
        .lines()
        .map(|line| line.unwrap())
        .filter_map(|line| line.split_once(CHILD).map(|(_, rest)| rest.trim().to_owned()))
        .take_while(|rest| rest != "ready")
        .map(|rest| rest.split_once(' ').map(|(pid, path)| (pid.parse().unwrap(), path.into())).unwrap())
        .collect();
    assert_eq!(left.len(), 3);
    assert!(left.iter().all(|(pid, directory)| is_alive(*pid) && directory.exists()));

    drop(child);

    eventually(SOON, "servers and directories of the killed process are gone", || async {
        left.iter().all(|(pid, directory)| !is_alive(*pid) && !directory.exists())
    })
    .await;
}

const CHILD: &str = "REDIS_RING_HARNESS_CHILD";

async fn connect(url: &str) -> MultiplexedConnection {
    direct::connection(&redis::Client::open(url).unwrap()).await
}

async fn run_id(server: &RedisServer) -> String {
    run_id_of(&mut connect(&server.url()).await).await
}

async fn run_id_of(connection: &mut MultiplexedConnection) -> String {
    let info: redis::InfoDict = redis::cmd("INFO").arg("server").query_async(connection).await.unwrap();
    info.get("run_id").unwrap()
}

/// A connection made between ZooKeeper's bind and its service is forgotten open (3.8.0), hence the connection timeout:
/// without it the client would wait two fifths of its session there.
async fn zookeeper_client(server: &ZooKeeperServer, session: Duration) -> zk::Client {
    zk::Client::connector()
        .with_session_timeout(session)
        .with_connection_timeout(Duration::from_secs(1))
        .connect(&server.addr())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_proxy_fails_for_one_process_alone() {
    let server = redis().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let me = std::process::id();
    // Made before it is asked whose they are, so to the proxy it is another's.
    let mut other = ping_through(&proxy).await;
    proxy.tell_apart([1, me]).await;
    let mut mine = ping_through(&proxy).await;

    proxy.set_for(1, Some(Mode::Stall)).await;
    mine.write_all(b"PING\r\n").await.unwrap();
    assert_reply(&mut mine, "+PONG\r\n").await;
    proxy.set_for(me, Some(Mode::Stall)).await;
    mine.write_all(b"PING\r\n").await.unwrap();
    assert_silent(&mut mine).await;
    other.write_all(b"PING\r\n").await.unwrap();
    assert_reply(&mut other, "+PONG\r\n").await;
    proxy.set_for(me, None).await;
    assert_reply(&mut mine, "+PONG\r\n").await;

    proxy.cut_for(me).await;
    assert!(tokio::time::timeout(SOON, mine.read_u8()).await.expect("it ends").is_err());
    other.write_all(b"PING\r\n").await.unwrap();
    assert_reply(&mut other, "+PONG\r\n").await;
    proxy.set_for(me, Some(Mode::Refuse)).await;
    let refused = async {
        let mut stream = TcpStream::connect(proxy.addr()).await?;
        stream.read_u8().await
    };
    assert!(tokio::time::timeout(SOON, refused).await.expect("it ends").is_err());
}

#[tokio::test]
async fn a_proxy_counts_what_it_did_to_each_process() {
    let server = redis().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let me = std::process::id();
    proxy.tell_apart([1, me]).await;
    let mut mine = ping_through(&proxy).await;
    let passed = proxy.met(me);
    assert_eq!(passed, Met { accepted: 1, requests: 1, ..Met::default() }, "what passes");

    for mode in [Mode::Stall, Mode::HoldReplies] {
        let before = proxy.met(me).held;
        proxy.set_for(me, Some(mode)).await;
        mine.write_all(b"PING\r\n").await.unwrap();
        eventually(SOON, "it is held", || async { proxy.met(me).held > before }).await;
        proxy.set_for(me, None).await;
        assert_reply(&mut mine, "+PONG\r\n").await;
    }
    let later = Duration::from_millis(1);
    proxy.set_for(me, Some(Mode::Delay { requests: later, replies: later })).await;
    mine.write_all(b"PING\r\n").await.unwrap();
    assert_reply(&mut mine, "+PONG\r\n").await;
    assert_eq!(proxy.met(me).delayed, 2, "both ways");
    proxy.set_for(me, Some(Mode::Refuse)).await;
    proxy.cut_for(me).await;
    let mut refused = TcpStream::connect(proxy.addr()).await.unwrap();
    for ended in [&mut mine, &mut refused] {
        assert!(tokio::time::timeout(SOON, ended.read_u8()).await.expect("it ends").is_err());
    }
    let met = proxy.met(me);
    assert_eq!((met.accepted, met.reset, met.refused, met.ended), (2, 1, 1, 0));
    proxy.set_for(me, None).await;
    let mut mine = ping_through(&proxy).await;
    server.kill();
    assert!(tokio::time::timeout(SOON, mine.read_u8()).await.expect("it ends").is_err());
    assert_eq!(proxy.met(me).ended, 1, "with its server");
    assert_eq!(proxy.met(1), Met::default(), "another process, which did nothing");
}

fn ephemeral() -> zk::CreateOptions<'static> {
    zk::CreateMode::Ephemeral.with_acls(zk::Acls::anyone_all())
}

async fn ping_through(proxy: &FaultProxy) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    stream.write_all(b"PING\r\n").await.unwrap();
    assert_reply(&mut stream, "+PONG\r\n").await;
    stream
}

async fn assert_reply(stream: &mut TcpStream, expected: &str) {
    assert_eq!(read_line(stream).await, expected);
}

async fn assert_silent(stream: &mut TcpStream) {
    let answer = tokio::time::timeout(SILENCE, stream.read_u8()).await;
    assert!(answer.is_err(), "expected silence: {answer:?}");
}

/// Byte by byte, so that nothing of the next reply is lost in a buffer.
async fn read_line(stream: &mut TcpStream) -> String {
    let line = async {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(line).unwrap()
    };
    tokio::time::timeout(SOON, line).await.expect("a reply")
}
