//! One row for every command and subcommand of Redis 7.0.
//!
//! Generated from a server's `COMMAND` answer and `reviewed.txt`: change the list and run `make table`. A test compares.

use super::row::{
    Access, Answer, Begin, Effect, Find, KeySpec, Keys, Kind, Lifetime, Meaning, Merge, NoEffect, Options, Replication,
    Role, Row, Scan, Side, Split, Support, Takes, Unit, Wait, Why, Word,
};

/// The rows, sorted by name.
pub static ROWS: [Row; 366] = [
    Row { name: "acl", upper: "ACL", arity: -2, kind: Kind::Container, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "acl|cat", upper: "ACL CAT", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "acl|deluser", upper: "ACL DELUSER", arity: -3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "acl|dryrun", upper: "ACL DRYRUN", arity: -4, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "acl|genpass", upper: "ACL GENPASS", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "acl|getuser", upper: "ACL GETUSER", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "acl|help", upper: "ACL HELP", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "acl|list", upper: "ACL LIST", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "acl|load", upper: "ACL LOAD", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "acl|log", upper: "ACL LOG", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "acl|save", upper: "ACL SAVE", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "acl|setuser", upper: "ACL SETUSER", arity: -3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "acl|users", upper: "ACL USERS", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "acl|whoami", upper: "ACL WHOAMI", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CREDENTIALS) },
    Row { name: "append", upper: "APPEND", arity: 3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "asking", upper: "ASKING", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "auth", upper: "AUTH", arity: -2, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CREDENTIALS) },
    Row { name: "bgrewriteaof", upper: "BGREWRITEAOF", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "bgsave", upper: "BGSAVE", arity: -1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "bitcount", upper: "BITCOUNT", arity: -2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "bitfield", upper: "BITFIELD", arity: -2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "bitfield_ro", upper: "BITFIELD_RO", arity: -2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "bitop", upper: "BITOP", arity: -4, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_BITOP), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "bitpos", upper: "BITPOS", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "blmove", upper: "BLMOVE", arity: 6, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_BLMOVE), access: Access::Write, split: Split::SameToken, replication: Replication::Effect, effect: Effect::ListMoved(Side::Given), wait: Wait::Last, options: None, no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "blmpop", upper: "BLMPOP", arity: -5, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_BLMPOP), access: Access::Write, split: Split::SameToken, replication: Replication::Effect, effect: Effect::ListTaken(Side::Given), wait: Wait::First, options: None, no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "blpop", upper: "BLPOP", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_BLPOP), access: Access::Write, split: Split::SameToken, replication: Replication::Effect, effect: Effect::ListTaken(Side::Left), wait: Wait::Last, options: None, no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "brpop", upper: "BRPOP", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_BLPOP), access: Access::Write, split: Split::SameToken, replication: Replication::Effect, effect: Effect::ListTaken(Side::Right), wait: Wait::Last, options: None, no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "brpoplpush", upper: "BRPOPLPUSH", arity: 4, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_BLMOVE), access: Access::Write, split: Split::SameToken, replication: Replication::Effect, effect: Effect::ListMoved(Side::Right), wait: Wait::Last, options: None, no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "bzmpop", upper: "BZMPOP", arity: -5, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_BLMPOP), access: Access::Write, split: Split::SameToken, replication: Replication::Effect, effect: Effect::SortedTaken, wait: Wait::First, options: None, no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "bzpopmax", upper: "BZPOPMAX", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_BLPOP), access: Access::Write, split: Split::SameToken, replication: Replication::Effect, effect: Effect::SortedTaken, wait: Wait::Last, options: None, no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "bzpopmin", upper: "BZPOPMIN", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_BLPOP), access: Access::Write, split: Split::SameToken, replication: Replication::Effect, effect: Effect::SortedTaken, wait: Wait::Last, options: None, no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "client", upper: "CLIENT", arity: -2, kind: Kind::Container, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "client|caching", upper: "CLIENT CACHING", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CONNECTION) },
    Row { name: "client|getname", upper: "CLIENT GETNAME", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CONNECTION) },
    Row { name: "client|getredir", upper: "CLIENT GETREDIR", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CONNECTION) },
    Row { name: "client|help", upper: "CLIENT HELP", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "client|id", upper: "CLIENT ID", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CONNECTION) },
    Row { name: "client|info", upper: "CLIENT INFO", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CONNECTION) },
    Row { name: "client|kill", upper: "CLIENT KILL", arity: -3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "client|list", upper: "CLIENT LIST", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "client|no-evict", upper: "CLIENT NO-EVICT", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CONNECTION) },
    Row { name: "client|pause", upper: "CLIENT PAUSE", arity: -3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&PAUSE) },
    Row { name: "client|reply", upper: "CLIENT REPLY", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CONNECTION) },
    Row { name: "client|setname", upper: "CLIENT SETNAME", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CONNECTION) },
    Row { name: "client|tracking", upper: "CLIENT TRACKING", arity: -3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CONNECTION) },
    Row { name: "client|trackinginfo", upper: "CLIENT TRACKINGINFO", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CONNECTION) },
    Row { name: "client|unblock", upper: "CLIENT UNBLOCK", arity: -3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "client|unpause", upper: "CLIENT UNPAUSE", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&PAUSE) },
    Row { name: "cluster", upper: "CLUSTER", arity: -2, kind: Kind::Container, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|addslots", upper: "CLUSTER ADDSLOTS", arity: -3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|addslotsrange", upper: "CLUSTER ADDSLOTSRANGE", arity: -4, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|bumpepoch", upper: "CLUSTER BUMPEPOCH", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|count-failure-reports", upper: "CLUSTER COUNT-FAILURE-REPORTS", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|countkeysinslot", upper: "CLUSTER COUNTKEYSINSLOT", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|delslots", upper: "CLUSTER DELSLOTS", arity: -3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|delslotsrange", upper: "CLUSTER DELSLOTSRANGE", arity: -4, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|failover", upper: "CLUSTER FAILOVER", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|flushslots", upper: "CLUSTER FLUSHSLOTS", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|forget", upper: "CLUSTER FORGET", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|getkeysinslot", upper: "CLUSTER GETKEYSINSLOT", arity: 4, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|help", upper: "CLUSTER HELP", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "cluster|info", upper: "CLUSTER INFO", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|keyslot", upper: "CLUSTER KEYSLOT", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|links", upper: "CLUSTER LINKS", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|meet", upper: "CLUSTER MEET", arity: -4, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|myid", upper: "CLUSTER MYID", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|nodes", upper: "CLUSTER NODES", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|replicas", upper: "CLUSTER REPLICAS", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|replicate", upper: "CLUSTER REPLICATE", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|reset", upper: "CLUSTER RESET", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|saveconfig", upper: "CLUSTER SAVECONFIG", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|set-config-epoch", upper: "CLUSTER SET-CONFIG-EPOCH", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|setslot", upper: "CLUSTER SETSLOT", arity: -4, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|shards", upper: "CLUSTER SHARDS", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|slaves", upper: "CLUSTER SLAVES", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "cluster|slots", upper: "CLUSTER SLOTS", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "command", upper: "COMMAND", arity: -1, kind: Kind::Container, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "command|count", upper: "COMMAND COUNT", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "command|docs", upper: "COMMAND DOCS", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "command|getkeys", upper: "COMMAND GETKEYS", arity: -4, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "command|getkeysandflags", upper: "COMMAND GETKEYSANDFLAGS", arity: -4, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "command|help", upper: "COMMAND HELP", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "command|info", upper: "COMMAND INFO", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "command|list", upper: "COMMAND LIST", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "config", upper: "CONFIG", arity: -2, kind: Kind::Container, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "config|get", upper: "CONFIG GET", arity: -3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "config|help", upper: "CONFIG HELP", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "config|resetstat", upper: "CONFIG RESETSTAT", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "config|rewrite", upper: "CONFIG REWRITE", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "config|set", upper: "CONFIG SET", arity: -4, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "copy", upper: "COPY", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_COPY), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: Some(&COPY_OPTIONS), no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "dbsize", upper: "DBSIZE", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::Read, split: Split::WholeRing, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "debug", upper: "DEBUG", arity: -2, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&DEBUG) },
    Row { name: "decr", upper: "DECR", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "decrby", upper: "DECRBY", arity: 3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "del", upper: "DEL", arity: -2, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_DEL), access: Access::Write, split: Split::PerKey(Merge::Sum), replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "discard", upper: "DISCARD", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&TRANSACTION) },
    Row { name: "dump", upper: "DUMP", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "echo", upper: "ECHO", arity: 2, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "eval", upper: "EVAL", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_BLMPOP), access: Access::Write, split: Split::Script, replication: Replication::Refresh, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "eval_ro", upper: "EVAL_RO", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_EVAL_RO), access: Access::Read, split: Split::Script, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "evalsha", upper: "EVALSHA", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_BLMPOP), access: Access::Write, split: Split::Script, replication: Replication::Refresh, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "evalsha_ro", upper: "EVALSHA_RO", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_EVAL_RO), access: Access::Read, split: Split::Script, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "exec", upper: "EXEC", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&TRANSACTION) },
    Row { name: "exists", upper: "EXISTS", arity: -2, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_EXISTS), access: Access::Read, split: Split::PerKey(Merge::Sum), replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "expire", upper: "EXPIRE", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: Some(&EXPIREAT_OPTIONS), no_effect: NoEffect::Zero, lifetime: Lifetime::OfKey(Unit::Seconds), answer: Answer::Whole, support: Support::Runs },
    Row { name: "expireat", upper: "EXPIREAT", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: Some(&EXPIREAT_OPTIONS), no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "expiretime", upper: "EXPIRETIME", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "failover", upper: "FAILOVER", arity: -1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&REPLICATION) },
    Row { name: "fcall", upper: "FCALL", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_BLMPOP), access: Access::Write, split: Split::Script, replication: Replication::Refresh, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "fcall_ro", upper: "FCALL_RO", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_EVAL_RO), access: Access::Read, split: Split::Script, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "flushall", upper: "FLUSHALL", arity: -1, kind: Kind::Plain, keys: Keys::None, access: Access::Write, split: Split::WholeRing, replication: Replication::EveryMember, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "flushdb", upper: "FLUSHDB", arity: -1, kind: Kind::Plain, keys: Keys::None, access: Access::Write, split: Split::WholeRing, replication: Replication::EveryMember, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "function", upper: "FUNCTION", arity: -2, kind: Kind::Container, keys: Keys::None, access: Access::None, split: Split::WholeRing, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "function|delete", upper: "FUNCTION DELETE", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::Write, split: Split::WholeRing, replication: Replication::EveryMember, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "function|dump", upper: "FUNCTION DUMP", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::WholeRing, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "function|flush", upper: "FUNCTION FLUSH", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::Write, split: Split::WholeRing, replication: Replication::EveryMember, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "function|help", upper: "FUNCTION HELP", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "function|kill", upper: "FUNCTION KILL", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::WholeRing, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "function|list", upper: "FUNCTION LIST", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::WholeRing, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "function|load", upper: "FUNCTION LOAD", arity: -3, kind: Kind::Subcommand, keys: Keys::None, access: Access::Write, split: Split::WholeRing, replication: Replication::EveryMember, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "function|restore", upper: "FUNCTION RESTORE", arity: -3, kind: Kind::Subcommand, keys: Keys::None, access: Access::Write, split: Split::WholeRing, replication: Replication::EveryMember, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "function|stats", upper: "FUNCTION STATS", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::WholeRing, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "geoadd", upper: "GEOADD", arity: -5, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: Some(&GEOADD_OPTIONS), no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "geodist", upper: "GEODIST", arity: -4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "geohash", upper: "GEOHASH", arity: -2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "geopos", upper: "GEOPOS", arity: -2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "georadius", upper: "GEORADIUS", arity: -6, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_GEORADIUS), access: Access::ReadOrStore, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: Some(&GEORADIUS_OPTIONS), no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "georadius_ro", upper: "GEORADIUS_RO", arity: -6, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "georadiusbymember", upper: "GEORADIUSBYMEMBER", arity: -5, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_GEORADIUSBYMEMBER), access: Access::ReadOrStore, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: Some(&GEORADIUSBYMEMBER_OPTIONS), no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "georadiusbymember_ro", upper: "GEORADIUSBYMEMBER_RO", arity: -5, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "geosearch", upper: "GEOSEARCH", arity: -7, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "geosearchstore", upper: "GEOSEARCHSTORE", arity: -8, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_GEOSEARCHSTORE), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "get", upper: "GET", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "getbit", upper: "GETBIT", arity: 3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "getdel", upper: "GETDEL", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "getex", upper: "GETEX", arity: -2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: Some(&GETEX_OPTIONS), no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "getrange", upper: "GETRANGE", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "getset", upper: "GETSET", arity: 3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "hdel", upper: "HDEL", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "hello", upper: "HELLO", arity: -1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CREDENTIALS) },
    Row { name: "hexists", upper: "HEXISTS", arity: 3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "hget", upper: "HGET", arity: 3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "hgetall", upper: "HGETALL", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "hincrby", upper: "HINCRBY", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "hincrbyfloat", upper: "HINCRBYFLOAT", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Effect, effect: Effect::NewField, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "hkeys", upper: "HKEYS", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "hlen", upper: "HLEN", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "hmget", upper: "HMGET", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "hmset", upper: "HMSET", arity: -4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "hrandfield", upper: "HRANDFIELD", arity: -2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "hscan", upper: "HSCAN", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Part, support: Support::Runs },
    Row { name: "hset", upper: "HSET", arity: -4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "hsetnx", upper: "HSETNX", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "hstrlen", upper: "HSTRLEN", arity: 3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "hvals", upper: "HVALS", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "incr", upper: "INCR", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "incrby", upper: "INCRBY", arity: 3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "incrbyfloat", upper: "INCRBYFLOAT", arity: 3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Effect, effect: Effect::NewValue, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "info", upper: "INFO", arity: -1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "keys", upper: "KEYS", arity: 2, kind: Kind::Plain, keys: Keys::None, access: Access::Read, split: Split::WholeRing, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "lastsave", upper: "LASTSAVE", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "latency", upper: "LATENCY", arity: -2, kind: Kind::Container, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "latency|doctor", upper: "LATENCY DOCTOR", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "latency|graph", upper: "LATENCY GRAPH", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "latency|help", upper: "LATENCY HELP", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "latency|histogram", upper: "LATENCY HISTOGRAM", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "latency|history", upper: "LATENCY HISTORY", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "latency|latest", upper: "LATENCY LATEST", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "latency|reset", upper: "LATENCY RESET", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "lcs", upper: "LCS", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_LCS), access: Access::Read, split: Split::SameToken, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "lindex", upper: "LINDEX", arity: 3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "linsert", upper: "LINSERT", arity: 5, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::NotPositive, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "llen", upper: "LLEN", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "lmove", upper: "LMOVE", arity: 5, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_BLMOVE), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "lmpop", upper: "LMPOP", arity: -4, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_LMPOP), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "lolwut", upper: "LOLWUT", arity: -1, kind: Kind::Plain, keys: Keys::None, access: Access::Read, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "lpop", upper: "LPOP", arity: -2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "lpos", upper: "LPOS", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "lpush", upper: "LPUSH", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "lpushx", upper: "LPUSHX", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "lrange", upper: "LRANGE", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "lrem", upper: "LREM", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "lset", upper: "LSET", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "ltrim", upper: "LTRIM", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "memory", upper: "MEMORY", arity: -2, kind: Kind::Container, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "memory|doctor", upper: "MEMORY DOCTOR", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "memory|help", upper: "MEMORY HELP", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "memory|malloc-stats", upper: "MEMORY MALLOC-STATS", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "memory|purge", upper: "MEMORY PURGE", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "memory|stats", upper: "MEMORY STATS", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "memory|usage", upper: "MEMORY USAGE", arity: -3, kind: Kind::Subcommand, keys: Keys::One(2), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "mget", upper: "MGET", arity: -2, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_EXISTS), access: Access::Read, split: Split::PerKey(Merge::InOrder), replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "migrate", upper: "MIGRATE", arity: -6, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_MIGRATE), access: Access::Write, split: Split::OneKey, replication: Replication::Effect, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&MIGRATE) },
    Row { name: "module", upper: "MODULE", arity: -2, kind: Kind::Container, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "module|help", upper: "MODULE HELP", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "module|list", upper: "MODULE LIST", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "module|load", upper: "MODULE LOAD", arity: -3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&MODULES) },
    Row { name: "module|loadex", upper: "MODULE LOADEX", arity: -3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&MODULES) },
    Row { name: "module|unload", upper: "MODULE UNLOAD", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&MODULES) },
    Row { name: "monitor", upper: "MONITOR", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&MONITOR) },
    Row { name: "move", upper: "MOVE", arity: 3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Effect, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&DATABASE) },
    Row { name: "mset", upper: "MSET", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_MSET), access: Access::Write, split: Split::PerKey(Merge::AllOk), replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "msetnx", upper: "MSETNX", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_MSET), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "multi", upper: "MULTI", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&TRANSACTION) },
    Row { name: "object", upper: "OBJECT", arity: -2, kind: Kind::Container, keys: Keys::None, access: Access::None, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "object|encoding", upper: "OBJECT ENCODING", arity: 3, kind: Kind::Subcommand, keys: Keys::One(2), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "object|freq", upper: "OBJECT FREQ", arity: 3, kind: Kind::Subcommand, keys: Keys::One(2), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "object|help", upper: "OBJECT HELP", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "object|idletime", upper: "OBJECT IDLETIME", arity: 3, kind: Kind::Subcommand, keys: Keys::One(2), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "object|refcount", upper: "OBJECT REFCOUNT", arity: 3, kind: Kind::Subcommand, keys: Keys::One(2), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "persist", upper: "PERSIST", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "pexpire", upper: "PEXPIRE", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: Some(&EXPIREAT_OPTIONS), no_effect: NoEffect::Zero, lifetime: Lifetime::OfKey(Unit::Milliseconds), answer: Answer::Whole, support: Support::Runs },
    Row { name: "pexpireat", upper: "PEXPIREAT", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: Some(&EXPIREAT_OPTIONS), no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "pexpiretime", upper: "PEXPIRETIME", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "pfadd", upper: "PFADD", arity: -2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "pfcount", upper: "PFCOUNT", arity: -2, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_DEL), access: Access::Read, split: Split::SameToken, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "pfdebug", upper: "PFDEBUG", arity: 3, kind: Kind::Plain, keys: Keys::One(2), access: Access::Write, split: Split::OneKey, replication: Replication::Effect, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&DEBUG) },
    Row { name: "pfmerge", upper: "PFMERGE", arity: -2, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_PFMERGE), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "pfselftest", upper: "PFSELFTEST", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&DEBUG) },
    Row { name: "ping", upper: "PING", arity: -1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "psetex", upper: "PSETEX", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::BeforeValue(Unit::Milliseconds), answer: Answer::Whole, support: Support::Runs },
    Row { name: "psubscribe", upper: "PSUBSCRIBE", arity: -2, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::PubSub, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&SUBSCRIBE) },
    Row { name: "psync", upper: "PSYNC", arity: -3, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&REPLICATION) },
    Row { name: "pttl", upper: "PTTL", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "publish", upper: "PUBLISH", arity: 3, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::PubSub, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "pubsub", upper: "PUBSUB", arity: -2, kind: Kind::Container, keys: Keys::None, access: Access::None, split: Split::Channels, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "pubsub|channels", upper: "PUBSUB CHANNELS", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Channels, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "pubsub|help", upper: "PUBSUB HELP", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "pubsub|numpat", upper: "PUBSUB NUMPAT", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Channels, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "pubsub|numsub", upper: "PUBSUB NUMSUB", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Channels, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "pubsub|shardchannels", upper: "PUBSUB SHARDCHANNELS", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Channels, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "pubsub|shardnumsub", upper: "PUBSUB SHARDNUMSUB", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::Channels, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "punsubscribe", upper: "PUNSUBSCRIBE", arity: -1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::PubSub, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&SUBSCRIBE) },
    Row { name: "quit", upper: "QUIT", arity: -1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CONNECTION) },
    Row { name: "randomkey", upper: "RANDOMKEY", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::Read, split: Split::WholeRing, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "readonly", upper: "READONLY", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "readwrite", upper: "READWRITE", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "rename", upper: "RENAME", arity: 3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_BLMOVE), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "renamenx", upper: "RENAMENX", arity: 3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_BLMOVE), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "replconf", upper: "REPLCONF", arity: -1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&REPLICATION) },
    Row { name: "replicaof", upper: "REPLICAOF", arity: 3, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&REPLICATION) },
    Row { name: "reset", upper: "RESET", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CONNECTION) },
    Row { name: "restore", upper: "RESTORE", arity: -4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: Some(&RESTORE_OPTIONS), no_effect: NoEffect::Unproven, lifetime: Lifetime::OfPayload(Unit::Milliseconds), answer: Answer::Whole, support: Support::Runs },
    Row { name: "restore-asking", upper: "RESTORE-ASKING", arity: -4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Effect, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&CLUSTER) },
    Row { name: "role", upper: "ROLE", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "rpop", upper: "RPOP", arity: -2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "rpoplpush", upper: "RPOPLPUSH", arity: 3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_BLMOVE), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "rpush", upper: "RPUSH", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "rpushx", upper: "RPUSHX", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "sadd", upper: "SADD", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "save", upper: "SAVE", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "scan", upper: "SCAN", arity: -2, kind: Kind::Plain, keys: Keys::None, access: Access::Read, split: Split::WholeRing, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "scard", upper: "SCARD", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "script", upper: "SCRIPT", arity: -2, kind: Kind::Container, keys: Keys::None, access: Access::None, split: Split::WholeRing, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "script|debug", upper: "SCRIPT DEBUG", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&DEBUG) },
    Row { name: "script|exists", upper: "SCRIPT EXISTS", arity: -3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::WholeRing, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "script|flush", upper: "SCRIPT FLUSH", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::WholeRing, replication: Replication::EveryMember, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "script|help", upper: "SCRIPT HELP", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "script|kill", upper: "SCRIPT KILL", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::WholeRing, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "script|load", upper: "SCRIPT LOAD", arity: 3, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::WholeRing, replication: Replication::EveryMember, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "sdiff", upper: "SDIFF", arity: -2, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_EXISTS), access: Access::Read, split: Split::SameToken, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "sdiffstore", upper: "SDIFFSTORE", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_PFMERGE), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "select", upper: "SELECT", arity: 2, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&DATABASE) },
    Row { name: "set", upper: "SET", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: Some(&SET_OPTIONS), no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "setbit", upper: "SETBIT", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "setex", upper: "SETEX", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::BeforeValue(Unit::Seconds), answer: Answer::Whole, support: Support::Runs },
    Row { name: "setnx", upper: "SETNX", arity: 3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "setrange", upper: "SETRANGE", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "shutdown", upper: "SHUTDOWN", arity: -1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&SHUTDOWN) },
    Row { name: "sinter", upper: "SINTER", arity: -2, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_EXISTS), access: Access::Read, split: Split::SameToken, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "sintercard", upper: "SINTERCARD", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_SINTERCARD), access: Access::Read, split: Split::SameToken, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "sinterstore", upper: "SINTERSTORE", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_PFMERGE), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "sismember", upper: "SISMEMBER", arity: 3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "slaveof", upper: "SLAVEOF", arity: 3, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&REPLICATION) },
    Row { name: "slowlog", upper: "SLOWLOG", arity: -2, kind: Kind::Container, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "slowlog|get", upper: "SLOWLOG GET", arity: -2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "slowlog|help", upper: "SLOWLOG HELP", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "slowlog|len", upper: "SLOWLOG LEN", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "slowlog|reset", upper: "SLOWLOG RESET", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&ONE_MEMBER) },
    Row { name: "smembers", upper: "SMEMBERS", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "smismember", upper: "SMISMEMBER", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "smove", upper: "SMOVE", arity: 4, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_BLMOVE), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "sort", upper: "SORT", arity: -2, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_SORT), access: Access::ReadOrStore, split: Split::SameToken, replication: Replication::Refresh, effect: Effect::None, wait: Wait::Never, options: Some(&SORT_OPTIONS), no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "sort_ro", upper: "SORT_RO", arity: -2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: Some(&SORT_OPTIONS), no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "spop", upper: "SPOP", arity: -2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Effect, effect: Effect::MembersTaken, wait: Wait::Never, options: None, no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "spublish", upper: "SPUBLISH", arity: 3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_SPUBLISH), access: Access::None, split: Split::PubSub, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "srandmember", upper: "SRANDMEMBER", arity: -2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "srem", upper: "SREM", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "sscan", upper: "SSCAN", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Part, support: Support::Runs },
    Row { name: "ssubscribe", upper: "SSUBSCRIBE", arity: -2, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_SSUBSCRIBE), access: Access::None, split: Split::PubSub, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&SUBSCRIBE) },
    Row { name: "strlen", upper: "STRLEN", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "subscribe", upper: "SUBSCRIBE", arity: -2, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::PubSub, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&SUBSCRIBE) },
    Row { name: "substr", upper: "SUBSTR", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "sunion", upper: "SUNION", arity: -2, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_EXISTS), access: Access::Read, split: Split::SameToken, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "sunionstore", upper: "SUNIONSTORE", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_PFMERGE), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "sunsubscribe", upper: "SUNSUBSCRIBE", arity: -1, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_SSUBSCRIBE), access: Access::None, split: Split::PubSub, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&SUBSCRIBE) },
    Row { name: "swapdb", upper: "SWAPDB", arity: 3, kind: Kind::Plain, keys: Keys::None, access: Access::Write, split: Split::WholeRing, replication: Replication::EveryMember, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&DATABASE) },
    Row { name: "sync", upper: "SYNC", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::OneMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&REPLICATION) },
    Row { name: "time", upper: "TIME", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "touch", upper: "TOUCH", arity: -2, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_EXISTS), access: Access::Read, split: Split::PerKey(Merge::Sum), replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "ttl", upper: "TTL", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "type", upper: "TYPE", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "unlink", upper: "UNLINK", arity: -2, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_DEL), access: Access::Write, split: Split::PerKey(Merge::Sum), replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "unsubscribe", upper: "UNSUBSCRIBE", arity: -1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::PubSub, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&SUBSCRIBE) },
    Row { name: "unwatch", upper: "UNWATCH", arity: 1, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&TRANSACTION) },
    Row { name: "wait", upper: "WAIT", arity: 3, kind: Kind::Plain, keys: Keys::None, access: Access::None, split: Split::WholeRing, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "watch", upper: "WATCH", arity: -2, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_EXISTS), access: Access::None, split: Split::Connection, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Never(&TRANSACTION) },
    Row { name: "xack", upper: "XACK", arity: -4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xadd", upper: "XADD", arity: -5, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::EntryAdded, wait: Wait::Never, options: Some(&XADD_OPTIONS), no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xautoclaim", upper: "XAUTOCLAIM", arity: -6, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Effect, effect: Effect::AutoClaimed, wait: Wait::Never, options: Some(&XAUTOCLAIM_OPTIONS), no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xclaim", upper: "XCLAIM", arity: -6, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Effect, effect: Effect::Claimed, wait: Wait::Never, options: Some(&XCLAIM_OPTIONS), no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xdel", upper: "XDEL", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xgroup", upper: "XGROUP", arity: -2, kind: Kind::Container, keys: Keys::None, access: Access::None, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xgroup|create", upper: "XGROUP CREATE", arity: -5, kind: Kind::Subcommand, keys: Keys::One(2), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xgroup|createconsumer", upper: "XGROUP CREATECONSUMER", arity: 5, kind: Kind::Subcommand, keys: Keys::One(2), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xgroup|delconsumer", upper: "XGROUP DELCONSUMER", arity: 5, kind: Kind::Subcommand, keys: Keys::One(2), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xgroup|destroy", upper: "XGROUP DESTROY", arity: 4, kind: Kind::Subcommand, keys: Keys::One(2), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xgroup|help", upper: "XGROUP HELP", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xgroup|setid", upper: "XGROUP SETID", arity: -5, kind: Kind::Subcommand, keys: Keys::One(2), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xinfo", upper: "XINFO", arity: -2, kind: Kind::Container, keys: Keys::None, access: Access::None, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xinfo|consumers", upper: "XINFO CONSUMERS", arity: 4, kind: Kind::Subcommand, keys: Keys::One(2), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xinfo|groups", upper: "XINFO GROUPS", arity: 3, kind: Kind::Subcommand, keys: Keys::One(2), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xinfo|help", upper: "XINFO HELP", arity: 2, kind: Kind::Subcommand, keys: Keys::None, access: Access::None, split: Split::AnyMember, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xinfo|stream", upper: "XINFO STREAM", arity: -3, kind: Kind::Subcommand, keys: Keys::One(2), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xlen", upper: "XLEN", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xpending", upper: "XPENDING", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xrange", upper: "XRANGE", arity: -4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xread", upper: "XREAD", arity: -4, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_XREAD), access: Access::Read, split: Split::SameToken, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: Some(&XREAD_OPTIONS), no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xreadgroup", upper: "XREADGROUP", arity: -7, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_XREADGROUP), access: Access::Write, split: Split::SameToken, replication: Replication::Effect, effect: Effect::Delivered, wait: Wait::Never, options: Some(&XREADGROUP_OPTIONS), no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xrevrange", upper: "XREVRANGE", arity: -4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xsetid", upper: "XSETID", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "xtrim", upper: "XTRIM", arity: -4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::Trimmed, wait: Wait::Never, options: Some(&XTRIM_OPTIONS), no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zadd", upper: "ZADD", arity: -4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: Some(&ZADD_OPTIONS), no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zcard", upper: "ZCARD", arity: 2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zcount", upper: "ZCOUNT", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zdiff", upper: "ZDIFF", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_SINTERCARD), access: Access::Read, split: Split::SameToken, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zdiffstore", upper: "ZDIFFSTORE", arity: -4, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_ZDIFFSTORE), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zincrby", upper: "ZINCRBY", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zinter", upper: "ZINTER", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_SINTERCARD), access: Access::Read, split: Split::SameToken, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zintercard", upper: "ZINTERCARD", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_SINTERCARD), access: Access::Read, split: Split::SameToken, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zinterstore", upper: "ZINTERSTORE", arity: -4, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_ZDIFFSTORE), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zlexcount", upper: "ZLEXCOUNT", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zmpop", upper: "ZMPOP", arity: -4, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_LMPOP), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Nil, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zmscore", upper: "ZMSCORE", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zpopmax", upper: "ZPOPMAX", arity: -2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Empty, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zpopmin", upper: "ZPOPMIN", arity: -2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Empty, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zrandmember", upper: "ZRANDMEMBER", arity: -2, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zrange", upper: "ZRANGE", arity: -4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zrangebylex", upper: "ZRANGEBYLEX", arity: -4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zrangebyscore", upper: "ZRANGEBYSCORE", arity: -4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zrangestore", upper: "ZRANGESTORE", arity: -5, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_GEOSEARCHSTORE), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zrank", upper: "ZRANK", arity: 3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zrem", upper: "ZREM", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Absolute, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zremrangebylex", upper: "ZREMRANGEBYLEX", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zremrangebyrank", upper: "ZREMRANGEBYRANK", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zremrangebyscore", upper: "ZREMRANGEBYSCORE", arity: 4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Write, split: Split::OneKey, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Zero, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zrevrange", upper: "ZREVRANGE", arity: -4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zrevrangebylex", upper: "ZREVRANGEBYLEX", arity: -4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zrevrangebyscore", upper: "ZREVRANGEBYSCORE", arity: -4, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zrevrank", upper: "ZREVRANK", arity: 3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zscan", upper: "ZSCAN", arity: -3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Part, support: Support::Runs },
    Row { name: "zscore", upper: "ZSCORE", arity: 3, kind: Kind::Plain, keys: Keys::One(1), access: Access::Read, split: Split::OneKey, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zunion", upper: "ZUNION", arity: -3, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_SINTERCARD), access: Access::Read, split: Split::SameToken, replication: Replication::None, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
    Row { name: "zunionstore", upper: "ZUNIONSTORE", arity: -4, kind: Kind::Plain, keys: Keys::Many(KEYS_LIKE_ZDIFFSTORE), access: Access::Write, split: Split::SameToken, replication: Replication::Deterministic, effect: Effect::None, wait: Wait::Never, options: None, no_effect: NoEffect::Unproven, lifetime: Lifetime::None, answer: Answer::Whole, support: Support::Runs },
];

