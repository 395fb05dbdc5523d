//! Creates the records of a ring that is about to be founded.

use zookeeper_client as zk;

use super::Store;
use crate::membership::records::{ConfigRecord, RingRecord, bytes};
use crate::placement::{Config, NodeId, Phase};
use crate::{Error, ErrorKind, Result};

pub(super) async fn init(store: &Store, config: &Config, members: u32) -> Result<()> {
    check(config, members)?;
    let session = &store.session;
    let options = zk::CreateMode::Persistent.with_acls(session.acls());
    let failed = |why: zk::Error| session.error("create the ring", why);
    session.call(session.client().mkdir(session.root(), &options)).await.map_err(failed)?;
    let mut multi = session.client().new_multi_writer();
    let nothing = [];
    for (path, data) in [
        ("/config", &bytes(&ConfigRecord::from(config))?[..]),
        ("/ring", &bytes(&RingRecord::founding(members))?),
        ("/members", &nothing),
        ("/live", &nothing),
    ] {
        multi.add_create(&session.path(path), data, &options).map_err(failed)?;
    }
    match session.call(async { multi.commit().await.map_err(zk::Error::from) }).await {
        Ok(_) => {
            tracing::info!(root = session.root(), members, "a ring is about to be founded");
            Ok(())
        }
        Err(zk::Error::NodeExists) => Err(exists(store).await),
        Err(why) => Err(failed(why)),
    }
}

fn check(config: &Config, members: u32) -> Result<()> {
    let invalid = |message: String| Err(Error::new(ErrorKind::Invalid, message));
    if members == 0 || members > u32::from(u16::MAX) {
        return invalid(format!("a ring of {members} members: it has 1 to {}", u16::MAX));
    }
    // Building a ring of that size checks the rest.
    let one = NodeId::new("founder").map_err(|why| Error::new(ErrorKind::Invalid, why.to_string()))?;
    let placed = [(crate::placement::MemberIndex(0), one, crate::placement::Placed::default())];
    if let Err(why) = crate::placement::Ring::new(config.vnodes, config.copies, placed) {
        return invalid(format!("the ring's numbers cannot be used: {why}"));
    }
    if config.vnodes == 0 || config.db < 0 {
        return invalid("a ring has at least one vnode, and its database number is not negative".to_owned());
    }
    Ok(())
}

async fn exists(store: &Store) -> Error {
    let root = store.root();
    let what = match store.snapshot().await {
        Ok(snapshot) => match snapshot.ring.phase() {
            Ok(Phase::Founding { wanted }) => {
                format!("a ring that is being founded, {} of {wanted} members registered", snapshot.ring.serving.len())
            }
            Ok(phase) => {
                let (step, epoch) = (snapshot.ring.step, snapshot.epoch);
                format!("a ring of {} members, {phase}, step {step}, epoch {epoch}", snapshot.ring.serving.len())
            }
            Err(error) => format!("a ring that cannot be used ({error})"),
        },
        Err(error) if error.kind() == ErrorKind::NotFounded => "some of a ring's nodes, but no /ring".to_owned(),
        Err(error) => format!("something that cannot be read ({error})"),
    };
    Error::new(ErrorKind::Conflict, format!("{root} already holds {what}"))
        .with_hint("choose another root, or look at it with `redis-ring status`")
}
