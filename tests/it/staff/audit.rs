//! The audit log, exported and checked.

use std::process::{Command, Output};

use kassir::domain::people::AuditEntry;
use kassir::manage::audit::chained;
use serde_json::{Value, json};

use crate::process::{ADMIN, Plan};

fn audit(plan: &Plan, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kassir"))
        .arg("audit")
        .args(arguments)
        .args(["--url", &plan.url(), "--token", ADMIN])
        .current_dir(&plan.folder)
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_or_missing_entry_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path());
    let router = plan.start().await;
    let client = plan.client();
    for name in ["one", "two"] {
        let merchant = client.post("/merchants", &json!({ "name": name })).await.unwrap();
        let path = format!("/merchants/{}/replays", merchant["id"].as_str().unwrap());
        for _ in 0..5 {
            client.post(&path, &json!({ "filter": {}, "dry_run": true })).await.unwrap();
        }
    }
    let whole = audit(&plan, &["verify"]);
    assert_eq!(whole.status.code(), Some(0), "{}", told(&whole));
    assert!(told(&whole).contains("are whole"), "{}", told(&whole));
    assert_eq!(audit(&plan, &["export", "--out", "log.ndjson"]).status.code(), Some(0));

    let file = plan.folder.join("log.ndjson");
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() >= 12, "{text}");
    assert_eq!(audit(&plan, &["verify", "log.ndjson"]).status.code(), Some(0));
    let newest: Value = serde_json::from_str(lines[0]).unwrap();
    let hash = newest["hash"].as_str().unwrap();
    assert_eq!(audit(&plan, &["verify", "log.ndjson", "--knows", hash]).status.code(), Some(0));

    // The newest ones taken away: only who noted the hash can know.
    std::fs::write(&file, format!("{}\n", lines[1..].join("\n"))).unwrap();
    assert_eq!(audit(&plan, &["verify", "log.ndjson"]).status.code(), Some(0));
    assert_eq!(audit(&plan, &["verify", "log.ndjson", "--knows", hash]).status.code(), Some(1));
    // One in between taken away, one changed: the entry is named.
    let ids: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_one_chain: Vec<usize> =
        (0..lines.len()).filter(|at| ids[*at]["merchant_id"] == newest["merchant_id"]).collect();
    let (newer, gone) = (of_one_chain[1], of_one_chain[2]);
    let mut without = lines.clone();
    without.remove(gone);
    std::fs::write(&file, format!("{}\n", without.join("\n"))).unwrap();
    let broken = audit(&plan, &["verify", "log.ndjson"]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(told(&broken).contains(ids[newer]["id"].as_str().unwrap()), "{}", told(&broken));
    // One put in, chained to the one that another follows.
    let mut forged: AuditEntry = serde_json::from_value(json!({
        "id": format!("aud_{}", "0".repeat(26)), "actor": "admin", "action": "token.create", "target": "tok_1",
        "merchant": newest["merchant_id"], "detail": "", "at": 1_000,
    }))
    .unwrap();
    forged.hash = chained(ids[gone]["hash"].as_str().unwrap(), &forged);
    let mut line = serde_json::to_value(&forged).unwrap();
    line["merchant_id"] = line["merchant"].take();
    line["at"] = json!("1970-01-01T00:00:01Z");
    std::fs::write(&file, format!("{}\n{line}\n", lines.join("\n"))).unwrap();
    let broken = audit(&plan, &["verify", "log.ndjson"]);
    assert_eq!(broken.status.code(), Some(1));
    for id in [forged.id.to_string(), ids[newer]["id"].as_str().unwrap().to_owned()] {
        assert!(told(&broken).contains(&id), "{}", told(&broken));
    }
    assert_eq!(router.terminate().await, Some(0));

    // In the store itself.
    let store = rusqlite::Connection::open(plan.folder.join("kassir.db")).unwrap();
    let id = ids[gone]["id"].as_str().unwrap();
    let sql = "UPDATE audit SET record = replace(record, 'replay.preview', 'replay.nothing') WHERE id = ?1";
    assert_eq!(store.execute(sql, [id]).unwrap(), 1);
    drop(store);
    let router = plan.start().await;
    let broken = audit(&plan, &["verify"]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(told(&broken).contains(&format!("the chain is broken at {id}")), "{}", told(&broken));
    assert_eq!(router.terminate().await, Some(0));
}