const KEYS_LIKE_BITOP: &[KeySpec] = &[
    KeySpec { begin: Begin::At(2), find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Writes },
    KeySpec { begin: Begin::At(3), find: Find::Range { last: -1, step: 1, limit: 0 }, role: Role::Reads },
];

const KEYS_LIKE_BLMOVE: &[KeySpec] = &[
    KeySpec { begin: Begin::At(1), find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Writes },
    KeySpec { begin: Begin::At(2), find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Writes },
];

const KEYS_LIKE_BLMPOP: &[KeySpec] = &[
    KeySpec { begin: Begin::At(2), find: Find::Counted { number: 0, first: 1, step: 1 }, role: Role::Writes },
];

const KEYS_LIKE_BLPOP: &[KeySpec] = &[
    KeySpec { begin: Begin::At(1), find: Find::Range { last: -2, step: 1, limit: 0 }, role: Role::Writes },
];

const KEYS_LIKE_COPY: &[KeySpec] = &[
    KeySpec { begin: Begin::At(1), find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Reads },
    KeySpec { begin: Begin::At(2), find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Writes },
];

const KEYS_LIKE_DEL: &[KeySpec] = &[
    KeySpec { begin: Begin::At(1), find: Find::Range { last: -1, step: 1, limit: 0 }, role: Role::Writes },
];

