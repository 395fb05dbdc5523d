//! Messages through the ring: each once, while members die, hang and come back.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use redis::aio::ConnectionLike;
use redis::{AsyncCommands, Msg, Value, cmd};
use redis_ring::command::OWN_CUT;
use redis_ring::placement::{NodeId, Phase, State};
use redis_ring::policy::Timeouts;
use redis_ring::{Error, ErrorKind, Outcome, RingClient, RingConnection};
use support::{FakeServer, FaultProxy, FixedRing, Mode, SOON, ZkRing, direct, eventually, shared_zookeeper};

/// A channel whose primary is the given member.
fn channel_of(client: &RingClient, primary: &NodeId) -> String {
    (0..).map(|i| format!("c{i}")).find(|channel| client.locate(channel).owners[0] == *primary).expect("a channel")
}

async fn publish(connection: &mut RingConnection, channel: &str, message: &str) -> i64 {
    connection.publish(channel, message).await.expect("a count of receivers")
}

/// The channel and the payload of the next message.
async fn next(messages: &mut (impl Stream<Item = Msg> + Unpin)) -> (String, String) {
    let message = tokio::time::timeout(SOON, messages.next()).await.expect("a message in time").expect("a message");
    (message.get_channel_name().to_owned(), message.get_payload().expect("a text"))
}

/// How many connections listen to a channel at one server.
async fn listening(addr: &str, channel: &str) -> i64 {
    let (_, count): (String, i64) = direct::ask(addr, cmd("PUBSUB").arg("NUMSUB").arg(channel)).await;
    count
}

/// Connections of subscribers at one server.
async fn subscribers(addr: &str) -> usize {
    let list: String = direct::ask(addr, cmd("CLIENT").arg("LIST").arg("TYPE").arg("pubsub")).await;
    list.lines().count()
}

#[tokio::test]
async fn a_message_is_heard_once_and_its_receivers_are_counted_once() {
    let ring = FixedRing::start(4).await;
    let client = ring.connected(ring.patient()).await;
    let channels: Vec<String> = (0..40).map(|i| format!("room:{i}")).collect();
    let (mut one, mut other) = (client.pubsub(), ring.connected(ring.patient()).await.pubsub());
    one.subscribe(&channels).await.unwrap();
    other.subscribe(&channels).await.unwrap();
    let (mut one, mut other) = (one.into_on_message(), other.into_on_message());
    let mut publisher = client.connection();
    for channel in &channels {
        assert_eq!(publish(&mut publisher, channel, channel).await, 2);
    }
    // Not in one order: channels of different members.
    let expected: BTreeSet<_> = channels.iter().map(|channel| (channel.clone(), channel.clone())).collect();
    for messages in [&mut one, &mut other] {
        let mut heard = BTreeSet::new();
        for _ in &channels {
            heard.insert(next(messages).await);
        }
        assert_eq!(heard, expected, "each once");
    }
    // What came twice would come before this, on the same connections.
    for channel in &channels {
        publish(&mut publisher, channel, "last").await;
    }
    for messages in [&mut one, &mut other] {
        for _ in &channels {
            assert_eq!(next(messages).await.1, "last");
        }
    }
    assert_eq!(publish(&mut publisher, "nobody's", "x").await, 0);
}

/// As redis-rs's own tests and examples have it, but for where the client and the connection come from.
#[tokio::test]
async fn a_program_for_redis_rs_runs_unchanged() {
    tokio::time::timeout(SOON, program()).await.expect("its messages in time");
}

