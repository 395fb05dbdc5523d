//! The `redis-ring` binary as a process.
#![expect(dead_code, reason = "each test program uses another part of it")]

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use redis_ring::local::{Process, Signal};
use serde_json::Value;
use tokio::sync::mpsc;

use super::support::SOON;

const BINARY: &str = env!("CARGO_BIN_EXE_redis-ring");

/// How a run came out.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Ran {
    /// Its standard output as one JSON document.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Its standard error as one JSON document: the contract of errors.
    pub fn error(&self) -> Value {
        let error: Value = serde_json::from_str(&self.stderr).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        let fields: Vec<&str> = error.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["error", "kind", "hint"]);
        error
    }

    #[track_caller]
    pub fn ends_with(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

/// The command with a clean environment.
pub fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(arguments: I) -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("REDIS_RING_") || ["NO_COLOR", "RUST_LOG", "TERM"].contains(&name.as_str()) {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Options by which no busy machine makes it give up, but for those that the arguments have themselves.
pub fn patient(arguments: &[&str]) -> Vec<&'static str> {
    let limits = [["--member-timeout", "5s"], ["--timeout", "15s"]];
    limits.into_iter().filter(|[name, _]| !arguments.contains(name)).flatten().collect()
}

/// Runs it to its end.
pub async fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(arguments: I) -> Ran {
    run_command(command(arguments)).await
}

pub async fn run_command(command: Command) -> Ran {
    let began = Instant::now();
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    let output = tokio::time::timeout(SOON, command.output()).await.expect("it ends").expect("it starts");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        took: began.elapsed(),
    }
}

/// A run that goes on until it is told to end.
pub struct Running {
    process: Process,
    lines: mpsc::UnboundedReceiver<String>,
    errors: mpsc::UnboundedReceiver<String>,
}

impl Running {
    pub fn start<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(arguments: I) -> Running {
        Running::of(command(arguments))
    }

    pub fn of(mut command: Command) -> Running {
        let mut process = Process::spawn(&mut command, None).unwrap();
        let lines = follow(process.child().stdout.take().unwrap());
        let errors = follow(process.child().stderr.take().unwrap());
        Running { process, lines, errors }
    }

    /// The next line of standard output that has all of these in it.
    pub async fn line_with(&mut self, parts: &[&str]) -> String {
        find(&mut self.lines, parts).await
    }

    /// The next line of standard error that has all of these in it.
    pub async fn error_with(&mut self, parts: &[&str]) -> String {
        find(&mut self.errors, parts).await
    }

    /// Sends the signal and waits for the end.
    pub async fn end_by(mut self, signal: Signal) -> ExitStatus {
        self.process.signal(signal).unwrap();
        tokio::task::spawn_blocking(move || self.process.wait(Instant::now() + SOON).expect("it ends")).await.unwrap()
    }

    /// Waits for the end.
    pub async fn ended(mut self) -> ExitStatus {
        tokio::task::spawn_blocking(move || self.process.wait(Instant::now() + SOON).expect("it ends")).await.unwrap()
    }
}

async fn find(lines: &mut mpsc::UnboundedReceiver<String>, parts: &[&str]) -> String {
    let mut seen = Vec::new();
    let search = async {
        while let Some(line) = lines.recv().await {
            if parts.iter().all(|part| line.contains(part)) {
                return Some(line);
            }
            seen.push(line);
        }
        None
    };
    match tokio::time::timeout(SOON, search).await {
        Ok(Some(line)) => line,
        Ok(None) => panic!("it ended without a line with {parts:?}: {seen:#?}"),
        Err(_) => panic!("no line with {parts:?}: {seen:#?}"),
    }
}

fn follow(pipe: impl std::io::Read + Send + 'static) -> mpsc::UnboundedReceiver<String> {
    let (sender, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            if line.is_err() || sender.send(line.unwrap_or_default()).is_err() {
                return;
            }
        }
    });
    lines
}
