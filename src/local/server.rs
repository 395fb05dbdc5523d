use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::error::Error;
use super::port::{Port, is_free};
use super::process::{Process, Signal};

/// What a [`Server`] runs: [`Redis`](super::Redis) or [`ZooKeeper`](super::ZooKeeper).
pub trait Program: Send + Sync + 'static {
    /// Its name in messages.
    const NAME: &'static str;
    /// How long it may take until it serves, on a busy machine.
    const PATIENCE: Duration;

    /// The command that runs it in the foreground. Its output becomes the log.
    ///
    /// # Errors
    /// [`Error::Missing`] when it is not installed.
    fn command(&self, place: &Place<'_>) -> Result<Command, Error>;

    /// Whether it serves, and is itself: another process may sit on the port. `log` is what it wrote since its start.
    fn is_ready(&self, place: &Place<'_>, log: &str) -> bool;
}

/// Where a server lives.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its own directory.
    pub directory: &'a Path,
    /// Its loopback port.
    pub port: u16,
    /// A second one, for TLS.
    pub tls_port: u16,
}

/// One local server process with its port and directory. Killed, reaped and cleared away on drop.
#[derive(Debug)]
pub struct Server<P: Program>(Arc<Inner<P>>);

impl<P: Program> Server<P> {
    /// Starts it on a free port and returns once it serves.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Exited`], [`Error::Timeout`] or [`Error::Io`].
    pub(super) fn launch(program: P) -> Result<Self, Error> {
        let mut program = program;
        for _ in 1..PORT_TRIES {
            let inner = Inner::new(program)?;
            match inner.start() {
                Ok(()) => return Ok(Self(Arc::new(inner))),
                Err(Error::Exited { .. }) if inner.port_was_taken() => program = inner.program,
                Err(error) => return Err(error),
            }
        }
        let inner = Inner::new(program)?;
        inner.start()?;
        Ok(Self(Arc::new(inner)))
    }

    pub(super) async fn launch_async(program: P) -> Result<Self, Error> {
        blocking(move || Self::launch(program)).await
    }

    pub(super) fn program(&self) -> &P {
        &self.0.program
    }

    pub(super) fn place(&self) -> Place<'_> {
        self.0.place()
    }

    /// Its loopback port, the same for its whole life, restarts included.
    pub fn port(&self) -> u16 {
        self.0.port.number()
    }

    /// `127.0.0.1:port`.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        self.0.directory.path()
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.0.process().as_ref().map(Process::pid)
    }

    /// All it wrote to its output, in all its lives.
    pub fn log(&self) -> String {
        self.0.log_since(0)
    }

    /// Kills it as `kill -9` does and reaps it: when this returns, new connections are refused. Nothing happens if it
    /// is dead already.
    pub fn kill(&self) {
        drop(self.0.process().take());
    }

    /// Ends it by SIGTERM and waits for that.
    ///
    /// # Errors
    /// [`Error::NotRunning`], or [`Error::Timeout`] when it does not end in time; then it is killed.
    pub fn term(&self) -> Result<(), Error> {
        let mut process = self
            .0
            .process()
            .take()
            .ok_or(Error::NotRunning { program: P::NAME })?;
        process
            .signal(Signal::TERM)
            .map_err(Error::io(format!("end {}", P::NAME)))?;
        match process.wait(Instant::now() + TERM_PATIENCE) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                Err(self.0.timeout("end", TERM_PATIENCE, 0))
            }
            Err(source) => Err(Error::io(format!("wait for {}", P::NAME))(source)),
        }
    }

    /// Makes it hang (SIGSTOP): from now on it answers nothing, and connections to it still succeed.
    ///
    /// # Errors
    /// [`Error::NotRunning`], or [`Error::Io`] when it has ended by itself.
    pub fn stop(&self) -> Result<(), Error> {
        self.0.steer("stop", Process::stop)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// As [`Server::stop`].
    pub fn cont(&self) -> Result<(), Error> {
        self.0.steer("continue", Process::cont)
    }

    /// Kills it if it still runs, starts it on the same port and directory, and returns once it serves.
    ///
    /// # Errors
    /// As on its first start; also when the port stays taken by another process.
    pub fn restart(&self) -> Result<(), Error> {
        self.0.restart()
    }

    /// [`Server::restart`] without blocking the caller's thread. Dropped before its end, the restart goes on.
    ///
    /// # Errors
    /// As [`Server::restart`].
    pub async fn restart_async(&self) -> Result<(), Error> {
        let inner = Arc::clone(&self.0);
        blocking(move || inner.restart()).await
    }
}