const KEYS_LIKE_EVAL_RO: &[KeySpec] = &[
    KeySpec { begin: Begin::At(2), find: Find::Counted { number: 0, first: 1, step: 1 }, role: Role::Reads },
];

const KEYS_LIKE_EXISTS: &[KeySpec] = &[
    KeySpec { begin: Begin::At(1), find: Find::Range { last: -1, step: 1, limit: 0 }, role: Role::Reads },
];

const KEYS_LIKE_GEORADIUS: &[KeySpec] = &[
    KeySpec { begin: Begin::At(1), find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Reads },
    KeySpec { begin: Begin::After { word: "STORE", from: 6 }, find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Writes },
    KeySpec { begin: Begin::After { word: "STOREDIST", from: 6 }, find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Writes },
];

const KEYS_LIKE_GEORADIUSBYMEMBER: &[KeySpec] = &[
    KeySpec { begin: Begin::At(1), find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Reads },
    KeySpec { begin: Begin::After { word: "STORE", from: 5 }, find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Writes },
    KeySpec { begin: Begin::After { word: "STOREDIST", from: 5 }, find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Writes },
];

const KEYS_LIKE_GEOSEARCHSTORE: &[KeySpec] = &[
    KeySpec { begin: Begin::At(1), find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Writes },
    KeySpec { begin: Begin::At(2), find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Reads },
];

