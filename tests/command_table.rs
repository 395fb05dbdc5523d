//! The command table against a real server: what `COMMAND` says, and where `COMMAND GETKEYS` finds keys.
//!
//! `UPDATE_TABLE=1 cargo test --test command_table` writes the table anew instead of comparing it.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what failed by failing")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis_ring::command::{Keys, ROWS, Role, keys, resolve};

#[path = "command_table/answer.rs"]
mod answer;
#[path = "command_table/docs.rs"]
mod docs;
#[path = "command_table/generate.rs"]
mod generate;
#[path = "command_table/reviewed.rs"]
mod reviewed;

use reviewed::Reviewed;

/// A redis-server of our own, killed at the end.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start() -> Self {
        // Below the ports of outgoing connections. It may be another's all the same, hence the other tries.
        for _ in 0..10 {
            let port = fastrand::u16(10_000..32_768);
            let process = Command::new("redis-server")
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("redis-server must be installed");
            let mut server = Self { process, port };
            if server.answers() {
                return server;
            }
        }
        panic!("no redis-server came up");
    }

    /// Whether this server, and no other at its port, answers in time.
    fn answers(&mut self) -> bool {
        let process_id = format!("process_id:{}\r\n", self.process.id());
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline && self.process.try_wait().unwrap().is_none() {
            let client = redis::Client::open(("127.0.0.1", self.port)).unwrap();
            let info =
                client.get_connection().and_then(|mut c| redis::cmd("INFO").arg("server").query::<String>(&mut c));
            if info.is_ok_and(|info| info.contains(&process_id)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    fn connect(&self) -> redis::Connection {
        redis::Client::open(("127.0.0.1", self.port)).unwrap().get_connection().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that cannot be killed is dead already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn version(connection: &mut redis::Connection) -> String {
    let info: String = redis::cmd("INFO").arg("server").query(connection).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
    line.unwrap().to_owned()
}

fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/command").join(file)
}

fn reviewed() -> Reviewed {
    let text = std::fs::read_to_string(source("reviewed.txt")).unwrap();
    Reviewed::parse(&text).unwrap_or_else(|wrong| panic!("reviewed.txt: {wrong}"))
}

#[test]
fn the_table_is_what_the_server_and_the_reviewed_list_say() {
    let server = Server::start();
    let mut connection = server.connect();
    let version = version(&mut connection);
    if !version.starts_with("7.0.") {
        println!("skipped: the table is of Redis 7.0, and this server is {version}");
        return;
    }
    let commands = answer::commands(&mut connection);
    let table = generate::table(&commands, &reviewed()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let path = source("table.rs");
    if std::env::var_os("UPDATE_TABLE").is_some() {
        std::fs::write(&path, table).unwrap();
        return;
    }
    let checked_in = std::fs::read_to_string(&path).unwrap();
    for (number, (is, should)) in checked_in.lines().zip(table.lines()).enumerate() {
        assert_eq!(is, should, "table.rs, line {}; `make table` writes it anew", number + 1);
    }
    assert!(checked_in == table, "table.rs has another length; `make table` writes it anew");
}

#[test]
fn the_page_for_people_says_what_the_table_says() {
    let server = Server::start();
    let mut connection = server.connect();
    let version = version(&mut connection);
    if !version.starts_with("7.0.") {
        println!("skipped: the groups of the commands are those of Redis 7.0, and this server is {version}");
        return;
    }
    let page = docs::page(&docs::groups(&mut connection));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md");
    if std::env::var_os("UPDATE_TABLE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page).unwrap();
        return;
    }
    let checked_in = std::fs::read_to_string(&path).unwrap();
    for (number, (is, should)) in checked_in.lines().zip(page.lines()).enumerate() {
        assert_eq!(is, should, "docs/commands.md, line {}; `make table` writes it anew", number + 1);
    }
    assert!(checked_in == page, "docs/commands.md has another length; `make table` writes it anew");
}

#[test]
fn a_reviewed_list_that_does_not_fit_is_refused() {
    let commands = [answer::Entry::plain("get"), answer::Entry::plain("set")];
    let wrong = |text: &str| match Reviewed::parse(text) {
        Err(wrong) => wrong,
        Ok(reviewed) => generate::table(&commands, &reviewed).expect_err("the list must be refused"),
    };
    let get = "get runs one none\n";
    let set = "set runs one absolute\n";
    assert!(generate::table(&commands, &Reviewed::parse(&format!("{get}{set}")).unwrap()).is_ok());
    assert_eq!(wrong(get), "the command `set` has no reviewed line");
    assert_eq!(wrong(&format!("{get}{set}foo runs one none")), "the reviewed line `foo` names no command");
    assert_eq!(wrong(&format!("{get}{set}{get}")), "line 3: `get` has a line already");
    assert_eq!(wrong("get runs some none"), "line 1: no split is called `some`");
    assert_eq!(wrong("get never:because one none\n"), "line 1: no why is called `because`");
    assert_eq!(wrong("get runs one none options=get"), "line 1: no options are called `get`");
    assert_eq!(wrong("why x | y"), "line 1: a why has a name, a reason and a hint");
    assert_eq!(wrong(&format!("why x | y | z\n{get}{set}")), "the why `x` is used nowhere");
    assert_eq!(wrong("get runs one"), "line 1: a command has a support, a split and a replication");
}

/// Every command of the table with keys must have a sample here.
const SAMPLES: &str = include_str!("command_table/samples.txt");

#[test]
fn keys_are_found_where_the_server_finds_them() {
    let server = Server::start();
    let mut connection = server.connect();
    let mut sampled = BTreeSet::new();
    for line in SAMPLES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&[u8]> =
            line.split(' ').map(|word| if word == "''" { b"".as_slice() } else { word.as_bytes() }).collect();
        let row = resolve(words[0], words.get(1).copied()).unwrap_or_else(|| panic!("no row for {line}"));
        assert!(row.accepts(words.len()), "the sample {line} has a wrong number of arguments");
        sampled.insert(row.name);
        let mut ours = Vec::new();
        keys(row, words.iter().copied().map(Some), |key| {
            assert_eq!(words[key.at], key.bytes);
            ours.push(String::from_utf8_lossy(key.bytes).into_owned());
        })
        .unwrap_or_else(|wrong| panic!("{line}: {wrong:?}"));
        let mut ask = redis::cmd("COMMAND");
        ask.arg("GETKEYS").arg(&words);
        let theirs: Vec<String> = match ask.query(&mut connection) {
            Ok(theirs) => theirs,
            Err(error) if error.to_string().contains("no key arguments") => Vec::new(),
            Err(error) => panic!("{line}: {error}"),
        };
        ours.sort();
        let mut theirs = theirs;
        theirs.sort();
        assert_eq!(ours, theirs, "{line}");
    }
    let missing: Vec<_> = ROWS
        .iter()
        .filter(|row| has_keys(row.keys))
        .map(|row| row.name)
        .filter(|name| !sampled.contains(name))
        .collect();
    assert!(missing.is_empty(), "no sample for {missing:?}");
    println!("{} commands with keys agree with the server", sampled.len());
}

fn has_keys(keys: Keys) -> bool {
    match keys {
        Keys::None => false,
        Keys::One(_) => true,
        Keys::Many(specs) => specs.iter().any(|spec| spec.role != Role::Channel),
    }
}

#[test]
fn the_table_has_every_command_of_redis_7() {
    let commands = ROWS.iter().filter(|row| !row.name.contains('|')).count();
    println!("{commands} commands and {} subcommands", ROWS.len() - commands);
    assert!(commands >= 240, "{commands}");
    assert!(ROWS.len() - commands >= 120, "{}", ROWS.len() - commands);
    assert!(ROWS.windows(2).all(|pair| pair[0].name < pair[1].name), "sorted, and no name twice");
}
