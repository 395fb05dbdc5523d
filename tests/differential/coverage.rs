//! Which rows of the command table some test executes.

use std::collections::{BTreeMap, BTreeSet};

use redis_ring::command::{ROWS, Support};

use super::template::Forms;

/// Rows that run and stand both among the forms and in the list of the others, or in neither; and lines of that list
/// for what is no such row.
pub fn wrong(forms: &Forms) -> Vec<String> {
    let covered: BTreeSet<&str> = forms.forms.iter().flat_map(|form| &form.rows).map(|row| row.name).collect();
    let not_covered = not_covered();
    let mut wrong = Vec::new();
    for row in ROWS.iter().filter(|row| row.support == Support::Runs) {
        match (covered.contains(row.name), not_covered.contains_key(row.name)) {
            (true, true) => wrong.push(format!("{} has a form and stands in not_covered.txt", row.name)),
            (false, false) => wrong.push(format!("{} has no form and does not stand in not_covered.txt", row.name)),
            (true, false) | (false, true) => {}
        }
    }
    let known: BTreeSet<&str> = ROWS.iter().map(|row| row.name).collect();
    wrong.extend(not_covered.keys().filter(|name| !known.contains(*name)).map(|name| format!("{name} is no row")));
    wrong
}

/// The list: a name and where it is executed, or why nowhere.
fn not_covered() -> BTreeMap<&'static str, &'static str> {
    let lines = include_str!("not_covered.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut list = BTreeMap::new();
    for line in lines {
        let (name, reason) = line.split_once(' ').unwrap_or_else(|| panic!("`{line}` gives no reason"));
        assert!(list.insert(name, reason.trim()).is_none(), "`{name}` stands there twice");
    }
    list
}
