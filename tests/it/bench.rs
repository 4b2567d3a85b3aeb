//! `kassir bench` as a user runs it, with small counts. What it measures is not judged here: only that it is all there.

use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

/// Runs it and reads its JSON.
async fn bench(arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let small =
        ["--json", "--count", "40", "--senders", "8", "--rate", "40", "--seconds", "1", "--waiting", "30"];
    let out = Command::new(env!("CARGO_BIN_EXE_kassir"))
        .arg("bench")
        .args(small)
        .args(arguments)
        .current_dir(folder.path())
        .env("TMPDIR", folder.path())
        .stderr(Stdio::piped())
        .output()
        .await
        .unwrap();
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "it tidies up");
    serde_json::from_slice(&out.stdout).unwrap()
}

/// The figure at a JSON pointer.
fn figure(figures: &Value, pointer: &str) -> f64 {
    let found = figures.pointer(pointer).unwrap_or(&Value::Null);
    found.as_f64().unwrap_or_else(|| panic!("{pointer} is {found} in {figures:#}"))
}

fn above_zero(figures: &Value, pointers: &[&str]) {
    for pointer in pointers {
        assert!(figure(figures, pointer) > 0.0, "{pointer} in {figures:#}");
    }
}

fn throughput_is_there(figures: &Value) {
    above_zero(figures, &["/floor/intake_per_s", "/floor/end_to_end_per_s"]);
    for part in ["intake", "end_to_end"] {
        above_zero(
            figures,
            &["per_s", "ratio"].map(|name| format!("/{part}/{name}")).each_ref().map(String::as_str),
        );
        assert!(figure(figures, &format!("/{part}/cpu_ms_per_event")) >= 0.0);
    }
    // SQLite looks, decides and writes in one; Redis looks, then writes. Nothing was to be delivered.
    let trips = figure(figures, "/intake/round_trips/per_notification");
    assert!((1.0..3.0).contains(&trips), "{figures:#}");
    assert!(figure(figures, "/intake/round_trips/per_delivery") == 0.0, "{figures:#}");
}

fn the_rest_is_there(figures: &Value, scheduled: f64) {
    above_zero(
        figures,
        &["/resident_mb", "/backlog/ready_s", "/backlog/resident_mb", "/backlog/first_overdue_s"],
    );
    assert!(figure(figures, "/backlog/scheduled") == scheduled);
    assert!(figure(figures, "/backlog/due_p99_ms") >= figure(figures, "/backlog/first_due_ms"));
    above_zero(figures, &["/size/bytes_per_payment", "/size/payments"]);
    for part in ["growth", "endpoints", "endpoints_of_one"] {
        let steps = figures[part].as_array().unwrap();
        assert!(!steps.is_empty(), "{figures:#}");
        for step in 0..steps.len() {
            above_zero(
                figures,
                &["size", "per_s", "resident_mb"]
                    .map(|name| format!("/{part}/{step}/{name}"))
                    .each_ref()
                    .map(String::as_str),
            );
            assert!(figure(figures, &format!("/{part}/{step}/ratio")) >= 0.0);
        }
    }
}

#[tokio::test]
async fn throughput_latency_and_a_slow_endpoint_are_measured_through_tls() {
    let figures = bench(&["--tls", "intake", "end-to-end", "latency", "slow"]).await;
    assert_eq!(figures["tls"], true);
    throughput_is_there(&figures);
    above_zero(&figures, &["/latency/max_ms", "/slow/waiting", "/slow/alone/max_ms", "/slow/beside/max_ms"]);
    // The last results may be written a moment after the events arrived.
    assert!(figure(&figures, "/latency/round_trips/per_delivery") >= 0.5, "{figures:#}");
    assert!(figures["backlog"].is_null() && figures["growth"].is_null(), "{figures:#}");
}

#[tokio::test]
async fn a_backlog_size_and_growth_are_measured() {
    let figures = bench(&[
        "backlog",
        "size",
        "growth",
        "endpoints",
        "--scheduled",
        "60",
        "--stored",
        "50",
        "--endpoints",
        "3",
    ]);
    the_rest_is_there(&figures.await, 60.0);
}

#[tokio::test]
async fn redis_is_measured_the_same_way() {
    let server = crate::redis_server::Server::start(crate::redis_server::DURABLE);
    let parts =
        ["--full", "--scheduled", "60", "--stored", "50", "--endpoints", "3", "--store", &server.url()];
    let figures = bench(&parts).await;
    throughput_is_there(&figures);
    the_rest_is_there(&figures, 60.0);
    assert!(figure(&figures, "/end_to_end/redis_cpu_ms_per_event") >= 0.0);
    let left: Vec<String> = server.command(&["KEYS", "*"]);
    assert!(left.is_empty(), "it tidies up: {left:?}");
}

#[tokio::test]
async fn what_is_set_for_the_operators_own_router_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("production.db");
    let url_file = folder.path().join("url");
    std::fs::write(&url_file, format!("sqlite:{}", elsewhere.display())).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_kassir"))
        .args(["bench", "--json", "--count", "4", "--senders", "2", "intake"])
        .current_dir(folder.path())
        .env("KASSIR__STORE__URL_FILE", &url_file)
        .env("KASSIR__TELEMETRY__SAMPLE_RATIO", "nonsense")
        .output()
        .await
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(!elsewhere.exists(), "it wrote into the operator's store");
}

/// The routers that a process has started and that still run.
fn routers_of(pid: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        Some((pid, std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
    });
    let ours = all.filter(|(_, stat)| {
        let after: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        after[0] != "Z" && after[1] == pid.to_string()
    });
    ours.map(|(pid, _)| pid).collect()
}

#[tokio::test]
async fn what_is_stopped_before_its_end_leaves_nothing_behind() {
    let server = crate::redis_server::Server::start(crate::redis_server::DURABLE);
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Command::new(env!("CARGO_BIN_EXE_kassir"))
        .args(["bench", "--count", "40", "--seconds", "600", "intake", "latency", "--store", &server.url()])
        .current_dir(folder.path())
        .env("TMPDIR", folder.path())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = bench.id().unwrap();
    let (mut routers, mut tick) = (Vec::new(), tokio::time::interval(std::time::Duration::from_millis(20)));
    while routers.is_empty() || server.command::<Vec<String>>(&["KEYS", "bench-*{*"]).is_empty() {
        tick.tick().await;
        routers = routers_of(pid);
    }
    assert!(Command::new("kill").args(["-TERM", &pid.to_string()]).status().await.unwrap().success());
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), bench.wait()).await.unwrap();
    assert_eq!(ended.unwrap().code(), Some(1));
    for router in routers {
        let stat = std::fs::read_to_string(format!("/proc/{router}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "the router goes on: {stat}");
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    let left: Vec<String> = server.command(&["KEYS", "*"]);
    assert!(left.is_empty(), "{left:?}");
}
