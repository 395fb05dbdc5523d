//! Rings with agents: the rules are enough for a member that fails, is fenced, and comes back, and each of them is needed.

use std::time::Duration;

use redis::{Value, cmd};
use redis_ring::agent::{Agent, AgentOptions, Credentials};
use redis_ring::local::{RedisOptions, RedisServer};
use redis_ring::membership::{RingUrl, Store};
use redis_ring::placement::{Config, Phase, State};
use redis_ring::policy::Timeouts;
use redis_ring::{ErrorKind, Result, RingClient};
use tokio::task::JoinHandle;

use super::support::{
    SOON, call, direct, eventually, id, membership_options, patient_options, redis_servers, redis_with, run_or_error,
    shared_zookeeper, unique_root,
};
use super::{CALLS, page, send, with_key};

/// Longer than a busy machine keeps anybody waiting.
const LONG: Duration = Duration::from_secs(5);
const PATIENT: Timeouts = Timeouts { open: SOON, connect: LONG, read: LONG, write: LONG, probe: LONG };

/// Sets a user's rules at a server, and forgets whom it has refused.
async fn grant(server: &RedisServer, user: &str, rules: &[&str]) {
    let mut acl = cmd("ACL");
    acl.arg("SETUSER").arg(user).arg("reset").arg("on").arg(">password").arg(rules);
    let () = direct::ask(&server.addr(), &acl).await;
    let () = direct::ask(&server.addr(), &call(&["ACL", "LOG", "RESET"])).await;
}

/// Whom a server has refused what.
async fn refused(server: &RedisServer) -> Vec<String> {
    let log: Vec<std::collections::HashMap<String, Value>> = direct::ask(&server.addr(), &call(&["ACL", "LOG"])).await;
    log.iter().map(|entry| format!("{:?}: {:?}", entry["username"], entry["object"])).collect()
}

/// A new root for so many members.
async fn root(members: u32) -> (String, Store) {
    let url = shared_zookeeper().await.url(&unique_root());
    let store = Store::open(&url.parse::<RingUrl>().unwrap(), &patient_options()).await.unwrap();
    store.init(&Config::default(), members).await.unwrap();
    (url, store)
}

fn agent(url: &str, n: usize, server: &RedisServer) -> JoinHandle<Result<()>> {
    let redis = format!("redis://{}", server.addr()).parse().unwrap();
    let mut options = AgentOptions::new(url.parse().unwrap(), id(&format!("redis-{n}")), redis);
    options.membership = membership_options();
    // Nothing here is of a server that hangs, and one that is not done with answering what the user may do is taken as it is.
    let health = &mut options.health;
    (health.probe, health.hang_after, health.connect) = (LONG / 5, LONG, LONG);
    options.credentials = Credentials { username: Some("agent".to_owned()), password: Some("password".to_owned()) };
    tokio::spawn(Agent::run(options, std::future::pending()))
}

async fn open(url: &str) -> Result<RingClient> {
    open_with(url, PATIENT).await
}

async fn open_with(url: &str, timeouts: Timeouts) -> Result<RingClient> {
    RingClient::builder(url)?.timeouts(timeouts).user("orders", "password").open().await
}

fn number_of(id: &str) -> usize {
    id.trim_start_matches("redis-").parse().unwrap()
}

#[tokio::test]
async fn a_member_is_fenced_and_comes_back_with_the_rules_of_the_page() {
    let application =
        [page::application(), page::ring(true), vec!["+function|dump", "+client|tracking", "+sort"]].concat();
    let users = tempfile::NamedTempFile::new().unwrap();
    let user = |name: &str, rules: &[&str]| format!("user {name} on >password {}\n", rules.join(" "));
    let rules = user("agent", &[&page::agent()[..], &["+function|dump"]].concat())
        + &user("orders", &application)
        + "user default on nopass ~* &* +@all\n";
    // A file, so that a server that starts again knows them.
    std::fs::write(users.path(), rules).unwrap();
    let (url, _store) = root(3).await;
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(redis_with(RedisOptions::new().set("aclfile", users.path())).await);
    }
    let mut agents: Vec<_> = servers.iter().enumerate().map(|(n, server)| agent(&url, n, server)).collect();
    let client = open(&url).await.unwrap();
    let all = async |from: usize| {
        for (number, (before, words)) in CALLS.iter().enumerate() {
            for words in before.iter().chain([words]) {
                let words = with_key(words, from + number);
                send(&client, &words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"));
            }
        }
    };
    all(0).await;
    // Large enough to be copied in pieces.
    run_or_error(&client.connection(), &["SETRANGE", "orders:large", "3000000", "x"]).await.unwrap();

    // Copies that differ: the replies show it, and the agents make them equal.
    let differing: &[(&[&str], &[&str])] = &[
        (&["SET", "K", "70"], &["INCR", "K"]),
        (&["SADD", "K", "a"], &["SADD", "K", "a", "b"]),
        (&["HSET", "K", "f", "1"], &["HSET", "K", "f", "2"]),
        (&["ZADD", "K", "1", "a"], &["ZADD", "K", "2", "a"]),
        (&["RPUSH", "K", "a"], &["RPUSH", "K", "b"]),
        (&["XADD", "K", "9-9", "f", "v"], &["XADD", "K", "5-1", "f", "v"]),
    ];
    for (number, (there, words)) in differing.iter().enumerate() {
        let key = &with_key(&["K"], 500 + number)[0];
        let copy = servers[number_of(client.locate(key).owners[1].as_str())].addr();
        let there = with_key(there, 500 + number);
        let _: Value = direct::ask(&copy, &call(&there.iter().map(String::as_str).collect::<Vec<_>>())).await;
        send(&client, &with_key(words, 500 + number)).await.unwrap();
    }

    // Nobody but the clients and the other agents sees it die.
    agents[1].abort();
    servers[1].kill();
    all(1000).await;
    let is = |state: State| {
        let client = &client;
        move || async move { client.topology().find(&id("redis-1")).is_some_and(|(_, member)| member.state == state) }
    };
    eventually(SOON, "the member to be down", is(State::Down)).await;
    servers[1].restart_async().await.unwrap();
    agents[1] = agent(&url, 1, &servers[1]);
    eventually(SOON, "the member to be up", is(State::Up)).await;
    eventually(SOON, "the ring to be still", || async { client.topology().phase() == Phase::Still }).await;
    all(2000).await;

    let suspects = (0..differing.len()).map(|n| with_key(&["K"], 500 + n)[0].clone());
    let keys =
        [0, 1000, 2000].iter().flat_map(|from| (0..CALLS.len()).map(move |n| with_key(&["K"], from + n)[0].clone()));
    for key in keys.chain(suspects).chain(["orders:large".to_owned()]) {
        let owners: Vec<String> =
            client.locate(&key).owners.iter().map(|id| servers[number_of(id.as_str())].addr()).collect();
        eventually(SOON, &format!("equal copies of {key}"), || async {
            direct::content(&owners[0], &key).await == direct::content(&owners[1], &key).await
        })
        .await;
    }
    for (server, agent) in servers.iter().zip(&agents) {
        assert_eq!(refused(server).await, [""; 0]);
        assert!(!agent.is_finished());
    }
}