const KEYS_LIKE_LCS: &[KeySpec] = &[
    KeySpec { begin: Begin::At(1), find: Find::Range { last: 1, step: 1, limit: 0 }, role: Role::Reads },
];

const KEYS_LIKE_LMPOP: &[KeySpec] = &[
    KeySpec { begin: Begin::At(1), find: Find::Counted { number: 0, first: 1, step: 1 }, role: Role::Writes },
];

const KEYS_LIKE_MIGRATE: &[KeySpec] = &[
    KeySpec { begin: Begin::At(3), find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Writes },
    KeySpec { begin: Begin::After { word: "KEYS", from: -2 }, find: Find::Range { last: -1, step: 1, limit: 0 }, role: Role::Writes },
];

const KEYS_LIKE_MSET: &[KeySpec] = &[
    KeySpec { begin: Begin::At(1), find: Find::Range { last: -1, step: 2, limit: 0 }, role: Role::Writes },
];

const KEYS_LIKE_PFMERGE: &[KeySpec] = &[
    KeySpec { begin: Begin::At(1), find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Writes },
    KeySpec { begin: Begin::At(2), find: Find::Range { last: -1, step: 1, limit: 0 }, role: Role::Reads },
];

const KEYS_LIKE_SINTERCARD: &[KeySpec] = &[
    KeySpec { begin: Begin::At(1), find: Find::Counted { number: 0, first: 1, step: 1 }, role: Role::Reads },
];

