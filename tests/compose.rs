//! docker-compose.yml and the Dockerfile, checked without an engine: every command line in them against the command's
//! own parser, every name against what it names.
#![cfg(feature = "cli")]
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser as _;
use redis_ring::cli::Cli;
use redis_ring::membership::{Address, RingUrl};
use serde_json::Value;

const COMPOSE: &str = include_str!("../docker-compose.yml");
const DOCKERFILE: &str = include_str!("../Dockerfile");

fn services() -> BTreeMap<String, Value> {
    let mut compose: serde_norway::Value = serde_norway::from_str(COMPOSE).unwrap();
    // What is merged may itself merge something.
    for _ in 0..2 {
        compose.apply_merge().unwrap();
    }
    let compose: Value = serde_json::to_value(compose).unwrap();
    assert!(!compose["services"].to_string().contains("\"<<\""));
    serde_json::from_value(compose["services"].clone()).unwrap()
}

fn words(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap_or_else(|_| panic!("not a list of words: {value}"))
}

fn is_ours(service: &Value) -> bool {
    service["image"].as_str().unwrap().starts_with("redis-ring:")
}

/// What follows an option on a command line.
fn after<'a>(command: &'a [String], option: &str) -> Option<&'a str> {
    command.iter().position(|word| word == option).and_then(|at| command.get(at + 1)).map(String::as_str)
}

fn agents() -> Vec<Vec<String>> {
    services().values().filter(|s| is_ours(s)).map(|s| words(&s["command"])).filter(|c| c[0] == "agent").collect()
}

fn parse(command: &[String]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(["redis-ring".to_owned()].iter().chain(command))
}

#[test]
fn every_command_line_is_one_that_the_command_takes() {
    let mut checked = 0;
    for (name, service) in services().iter().filter(|(_, service)| is_ours(service)) {
        let command = words(&service["command"]);
        parse(&command).unwrap_or_else(|error| panic!("{name}: {command:?}: {error}"));
        checked += 1;
        if service["healthcheck"].is_object() {
            let test = words(&service["healthcheck"]["test"]);
            assert_eq!(test[..2], ["CMD", "redis-ring"], "{name}");
            parse(&test[2..]).unwrap_or_else(|error| panic!("{name}: {test:?}: {error}"));
            checked += 1;
        }
    }
    assert_eq!(checked, 4 + 4 + 2, "four agents and what looks at them, init and cli");
    assert!(parse(&["agent".to_owned(), "--no-such-option".to_owned()]).is_err(), "the parser does refuse");
}

#[test]
fn what_a_service_waits_for_exists_and_can_come_true() {
    let services = services();
    for (name, service) in &services {
        let Some(needed) = service["depends_on"].as_object() else { continue };
        for (on, how) in needed {
            let other = services.get(on).unwrap_or_else(|| panic!("{name} waits for {on}, which is not there"));
            match how["condition"].as_str().unwrap() {
                "service_healthy" => assert!(other["healthcheck"]["test"].is_array(), "{on} has no health check"),
                "service_completed_successfully" => assert!(other["restart"].is_null(), "{on} never completes"),
                other => panic!("{name}: {other}"),
            }
        }
    }
    let waits =
        |name: &str, on: &str| assert!(services[name]["depends_on"][on].is_object(), "{name} must wait for {on}");
    waits("init", "zookeeper");
    for n in 0..4 {
        waits(&format!("agent-{n}"), "init");
        waits(&format!("agent-{n}"), &format!("redis-{n}"));
        waits("cli", &format!("agent-{n}"));
    }
    assert_eq!(words(&services["cli"]["profiles"]), ["cli"], "up does not start it");
}

