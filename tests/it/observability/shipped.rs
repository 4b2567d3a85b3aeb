//! What is shipped for operators beside the binary: dashboard, alerts, and recipes for production.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

/// Names of metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    let name = |word: &&str| word.starts_with("kassir_") || word.starts_with("process_");
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(name)
        .map(|word| {
            ["_bucket", "_sum", "_count"].iter().find_map(|part| word.strip_suffix(part)).unwrap_or(word)
        })
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn dashboard_and_alerts_name_documented_metrics() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let documented = named(&read("docs/metrics.md"));
    let dashboard: Value = serde_json::from_str(&read("ops/grafana/kassir.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let asked: Vec<&str> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    assert!(asked.len() > 20);
    let alerts = read("ops/prometheus/alerts.yml");
    let rules: Vec<&str> = alerts.lines().filter_map(|line| line.trim().strip_prefix("expr:")).collect();
    assert!(rules.len() > 8);
    for expression in asked.iter().chain(&rules) {
        let names = named(expression);
        let unknown: Vec<_> = names.difference(&documented).collect();
        assert!(unknown.is_empty(), "{expression}: {unknown:?}");
    }
    // What keeps money from coming in, or ends its way, has a rule.
    for metric in [
        "kassir_intake_busy_total",
        "kassir_intake_flood_total",
        "kassir_deliveries_ended_total",
        "kassir_endpoints_disabled_total",
        "kassir_confirmations_given_up_total",
        "kassir_provider_calls_total",
        "kassir_queue_measured_timestamp_seconds",
        "kassir_telemetry_exports_failed_total",
    ] {
        assert!(rules.iter().any(|rule| rule.contains(metric)), "no rule looks at {metric}");
    }
    // Only what is told to come again: the rest costs nobody anything, and anybody can make it.
    let flood = rules.iter().find(|rule| rule.contains("kassir_intake_flood_total")).unwrap();
    assert!(flood.contains("kind=~\"at_once|bodies|unproven\""), "{flood}");
    // A sum of no series is nothing, not 0.
    for rule in rules.iter().filter(|rule| rule.contains("sum(") && rule.contains("== 0")) {
        assert!(rule.contains("or vector(0)) == 0"), "does not fire without a series: {rule}");
    }
    for rule in alerts.split("- alert:").skip(1) {
        assert!(
            rule.contains("summary:") && rule.contains("runbook:"),
            "says what it means and what to do: {rule}"
        );
    }
}

#[test]
fn the_two_recipes_for_production_are_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let readme = read("README.md");
    let recipe = readme.split("## Production").nth(1).unwrap().split("```").nth(1).unwrap();
    let recipe: Vec<&str> = recipe.lines().skip(1).collect();
    let compose = read("docker-compose.yml");
    let head: Vec<&str> = compose.lines().map(|line| line.trim_start_matches('#').trim()).collect();
    assert!(recipe.len() > 4 && head.windows(recipe.len()).any(|lines| lines == recipe), "{recipe:?}");
    // The container's user is another one than who made the files.
    assert!(recipe.contains(&"chmod 644 secrets/*"), "{recipe:?}");
    // What compose asks for is where every further command finds it.
    assert!(
        recipe.iter().any(|line| line.starts_with("echo KASSIR_PUBLIC_URL=") && line.ends_with(">> .env"))
    );
    for (list, entries) in [(".dockerignore", ["secrets", ".env"]), (".gitignore", ["/secrets/", "/.env"])] {
        let listed = |entry: &&str| read(list).lines().any(|line| line == *entry);
        assert!(entries.iter().all(listed), "{list}");
    }
}

#[test]
fn who_stops_a_router_waits_for_both_of_its_drains() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let drain = kassir::config::from_parts(None, "test", &BTreeMap::new()).unwrap().delivery.drain.0;
    let patience = |path: &str, before: &str| {
        let text = std::fs::read_to_string(root.join(path)).unwrap();
        let mut lines = text.lines().filter_map(|line| line.trim().strip_prefix(before));
        lines.next_back().unwrap().trim_end_matches('s').parse::<u64>().unwrap()
    };
    for seconds in [
        patience("ops/systemd/kassir.service", "TimeoutStopSec="),
        patience("docker-compose.yml", "stop_grace_period: "),
    ] {
        assert!(seconds > 2 * drain.as_secs(), "{seconds} s");
    }
}
