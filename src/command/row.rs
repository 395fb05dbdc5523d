//! The columns of the command table.
//!
//! Everything that the library needs to know about a command stands in its row, so that no other place ever asks for a
//! command by its name. A question that the columns cannot answer becomes a new column, never a second `match`.

/// What the library knows about one command or one subcommand.
#[derive(Debug)]
pub struct Row {
    /// The name as the server's `COMMAND` gives it: lower case, a subcommand as `config|get`.
    pub name: &'static str,
    /// The name as people write it: upper case, a subcommand as `CONFIG GET`. Error texts and traces use this one,
    /// because it is static and cannot carry anything a caller sent.
    pub upper: &'static str,
    /// How many arguments a call has, the name included; negative means "at least that many".
    pub arity: i8,
    /// Whether the name stands alone or together with the first argument.
    pub kind: Kind,
    /// Where the keys stand among the arguments.
    pub keys: Keys,
    /// Whether it reads or writes keys.
    pub access: Access,
    /// Who must be asked.
    pub split: Split,
    /// What the copies get when it writes. This is the row's answer; [`Options`] may raise it for one call.
    pub replication: Replication,
    /// How what it did is told to the copies, where [`Replication::Effect`] asks for that.
    pub effect: Effect,
    /// Whether it may wait for something to come.
    pub wait: Wait,
    /// How it runs on all members.
    pub wide: Wide,
    /// How it names what it runs, if it runs a script or a function.
    pub script: Script,
    /// Whether the server repeats its arguments in errors.
    pub echo: Echo,
    /// The words among the arguments that change the answer of the other columns.
    pub options: Option<&'static Options>,
    /// The reply that proves that nothing was written.
    pub no_effect: NoEffect,
    /// A relative expiry that stands at a fixed place instead of among the options.
    pub lifetime: Lifetime,
    /// Whether the reply is complete in itself.
    pub answer: Answer,
    /// Whether a reply may be given again.
    pub cache: Caching,
    /// Whether it runs on a ring, and if not, why.
    pub support: Support,
}

impl Row {
    /// Whether a call may write a key. A command that stores only on request counts as a write here; what one call of
    /// it does is decided by [`plan`](super::plan).
    #[must_use]
    pub const fn is_write(&self) -> bool {
        matches!(self.access, Access::Write | Access::ReadOrStore)
    }

    /// Whether `count` arguments, the name included, are as many as the command takes.
    #[must_use]
    pub const fn accepts(&self, count: usize) -> bool {
        let arity = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { count >= arity } else { count == arity }
    }
}

/// Whether a name stands alone or together with the first argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The name is the whole name.
    Plain,
    /// The first argument belongs to the name, as in `CONFIG GET`; this row answers only for a call without one.
    Container,
    /// The row of such a pair.
    Subcommand,
}

/// Where the keys of a command stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// It has none.
    None,
    /// Always exactly one, at this position (the name is 0). Most calls are of this kind, so it has a short way of its
    /// own instead of a list with one specification.
    One(u8),
    /// What these specifications find together.
    Many(&'static [KeySpec]),
}

/// One of the server's key specifications: where to begin, and which arguments from there on are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Where to begin.
    pub begin: Begin,
    /// Which arguments from there on are keys.
    pub find: Find,
    /// What the command does with them.
    pub role: Role,
}

/// Where a key specification begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this argument (the name is 0).
    At(u8),
    /// After this word, searched from that argument on; from the end backwards if the position is negative. A call
    /// without the word has none of these keys.
    After {
        /// The word, in upper case.
        word: &'static str,
        /// Where the search begins.
        from: i8,
    },
    /// At the argument of the option that [stores](Meaning::Stores). The server calls the place unknown, because the
    /// word may stand anywhere and may also be another option's argument.
    Stored,
    /// The server does not say, so a call is refused.
    Unknown,
}

/// Which arguments from the beginning of a specification are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Each `step`-th up to the last one.
    Range {
        /// How many arguments after the first; counted from the end of the call if negative.
        last: i8,
        /// The distance between two keys.
        step: u8,
        /// With a negative `last`: only this fraction of the arguments (2 is the first half); 0 or 1 for all.
        limit: u8,
    },
    /// As many as an argument says.
    Counted {
        /// Where the number stands, counted from the beginning.
        number: u8,
        /// Where the first key stands, counted from the beginning.
        first: u8,
        /// The distance between two keys.
        step: u8,
    },
}

