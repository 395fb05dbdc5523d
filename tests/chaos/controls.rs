//! A harness that cannot fail proves nothing: runs in which an ingredient of the protocol is missing have to turn red.

use std::path::Path;
use std::time::Duration;

use crate::check::Kind;
use crate::faults::{Fault, Network, Whom, With};
use crate::report;
use crate::run::{Planned, Run, Setup};

/// What is missing, and the fault that shows it.
const CONTROLS: [(&str, Fault); 4] = [
    ("no-fence", Fault::Net(Network::Drop, Whom::OneClient)),
    ("trust-returning", Fault::Kill(With::Nothing)),
    ("ack-one", Fault::Kill(With::Nothing)),
    ("no-fill", Fault::Kill(With::Nothing)),
];
const LENGTH: Duration = Duration::from_millis(2500);
/// A ring that lacks something need not become whole, and is judged by what was read.
const PATIENCE: Duration = Duration::from_secs(8);

/// Whether each of them was found out.
pub async fn all_are_red(folder: &Path, seed: u64) -> bool {
    let mut all = true;
    for (name, fault) in CONTROLS {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).expect("a folder for logs and histories");
        let mut run = Run::start(&folder, Setup { sabotage: Some(name), ..Setup::CHAOS }).await;
        run.patience = PATIENCE;
        let planned = |member| Planned { fault, member, client: 0, length: LENGTH };
        let mut found = Vec::new();
        for member in 0..Setup::CHAOS.members {
            run.round(&[planned(member)], seed).await;
            // That it did not become whole shows nothing.
            found = run.results.findings.violations.iter().filter(|v| shows(v.kind)).cloned().collect();
            if !found.is_empty() {
                break;
            }
        }
        all &= !found.is_empty();
        let verdict = if found.is_empty() { "GREEN, and nothing was found" } else { "red, as it has to be" };
        eprintln!("chaos: {name}: {verdict}\n{}", report::violations(&found, 1));
    }
    all
}

/// Broken promises to callers.
fn shows(kind: Kind) -> bool {
    match kind {
        Kind::Lost | Kind::Wrong | Kind::HeldTwice | Kind::Differs | Kind::Executed => true,
        Kind::FailedRead | Kind::Hung | Kind::NotWhole | Kind::TooLittle => false,
    }
}
