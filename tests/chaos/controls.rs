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
pub const NAMES: [&str; 4] = [CONTROLS[0].0, CONTROLS[1].0, CONTROLS[2].0, CONTROLS[3].0];
const LENGTH: Duration = Duration::from_millis(2500);
/// A ring that lacks something need not become whole, and is judged by what was read.
const PATIENCE: Duration = Duration::from_secs(15);

/// Whether each of them was found out, or of these where some are named; and nothing of the kind with every ingredient in
/// its place, under the same faults and as little patience.
pub async fn all_are_red(folder: &Path, seed: u64, named: &[String]) -> bool {
    if !cfg!(debug_assertions) {
        eprintln!("chaos: a release build has every ingredient: no controls");
        return true;
    }
    let mut all = true;
    let mut made: Vec<(Fault, usize)> = Vec::new();
    for (name, fault) in CONTROLS.into_iter().filter(|(name, _)| named.is_empty() || named.iter().any(|n| n == name)) {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).expect("a folder for logs and histories");
        let mut run = Run::start(&folder, Setup { sabotage: Some(name), ..Setup::CHAOS }).await;
        run.patience = PATIENCE;
        let mut found = Vec::new();
        for member in 0..Setup::CHAOS.members {
            run.round(&[planned(fault, member)], seed).await;
            if !made.contains(&(fault, member)) {
                made.push((fault, member));
            }
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
    all & all_is_well(folder, seed, &made).await
}

fn planned(fault: Fault, member: usize) -> Planned {
    Planned { fault, member, client: 0, length: LENGTH }
}

/// Broken promises to callers.
fn shows(kind: Kind) -> bool {
    match kind {
        Kind::Lost | Kind::Wrong | Kind::HeldTwice | Kind::Differs | Kind::Executed => true,
        Kind::FailedRead | Kind::FailedWrite | Kind::Hung | Kind::NotWhole | Kind::TooLittle => false,
    }
}

async fn all_is_well(folder: &Path, seed: u64, made: &[(Fault, usize)]) -> bool {
    let folder = folder.join("with-all");
    std::fs::create_dir_all(&folder).expect("a folder for logs and histories");
    let mut run = Run::start(&folder, Setup::CHAOS).await;
    run.patience = PATIENCE;
    for (fault, member) in made {
        if !run.round(&[planned(*fault, *member)], seed).await {
            break;
        }
    }
    let found = &run.results.findings.violations;
    let verdict = if found.is_empty() { "green, as it has to be" } else { "RED, and nothing is missing" };
    eprintln!("chaos: with every ingredient: {verdict}\n{}", report::violations(found, 3));
    found.is_empty()
}
