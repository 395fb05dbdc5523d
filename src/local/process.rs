use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process, waitid};

/// A child process that does not outlive this process, however this one ends.
///
/// Dropped, it is killed and reaped. For the ends that run no destructor there is a small shell beside it that waits for
/// its standard input, whose other end only this process holds, to close; then it kills the child and removes the
/// child's directory. (Linux's parent-death signal would need `unsafe` or a helper, and comes when the *thread* ends
/// that started the child.)
///
/// The child is in a process group of its own: Ctrl-C at the terminal reaches only this process, which then cleans up.
#[derive(Debug)]
pub struct Process {
    child: Child,
    watchdog: Child,
}

impl Process {
    /// Starts the command. `directory`, if given, is removed with all it holds when this process ends without dropping
    /// this value.
    ///
    /// # Errors
    /// When the command, or `sh`, cannot be started.
    pub fn spawn(command: &mut Command, directory: Option<&Path>) -> io::Result<Self> {
        let mut child = command.process_group(0).spawn()?;
        match watchdog(&child, directory) {
            Ok(watchdog) => Ok(Self { child, watchdog }),
            Err(error) => {
                end(&mut child);
                Err(error)
            }
        }
    }

    /// Its process id. It is not given to another process while this value lives.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn exited(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when it has ended.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        // Once reaped, the number may be another's.
        if self.exited()?.is_some() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Makes it hang (SIGSTOP), and returns when all its threads do: for a moment after the signal they still answer.
    ///
    /// # Errors
    /// As [`Process::signal`]; [`io::ErrorKind::TimedOut`] when they go on nevertheless.
    pub fn stop(&mut self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        let deadline = Instant::now() + STOP_PATIENCE;
        let pid = Pid::from_child(&self.child);
        // Neither an end nor the stop itself is taken from who asks next.
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(pid), options)?.is_none() {
            if self.exited()?.is_some() {
                return Err(io::ErrorKind::NotFound.into());
            }
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// As [`Process::signal`].
    pub fn cont(&mut self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Waits for its end, at most until the deadline.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] at the deadline.
    pub fn wait(&mut self, deadline: Instant) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The watchdog first: as long as the child is not reaped its number is no other process's.
        end(&mut self.watchdog);
        end(&mut self.child);
    }
}

const POLL: Duration = Duration::from_millis(2);
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// `$1` is the child, `$2` its directory or empty. A child that init is slow to reap still counts as there, hence the
/// bound; one that still writes would make `rm` fail, hence the wait.
const WATCHDOG: &str = r#"
read -r line
kill -9 "$1"
tries=0
while kill -0 "$1" && [ "$tries" -lt 20 ]; do tries=$((tries + 1)); sleep 0.05; done
[ -z "$2" ] || rm -rf -- "$2"
"#;

fn watchdog(child: &Child, directory: Option<&Path>) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", WATCHDOG, "redis-ring-watchdog"])
        .arg(child.id().to_string())
        .arg(directory.unwrap_or(Path::new("")))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .process_group(0)
        .spawn()
}

/// Neither step can fail in a way that leaves something to do: an ended child is only reaped.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