const KEYS_LIKE_SORT: &[KeySpec] = &[
    KeySpec { begin: Begin::At(1), find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Reads },
    KeySpec { begin: Begin::Stored, find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Writes },
];

const KEYS_LIKE_SPUBLISH: &[KeySpec] = &[
    KeySpec { begin: Begin::At(1), find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Channel },
];

const KEYS_LIKE_SSUBSCRIBE: &[KeySpec] = &[
    KeySpec { begin: Begin::At(1), find: Find::Range { last: -1, step: 1, limit: 0 }, role: Role::Channel },
];

const KEYS_LIKE_XREAD: &[KeySpec] = &[
    KeySpec { begin: Begin::After { word: "STREAMS", from: 1 }, find: Find::Range { last: -1, step: 1, limit: 2 }, role: Role::Reads },
];

const KEYS_LIKE_XREADGROUP: &[KeySpec] = &[
    KeySpec { begin: Begin::After { word: "STREAMS", from: 4 }, find: Find::Range { last: -1, step: 1, limit: 2 }, role: Role::Reads },
];

const KEYS_LIKE_ZDIFFSTORE: &[KeySpec] = &[
    KeySpec { begin: Begin::At(1), find: Find::Range { last: 0, step: 1, limit: 0 }, role: Role::Writes },
    KeySpec { begin: Begin::At(2), find: Find::Counted { number: 0, first: 1, step: 1 }, role: Role::Reads },
];

