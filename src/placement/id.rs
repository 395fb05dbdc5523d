//! Names that take part in the wire contract, checked once where they enter.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A name that is not one to sixty-four of `A-Z a-z 0-9 . _ : -`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName {
    what: &'static str,
    name: String,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} is not 1 to 64 of A-Z a-z 0-9 . _ : -", self.what, self.name)
    }
}

impl std::error::Error for InvalidName {}

fn checked(what: &'static str, name: &str) -> Result<Arc<str>, InvalidName> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    // A name that is a path component of its own would not be a node under `/members`.
    let dots = name == "." || name == "..";
    if (1..=64).contains(&name.len()) && name.bytes().all(valid) && !dots {
        Ok(name.into())
    } else {
        // A name from outside may be anything and of any length; an error text repeats only its beginning.
        Err(InvalidName { what, name: name.chars().take(64).collect() })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks a name. It must be 1 to 64 of `A-Z a-z 0-9 . _ : -`.
            pub fn new(name: &str) -> Result<Self, InvalidName> {
                checked($what, name).map(Self)
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;
            fn from_str(name: &str) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// The stable name of a member. Its points are made from it, never from its address.
    NodeId,
    "member id"
);
name!(
    /// Where a member stands (a rack, an availability zone): copies are put into different zones.
    Zone,
    "zone"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_the_contract_are_refused() {
        for good in ["a", "redis-0", "10.0.0.1:6379", "A_b.c", &"x".repeat(64)] {
            assert!(NodeId::new(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "a/b", "ä", "a b", ".", "..", &"x".repeat(65)] {
            assert!(NodeId::new(bad).is_err(), "{bad}");
        }
    }
}
