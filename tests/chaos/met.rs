//! Whether a fault did anything to anybody.

use crate::faults::{Fault, Network, With};
use crate::support::Met;

/// What a server says of itself when it has come back.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// How many keys it held before.
    pub had: u64,
    /// How many it has read from its disk.
    pub loaded: u64,
    /// Whether it has read them from its file of commands.
    pub commands: bool,
}

/// What the fault lacks, if it does: of each client that it concerns, what happened to its connections meanwhile.
pub fn lacking(fault: Fault, met: &[(usize, Met)]) -> Option<String> {
    let (what, how): (&str, fn(&Met) -> u64) = match fault {
        Fault::Kill(_) => ("no connection ended with the server", |met| met.ended),
        Fault::Stop => ("no request went to the server", |met| met.requests),
        Fault::Net(Network::Refuse | Network::Cut, _) => ("no connection was reset", |met| met.reset),
        Fault::Net(Network::Drop | Network::DropReplies, _) => ("nothing was held", |met| met.held),
        Fault::Net(Network::Delay, _) => ("nothing came later", |met| met.delayed),
    };
    let nobody: Vec<usize> = met.iter().filter(|(_, met)| how(met) == 0).map(|(client, _)| *client).collect();
    (!nobody.is_empty()).then(|| format!("{what} for the clients {nobody:?}"))
}

/// What the server lacks that has come back.
pub fn wrong_life(with: With, life: Life) -> Option<String> {
    let Life { had, loaded, commands } = life;
    let right = match with {
        With::Nothing => had > 0 && loaded == 0,
        With::OldData => loaded > 0 && !commands,
        With::Commands => loaded > 0 && commands,
    };
    (!right).then(|| format!("the server held {had} keys, and came back with {loaded}: {life:?}"))
}
