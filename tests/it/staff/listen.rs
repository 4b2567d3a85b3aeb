//! `kassir listen`: what a developer's local server gets, and where the next run goes on.

use std::collections::HashSet;
use std::process::Stdio;

use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::inbox::{PATIENCE, pay, set_up};
use crate::process::{ADMIN, Plan, free_port};
use crate::subscriber::{Act, Seen, Subscriber};

struct Listening {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Listening {
    fn start(plan: &Plan, to: &str, more: &[&str]) -> Listening {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kassir"))
            .args(["listen", "--forward-to", to, "--json", "--state", "place.json", "--url", &plan.url()])
            .args(["--token", ADMIN])
            .args(more)
            .current_dir(&plan.folder)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Listening { child, lines }
    }

    /// The next attempt that it tells of.
    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.unwrap().unwrap();
        serde_json::from_str(&line.expect("it ended")).unwrap()
    }

    async fn taken(&mut self, count: usize) -> HashSet<String> {
        let mut taken = HashSet::new();
        while taken.len() < count {
            let told = self.next().await;
            if told["taken"] == true {
                assert!(taken.insert(told["event_id"].as_str().unwrap().to_owned()), "twice: {told}");
            }
        }
        taken
    }

    async fn interrupt(mut self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
        let code = tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap().code();
        assert_eq!(code, Some(0));
    }
}

/// The subscriber's own check.
fn verifies(plan: &Plan, seen: &Seen) {
    let place: Value =
        serde_json::from_slice(&std::fs::read(plan.folder.join("place.json")).unwrap()).unwrap();
    let mut headers = http_headers();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, seen.header(name).parse().unwrap());
    }
    Webhook::new(place["secret"].as_str().unwrap()).unwrap().verify(&seen.body, &headers).unwrap();
}

