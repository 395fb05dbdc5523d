//! What the demo does to one member, and what it takes back later.

use clap::ValueEnum;

use crate::local::{Error as LocalError, RedisServer};
use crate::{Error, ErrorKind, Result};

/// What happens to a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Fault {
    /// SIGKILL, and it starts again without its data.
    #[default]
    Kill,
    /// SIGKILL, and it starts again with the data that it had before the load began.
    Old,
    /// SIGSTOP, and SIGCONT.
    Stop,
}

impl Fault {
    /// Before the load begins, for a member that will come back with what it has now.
    pub(super) async fn prepare(self, server: &RedisServer) -> Result<()> {
        match self {
            Fault::Kill | Fault::Stop => Ok(()),
            Fault::Old => {
                let client =
                    redis::Client::open(server.url()).map_err(|error| cannot("be asked").with_source(error))?;
                let saved = async {
                    let mut connection = client.get_multiplexed_async_connection().await?;
                    redis::cmd("SAVE").query_async::<()>(&mut connection).await
                };
                saved.await.map_err(|error| cannot("save its data").with_source(error))
            }
        }
    }

    /// Strikes, and says what it did.
    pub(super) fn strike(self, server: &RedisServer) -> Result<&'static str> {
        match self {
            Fault::Kill | Fault::Old => {
                server.kill();
                Ok("killed (SIGKILL)")
            }
            Fault::Stop => server.stop().map(|()| "stopped (SIGSTOP): it hangs").map_err(local("be stopped")),
        }
    }

    /// Takes it back, and says what it did.
    pub(super) async fn end(self, server: &RedisServer) -> Result<&'static str> {
        match self {
            Fault::Kill => {
                server.restart_async().await.map(|()| "started again, empty").map_err(local("be started again"))
            }
            Fault::Old => {
                server.restart_async().await.map(|()| "started again, with old data").map_err(local("be started again"))
            }
            Fault::Stop => server.cont().map(|()| "goes on (SIGCONT), with old data").map_err(local("go on")),
        }
    }
}

fn cannot(what: &str) -> Error {
    Error::new(ErrorKind::Unreachable, format!("the demo's server cannot {what}"))
}

fn local(what: &'static str) -> impl Fn(LocalError) -> Error {
    move |error| cannot(what).with_source(error)
}
