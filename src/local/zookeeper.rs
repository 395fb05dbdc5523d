use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::error::Error;
use super::server::{Place, Program, Server, find};

/// A real ZooKeeper of one server. Its data, and with them the sessions, outlive a [`restart`](Server::restart).
///
/// It is found in `ZOOKEEPER_CLASSPATH`, in `ZOOKEEPER_HOME` (the unpacked upstream release), or where Debian has it;
/// Java in `JAVA_HOME` or `PATH`.
pub type ZooKeeperServer = Server<ZooKeeper>;

/// How a [`ZooKeeperServer`] is started.
#[derive(Debug, Clone)]
pub struct ZooKeeperOptions {
    tick: Duration,
    settings: Vec<(String, String)>,
    properties: Vec<(String, String)>,
}

impl ZooKeeperOptions {
    /// As a ZooKeeper in production: a tick of 2 s, so sessions of 4 to 40 s.
    pub fn new() -> Self {
        Self { tick: Duration::from_secs(2), settings: Vec::new(), properties: Vec::new() }
    }

    /// A tick of 200 ms, so sessions from 400 ms: for tests that wait for the end of one. The longest stays 40 s.
    pub fn fast() -> Self {
        Self::new().tick(Duration::from_millis(200)).set("minSessionTimeout", "400").set("maxSessionTimeout", "40000")
    }

    /// `tickTime`: sessions last 2 to 20 of it, and end at a multiple of it.
    pub fn tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// One more line of zoo.cfg.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// One more system property of its Java process, without the `-D`.
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Default for ZooKeeperOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl Server<ZooKeeper> {
    /// Starts a server on a free port; returns once it serves.
    ///
    /// # Errors
    /// [`Error::Missing`] when ZooKeeper or Java is not installed, else as the system or the server says.
    pub fn start(options: ZooKeeperOptions) -> Result<Self, Error> {
        Self::launch(ZooKeeper(options))
    }

    /// [`ZooKeeperServer::start`] without blocking the caller's thread.
    ///
    /// # Errors
    /// As [`ZooKeeperServer::start`].
    pub async fn start_async(options: ZooKeeperOptions) -> Result<Self, Error> {
        Self::launch_async(ZooKeeper(options)).await
    }

    /// `zk://127.0.0.1:port` and the root, which begins with a slash.
    pub fn url(&self, root: &str) -> String {
        format!("zk://{}{root}", self.addr())
    }

    /// Its answer to a monitoring word such as `srvr`, `mntr` or `cons`; all are allowed. Blocks.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn four_letter_word(&self, word: &str) -> std::io::Result<String> {
        four_letter_word(self.port(), word)
    }
}

/// The program of a [`ZooKeeperServer`].
#[derive(Debug)]
pub struct ZooKeeper(ZooKeeperOptions);

impl Program for ZooKeeper {
    const NAME: &'static str = "ZooKeeper";
    /// A Java machine starts slowly when all cores are busy.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn command(&self, place: &Place<'_>) -> Result<Command, Error> {
        let (java, classpath) = (java()?, classpath()?);
        let file = place.directory.join("zoo.cfg");
        std::fs::write(&file, self.settings(place)).map_err(Error::io("write zoo.cfg"))?;
        let mut command = Command::new(java);
        command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]).args([
            "-Dzookeeper.admin.enableServer=false",
            "-Dzookeeper.4lw.commands.whitelist=*",
            // The data have to outlive a killed process, not a power cut.
            "-Dzookeeper.forceSync=no",
            // KiB by which its log grows; the default is 64 MiB.
            "-Dzookeeper.preAllocSize=256",
            "-Djava.net.preferIPv4Stack=true",
        ]);
        command.args(self.0.properties.iter().map(|(name, value)| format!("-D{name}={value}")));
        command.arg("-cp").arg(classpath).arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(file);
        Ok(command)
    }

    /// `conf` names the data directory, so it is this server that serves, not another one on the port.
    fn is_ready(&self, place: &Place<'_>, _log: &str) -> bool {
        four_letter_word(place.port, "conf")
            .is_ok_and(|answer| answer.contains(&*place.directory.join("data").to_string_lossy()))
    }
}

impl ZooKeeper {
    fn settings(&self, place: &Place<'_>) -> String {
        let mut text = format!(
            "tickTime={}\ndataDir={}\nclientPortAddress=127.0.0.1\nclientPort={}\nmaxClientCnxns=0\n",
            self.0.tick.as_millis(),
            place.directory.join("data").display(),
            place.port,
        );
        for (name, value) in &self.0.settings {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}={value}");
        }
        text
    }
}

const ANSWER_WITHIN: Duration = Duration::from_millis(500);
const DEBIAN_JAR: &str = "/usr/share/java/zookeeper.jar";
/// Without it Debian's ZooKeeper logs nothing.
const DEBIAN_LOGGER: &str = "/usr/share/java/slf4j-simple.jar";
/// Needed for TLS, and not named by the jar.
const DEBIAN_CODECS: &str = "/usr/share/java/netty-codec.jar";

fn java() -> Result<PathBuf, Error> {
    std::env::var_os("JAVA_HOME")
        .map(|home| Path::new(&home).join("bin/java"))
        .filter(|java| java.is_file())
        .or_else(|| find("java".as_ref()))
        .ok_or(Error::Missing {
            what: "Java, which ZooKeeper runs on,",
            install: "on Debian and Ubuntu `apt-get install --no-install-recommends default-jre-headless`, elsewhere \
                      any Java 8 or newer; or name its folder in JAVA_HOME",
        })
}

fn classpath() -> Result<OsString, Error> {
    if let Some(classpath) = std::env::var_os("ZOOKEEPER_CLASSPATH") {
        return Ok(classpath);
    }
    let parts = match std::env::var_os("ZOOKEEPER_HOME").map(PathBuf::from) {
        Some(home) if home.join("lib").is_dir() => {
            vec![home.join("conf"), home.join("lib/*"), home.join("*")]
        }
        // The jar's manifest names the jars it needs.
        None if Path::new(DEBIAN_JAR).is_file() => vec![DEBIAN_JAR.into(), DEBIAN_LOGGER.into(), DEBIAN_CODECS.into()],
        Some(_) | None => {
            return Err(Error::Missing {
                what: "ZooKeeper",
                install: "on Debian and Ubuntu `apt-get install --no-install-recommends zookeeper`, elsewhere unpack a \
                          release from zookeeper.apache.org and name its folder in ZOOKEEPER_HOME",
            });
        }
    };
    std::env::join_paths(parts).map_err(|error| Error::io("build a class path")(std::io::Error::other(error)))
}

fn four_letter_word(port: u16, word: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), ANSWER_WITHIN)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(word.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