async fn program() {
    let ring = FixedRing::start(3).await;
    let client = ring.connected(ring.patient()).await;
    let mut publish_conn = client.connection();

    let mut pubsub_conn = client.pubsub();
    pubsub_conn.subscribe("wavephone").await.unwrap();
    {
        let mut pubsub_stream = pubsub_conn.on_message();
        let _: () = publish_conn.publish("wavephone", "banana").await.unwrap();
        let message: String = pubsub_stream.next().await.unwrap().get_payload().unwrap();
        assert_eq!(message, "banana");
    }
    pubsub_conn.unsubscribe("wavephone").await.unwrap();
    let receivers: i32 = publish_conn.publish("wavephone", "nobody").await.unwrap();
    assert_eq!(receivers, 0);

    let (mut sink, mut stream) = pubsub_conn.split();
    let subscribing = tokio::spawn(async move {
        sink.subscribe(&["phonewave", "wavephone"]).await.unwrap();
        sink.psubscribe("phone?").await.unwrap();
        sink
    });
    let mut sink = subscribing.await.unwrap();
    let _: () = publish_conn.publish("phonewave", 1).await.unwrap();
    let message = stream.next().await.unwrap();
    assert_eq!((message.get_channel_name(), message.get_payload::<i32>().unwrap()), ("phonewave", 1));
    assert!(!message.from_pattern());
    let _: () = publish_conn.publish("phoneX", 2).await.unwrap();
    let message = stream.next().await.unwrap();
    assert_eq!(message.get_pattern::<String>().unwrap(), "phone?");
    sink.unsubscribe(&["phonewave", "wavephone"]).await.unwrap();
    sink.punsubscribe("phone?").await.unwrap();
    drop(stream);
    assert!(sink.subscribe("late").await.is_err());
}

#[tokio::test]
async fn a_pattern_hears_every_channel_once_whoever_owns_it() {
    let ring = FixedRing::start(4).await;
    let client = ring.connected(ring.patient()).await;
    let mut pubsub = client.pubsub();
    pubsub.psubscribe(&["news:*", "n?ws:1"]).await.unwrap();
    let mut messages = pubsub.into_on_message();
    let mut publisher = client.connection();
    assert_eq!(publish(&mut publisher, "news:1", "both").await, 2);
    assert_eq!((next(&mut messages).await.1, next(&mut messages).await.1), ("both".into(), "both".into()));
    for i in 2..50 {
        let channel = format!("news:{i}");
        assert_eq!(publish(&mut publisher, &channel, "x").await, 1, "{channel}");
    }
    let mut heard = BTreeSet::new();
    for _ in 2..50 {
        heard.insert(next(&mut messages).await.0);
    }
    assert_eq!(heard.len(), 48);
}

#[tokio::test]
async fn pipelines_transactions_and_scripts_publish_once() {
    let ring = FixedRing::start(4).await;
    let client = ring.connected(ring.patient()).await;
    let mut pubsub = client.pubsub();
    pubsub.subscribe(&["{room}:events", "elsewhere"]).await.unwrap();
    let mut messages = pubsub.into_on_message();
    let mut connection = client.connection();
    let mut pipeline = redis::pipe();
    pipeline.set("{room}:last", 1).publish("{room}:events", "one").publish("elsewhere", "two").get("{room}:last");
    let replies: (String, i64, i64, i64) = pipeline.query_async(&mut connection).await.unwrap();
    assert_eq!(replies, ("OK".to_owned(), 1, 1, 1));
    let heard = BTreeSet::from([next(&mut messages).await.1, next(&mut messages).await.1]);
    assert_eq!(heard, BTreeSet::from(["one".to_owned(), "two".to_owned()]));
    let mut transaction = redis::pipe();
    transaction.atomic().incr("{room}:last", 1).publish("{room}:events", "three");
    let replies: (i64, i64) = transaction.query_async(&mut connection).await.unwrap();
    assert_eq!((replies, next(&mut messages).await.1), ((2, 1), "three".to_owned()));
    let script = "redis.call('INCR', KEYS[1]); return redis.call('PUBLISH', KEYS[2], ARGV[1])";
    let mut eval = cmd("EVAL");
    eval.arg(script).arg(2).arg(&["{room}:last", "{room}:events", "four"]);
    let receivers: i64 = eval.query_async(&mut connection).await.unwrap();
    assert_eq!((receivers, next(&mut messages).await.1), (1, "four".to_owned()));
    publish(&mut connection, "{room}:events", "last").await;
    assert_eq!(next(&mut messages).await.1, "last", "nothing came twice");
}

