//! The gate of a server: a hash beside its data that says for which life of the data and up to which step it may be used.

use std::collections::BTreeMap;

use redis::Value;

use crate::placement::{Generation, NodeId, RunId, Step};

/// What a server's gate says. A field that is missing, or that cannot be read, is `None`: nobody guesses.
///
/// Each field has one kind of writer. `run_id`, `gen` and `open` are the member's agent's, `step` is of whoever leads the
/// move, and `cut:<id>` is of the agent of the member `<id>`, which is gaining keys of this server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gate {
    /// The process that the gate was opened for. A dump that another one has loaded brings its own.
    pub(crate) run_id: Option<RunId>,
    pub(crate) generation: Option<Generation>,
    pub(crate) open: bool,
    pub(crate) step: Option<Step>,
    /// Who has been copied everything up to this moment, and in which step. It counts only for clients of that step.
    pub(crate) cuts: BTreeMap<NodeId, Step>,
}

/// Why a gate lets nobody through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shut {
    /// It is not open, or lacks what would say for whom.
    Closed,
    /// It is that of another process, or of another life of the data.
    OtherLife,
    /// It wants clients that know a newer ring.
    Newer(Step),
}

impl Gate {
    /// Reads the answer to `HGETALL`. Anything else than a hash is a gate that is shut.
    pub(crate) fn parse(reply: &Value) -> Gate {
        let fields: Vec<(String, String)> = redis::from_redis_value_ref(reply).unwrap_or_default();
        let mut gate = Gate::default();
        for (field, value) in fields {
            match field.as_str() {
                RUN_ID => gate.run_id = Some(RunId::new(&value)),
                GENERATION => gate.generation = value.parse().ok().map(Generation),
                OPEN => gate.open = value == "1",
                STEP => gate.step = value.parse().ok().map(Step),
                _ => {
                    let id = field.strip_prefix(CUT).and_then(|id| NodeId::new(id).ok());
                    if let (Some(id), Ok(step)) = (id, value.parse()) {
                        gate.cuts.insert(id, Step(step));
                    }
                }
            }
        }
        gate
    }

    /// Whether a connection to this process may be used for this life of the member's data by a client that knows the ring
    /// of this step.
    pub(crate) fn admits(&self, run_id: &RunId, generation: Generation, known: Step) -> Result<(), Shut> {
        let (Some(for_process), Some(for_life), Some(step), true) =
            (&self.run_id, self.generation, self.step, self.open)
        else {
            return Err(Shut::Closed);
        };
        if for_process != run_id || for_life != generation {
            return Err(Shut::OtherLife);
        }
        if step > known { Err(Shut::Newer(step)) } else { Ok(()) }
    }

    /// Whether what a client of this step writes here has to be sent to a member that is gaining as well.
    ///
    /// It is the client's step that counts, and not the gate's: when the ring has flipped, the gate's is newer already,
    /// while clients that have not seen it yet must go on to write to everybody who was named.
    pub(crate) fn names(&self, id: &NodeId, known: Step) -> bool {
        self.cuts.get(id) == Some(&known)
    }
}

/// The fields of the hash.
pub(crate) const RUN_ID: &str = "run_id";
pub(crate) const GENERATION: &str = "gen";
pub(crate) const OPEN: &str = "open";
pub(crate) const STEP: &str = "step";
/// Followed by the id of a member that is gaining.
pub(crate) const CUT: &str = "cut:";

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(fields: &[(&str, &str)]) -> Gate {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        Gate::parse(&Value::Array(fields.iter().flat_map(|(field, value)| [bulk(field), bulk(value)]).collect()))
    }

    #[test]
    fn only_a_whole_gate_of_this_life_lets_through() {
        let (run, life, step) = (RunId::new("r"), Generation(3), Step(5));
        let whole =
            [("run_id", "r"), ("gen", "3"), ("open", "1"), ("step", "5"), ("cut:b", "5"), ("cut:", "1"), ("x", "y")];
        assert_eq!(gate(&whole).admits(&run, life, step), Ok(()));
        assert_eq!(gate(&whole).admits(&run, life, Step(6)), Ok(()));
        assert_eq!(gate(&whole).admits(&run, life, Step(4)), Err(Shut::Newer(Step(5))));
        assert_eq!(gate(&whole).admits(&run, Generation(4), step), Err(Shut::OtherLife));
        assert_eq!(gate(&whole).admits(&RunId::new("s"), life, step), Err(Shut::OtherLife));
        for lacking in 0..4 {
            let fields: Vec<_> = whole.iter().enumerate().filter(|(at, _)| *at != lacking).map(|(_, f)| *f).collect();
            assert_eq!(gate(&fields).admits(&run, life, step), Err(Shut::Closed), "without {}", whole[lacking].0);
        }
        assert_eq!(Gate::parse(&Value::Int(1)).admits(&run, life, step), Err(Shut::Closed));
    }

    #[test]
    fn a_cut_counts_for_clients_of_its_step_alone() {
        let (b, gate) = (NodeId::new("b").unwrap(), gate(&[("cut:b", "5"), ("step", "6")]));
        assert!(gate.names(&b, Step(5)), "also when the gate has gone on");
        assert!(!gate.names(&b, Step(6)) && !gate.names(&b, Step(4)));
        assert!(!gate.names(&NodeId::new("c").unwrap(), Step(5)));
    }
}
