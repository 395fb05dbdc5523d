//! What may be asked of one member that the caller names.

use redis::Cmd;

use super::refusal::Refusal;
use super::request::{Plan, plan};
use super::row::{Access, Row, Split, Support, Wide};
use super::{index, table};

/// The row of a call that one named member may be sent: what concerns a server and not the ring, and reads of what that
/// member holds.
///
/// # Errors
/// [`Refusal`] with the table's own reason, or because it writes keys (the copies would differ), or because it would
/// block a connection that others use as well.
pub fn on_member(cmd: &Cmd) -> Result<&'static Row, Refusal> {
    let refusal = match plan(cmd) {
        Ok(plan) => return if reads(&plan) { Ok(plan.row()) } else { Err(Refusal::not_on_member(plan.row())) },
        Err(refusal) => refusal,
    };
    // What the ring refuses only because a server must be named for it.
    let row = super::argument(cmd, 0).and_then(|name| index::resolve(name, super::argument(cmd, 1)));
    match row {
        Some(row) if row.split == Split::OneMember && row.support == Support::Never(&table::ONE_MEMBER) => {
            if row.accepts(cmd.args_iter().len()) { Ok(row) } else { Err(Refusal::wrong_count(row)) }
        }
        Some(_) | None => Err(refusal),
    }
}

/// Whether a call that runs on the ring only reads, and answers at once.
fn reads(plan: &Plan<'_>) -> bool {
    match plan {
        Plan::Read { .. } | Plan::AnyMember { .. } | Plan::Channels { .. } => true,
        Plan::Split { row, .. } => row.access == Access::Read,
        Plan::WholeRing { row } => match row.wide {
            Wide::Scan | Wide::Keys | Wide::Size | Wide::Random | Wide::InAll | Wide::OneForAll => true,
            Wide::None
            | Wide::Flush
            | Wide::Acknowledged
            | Wide::Everywhere
            | Wide::LoadScript
            | Wide::ForgetScripts
            | Wide::Kill => false,
        },
        Plan::Write { .. } | Plan::Wait { .. } | Plan::Keyless { .. } | Plan::Publish { .. } => false,
    }
}