const COPY_OPTIONS: Options = Options {
    from: 3,
    scan: Scan::Everywhere,
    words: &[
        Word { word: "DB", takes: Takes::Exactly(1), meaning: Meaning::Refused(&OTHER_DATABASE) },
        Word { word: "REPLACE", takes: Takes::Exactly(0), meaning: Meaning::Plain },
    ],
};

const EXPIREAT_OPTIONS: Options = Options {
    from: 3,
    scan: Scan::Only,
    words: &[
        Word { word: "NX", takes: Takes::Exactly(0), meaning: Meaning::Depends },
        Word { word: "XX", takes: Takes::Exactly(0), meaning: Meaning::Depends },
        Word { word: "GT", takes: Takes::Exactly(0), meaning: Meaning::Depends },
        Word { word: "LT", takes: Takes::Exactly(0), meaning: Meaning::Depends },
    ],
};

const GEOADD_OPTIONS: Options = Options {
    from: 2,
    scan: Scan::Leading,
    words: &[
        Word { word: "NX", takes: Takes::Exactly(0), meaning: Meaning::Depends },
        Word { word: "XX", takes: Takes::Exactly(0), meaning: Meaning::Depends },
        Word { word: "CH", takes: Takes::Exactly(0), meaning: Meaning::Plain },
    ],
};