#[tokio::test]
async fn shard_channels_are_apart_from_channels() {
    let ring = FixedRing::start(3).await;
    let client = ring.connected(ring.patient()).await;
    let mut pubsub = client.pubsub();
    pubsub.ssubscribe("orders").await.unwrap();
    let (mut sink, mut messages) = pubsub.split();
    let mut publisher = client.connection();
    assert_eq!(publish(&mut publisher, "orders", "not here").await, 0);
    let receivers: i64 = publisher.spublish("orders", "here").await.unwrap();
    assert_eq!((receivers, next(&mut messages).await.1), (1, "here".into()));
    sink.sunsubscribe("orders").await.unwrap();
    assert_eq!(publisher.spublish::<_, _, i64>("orders", "gone").await.unwrap(), 0);
}

#[tokio::test]
async fn after_unsubscribe_nothing_is_heard_and_nothing_is_left_at_the_servers() {
    let ring = FixedRing::start(3).await;
    let client = ring.connected(ring.patient()).await;
    let (mut sink, mut messages) = client.pubsub().split();
    sink.subscribe(&["a", "b", "c"]).await.unwrap();
    sink.psubscribe("*").await.unwrap();
    sink.punsubscribe("*").await.unwrap();
    sink.unsubscribe("a").await.unwrap();
    let mut publisher = client.connection();
    assert_eq!(publish(&mut publisher, "a", "x").await, 0);
    assert_eq!(publish(&mut publisher, "b", "y").await, 1);
    assert_eq!(next(&mut messages).await, ("b".into(), "y".into()));
    // As in redis-rs, none named is all of the kind.
    sink.unsubscribe(&[] as &[&str]).await.unwrap();
    for server in ring.servers.values() {
        assert_eq!(subscribers(&server.addr()).await, 0);
    }
    let error = sink.subscribe(&[] as &[&str]).await.unwrap_err();
    assert_eq!(Error::of_redis(&error).unwrap().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn dropping_it_closes_its_connections() {
    let ring = FixedRing::start(3).await;
    let client = ring.connected(ring.patient()).await;
    let mut pubsub = client.pubsub();
    let at_servers = || async {
        let mut count = 0;
        for server in ring.servers.values() {
            count += subscribers(&server.addr()).await;
        }
        count
    };
    assert_eq!(at_servers().await, 0, "nothing is connected before the first subscription");
    pubsub.psubscribe("*").await.unwrap();
    assert_eq!(at_servers().await, 3);
    let (sink, messages) = pubsub.split();
    drop(messages);
    eventually(SOON, "no connection is left", || async { at_servers().await == 0 }).await;
    let error = sink.clone().subscribe("c").await.unwrap_err();
    assert_eq!(Error::of_redis(&error).unwrap().kind(), ErrorKind::Disconnected);
}

/// Whatever happens to a member of the channel: what is acknowledged with a receiver is heard, once and in order.
async fn what_is_acknowledged_is_heard(ring: &FixedRing, client: &RingClient, channel: &str, fault: impl FnOnce()) {
    let mut pubsub = client.pubsub();
    pubsub.subscribe(channel).await.unwrap();
    // One owner's word is enough for the call, and the other's may be late.
    for owner in ring.owners(client, channel) {
        eventually(SOON, "every owner is told", || async { listening(&owner.addr(), channel).await == 1 }).await;
    }
    let mut messages = pubsub.into_on_message();
    let mut publisher = client.connection();
    assert_eq!(publish(&mut publisher, channel, "before").await, 1);
    assert_eq!(next(&mut messages).await.1, "before");
    fault();
    let (mut acknowledged, mut tries) = (Vec::new(), 0);
    while acknowledged.len() < 200 {
        let message = tries.to_string();
        tries += 1;
        match publisher.publish::<_, _, i64>(channel, &message).await {
            Ok(receivers) => {
                assert_eq!(receivers, 1, "the other owner had the subscription all along: {message}");
                acknowledged.push(message);
            }
            Err(error) => {
                let own = Error::of_redis(&error).expect("the ring's own error");
                assert_eq!(own.outcome(), Outcome::Unknown, "{error}");
                assert!(tries < 50, "{error}");
            }
        }
    }
    let mut heard = Vec::new();
    while heard.last() != acknowledged.last() {
        heard.push(next(&mut messages).await.1);
    }
    // One that was not acknowledged may have been heard or not.
    heard.retain(|message| acknowledged.contains(message));
    assert_eq!(heard, acknowledged);
}

#[tokio::test]
async fn the_death_of_the_primary_loses_nothing_that_is_acknowledged_after_it() {
    let ring = FixedRing::start(4).await;
    let client = ring.connected(ring.patient()).await;
    let victim = client.locate("c").owners[0].clone();
    what_is_acknowledged_is_heard(&ring, &client, "c", || ring.server(&victim).kill()).await;
}

#[tokio::test]
async fn a_primary_that_hangs_loses_nothing_that_is_acknowledged_after_it() {
    let ring = FixedRing::start(4).await;
    let client = ring.client().await;
    let victim = client.locate("c").owners[0].clone();
    what_is_acknowledged_is_heard(&ring, &client, "c", || ring.server(&victim).stop().unwrap()).await;
    // The call is bounded, and one owner that answers is enough.
    let mut pubsub = client.pubsub();
    tokio::time::timeout(SOON, pubsub.subscribe("c")).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_death_of_the_replica_is_not_noticed() {
    let ring = FixedRing::start(4).await;
    let client = ring.connected(ring.patient()).await;
    let victim = client.locate("c").owners[1].clone();
    what_is_acknowledged_is_heard(&ring, &client, "c", || ring.server(&victim).kill()).await;
}

#[tokio::test]
async fn a_server_that_comes_back_is_listened_to_again() {
    let ring = FixedRing::start(3).await;
    let client = ring.connected(ring.patient()).await;
    let victim = NodeId::new("r0").unwrap();
    let channel = channel_of(&client, &victim);
    let server = ring.server(&victim);
    let mut pubsub = client.pubsub();
    pubsub.subscribe(&channel).await.unwrap();
    pubsub.psubscribe("p*").await.unwrap();
    pubsub.subscribe("given up").await.unwrap();
    server.kill();
    // What changes meanwhile is known to it too.
    pubsub.unsubscribe("given up").await.unwrap();
    let later = (0..).map(|i| format!("later{i}")).find(|c| client.locate(c).owners.contains(&victim)).unwrap();
    pubsub.subscribe(&later).await.unwrap();
    server.restart_async().await.unwrap();
    let addr = server.addr();
    eventually(SOON, "all subscriptions are there", || async {
        listening(&addr, &channel).await == 1
            && listening(&addr, &later).await == 1
            && direct::ask::<i64>(&addr, cmd("PUBSUB").arg("NUMPAT")).await == 1
    })
    .await;
    assert_eq!(listening(&addr, "given up").await, 0);
    // Messages of a client that uses the new process.
    client.trust(&victim).unwrap();
    eventually(SOON, "the trusted server is used", || async { client.connected().contains(&victim) }).await;
    let mut messages = pubsub.into_on_message();
    assert_eq!(publish(&mut client.connection(), &channel, "again").await, 1);
    assert_eq!(next(&mut messages).await.1, "again");
}

#[tokio::test]
async fn a_connection_that_has_died_without_a_word_is_replaced() {
    let mut ring = FixedRing::start(2).await;
    let id = NodeId::new("r0").unwrap();
    let proxy = FaultProxy::start(ring.server(&id).addr()).await;
    let through = proxy.addr();
    ring.reach(&id, through);
    let client = ring.client().await;
    let mut pubsub = client.pubsub();
    pubsub.subscribe("c").await.unwrap();
    let addr = ring.server(&id).addr();
    eventually(SOON, "one listens", || async { listening(&addr, "c").await == 1 }).await;
    // Nothing comes from the server any more, and nobody is told.
    proxy.set(Mode::HoldReplies).await;
    eventually(SOON, "the silent connection is given up", || async { subscribers(&addr).await == 0 }).await;
    proxy.set(Mode::Pass).await;
    eventually(SOON, "another one listens", || async { listening(&addr, "c").await == 1 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_follow_the_members_of_a_ring_in_zookeeper() {
    let ring = ZkRing::start(shared_zookeeper().await, 3).await;
    let client = ring.client().await;
    let victim = client.locate("c").owners[0].clone();
    let server = &ring.servers[&victim];
    let mut pubsub = client.pubsub();
    pubsub.subscribe("c").await.unwrap();
    server.kill();
    ring.until(&client, &victim, State::Down).await;
    // While it is down it is no owner that must confirm.
    pubsub.psubscribe("d*").await.unwrap();
    // It cannot become whole while another holds the lock of the others. All its connections end when its filling begins,
    // which is over when the ring is syncing.
    let others: Vec<String> =
        ring.servers.iter().filter(|(id, _)| **id != victim).map(|(_, other)| other.addr()).collect();
    for other in &others {
        direct::ask::<()>(other, cmd("SET").arg(OWN_CUT).arg("other").arg("PX").arg(120_000)).await;
    }
    server.restart_async().await.unwrap();
    eventually(SOON, "the ring is syncing", || async { client.topology().phase() == Phase::Syncing }).await;
    // It is not used yet, and the subscriptions wait there for the first message.
    eventually(SOON, "the subscriptions are there again", || async {
        listening(&server.addr(), "c").await == 1
            && direct::ask::<i64>(&server.addr(), cmd("PUBSUB").arg("NUMPAT")).await == 1
    })
    .await;
    assert_eq!(client.topology().find(&victim).unwrap().1.state, State::Joining);
    for other in &others {
        direct::ask::<()>(other, cmd("DEL").arg(OWN_CUT)).await;
    }
    ring.until(&client, &victim, State::Up).await;
    // A cut that came too late has ended its connections once more.
    eventually(SOON, "it listens", || async { listening(&server.addr(), "c").await == 1 }).await;
    let mut messages = pubsub.into_on_message();
    assert_eq!(publish(&mut client.connection(), "c", "x").await, 1);
    assert_eq!(next(&mut messages).await.1, "x");
}

#[tokio::test]
async fn a_reader_that_is_too_slow_loses_messages_and_holds_nobody_up() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let mut pubsub = client.pubsub();
    pubsub.subscribe("big").await.unwrap();
    let mut messages = pubsub.into_on_message();
    let mut publisher = client.connection();
    let megabyte = "x".repeat(1024 * 1024);
    for _ in 0..48 {
        assert_eq!(publish(&mut publisher, "big", &megabyte).await, 1);
    }
    eventually(SOON, "what is too much is dropped", || async { messages.missed() >= 16 }).await;
    for _ in messages.missed()..48 {
        assert_eq!(next(&mut messages).await.1.len(), megabyte.len());
    }
    // The connections are as before.
    publish(&mut publisher, "big", "small").await;
    assert_eq!(next(&mut messages).await.1, "small");
}

#[tokio::test]
async fn a_message_that_was_sent_and_not_answered_is_not_sent_again() {
    let mut ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let primary = client.locate("c").owners[0].clone();
    let proxy = FaultProxy::start(ring.server(&primary).addr()).await;
    ring.reach(&primary, proxy.addr());
    let publishing = ring.client().await;
    let mut pubsub = client.pubsub();
    pubsub.subscribe("c").await.unwrap();
    let mut messages = pubsub.into_on_message();
    // Once more where the publisher had found its connection silent before it had anything to say.
    let mut tries = 0;
    let (error, message) = loop {
        tries += 1;
        assert!(tries < 20, "the primary is never asked");
        let message = format!("once:{tries}");
        proxy.set(Mode::Pass).await;
        eventually(SOON, "the primary is connected", || async { publishing.connected().contains(&primary) }).await;
        proxy.set(Mode::HoldReplies).await;
        match publishing.connection().publish::<_, _, i64>("c", &message).await {
            Ok(_) => assert_eq!(next(&mut messages).await.1, message),
            Err(error) => break (error, message),
        }
    };
    let own = Error::of_redis(&error).expect("the ring's own error");
    assert_eq!(own.outcome(), Outcome::Unknown, "{error}");
    assert!(own.hint().is_some() && !error.to_string().contains("once"));
    assert_eq!(next(&mut messages).await.1, message);
    assert_eq!(publish(&mut publishing.connection(), "c", "next").await, 1, "the other owner takes it");
    assert_eq!(next(&mut messages).await.1, "next");
}

#[tokio::test]
async fn only_the_first_messages_wait_for_an_owner_that_hangs() {
    let ring = FixedRing::start(2).await;
    let forever = Duration::from_secs(3600);
    let client = ring.connected(ring.builder().timeouts(Timeouts { write: forever, ..Timeouts::default() })).await;
    let primary = client.locate("c").owners[0].clone();
    ring.server(&primary).stop().unwrap();
    // Nobody gives the server up in this test's time, but it is known to be silent.
    eventually(SOON, "the other owner takes it", || {
        let mut publisher = client.connection();
        async move {
            let published = publisher.publish::<_, _, i64>("c", "x");
            tokio::time::timeout(Duration::from_millis(50), published).await.is_ok_and(|reply| reply.is_ok())
        }
    })
    .await;
}

#[tokio::test]
async fn an_owner_that_cannot_take_it_now_is_passed_over() {
    let mut ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let primary = client.locate("c").owners[0].clone();
    let fake = FakeServer::start("-LOADING Redis is loading the dataset in memory\r\n").await;
    ring.reach(&primary, fake.addr());
    let publishing = ring.client().await;
    let mut pubsub = client.pubsub();
    pubsub.subscribe("c").await.unwrap();
    assert_eq!(publish(&mut publishing.connection(), "c", "x").await, 1);
    assert!(fake.calls() > 0, "the primary is asked first");
    assert_eq!(next(&mut pubsub.into_on_message()).await.1, "x");
}

#[tokio::test]
async fn without_an_owner_both_sides_say_so_in_time() {
    let ring = FixedRing::start(2).await;
    let (long, short) = (Duration::from_secs(5), Duration::from_millis(100));
    let timeouts = Timeouts { connect: long, read: short, write: short, ..Timeouts::default() };
    let client = ring.connected(ring.builder().timeouts(timeouts)).await;
    let (mut sink, _messages) = client.pubsub().split();
    ring.servers.values().for_each(redis_ring::local::RedisServer::kill);
    let error = tokio::time::timeout(SOON, sink.subscribe("c")).await.unwrap().unwrap_err();
    let own = Error::of_redis(&error).unwrap();
    assert_eq!(own.kind(), ErrorKind::NoOwner);
    assert!(error.to_string().contains("r0") && error.to_string().contains("r1") && own.hint().is_some(), "{error}");
    let error = client.connection().publish::<_, _, i64>("c", "x").await.unwrap_err();
    let own = Error::of_redis(&error).unwrap();
    // One that was on its way when the servers died may have been heard.
    assert!(own.kind() == ErrorKind::NoOwner || own.outcome() == Outcome::Unknown, "{error}");
    // What failed was not subscribed to, and is not when the servers are back.
    for server in ring.servers.values() {
        server.restart_async().await.unwrap();
    }
    eventually(SOON, "an owner confirms", || {
        let mut sink = sink.clone();
        async move { sink.subscribe("d").await.is_ok() }
    })
    .await;
    for server in ring.servers.values() {
        eventually(SOON, "every owner is told", || async { listening(&server.addr(), "d").await == 1 }).await;
        assert_eq!(listening(&server.addr(), "c").await, 0);
    }
}

#[tokio::test]
async fn a_channel_that_the_user_may_not_hear_is_denied_and_takes_no_other_with_it() {
    let ring = FixedRing::start(2).await;
    for server in ring.servers.values() {
        let mut user = cmd("ACL");
        user.arg(&["SETUSER", "ann", "on", ">secret", "~*", "+@all", "resetchannels", "&open:*"]);
        direct::ask::<()>(&server.addr(), &user).await;
    }
    let client = ring.connected(ring.patient().user("ann", "secret")).await;
    let mut pubsub = client.pubsub();
    pubsub.subscribe("open:1").await.unwrap();
    let error = pubsub.subscribe(&["open:2", "closed"]).await.unwrap_err();
    let own = Error::of_redis(&error).unwrap();
    assert_eq!((own.kind(), own.hint().is_some()), (ErrorKind::Denied, true));
    let mut publisher = client.connection();
    assert_eq!(publish(&mut publisher, "open:1", "x").await, 1);
    eventually(SOON, "the call added none of its channels", || {
        let mut publisher = publisher.clone();
        async move { publish(&mut publisher, "open:2", "x").await == 0 }
    })
    .await;
    let reply = publisher.req_packed_command(cmd("PUBLISH").arg("closed").arg("x")).await.unwrap();
    assert!(matches!(reply, Value::ServerError(error) if error.code() == "NOPERM"));
}

#[tokio::test]
async fn what_pubsub_says_is_what_one_server_says() {
    let ring = FixedRing::start(4).await;
    let client = ring.connected(ring.patient()).await;
    let oracle = support::redis().await;
    let mut theirs = redis::Client::open(oracle.url()).unwrap().get_async_pubsub().await.unwrap();
    let mut shards = direct::connect(&oracle.addr()).await;
    let (mut one, mut other) = (client.pubsub(), client.pubsub());
    let channels: Vec<String> = (0..20).map(|i| format!("c{i}")).collect();
    one.subscribe(&channels).await.unwrap();
    other.subscribe("c1").await.unwrap();
    one.psubscribe(&["a*", "b*"]).await.unwrap();
    one.ssubscribe(&["s1", "s2"]).await.unwrap();
    theirs.subscribe(&channels).await.unwrap();
    theirs.psubscribe(&["a*", "b*"]).await.unwrap();
    for shard in ["s1", "s2"] {
        shards.send_packed_command(cmd("SSUBSCRIBE").arg(shard)).await.unwrap();
    }
    let mut more = redis::Client::open(oracle.url()).unwrap().get_async_pubsub().await.unwrap();
    more.subscribe("c1").await.unwrap();

    let (mut ours, mut theirs) = (client.connection(), direct::connect(&oracle.addr()).await);
    let calls: [&[&str]; 8] = [
        &["CHANNELS"],
        &["CHANNELS", "c1*"],
        &["CHANNELS", "none*"],
        &["NUMSUB", "c1", "nobody's", "c2"],
        &["NUMSUB"],
        &["NUMPAT"],
        &["SHARDCHANNELS"],
        &["SHARDNUMSUB", "s1", "s3"],
    ];
    let sorted = |reply: Value| match reply {
        // The order of names is not defined, that of numbers is.
        Value::Array(mut items) if items.iter().all(|item| matches!(item, Value::BulkString(_))) => {
            items.sort_by_key(|item| format!("{item:?}"));
            Value::Array(items)
        }
        reply => reply,
    };
    for words in calls {
        let mut command = cmd("PUBSUB");
        command.arg(words);
        let expected = sorted(theirs.req_packed_command(&command).await.unwrap());
        assert_eq!(sorted(ours.req_packed_command(&command).await.unwrap()), expected, "{words:?}");
    }
    // One member less than there are copies may be missing.
    let (first, second) = (ring.servers.values().next().unwrap(), ring.servers.values().nth(1).unwrap());
    first.kill();
    let names: BTreeSet<String> = ours.pubsub_channels().await;
    assert_eq!(names.len(), channels.len());
    second.kill();
    eventually(SOON, "a reply that is not complete is an error", || {
        let mut ours = ours.clone();
        async move { ours.req_packed_command(cmd("PUBSUB").arg("CHANNELS")).await.is_err() }
    })
    .await;
}

trait Channels {
    async fn pubsub_channels(&mut self) -> BTreeSet<String>;
}

impl Channels for RingConnection {
    async fn pubsub_channels(&mut self) -> BTreeSet<String> {
        cmd("PUBSUB").arg("CHANNELS").query_async(self).await.expect("names")
    }
}