/// What a command does with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is only looked at.
    Reads,
    /// It may be changed.
    Writes,
    /// It is no key but a channel, which a server treats alike only when it places it.
    Channel,
}

/// Whether a command reads or writes keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It touches no key.
    None,
    /// It changes none.
    Read,
    /// It may change one.
    Write,
    /// It reads, unless an option names a key to store to.
    ReadOrStore,
}

/// Who must be asked. A command that may name several keys runs as one of a single key when it names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The owners of its one key.
    OneKey,
    /// The owners of all its keys, which must share a hash tag.
    SameToken,
    /// The owners of each key on its own; the replies are put together again.
    PerKey(Merge),
    /// All members.
    WholeRing,
    /// Any member.
    AnyMember,
    /// The one member that the caller names.
    OneMember,
    /// Nobody: it concerns the state of a connection.
    Connection,
    /// The owners of a channel.
    PubSub,
    /// All members, about their channels.
    Channels,
    /// The owners of the keys that a script declares, which must share a hash tag. Without a key any member, and then it
    /// may not write.
    Script,
}

/// How the replies to the parts of a split command become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// An array in the order of the keys.
    InOrder,
    /// The sum of the numbers.
    Sum,
    /// OK, if all of them are.
    AllOk,
}

/// What the copies get when a command writes; the later variants are the stronger demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Replication {
    /// Nothing, since it writes no key.
    None,
    /// The same command at the same time: it leaves the same wherever it runs, and of two writes of one field the
    /// later one wins.
    Absolute,
    /// The same command after the primary, in the order of the primary's replies: it depends on what is there, and does
    /// the same on equal copies.
    Deterministic,
    /// What it did, since it is random or depends on the time.
    Effect,
    /// The state of its keys, since nobody knows what it did.
    Refresh,
    /// It changes what every member must have, keys or not.
    EveryMember,
}

/// How what a command did is told to the copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is not: the copies get the command itself, or the state of its keys.
    None,
    /// `SREM` of the members that the reply names.
    MembersTaken,
    /// `SET` to the reply, the expiry kept.
    NewValue,
    /// `HSET` of the field to the reply.
    NewField,
    /// `XADD` with the id that the reply is, and an exact length where it trimmed about there.
    EntryAdded,
    /// `XTRIM` to the exact length.
    Trimmed,
    /// `XCLAIM` of the entries that the reply names, as of the time of the primary.
    Claimed,
    /// Likewise, of an iteration over the entries.
    AutoClaimed,
    /// `XCLAIM` of the entries that were delivered, and `XGROUP SETID` to where the group stands now.
    Delivered,
    /// `LREM` of the elements that the reply names, from the side they were taken from.
    ListTaken(Side),
    /// Likewise, and a push of the element to the other list.
    ListMoved(Side),
    /// `ZREM` of the members that the reply names.
    SortedTaken,
}

/// How a command names the script or function that it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// It runs none.
    None,
    /// By the whole text, which the server then remembers.
    Body,
    /// By the SHA-1 of a text that the server may not have.
    Name,
    /// By the name of a function.
    Function,
}

/// Whether a server repeats arguments in the errors that it answers.
///
/// An error is a line of text for redis-rs: one that is no UTF-8 ends the connection, which all callers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// It does not.
    Silent,
    /// It does, so arguments that are no UTF-8 are refused.
    Repeats,
}

/// A side of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The head.
    Left,
    /// The tail.
    Right,
    /// As the arguments say.
    Given,
}

/// Whether a command may wait for something to come, and where its longest wait stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It answers at once; its options may still say otherwise.
    Never,
    /// The first argument is the longest wait in seconds.
    First,
    /// The last argument is.
    Last,
}

