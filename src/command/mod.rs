//! What a command is: its keys, its access, how it is split and how it is replicated.
