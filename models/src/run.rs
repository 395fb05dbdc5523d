//! Walks through a model.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, HasDiscoveries, Model};

/// What became of a walk.
#[derive(Debug)]
pub struct Report {
    /// How many different states were seen.
    pub states: usize,
    /// The longest way from the beginning.
    pub depth: usize,
    /// The promises that do not hold, each with the shortest way to a state that shows it.
    pub broken: Vec<(&'static str, String)>,
    /// What should have been possible and never came about.
    pub never: Vec<&'static str>,
}

impl Report {
    /// Whether this promise is broken.
    pub fn breaks(&self, promise: &str) -> bool {
        self.broken.iter().any(|(name, _)| *name == promise)
    }
}

/// Looks at every state that the model can reach.
pub fn everything<M>(model: M) -> Report
where
    M: Model + Send + Sync + Clone + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let checker = model.clone().checker().spawn_bfs().join();
    report(&model, &checker)
}

/// Stops at the first state that breaks any promise.
pub fn until_any<M>(model: M) -> Report
where
    M: Model + Send + Sync + Clone + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let checker = model.clone().checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    report(&model, &checker)
}

/// Stops at the first state that breaks this promise.
pub fn until_broken<M>(model: M, promise: &'static str) -> Report
where
    M: Model + Send + Sync + Clone + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let enough = HasDiscoveries::AnyOf(BTreeSet::from([promise]));
    let checker = model.clone().checker().finish_when(enough).spawn_bfs().join();
    report(&model, &checker)
}

fn report<M>(model: &M, checker: &impl Checker<M>) -> Report
where
    M: Model,
    M::State: Clone + Debug + PartialEq + Hash,
    M::Action: Clone + Debug + PartialEq,
{
    let discoveries = checker.discoveries();
    let mut report = Report {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        broken: Vec::new(),
        never: Vec::new(),
    };
    for property in model.properties() {
        let found = discoveries.get(property.name);
        if property.expectation.discovery_is_failure() {
            if let Some(path) = found {
                let mut text: Vec<String> =
                    path.clone().into_actions().iter().map(|action| format!("{action:?}")).collect();
                text.push(format!("{:?}", path.last_state()));
                report.broken.push((property.name, text.join("\n")));
            }
        } else if found.is_none() {
            report.never.push(property.name);
        }
    }
    report
}
