//! `kassir listen`: what a developer's local server gets, and where the next run goes on.

use std::collections::HashSet;
use std::process::Stdio;

use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
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