#[tokio::test]
async fn a_client_of_a_ring_with_gates_names_each_right_that_it_lacks() {
    let (url, _store) = root(2).await;
    let servers = redis_servers(2).await;
    for server in &servers {
        grant(server, "agent", &page::agent()).await;
    }
    let _agents: Vec<_> = servers.iter().enumerate().map(|(n, server)| agent(&url, n, server)).collect();
    let all = page::ring(true);
    let with = async |rules: &[&str]| {
        for server in &servers {
            grant(server, "orders", rules).await;
        }
        open(&url).await
    };
    with(&[&all[..], &["~orders:*", "+append"]].concat()).await.expect("all of them together are enough");
    for rule in &all {
        let rules: Vec<&str> =
            all.iter().filter(|other| *other != rule).copied().chain(["~orders:*", "+append"]).collect();
        let error = with(&rules).await.expect_err(rule);
        assert_eq!(error.kind(), ErrorKind::Denied, "{rule}: {error:?}");
        assert!(error.hint().is_some_and(|hint| hint.contains(rule)), "{rule}: {error:?}");
    }
}

#[tokio::test]
async fn an_agent_ends_and_names_the_right_that_it_lacks() {
    let (url, store) = root(1).await;
    let servers = redis_servers(1).await;
    let all = page::agent();
    for rule in &all {
        let rules: Vec<&str> = all.iter().filter(|other| *other != rule).copied().collect();
        grant(&servers[0], "agent", &rules).await;
        let ended = tokio::time::timeout(SOON, agent(&url, 0, &servers[0])).await.expect(rule);
        let error = ended.unwrap().expect_err(rule);
        assert_eq!(error.kind(), ErrorKind::Denied, "{rule}: {error:?}");
        let named = rule.trim_start_matches(['+', '~']).replace('|', " ");
        assert!(error.to_string().to_lowercase().contains(&named), "{rule}: {error}");
        assert!(error.hint().is_some_and(|hint| hint.contains(rule)), "{rule}: {error:?}");
    }
    assert!(store.live().await.unwrap().is_empty(), "who may not work leaves no trace");
    grant(&servers[0], "agent", &all).await;
    let working = agent(&url, 0, &servers[0]);
    eventually(SOON, "the ring to be founded", || async { store.snapshot().await.unwrap().ring.phase == "still" })
        .await;
    assert!(!working.is_finished());
    assert_eq!(refused(&servers[0]).await, [""; 0]);
}

#[tokio::test]
async fn a_right_that_one_member_alone_denies_is_named_and_fences_nobody() {
    let (url, store) = root(3).await;
    let servers = redis_servers(3).await;
    for (n, server) in servers.iter().enumerate() {
        grant(server, "agent", &page::agent()).await;
        let all = [page::ring(true), vec!["~orders:*", "+get", "+set", "+incr"]].concat();
        let allowed: Vec<&str> = all.into_iter().filter(|rule| n != 1 || *rule != "+dump").collect();
        grant(server, "orders", &allowed).await;
    }
    let _agents: Vec<_> = servers.iter().enumerate().map(|(n, server)| agent(&url, n, server)).collect();
    // Who is not let in is tried again for as long as a write and a connection may take.
    let timeouts = Timeouts { connect: Duration::from_secs(2), write: Duration::from_secs(1), ..PATIENT };
    let client = open_with(&url, timeouts).await.unwrap();
    let of = |at: usize| {
        let mut keys = (0..).map(|n| format!("orders:{n}"));
        keys.find(|key| client.locate(key).owners[at].as_str() == "redis-1").unwrap()
    };
    let denied = async |words: &[&str]| {
        let error = tokio::time::timeout(SOON, run_or_error(&client.connection(), words)).await.expect("it ends");
        let error = error.unwrap_err();
        let own = redis_ring::Error::of_redis(&error).unwrap();
        assert!(format!("{own:?}").contains("may not run DUMP"), "{own:?}");
    };
    for key in [of(0), of(1)] {
        futures_util::future::join(denied(&["SET", &key, "1"]), denied(&["INCR", &key])).await;
        // It can be read where it may be asked.
        run_or_error(&client.connection(), &["GET", &key]).await.unwrap();
    }
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.member(&id("redis-1")).unwrap().state(), State::Up);
}
