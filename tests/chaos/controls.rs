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

/// Which of them, or of these where some are named, were not found out; and what was found with every ingredient in its
/// place, under the same faults.
pub async fn all_are_red(folder: &Path, seed: u64, named: &[String]) -> Vec<String> {
    if !cfg!(debug_assertions) {
        eprintln!("chaos: a release build has every ingredient: no controls");
        return Vec::new();
    }
    let mut kept = Vec::new();
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
        let verdict = if found.is_empty() { "GREEN, and nothing was found" } else { "red, as it has to be" };
        let text = format!("{name}: {verdict}");
        eprintln!("chaos: {text}\n{}", report::violations(&found, 1));
        if found.is_empty() {
            kept.push(text);
        }
    }
    kept.extend(all_is_well(folder, seed, &made).await);
    kept
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

async fn all_is_well(folder: &Path, seed: u64, made: &[(Fault, usize)]) -> Option<String> {
    let folder = folder.join("with-all");
    std::fs::create_dir_all(&folder).expect("a folder for logs and histories");
    let mut run = Run::start(&folder, Setup::CHAOS).await;
    for (fault, member) in made {
        if !run.round(&[planned(*fault, *member)], seed).await {
            break;
        }
    }
    let found = &run.results.findings.violations;
    if found.is_empty() {
        eprintln!("chaos: with every ingredient: green, as it has to be");
        return None;
    }
    let text = format!("with every ingredient: RED, and nothing is missing\n{}", report::violations(found, 3));
    eprintln!("chaos: {text}");
    Some(text)
}
