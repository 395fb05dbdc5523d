//! What docs/access.md says.

const PAGE: &str = include_str!("../../docs/access.md");

fn section(title: &str) -> &'static str {
    PAGE.split("\n## ").find(|section| section.starts_with(title)).unwrap_or_else(|| panic!("no section {title}"))
}

fn items(title: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    section(title).lines().filter_map(|line| line.strip_prefix("- ")?.split_once(": "))
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rules of the application's own commands, as the example has them, name and password left out.
pub fn application() -> Vec<&'static str> {
    let example = section("What the application sends").split("```").nth(1).expect("an example");
    let words = example.split_whitespace().skip_while(|word| *word != "ACL").skip(3);
    words.filter(|word| !["on", ">password"].contains(word)).collect()
}

/// What the ring itself needs.
pub fn ring(gated: bool) -> Vec<&'static str> {
    let elsewhere = if gated { "fixed lists only" } else { "not with a fixed list" };
    let rules = items("What the ring sends").filter(|(_, why)| !why.contains(elsewhere));
    rules.flat_map(|(rules, _)| quoted(rules)).collect()
}

/// What some calls need.
pub fn calls() -> Vec<&'static str> {
    items("What some calls need").flat_map(|(rules, _)| quoted(rules)).collect()
}

/// What a command needs beside itself.
pub fn beside(command: &str) -> Vec<&'static str> {
    let lines = section("What the application sends").lines().filter_map(|line| line.strip_prefix("- "));
    let of = lines.filter(|line| quoted(line).any(|word| word == command));
    of.flat_map(quoted).filter(|word| word.starts_with('+')).flat_map(|rules| rules.split(' ')).collect()
}

/// What an agent needs.
pub fn agent() -> Vec<&'static str> {
    let mut rules: Vec<&str> = items("What an agent sends").flat_map(|(rules, _)| quoted(rules)).collect();
    let as_client = ring(true).into_iter().filter(|rule| rule.starts_with('+') && !rules.contains(rule));
    rules.extend(as_client.collect::<Vec<_>>());
    rules
}