/// How a command of [`Split::WholeRing`] runs on all members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wide {
    /// It is none of these.
    None,
    /// One member after the other; the cursor says how far it is.
    Scan,
    /// On all members at once, each for the keys that it answers for.
    Keys,
    /// The numbers of all members, divided by the copies.
    Size,
    /// On one member, by chance.
    Random,
    /// On all members, which must be up; what the ring itself keeps there stays.
    Flush,
    /// On none: the ring knows its copies.
    Acknowledged,
    /// On all members that are up, and all must execute it; their replies are one.
    Everywhere,
    /// Likewise, and the client keeps the script for members that come later.
    LoadScript,
    /// Likewise, and the client forgets the scripts that it keeps.
    ForgetScripts,
    /// On all members; of each item of the replies, the least.
    InAll,
    /// On all members; one that had something to kill is enough.
    Kill,
    /// On any member, since all say the same.
    OneForAll,
}

/// The reply that proves that a command wrote nothing, so that the copies need not get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoEffect {
    /// No reply does.
    Unproven,
    /// Nil.
    Nil,
    /// The number 0.
    Zero,
    /// A number below 1.
    NotPositive,
    /// An array without elements.
    Empty,
}

/// A relative expiry at a fixed place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// There is none; the options may still name one.
    None,
    /// `NAME key lifetime value`, which `SET key value PXAT time` says absolutely.
    BeforeValue(Unit),
    /// `NAME key lifetime …`, which `PEXPIREAT key time …` says absolutely. It may be negative: then the key goes.
    OfKey(Unit),
    /// `NAME key lifetime payload …`, which the same with `ABSTTL` says absolutely; 0 is none.
    OfPayload(Unit),
}

/// The unit of a relative expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

/// Whether a reply is complete in itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is.
    Whole,
    /// It may be that the server does not have the script, which can be helped.
    LacksScript,
    /// It goes on with a cursor that only the same server understands (each server hashes with a seed of its own), so
    /// the next call must ask that server again or the iteration starts anew.
    Part,
}

/// Whether a reply may be given again without asking the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// It may not: it depends on more than what the key holds, or the command writes.
    Never,
    /// As long as nobody has written its key.
    UntilWritten,
}

/// Whether a command runs on a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It runs, at least in some of its forms.
    Runs,
    /// It cannot mean anything on a ring.
    Never(&'static Why),
}

/// Why a command is refused, and the way around it.
#[derive(Debug, PartialEq, Eq)]
pub struct Why {
    /// The reason: a clause that begins in lower case and has no full stop.
    pub reason: &'static str,
    /// What to do instead: likewise a clause.
    pub hint: &'static str,
}

/// The words among the arguments that change what a call does.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// The argument where the search begins (the name is 0).
    pub from: u8,
    /// How far it goes.
    pub scan: Scan,
    /// The words.
    pub words: &'static [Word],
}

/// How far the search for options goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// To the end; an argument that is no option is stepped over.
    Everywhere,
    /// Likewise, and nothing else may stand there. A word that is not known is a newer server's option or a mistake: the
    /// primary decides, and the copies get what it took.
    Only,
    /// To the first argument that is no option: what follows is data and may look like one.
    Leading,
    /// Likewise, and that argument is a stream id. With one that the server completes, the copies get the effect.
    LeadingId,
}

/// One option.
#[derive(Debug, PartialEq, Eq)]
pub struct Word {
    /// The word, in upper case; it is found in any case.
    pub word: &'static str,
    /// How many arguments belong to it.
    pub takes: Takes,
    /// What it changes.
    pub meaning: Meaning,
}

/// How many arguments belong to an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// This many.
    Exactly(u8),
    /// One, or two if the first is `=` or `~`.
    Threshold,
}

/// What an option changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing that the copies could notice.
    Plain,
    /// The effect depends on what is there.
    Depends,
    /// Likewise, and the reply is the old value, so that nil no longer proves that nothing was written.
    ReturnsOld,
    /// Its argument is a relative expiry.
    Expires(Unit),
    /// Its argument is a key that is written.
    Stores,
    /// Its argument is a pattern of keys if it contains `*`, and then the call is refused.
    Pattern(&'static Why),
    /// The call is refused.
    Refused(&'static Why),
    /// Where its threshold is approximate (`~`), the copies get the effect.
    Threshold,
    /// Its argument is the longest wait in milliseconds.
    Waits,
    /// It says by itself that an expiry is absolute.
    AbsoluteExpiry,
}
