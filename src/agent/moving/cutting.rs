//! Makes the exact cut at every source.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::super::fill::{Copier, CutError, PAUSES};
use crate::placement::NodeId;

/// The task that makes the cuts. Dropping it takes back what is not finished.
pub(super) struct Cutting {
    pub(super) seen: watch::Receiver<Cuts>,
    task: AbortHandle,
}

impl Drop for Cutting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How far the cuts are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cuts {
    pub(super) made: BTreeSet<String>,
    /// One of them is void in a way that only another filling mends.
    pub(super) void: bool,
    /// For people.
    pub(super) trouble: Option<String>,
}

/// Sources whose writers are held up at the same time.
const TOGETHER: usize = 4;
/// Before a source is asked again that was not ready: twice as long each time. A try may take two seconds of work.
const AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// Before it is asked again after a cut that was void and has held up its writers: twice as long each time, so that a cut
/// which never succeeds costs ever less of their time.
const AFTER_VOID: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

impl Cutting {
    pub(super) fn start(copiers: Vec<(NodeId, Arc<Copier>)>, step: u64, me: NodeId) -> Cutting {
        let (tell, seen) = watch::channel(Cuts::default());
        let task = tokio::spawn(async move {
            let cuts = stream::iter(copiers).map(|(source, copier)| cut(source, copier, step, &me, &tell));
            cuts.buffer_unordered(TOGETHER).collect::<()>().await;
        });
        Cutting { seen, task: task.abort_handle() }
    }
}

async fn cut(source: NodeId, copier: Arc<Copier>, step: u64, me: &NodeId, tell: &watch::Sender<Cuts>) {
    let mut pause = PAUSES.0;
    let (mut again, mut after_void) = (AGAIN.0, AFTER_VOID.0);
    loop {
        let (trouble, wait) = match copier.cut(step, me, pause).await {
            Ok(cut) => {
                let held_up = cut.paused.as_millis();
                tracing::info!(%source, member = %me, step, held_up, keys = cut.keys, "the exact cut is made");
                tell.send_modify(|cuts| {
                    cuts.made.insert(source.as_str().to_owned());
                });
                return;
            }
            Err(CutError::NotYet(why)) => (why, doubled(&mut again, AGAIN.1)),
            Err(CutError::Void(void)) if !void.seen => {
                pause = void.pause;
                let wait = doubled(&mut after_void, AFTER_VOID.1);
                tracing::info!(%source, member = %me, step, why = void.reason, ?wait, "a cut is void, and is tried again");
                (format!("a cut that held up writers is void, and is tried again in {wait:?}: {}", void.reason), wait)
            }
            Err(CutError::Void(void)) => return give_up(&source, &void.reason, tell),
            Err(CutError::Ended(why)) => return give_up(&source, &format!("{why:?}"), tell),
        };
        tell.send_if_modified(|cuts| {
            let trouble = Some(format!("{source}: {trouble}"));
            std::mem::replace(&mut cuts.trouble, trouble.clone()) != trouble
        });
        sleep(wait).await;
    }
}

/// How long to wait now; the next time twice as long.
fn doubled(wait: &mut Duration, most: Duration) -> Duration {
    let now = *wait;
    *wait = (now * 2).min(most);
    now
}

fn give_up(source: &NodeId, why: &str, tell: &watch::Sender<Cuts>) {
    tracing::warn!(%source, why, "a cut is void: everything is looked at again");
    tell.send_modify(|cuts| {
        cuts.void = true;
        cuts.trouble = Some(format!("{source}: {why}"));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn void_cuts_hold_up_writers_ever_more_rarely() {
        let mut wait = AFTER_VOID.0;
        let waits: Vec<Duration> = (0..10).map(|_| doubled(&mut wait, AFTER_VOID.1)).collect();
        assert!(waits.windows(2).all(|pair| pair[1] == (pair[0] * 2).min(AFTER_VOID.1)), "{waits:?}");
        assert_eq!((waits[0], waits[9]), AFTER_VOID);
    }
}