const GEORADIUS_OPTIONS: Options = Options {
    from: 6,
    scan: Scan::Everywhere,
    words: &[
        Word { word: "COUNT", takes: Takes::Exactly(1), meaning: Meaning::Plain },
        Word { word: "STORE", takes: Takes::Exactly(1), meaning: Meaning::Stores },
        Word { word: "STOREDIST", takes: Takes::Exactly(1), meaning: Meaning::Stores },
    ],
};

const GEORADIUSBYMEMBER_OPTIONS: Options = Options {
    from: 5,
    scan: Scan::Everywhere,
    words: &[
        Word { word: "COUNT", takes: Takes::Exactly(1), meaning: Meaning::Plain },
        Word { word: "STORE", takes: Takes::Exactly(1), meaning: Meaning::Stores },
        Word { word: "STOREDIST", takes: Takes::Exactly(1), meaning: Meaning::Stores },
    ],
};

const GETEX_OPTIONS: Options = Options {
    from: 2,
    scan: Scan::Only,
    words: &[
        Word { word: "EX", takes: Takes::Exactly(1), meaning: Meaning::Expires(Unit::Seconds) },
        Word { word: "PX", takes: Takes::Exactly(1), meaning: Meaning::Expires(Unit::Milliseconds) },
        Word { word: "EXAT", takes: Takes::Exactly(1), meaning: Meaning::Plain },
        Word { word: "PXAT", takes: Takes::Exactly(1), meaning: Meaning::Plain },
        Word { word: "PERSIST", takes: Takes::Exactly(0), meaning: Meaning::Plain },
    ],
};

const RESTORE_OPTIONS: Options = Options {
    from: 4,
    scan: Scan::Everywhere,
    words: &[
        Word { word: "REPLACE", takes: Takes::Exactly(0), meaning: Meaning::Plain },
        Word { word: "ABSTTL", takes: Takes::Exactly(0), meaning: Meaning::AbsoluteExpiry },
        Word { word: "IDLETIME", takes: Takes::Exactly(1), meaning: Meaning::Plain },
        Word { word: "FREQ", takes: Takes::Exactly(1), meaning: Meaning::Plain },
    ],
};

const SET_OPTIONS: Options = Options {
    from: 3,
    scan: Scan::Only,
    words: &[
        Word { word: "EX", takes: Takes::Exactly(1), meaning: Meaning::Expires(Unit::Seconds) },
        Word { word: "PX", takes: Takes::Exactly(1), meaning: Meaning::Expires(Unit::Milliseconds) },
        Word { word: "EXAT", takes: Takes::Exactly(1), meaning: Meaning::Plain },
        Word { word: "PXAT", takes: Takes::Exactly(1), meaning: Meaning::Plain },
        Word { word: "NX", takes: Takes::Exactly(0), meaning: Meaning::Depends },
        Word { word: "XX", takes: Takes::Exactly(0), meaning: Meaning::Depends },
        Word { word: "KEEPTTL", takes: Takes::Exactly(0), meaning: Meaning::Depends },
        Word { word: "GET", takes: Takes::Exactly(0), meaning: Meaning::ReturnsOld },
    ],
};

const SORT_OPTIONS: Options = Options {
    from: 2,
    scan: Scan::Everywhere,
    words: &[
        Word { word: "BY", takes: Takes::Exactly(1), meaning: Meaning::Pattern(&PATTERNS) },
        Word { word: "GET", takes: Takes::Exactly(1), meaning: Meaning::Pattern(&PATTERNS) },
        Word { word: "LIMIT", takes: Takes::Exactly(2), meaning: Meaning::Plain },
        Word { word: "STORE", takes: Takes::Exactly(1), meaning: Meaning::Stores },
    ],
};