fn http_headers() -> reqwest::header::HeaderMap {
    reqwest::header::HeaderMap::new()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_in_order_signed_and_once_across_restarts() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path());
    let real = Subscriber::http().await;
    let router = plan.start().await;
    let shop = set_up(&plan, &real.url("/real"), true).await;
    pay(&shop.url, 1, 3).await;

    // From a time: everything that is there, as the real subscriber gets it.
    let local = Subscriber::http().await;
    local.script([Act::status(500)]);
    let mut listening = Listening::start(&plan, &local.url("/local"), &["--since", "2020-01-01T00:00:00Z"]);
    let first = listening.next().await;
    assert_eq!(
        (&first["taken"], &first["status"], &first["attempt"]),
        (&json!(false), &json!(500), &json!(1))
    );
    let mut taken = listening.taken(3).await;
    pay(&shop.url, 4, 40).await;
    taken.extend(listening.taken(40).await);
    listening.interrupt().await;
    let mode = std::fs::metadata(plan.folder.join("place.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    real.wait_for(43).await;
    let (seen, real) = (local.seen(), real.seen());
    for one in &seen {
        verifies(&plan, one);
        let same = real.iter().find(|other| other.header("webhook-id") == one.header("webhook-id")).unwrap();
        assert_eq!(String::from_utf8_lossy(&same.body), String::from_utf8_lossy(&one.body));
        assert_eq!(same.header("kassir-proof"), one.header("kassir-proof"));
    }
    assert_eq!((seen[0].header("kassir-attempt"), seen[1].header("kassir-attempt")), ("1", "2"));

    // The next run goes on there, also when nobody listens locally at first.
    pay(&shop.url, 44, 5).await;
    let port = free_port();
    let mut listening = Listening::start(&plan, &format!("http://localhost:{port}/late"), &[]);
    let refused = listening.next().await;
    assert_eq!((&refused["taken"], &refused["status"]), (&json!(false), &Value::Null));
    listening.interrupt().await;
    let mut listening = Listening::start(&plan, &local.url("/local"), &[]);
    let more = listening.taken(5).await;
    assert!(taken.is_disjoint(&more));
    taken.extend(more);
    // The router goes and comes back.
    assert_eq!(router.terminate().await, Some(0));
    let router = plan.start().await;
    pay(&shop.url, 49, 2).await;
    taken.extend(listening.taken(2).await);
    listening.interrupt().await;
    println!(
        "fault: listen-restarts accepted=50 delivered={} duplicated=0 lost={}",
        taken.len(),
        50 - taken.len()
    );
    assert_eq!(taken.len(), 50);
    assert_eq!(router.terminate().await, Some(0));

    let wrong = Command::new(env!("CARGO_BIN_EXE_kassir"))
        .args(["listen", "--forward-to", "http://example.com/", "--merchant", &shop.merchant, "--from"])
        .args(["evt_00000000000000000000000001", "--token", ADMIN])
        .current_dir(&plan.folder)
        .output()
        .await
        .unwrap();
    assert_eq!(wrong.status.code(), Some(2), "{}", String::from_utf8_lossy(&wrong.stderr));
}

/// A command against a router, or a gateway, at a URL.
fn command(folder: &std::path::Path, arguments: &[&str], url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kassir"));
    command.args(arguments).args(["--url", url, "--token", ADMIN]).current_dir(folder).kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

const MERCHANT: &str = "mer_00000000000000000000000001";

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_says_later_is_waited_out() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, local) = (Subscriber::http().await, Subscriber::http().await);
    let later = |status: u16| Act::answer(status, &[("retry-after", "0")], "<h1>restarting</h1>");
    let page = json!({
        "data": [{
            "id": "evt_02000000000000000000000002", "payment_id": 1, "state": "succeeded", "proof": "signed",
            "integration_id": "int_00000000000000000000000001", "test": false,
            "created_at": "2026-11-21T00:00:00Z", "body": { "id": 1, "state": "succeeded" },
        }],
        "next_after": "evt_02000000000000000000000002", "more": false,
    });
    gateway.script([later(502), later(503), later(429), later(504)]);
    gateway.script([Act::answer(200, &[], page.to_string()), later(502), Act::Hang]);
    let arguments = [
        "listen",
        "--forward-to",
        &local.url("/hook"),
        "--merchant",
        MERCHANT,
        "--since",
        "2020-01-01T00:00:00Z",
    ];
    let mut child = command(folder.path(), &arguments, &gateway.url("")).spawn().unwrap();
    tokio::time::timeout(PATIENCE, local.wait_for(1)).await.unwrap();
    tokio::time::timeout(PATIENCE, gateway.wait_for(7)).await.unwrap();
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).await.unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(0), "{told}");
    // Once for each time that it was away.
    assert_eq!(told.matches("trying again").count(), 2, "{told}");
    assert!(told.contains("502: no words were given; trying again"), "{told}");

    // What is wrong for good ends it.
    let gateway = Subscriber::http().await;
    gateway.script([Act::status(403)]);
    let ended = command(folder.path(), &arguments, &gateway.url("")).output().await.unwrap();
    assert_eq!(ended.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_progress_of_a_replay_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Subscriber::http().await;
    let replay = |status: &str| {
        let body = json!({ "id": "rpl_1", "status": status, "matched": 3, "sent": 3 });
        Act::answer(200, &[], body.to_string())
    };
    gateway.script([Act::Close, replay("running"), Act::answer(503, &[("retry-after", "0")], "")]);
    gateway.script([replay("finished")]);
    let arguments = ["replay", "--merchant", MERCHANT, "--follow", "rpl_1"];
    let run = command(folder.path(), &arguments, &gateway.url("")).output();
    let ended = tokio::time::timeout(PATIENCE, run).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{told}");
    assert!(String::from_utf8_lossy(&ended.stdout).contains("3 of 3 sent for again"));
    assert_eq!(told.matches("trying again").count(), 2, "{told}");
    assert_eq!(gateway.seen().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_was_done_but_not_answered_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Subscriber::http().await;
    let replay = |status: &str| {
        let body = json!({ "id": "rpl_1", "status": status, "matched": 3, "sent": 1 });
        Act::answer(200, &[], body.to_string())
    };
    // Long enough for Ctrl-C to come while it waits.
    gateway.script([replay("running"), Act::answer(503, &[("retry-after", "60")], "")]);
    gateway.script([Act::Close, Act::answer(409, &[], r#"{"detail":"it is over"}"#), replay("canceled")]);
    let arguments = ["replay", "--merchant", MERCHANT, "--follow", "rpl_1"];
    let mut command = command(folder.path(), &arguments, &gateway.url("")).spawn().unwrap();
    let mut told = BufReader::new(command.stderr.take().unwrap()).lines();
    let mut says = async |words: &str| {
        while !tokio::time::timeout(PATIENCE, told.next_line())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
            .contains(words)
        {}
    };
    says("trying again").await;
    let pid = command.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    says("trying again to cancel").await;
    let ended = tokio::time::timeout(PATIENCE, command.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    let summary = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(summary.contains("rpl_1 canceled: 1 of 3"), "{summary}");
    assert_eq!(gateway.seen().len(), 5);
}
