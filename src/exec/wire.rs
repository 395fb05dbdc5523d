//! How the replies to a batch belong to its commands.

use redis::Value;

use super::reply::is_error;
use crate::node::Gate;

/// The primary's replies to one step.
pub(super) struct Answered {
    /// What the primary's gate said in the moment of the command, where it was asked and the command was not refused.
    pub(super) gate: Option<Gate>,
    pub(super) reply: Value,
    pub(super) answers: Vec<Value>,
}

/// Which replies of the primary belong to a step.
pub(super) struct Shape {
    /// Whether the gate is asked in front of it.
    pub(super) gate: bool,
    pub(super) itself: usize,
    pub(super) probes: usize,
    pub(super) form: Form,
}

/// In which form the primary is sent what belongs to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One command after the other.
    Plain,
    /// A transaction of its own.
    Alone,
    /// One script, whose reply has them all.
    Script,
}

impl Shape {
    pub(super) fn asked(&self) -> usize {
        usize::from(self.gate) + self.itself + self.probes
    }

    /// Takes what belongs to the step, in whatever form it was sent.
    pub(super) fn read(&self, replies: &mut impl Iterator<Item = Value>) -> Option<Answered> {
        match self.form {
            Form::Plain => self.take(replies),
            Form::Alone => self.take(&mut transaction(replies, self.asked())?.replies.into_iter()),
            Form::Script => match replies.next()? {
                Value::Array(replies) if replies.len() == self.asked() => self.take(&mut replies.into_iter()),
                refused if is_error(&refused) => self.take(&mut std::iter::repeat_n(refused, self.asked())),
                _ => None,
            },
        }
    }

    pub(super) fn take(&self, replies: &mut impl Iterator<Item = Value>) -> Option<Answered> {
        let gate = if self.gate { Some(replies.next()?) } else { None };
        let mut reply = if self.itself > 0 { replies.next()? } else { Value::Okay };
        let answers: Vec<Value> = replies.by_ref().take(self.probes).collect();
        if self.itself == 0
            && let Some(refused) = answers.iter().find(|answer| is_error(answer))
        {
            reply = refused.clone();
        }
        let gate = match gate {
            // A user who may not look at the gate is told so, and not only that something could not be queued.
            Some(refused) if is_error(&refused) => {
                reply = refused;
                None
            }
            gate => gate.as_ref().map(Gate::parse),
        };
        (answers.len() == self.probes || is_error(&reply)).then_some(Answered { gate, reply, answers })
    }
}

/// How the replies of a copy are grouped: so many commands, and whether they are a transaction.
pub(super) struct Copied(pub(super) Vec<(usize, bool)>);

impl Copied {
    pub(super) fn flat(&self, replies: Vec<Value>) -> Option<Vec<Value>> {
        let mut replies = replies.into_iter();
        let mut flat = Vec::new();
        for (count, together) in &self.0 {
            match together {
                true => flat.extend(transaction(&mut replies, *count)?.replies),
                false => flat.extend(replies.by_ref().take(*count)),
            }
        }
        Some(flat)
    }
}

/// The replies to the commands of a transaction, from those to MULTI, to each being queued, and to EXEC.
///
/// A transaction that was refused executed nothing: a command that could not be queued has its own error, and the others
/// that of EXEC.
pub(super) fn transaction(replies: &mut impl Iterator<Item = Value>, count: usize) -> Option<Executed> {
    let multi = replies.next()?;
    let queued: Vec<Value> = replies.by_ref().take(count).collect();
    let executed = replies.next()?;
    if queued.len() != count {
        return None;
    }
    match executed {
        Value::Array(replies) if replies.len() == count => Some(Executed { replies, aborted: false }),
        refused @ Value::ServerError(_) => {
            // A server that cannot serve says so to MULTI already, and to EXEC that there was no MULTI.
            let refused = if is_error(&multi) { multi } else { refused };
            let own = |reply| if is_error(&reply) { reply } else { refused.clone() };
            Some(Executed { replies: queued.into_iter().map(own).collect(), aborted: true })
        }
        _ => None,
    }
}