const XADD_OPTIONS: Options = Options {
    from: 2,
    scan: Scan::LeadingId,
    words: &[
        Word { word: "NOMKSTREAM", takes: Takes::Exactly(0), meaning: Meaning::Depends },
        Word { word: "MAXLEN", takes: Takes::Threshold, meaning: Meaning::Threshold },
        Word { word: "MINID", takes: Takes::Threshold, meaning: Meaning::Threshold },
        Word { word: "LIMIT", takes: Takes::Exactly(1), meaning: Meaning::Plain },
    ],
};

const XAUTOCLAIM_OPTIONS: Options = Options {
    from: 6,
    scan: Scan::Everywhere,
    words: &[
        Word { word: "COUNT", takes: Takes::Exactly(1), meaning: Meaning::Plain },
        Word { word: "JUSTID", takes: Takes::Exactly(0), meaning: Meaning::Plain },
    ],
};

const XCLAIM_OPTIONS: Options = Options {
    from: 5,
    scan: Scan::Everywhere,
    words: &[
        Word { word: "IDLE", takes: Takes::Exactly(1), meaning: Meaning::Plain },
        Word { word: "TIME", takes: Takes::Exactly(1), meaning: Meaning::Plain },
        Word { word: "RETRYCOUNT", takes: Takes::Exactly(1), meaning: Meaning::Plain },
        Word { word: "FORCE", takes: Takes::Exactly(0), meaning: Meaning::Plain },
        Word { word: "JUSTID", takes: Takes::Exactly(0), meaning: Meaning::Plain },
        Word { word: "LASTID", takes: Takes::Exactly(1), meaning: Meaning::Plain },
    ],
};

const XREAD_OPTIONS: Options = Options {
    from: 1,
    scan: Scan::Leading,
    words: &[
        Word { word: "COUNT", takes: Takes::Exactly(1), meaning: Meaning::Plain },
        Word { word: "BLOCK", takes: Takes::Exactly(1), meaning: Meaning::Waits },
    ],
};

const XREADGROUP_OPTIONS: Options = Options {
    from: 1,
    scan: Scan::Leading,
    words: &[
        Word { word: "GROUP", takes: Takes::Exactly(2), meaning: Meaning::Plain },
        Word { word: "COUNT", takes: Takes::Exactly(1), meaning: Meaning::Plain },
        Word { word: "BLOCK", takes: Takes::Exactly(1), meaning: Meaning::Waits },
        Word { word: "NOACK", takes: Takes::Exactly(0), meaning: Meaning::Plain },
    ],
};

const XTRIM_OPTIONS: Options = Options {
    from: 2,
    scan: Scan::Everywhere,
    words: &[
        Word { word: "MAXLEN", takes: Takes::Threshold, meaning: Meaning::Threshold },
        Word { word: "MINID", takes: Takes::Threshold, meaning: Meaning::Threshold },
        Word { word: "LIMIT", takes: Takes::Exactly(1), meaning: Meaning::Plain },
    ],
};

const ZADD_OPTIONS: Options = Options {
    from: 2,
    scan: Scan::Leading,
    words: &[
        Word { word: "NX", takes: Takes::Exactly(0), meaning: Meaning::Depends },
        Word { word: "XX", takes: Takes::Exactly(0), meaning: Meaning::Depends },
        Word { word: "GT", takes: Takes::Exactly(0), meaning: Meaning::Depends },
        Word { word: "LT", takes: Takes::Exactly(0), meaning: Meaning::Depends },
        Word { word: "INCR", takes: Takes::Exactly(0), meaning: Meaning::Depends },
        Word { word: "CH", takes: Takes::Exactly(0), meaning: Meaning::Plain },
    ],
};

const CLUSTER: Why = Why {
    reason: "its members are plain servers and no Redis Cluster",
    hint: "the tool's status, ring and locate verbs show the members and where a key lives",
};

const CONNECTION: Why = Why {
    reason: "all callers share its connections, so their state cannot belong to one of them",
    hint: "use a redis::Client of your own for what needs a connection's state",
};

const CREDENTIALS: Why = Why {
    reason: "its connections log in when they are made",
    hint: "give user and password to the client's builder",
};

const DATABASE: Why = Why {
    reason: "a ring is one database, chosen when it is founded",
    hint: "found a ring for each database, or give the keys a prefix",
};

const DEBUG: Why = Why {
    reason: "it works on the inside of one server and may stop it",
    hint: "use a server that belongs to no ring",
};

const MIGRATE: Why = Why {
    reason: "the ring decides where keys live",
    hint: "move the ring with the tool's agent and leave verbs, or copy keys with DUMP in the caller",
};

const MODULES: Why = Why {
    reason: "a server that gains or loses commands behind the ring's back differs from the others",
    hint: "name modules in the configuration of every server",
};

const MONITOR: Why = Why {
    reason: "its connections are shared, and this one would turn into a log",
    hint: "run redis-cli monitor at one server",
};

const ONE_MEMBER: Why = Why {
    reason: "it concerns one server and a ring has many",
    hint: "ask that member: client.on(id), or `redis-ring exec --on ID -- …`",
};

const OTHER_DATABASE: Why = Why {
    reason: "a ring is one database, chosen when it is founded",
    hint: "copy under another key instead",
};

const PATTERNS: Why = Why {
    reason: "such a pattern reads keys whose names only the server knows, and they live on other members",
    hint: "fetch the weights and sort in the caller, or keep a sorted set",
};

const PAUSE: Why = Why {
    reason: "the ring pauses its servers itself while keys move, and must not be woken early",
    hint: "stop the callers instead",
};

const REPLICATION: Why = Why {
    reason: "its members are all primaries, and the ring makes the copies",
    hint: "add and remove members with the tool's agent and leave verbs",
};

const SHUTDOWN: Why = Why {
    reason: "a ring is not one server that could be stopped",
    hint: "stop that server on its machine; the ring goes on without it",
};

const SUBSCRIBE: Why = Why {
    reason: "its connections are shared, and a subscribed one answers nothing else",
    hint: "subscribe through client.pubsub()",
};

const TRANSACTION: Why = Why {
    reason: "its connections are shared, and a transaction by hand would mix with the calls of others",
    hint: "use redis::pipe().atomic(); with WATCH, client.transaction()",
};