#[derive(Debug)]
struct Inner<P> {
    program: P,
    /// None while it is killed. Before `directory`: the process ends before its directory goes.
    process: Mutex<Option<Process>>,
    port: Port,
    tls_port: Port,
    directory: TempDir,
}

impl<P: Program> Inner<P> {
    fn new(program: P) -> Result<Self, Error> {
        let reserve = || Port::reserve().map_err(Error::io(format!("find a port for {}", P::NAME)));
        Ok(Self {
            program,
            process: Mutex::new(None),
            port: reserve()?,
            tls_port: reserve()?,
            directory: tempfile::Builder::new()
                .prefix("redis-ring-")
                .tempdir()
                .map_err(Error::io(format!("make a directory for {}", P::NAME)))?,
        })
    }

    fn place(&self) -> Place<'_> {
        Place {
            directory: self.directory.path(),
            port: self.port.number(),
            tls_port: self.tls_port.number(),
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn port_was_taken(&self) -> bool {
        !is_free(self.port.number()) || !is_free(self.tls_port.number())
    }

    /// Does not hold the lock while it waits, so that `pid` and `kill` never block.
    fn start(&self) -> Result<(), Error> {
        let begun = Instant::now();
        let cannot = |what| Error::io(format!("{what} {}", P::NAME));
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .map_err(cannot("open the log of"))?;
        let log_start = log.metadata().map_err(cannot("open the log of"))?.len();
        let mut command = self.program.command(&self.place())?;
        command
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
            .stderr(log.try_clone().map_err(cannot("open the log of"))?)
            .stdout(log);
        let mut process =
            Process::spawn(&mut command, Some(self.directory.path())).map_err(cannot("start"))?;
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = process.exited().map_err(cannot("wait for"))? {
                return Err(Error::Exited {
                    program: P::NAME,
                    status,
                    log: tail(&self.log_since(log_start)),
                });
            }
            if self
                .program
                .is_ready(&self.place(), &self.log_since(log_start))
            {
                *self.process() = Some(process);
                return Ok(());
            }
            if begun.elapsed() > P::PATIENCE {
                return Err(self.timeout("serve", P::PATIENCE, log_start));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A port taken for a moment, by a connection or another process that looks for one, is waited for.
    fn restart(&self) -> Result<(), Error> {
        drop(self.process().take());
        let deadline = Instant::now() + PORT_PATIENCE;
        loop {
            match self.start() {
                Err(Error::Exited { .. }) if self.port_was_taken() && Instant::now() < deadline => {
                    std::thread::sleep(LONGEST_PAUSE);
                }
                result => return result,
            }
        }
    }

    fn steer(&self, what: &str, how: fn(&mut Process) -> std::io::Result<()>) -> Result<(), Error> {
        let mut process = self.process();
        let process = process
            .as_mut()
            .ok_or(Error::NotRunning { program: P::NAME })?;
        how(process).map_err(Error::io(format!("{what} {}", P::NAME)))
    }

    fn timeout(&self, what: &'static str, waited: Duration, log_start: u64) -> Error {
        Error::Timeout {
            program: P::NAME,
            what,
            waited,
            log: tail(&self.log_since(log_start)),
        }
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// A log that cannot be read is empty: it only explains, and readiness is then never seen.
    fn log_since(&self, start: u64) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(self.log_path())?;
            file.seek(SeekFrom::Start(start))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            Ok(text)
        };
        read()
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .unwrap_or_default()
    }
}

const PORT_TRIES: usize = 5;
const PORT_PATIENCE: Duration = Duration::from_secs(5);
const TERM_PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
const TAIL_LINES: usize = 10;

/// The file that a name without a slash means in `PATH`, or the named file itself.
pub(super) fn find(program: &OsStr) -> Option<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return Some(PathBuf::from(program)).filter(|file| file.is_file());
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::io("run a blocking task")(error.into())),
    }
}
