//! Walks through a model.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::chance::{Chance, Mood};
use crate::world::{Action, World};

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

/// Goes many ways through a world by chance, until it has met so many states or one that breaks a promise; then it leaves out
/// every step of that way that is not needed. The same seed goes the same ways.
///
/// The checker's own simulation cannot tell its way afterwards where a step was chosen that is not possible.
pub fn by_chance(world: &World, seed: u64, states: usize) -> Report {
    let properties = world.properties();
    let mut report =
        Report { states: 0, depth: 0, broken: Vec::new(), never: properties.iter().filter(|it| !fails(it)).map(|it| it.name).collect() };
    let mut seeds = Chance::new(seed);
    while report.states < states && report.broken.is_empty() {
        let mut mood = Mood::new(seeds.number());
        let mut way = Vec::new();
        let mut state = world.init_states().remove(0);
        let mut actions = Vec::new();
        loop {
            for property in &properties {
                let holds = (property.condition)(world, &state);
                if fails(property) && !holds {
                    report.broken.push((property.name, shortened(world, property, &way)));
                } else if !fails(property) && holds {
                    report.never.retain(|name| *name != property.name);
                }
            }
            actions.clear();
            world.actions(&state, &mut actions);
            let mut next = None;
            while let (None, Some(action)) = (next, mood.choose(&mut actions)) {
                next = world.next_state(&state, action).map(|state| (action, state));
            }
            let Some((action, found)) = next.filter(|_| way.len() < LONGEST && report.broken.is_empty()) else { break };
            way.push(action);
            state = found;
            report.states += 1;
        }
        report.depth = report.depth.max(way.len());
    }
    report
}

/// No way is longer: nothing but repetitions comes after so many steps.
const LONGEST: usize = 400;

fn fails(property: &Property<World>) -> bool {
    property.expectation.discovery_is_failure()
}

/// The way without the steps that do not matter to how it ends, as text.
fn shortened(world: &World, property: &Property<World>, way: &[Action]) -> String {
    let end = |way: &[Action]| {
        let mut state = world.init_states().remove(0);
        for (at, action) in way.iter().enumerate() {
            state = world.next_state(&state, *action)?;
            if !(property.condition)(world, &state) {
                return Some((at + 1, state));
            }
        }
        None
    };
    let mut way = way.to_vec();
    let mut at = way.len();
    while at > 0 {
        at -= 1;
        let mut less = way.clone();
        less.remove(at);
        if let Some((length, _)) = end(&less) {
            less.truncate(length);
            way = less;
            at = way.len();
        }
    }
    let mut text: Vec<String> = way.iter().map(|action| format!("{action:?}")).collect();
    text.extend(end(&way).map(|(_, state)| format!("{state:?}")));
    text.join("\n")
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