#[test]
fn every_agent_has_a_server_of_its_own_and_all_found_one_ring() {
    let (services, agents) = (services(), agents());
    let init = words(&services["init"]["command"]);
    assert_eq!(after(&init, "--members"), Some(agents.len().to_string().as_str()));
    assert!(init.contains(&"--yes".to_owned()) && init.contains(&"--if-absent".to_owned()), "nobody answers; up twice");
    let mut seen = BTreeSet::new();
    for agent in &agents {
        let redis: Address = after(agent, "--redis").unwrap().parse().unwrap();
        let server = &services[&redis.host];
        assert!(server["image"].as_str().unwrap().starts_with("redis:") && redis.port == 6379, "{agent:?}");
        assert!(!redis.is_loopback(), "others could not reach it");
        let server = words(&server["command"]);
        assert_eq!(after(&server, "--maxmemory-policy"), Some("noeviction"));
        assert_eq!(after(&server, "--port"), None, "6379 is the default");
        assert!(seen.insert(redis.host.clone()) && seen.insert(format!("id {}", after(agent, "--id").unwrap())));
    }
    let urls: BTreeSet<&str> = services
        .values()
        .filter(|s| is_ours(s))
        .map(|s| s["environment"]["REDIS_RING_URL"].as_str().unwrap())
        .collect();
    assert_eq!(urls.len(), 1);
    let RingUrl::ZooKeeper { hosts, .. } = urls.first().unwrap().parse().unwrap() else { panic!("{urls:?}") };
    assert_eq!(hosts, ["zookeeper:2181"]);
    assert!(services["zookeeper"]["image"].as_str().unwrap().starts_with("zookeeper:"));
}

/// Of each image, a version with at least two numbers.
fn is_pinned(image: &str) -> bool {
    image.split_once(':').is_some_and(|(_, tag)| tag.starts_with(|c: char| c.is_ascii_digit()) && tag.contains('.'))
}

#[test]
fn images_are_pinned_and_the_dockerfile_builds_what_the_manifest_says() {
    for (name, service) in services() {
        assert!(is_pinned(service["image"].as_str().unwrap()), "{name}");
        assert_eq!(is_ours(&service), service["build"] == ".", "{name}");
    }
    assert!(!is_pinned("redis:latest") && !is_pinned("redis") && !is_pinned("redis:7"));

    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let metadata = std::process::Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let package = &metadata["packages"][0];
    let version = package["version"].as_str().unwrap();
    assert!(services().values().filter(|s| is_ours(s)).all(|s| s["image"] == format!("redis-ring:{version}")));

    let dockerfile = DOCKERFILE.replace("\\\n", " ");
    let from: Vec<&str> = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")?.split(' ').next()).collect();
    assert!(from.len() == 2 && from.iter().all(|image| is_pinned(image)), "{from:?}");
    assert!(from[0].starts_with(&format!("rust:{}.", package["rust_version"].as_str().unwrap())), "{from:?}");
    let build = dockerfile.lines().find(|line| line.contains("cargo build")).unwrap();
    let build: Vec<String> = build.split_whitespace().map(str::to_owned).collect();
    assert!(build.contains(&"--release".to_owned()) && build.contains(&"--locked".to_owned()));
    let binary = package["targets"].as_array().unwrap().iter().find(|t| t["kind"][0] == "bin").unwrap();
    let name = binary["name"].as_str().unwrap();
    assert_eq!(after(&build, "--bin"), Some(name));
    let built: BTreeSet<&str> = after(&build, "--features").unwrap().split(',').collect();
    assert!(built.iter().all(|feature| package["features"][feature].is_array()), "{built:?}");
    let needed = words(&binary["required-features"]);
    assert!(needed.iter().all(|feature| built.contains(feature.as_str())), "{needed:?}");
    let installed = format!("/usr/local/bin/{name}");
    assert_eq!(after(&build, "cp"), Some(format!("target/release/{name}").as_str()));
    assert_eq!(build.last(), Some(&installed));
    assert!(dockerfile.contains(&format!("COPY --from=build {installed} {installed}")));
    assert!(dockerfile.contains(&format!("ENTRYPOINT [\"{name}\"]")));
    let ignored = include_str!("../.dockerignore");
    assert!(ignored.lines().any(|line| line == "target"), "the build's context would be gigabytes");
    assert!(!ignored.lines().any(|line| ["src", "Cargo.toml", "Cargo.lock"].contains(&line)));
}