/// What became of the commands of a transaction.
pub(super) struct Executed {
    pub(super) replies: Vec<Value>,
    /// Whether it was refused as a whole.
    pub(super) aborted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(resp: &[&str]) -> Vec<Value> {
        resp.iter().map(|line| redis::parse_redis_value(line.as_bytes()).expect("RESP")).collect()
    }

    fn read(resp: &[&str], count: usize) -> Option<(Vec<Value>, bool)> {
        let executed = transaction(&mut values(resp).into_iter(), count)?;
        Some((executed.replies, executed.aborted))
    }

    #[test]
    fn a_transaction_has_a_reply_for_each_command_whatever_became_of_it() {
        let done = read(&["+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "*2\r\n:1\r\n-ERR x\r\n"], 2).unwrap();
        assert_eq!(done, (values(&[":1\r\n", "-ERR x\r\n"]), false));
        let aborted = read(&["+OK\r\n", "+QUEUED\r\n", "-OOM no\r\n", "-EXECABORT discarded\r\n"], 2).unwrap();
        assert_eq!(aborted, (values(&["-EXECABORT discarded\r\n", "-OOM no\r\n"]), true));
        let loading = read(&["-LOADING x\r\n", "+QUEUED\r\n", "-ERR EXEC without MULTI\r\n"], 1).unwrap();
        assert!(loading.1);
        // What fits no transaction is no answer to one.
        assert!(read(&["+OK\r\n", "+QUEUED\r\n", "*2\r\n:1\r\n:2\r\n"], 1).is_none());
        assert!(read(&["+OK\r\n", "+QUEUED\r\n"], 1).is_none());
        assert!(read(&["+OK\r\n", "+QUEUED\r\n", "$-1\r\n"], 1).is_none());
    }

    #[test]
    fn a_step_takes_its_own_reply_and_those_to_its_probes() {
        let mut replies = values(&[":1\r\n", ":2\r\n", ":3\r\n"]).into_iter();
        let step = Shape { gate: false, itself: 1, probes: 1, form: Form::Plain };
        let answered = step.take(&mut replies).unwrap();
        assert_eq!((answered.reply, answered.answers), (Value::Int(1), vec![Value::Int(2)]));
        let only_probes = Shape { gate: false, itself: 0, probes: 1, form: Form::Plain };
        assert_eq!(only_probes.take(&mut replies).unwrap().answers, [Value::Int(3)]);
        assert!(step.take(&mut replies).is_none());
    }
    #[test]
    fn a_gate_that_may_not_be_asked_refuses_the_step() {
        let step = Shape { gate: true, itself: 1, probes: 1, form: Form::Alone };
        assert_eq!(step.asked(), 3);
        let take = |resp: &[&str]| step.take(&mut values(resp).into_iter()).unwrap();
        let done = take(&["*2\r\n$4\r\nopen\r\n$1\r\n1\r\n", ":1\r\n", ":2\r\n"]);
        assert!(done.gate.unwrap().open && done.reply == Value::Int(1) && done.answers == [Value::Int(2)]);
        let refused = take(&["-NOPERM no\r\n", "-EXECABORT x\r\n", "-EXECABORT x\r\n"]);
        assert!(refused.gate.is_none());
        assert_eq!(refused.reply, values(&["-NOPERM no\r\n"]).remove(0));
        let script = Shape { form: Form::Script, ..step };
        let scripted = script.read(&mut values(&["*3\r\n*0\r\n:1\r\n:2\r\n"]).into_iter()).unwrap();
        assert!(scripted.gate.is_some() && scripted.reply == Value::Int(1));
        let refused = script.read(&mut values(&["-NOPERM no\r\n"]).into_iter()).unwrap();
        assert!(refused.gate.is_none() && is_error(&refused.reply));
        // And one that has only probes.
        let state = Shape { gate: false, itself: 0, probes: 1, form: Form::Alone };
        assert!(is_error(&state.take(&mut values(&["-OOM no\r\n"]).into_iter()).unwrap().reply));
    }
}
