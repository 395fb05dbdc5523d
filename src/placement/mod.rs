//! From a key to its owners; pure.
