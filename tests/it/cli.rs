//! The commands, as a user runs them: what they print and how they exit.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::process::Plan;

fn kassir(folder: &std::path::Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kassir"))
        .args(arguments)
        .current_dir(folder)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_demo_shows_the_whole_job() {
    let folder = tempfile::tempdir().unwrap();
    let demo = kassir(folder.path(), &["demo"], &[]);
    let text = out(&demo);
    assert_eq!(demo.status.code(), Some(0), "{text}\n{}", err(&demo));
    for part in [
        "robokassa",
        "yookassa",
        "cloudpayments",
        "answered 500, is tried again",
        "no second event",
        "refused with",
        "marked as a replay",
        "\"provider\": \"cloudpayments\"",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn a_wrong_configuration_exits_with_2_and_says_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kassir.toml"), "lisen = \"127.0.0.1:1\"\n").unwrap();
    let check = kassir(folder.path(), &["config", "check"], &[]);
    assert_eq!(check.status.code(), Some(2));
    assert!(err(&check).contains("kassir.toml: unknown key lisen; did you mean listen?"), "{}", err(&check));
    let serve = kassir(folder.path(), &["serve"], &[]);
    assert_eq!(serve.status.code(), Some(2));
    let missing = kassir(folder.path(), &["--config", "nosuch.toml", "config", "check"], &[]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(err(&missing).contains("can't read nosuch.toml"));
    assert_eq!(kassir(folder.path(), &["nosuchcommand"], &[]).status.code(), Some(2));
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_not_taken_for_one_that_is_not_given() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = tempfile::tempdir().unwrap();
    let serve = Command::new(env!("CARGO_BIN_EXE_kassir"))
        .arg("serve")
        .current_dir(folder.path())
        .env("KASSIR__STORE__URL", std::ffi::OsStr::from_bytes(b"redis://:geheim\xe9@127.0.0.1:1"))
        .output()
        .unwrap();
    assert_eq!(serve.status.code(), Some(2));
    let said = err(&serve);
    assert!(said.contains("KASSIR__STORE__URL: its value is no UTF-8 text"), "{said}");
    assert!(!said.contains("geheim") && folder.path().read_dir().unwrap().count() == 0, "{said}");
}

#[test]
fn the_configuration_is_shown_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [
        ("KASSIR__ADMIN_TOKEN", "very-secret-admin-token"),
        ("KASSIR__STORE__URL", "redis://:geheim@h:6379/0"),
    ];
    for arguments in [&["config", "show"][..], &["config", "show", "--json"]] {
        let show = kassir(folder.path(), arguments, &environment);
        assert_eq!(show.status.code(), Some(0));
        assert!(!out(&show).contains("geheim") && !out(&show).contains("very-secret"), "{}", out(&show));
        assert!(out(&show).contains("redis://:***@h:6379/0"));
    }
    let json: Value =
        serde_json::from_str(&out(&kassir(folder.path(), &["config", "show", "--json"], &[]))).unwrap();
    assert_eq!(json["delivery.max_age"], "24h");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_makes_key_and_token_and_says_where() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let router = Plan::sqlite(folder.path()).start().await;
    let said = router.said.join("\n");
    assert!(said.contains("master.key (made now"), "{said}");
    assert!(said.contains("fsynced"), "{said}");
    let mode = std::fs::metadata(folder.path().join("master.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(router.terminate().await, Some(0));
}

#[test]
fn who_only_asks_a_router_makes_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let url = ["--url", "http://127.0.0.1:9"];
    for command in [
        &["replay", "--dry-run"][..],
        &["listen", "--forward-to", "http://localhost:9/"],
        &["audit", "export"],
        &["export"],
    ] {
        let asked = kassir(folder.path(), &[command, &url].concat(), &[]);
        assert_eq!(asked.status.code(), Some(2), "{command:?}: {}", err(&asked));
        assert!(err(&asked).contains("give --token"), "{command:?}: {}", err(&asked));
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "{command:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_in_no_store_that_nobody_has() {
    let (folder, routers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let create = |environment: &[(&str, &str)]| {
        let made = kassir(folder.path(), &["token", "create", "--role", "support"], environment);
        assert_eq!((made.status.code(), out(&made)), (Some(2), String::new()), "{}", err(&made));
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "nothing is made");
        assert!(err(&made).contains("--config FILE"), "says what to do: {}", err(&made));
        err(&made)
    };
    let looked_for = |name: &str| folder.path().join("kassir-data").join(name).display().to_string();

    let nobody = format!("127.0.0.1:{}", crate::process::free_port());
    let said = create(&[("KASSIR__LISTEN", &nobody)]);
    assert!(said.contains(&looked_for("admin.token")) && said.contains(&looked_for("kassir.db")), "{said}");
    let known = [("KASSIR__LISTEN", nobody.as_str()), ("KASSIR__ADMIN_TOKEN", crate::process::ADMIN)];
    let said = create(&known);
    assert!(said.contains(&nobody) && said.contains(&looked_for("kassir.db")), "{said}");

    // Beside a router whose admin token is not known here.
    let plan = Plan::sqlite(routers.path());
    let router = plan.start().await;
    let listen = format!("127.0.0.1:{}", plan.port);
    let said = create(&[("KASSIR__LISTEN", &listen)]);
    assert!(said.contains(&looked_for("kassir.db")), "{said}");
    let said = create(&[("KASSIR__LISTEN", &listen), ("KASSIR__STORE__URL", &plan.store)]);
    assert!(said.contains(&looked_for("admin.token")) && said.contains("has the store"), "{said}");
    assert_eq!(router.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_makes_no_store_and_says_that_there_is_none() {
    let (folder, routers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let plan = Plan::sqlite(routers.path());
    let listen = format!("127.0.0.1:{}", plan.port);
    let doctor = |more: &[(&str, &str)]| {
        let environment = [&[("KASSIR__LISTEN", listen.as_str())], more].concat();
        let doctor = kassir(folder.path(), &["doctor", "--offline", "--json"], &environment);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "nothing is made");
        let (store, code) = (finding(&findings(&doctor), "store").clone(), doctor.status.code());
        let text = |name: &str| store[name].as_str().unwrap().to_owned();
        (code, text("mark"), text("found"), text("advice"))
    };
    let file = folder.path().join("kassir-data/kassir.db").display().to_string();

    let (code, mark, found, advice) = doctor(&[]);
    assert_eq!((code, mark.as_str()), (Some(0), "warning"), "{found}");
    assert!(found.contains(&file) && advice.contains("kassir serve"), "{found}: {advice}");

    // The router that runs has its store elsewhere.
    let router = plan.start().await;
    let (code, mark, found, advice) = doctor(&[]);
    assert_eq!((code, mark.as_str()), (Some(1), "failure"), "{found}");
    assert!(found.contains(&file) && advice.contains("--config FILE"), "{found}: {advice}");
    assert_eq!(router.terminate().await, Some(0));

    // Where none can be made.
    let unmade = kassir(
        folder.path(),
        &["doctor", "--offline", "--json"],
        &[("KASSIR__LISTEN", &listen), ("KASSIR__STORE__URL", "sqlite:/proc/kassir/kassir.db")],
    );
    let found = findings(&unmade);
    let fails = |finding: &&Value| finding["what"] == "store" && finding["mark"] == "failure";
    let failure = found.iter().find(fails).unwrap_or_else(|| panic!("{found:#?}"));
    assert!(failure["found"].as_str().unwrap().contains("can't be made in /proc"), "{failure}");
    assert_eq!(unmade.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_router_on_the_same_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path());
    let router = plan.start().await;
    let second = kassir(
        folder.path(),
        &["serve"],
        &[("KASSIR__STORE__URL", &plan.store), ("KASSIR__LISTEN", "127.0.0.1:0")],
    );
    assert_eq!(second.status.code(), Some(1));
    assert!(!err(&second).is_empty());
    assert_eq!(router.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn simulate_replay_token_health_and_doctor_work_with_a_running_router() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path());
    let router = plan.start().await;
    let client = plan.client();
    let merchant = client.post("/merchants", &json!({ "name": "Лавка" })).await.unwrap();
    let merchant = merchant["id"].as_str().unwrap().to_owned();
    let listen = format!("127.0.0.1:{}", plan.port);
    let key = folder.path().join("master.key").display().to_string();
    let environment = [
        ("KASSIR__LISTEN", listen.as_str()),
        ("KASSIR__ADMIN_TOKEN", crate::process::ADMIN),
        ("KASSIR__STORE__URL", &plan.store),
        ("KASSIR__SECRETS__MASTER_KEY_FILE", key.as_str()),
    ];
    let run = |arguments: &[&str]| kassir(folder.path(), arguments, &environment);

    let body =
        json!({ "provider": "cloudpayments", "credentials": { "public_id": "pk_1", "api_secret": "abc" } });
    let shop = client.post(&format!("/merchants/{merchant}/integrations"), &body).await.unwrap();
    let url = shop["webhook_url"].as_str().unwrap();
    let right = [
        "simulate",
        "cloudpayments",
        "--to",
        url,
        "--credential",
        "public_id=pk_1",
        "--credential",
        "api_secret=abc",
    ];
    let sent = run(&right);
    assert_eq!((sent.status.code(), out(&sent).trim()), (Some(0), r#"200 {"code":0}"#), "{}", err(&sent));
    let wrong = [
        "simulate",
        "cloudpayments",
        "--to",
        url,
        "--credential",
        "public_id=pk_1",
        "--credential",
        "api_secret=no",
    ];
    assert_eq!(run(&wrong).status.code(), Some(1));
    assert_eq!(run(&["simulate", "nosuch"]).status.code(), Some(2));

    let made = run(&["token", "create", "--role", "support", "--merchant", &merchant]);
    assert_eq!(made.status.code(), Some(0), "{}", err(&made));
    assert!(out(&made).starts_with("kas_"));
    assert_eq!(run(&["token", "create", "--role", "merchant"]).status.code(), Some(2));

    let preview = run(&["replay", "--merchant", &merchant, "--status", "failed", "--dry-run"]);
    assert_eq!(preview.status.code(), Some(0), "{}", err(&preview));
    assert!(out(&preview).contains("0 deliveries match"));

    assert_eq!(run(&["health"]).status.code(), Some(0));
    let doctor = run(&["doctor", "--offline", "--json"]);
    assert_eq!(doctor.status.code(), Some(0), "a running router is no failure: {}", out(&doctor));
    assert_eq!(router.terminate().await, Some(0));
    let doctor = run(&["doctor", "--offline"]);
    assert_eq!(doctor.status.code(), Some(0), "{}{}", out(&doctor), err(&doctor));
    let young = "remove 0 events with their deliveries older than 90 days, 0 notifications";
    let json = run(&["doctor", "--offline", "--json"]);
    assert!(out(&json).contains(young) && out(&json).contains("KiB"), "{}", out(&json));
    let short = [&environment[..], &[("KASSIR__RETENTION__EVENTS", "1h")]].concat();
    let json = kassir(folder.path(), &["doctor", "--offline", "--json"], &short);
    assert!(out(&json).contains("remove 0 events with their deliveries older than 1 h"), "{}", out(&json));
    assert_eq!(run(&["health"]).status.code(), Some(1));
    let alone = run(&["token", "create", "--role", "admin", "--name", "first", "--json"]);
    assert_eq!(alone.status.code(), Some(0), "{}", err(&alone));
    let alone: Value = serde_json::from_str(&out(&alone)).unwrap();
    let long = run(&["token", "create", "--role", "admin", "--name", &"n".repeat(201)]);
    assert_eq!(long.status.code(), Some(1));
    assert!(err(&long).contains("/name is longer than 200 characters"), "{}", err(&long));

    // Also what no router did is in the audit log.
    let router = plan.start().await;
    let log = client.get("/audit").await.unwrap();
    let made = &log["data"][0];
    assert_eq!(
        (&made["actor"], &made["action"], &made["target"], &made["detail"]),
        (&json!("cli"), &json!("token.create"), &alone["id"], &json!("role admin first"))
    );
    let tokens = client.get("/tokens").await.unwrap();
    assert_eq!(tokens["data"].as_array().unwrap().len(), 2);
    assert_eq!(router.terminate().await, Some(0));
}

/// The finding of `doctor --json` about this.
fn finding<'a>(found: &'a [Value], what: &str) -> &'a Value {
    found.iter().find(|finding| finding["what"] == what).unwrap_or_else(|| panic!("no {what} in {found:#?}"))
}

fn findings(doctor: &Output) -> Vec<Value> {
    serde_json::from_str(&out(doctor)).unwrap_or_else(|error| panic!("{error}: {}", err(doctor)))
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_reads_the_store_beside_the_router_that_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path());
    let router = plan.start().await;
    let client = plan.client();
    let merchant = client.post("/merchants", &json!({ "name": "Лавка" })).await.unwrap();
    let merchant = merchant["id"].as_str().unwrap();
    // Nobody takes its events there.
    let away = json!({ "url": Plan::sqlite(folder.path()).url() });
    client.post(&format!("/merchants/{merchant}/endpoints"), &away).await.unwrap();
    let shop =
        json!({ "provider": "cloudpayments", "credentials": { "public_id": "pk_1", "api_secret": "abc" } });
    let shop = client.post(&format!("/merchants/{merchant}/integrations"), &shop).await.unwrap();
    let credentials = ["--credential", "public_id=pk_1", "--credential", "api_secret=abc"];
    let simulate = ["simulate", "cloudpayments", "--to", shop["webhook_url"].as_str().unwrap()];
    let sent = kassir(folder.path(), &[&simulate[..], &credentials].concat(), &[]);
    assert_eq!(sent.status.code(), Some(0), "{}", err(&sent));

    let (listen, key) = (format!("127.0.0.1:{}", plan.port), folder.path().join("master.key"));
    let environment = [
        ("KASSIR__LISTEN", listen.as_str()),
        ("KASSIR__STORE__URL", &plan.store),
        ("KASSIR__SECRETS__MASTER_KEY_FILE", key.to_str().unwrap()),
    ];
    let doctor = || kassir(folder.path(), &["doctor", "--offline", "--json"], &environment);
    let read = |found: &[Value]| {
        let waits = finding(found, "backlog")["found"].as_str().unwrap();
        assert!(waits.starts_with("1 in the queue") && waits.contains("oldest undelivered event"), "{waits}");
        assert!(finding(found, "size")["found"].as_str().unwrap().ends_with("iB"), "{found:#?}");
        assert!(finding(found, "disk")["found"].as_str().unwrap().ends_with("MiB are free"), "{found:#?}");
        assert_eq!(finding(found, "stored secrets")["mark"], "ok");
        assert!(finding(found, "endpoints")["found"].as_str().unwrap().starts_with('1'), "{found:#?}");
    };

    let ready = doctor();
    let found = findings(&ready);
    let says = finding(&found, "router");
    assert_eq!((ready.status.code(), &says["mark"]), (Some(0), &json!("ok")), "{found:#?}");
    let says = says["found"].as_str().unwrap();
    assert!(says.contains("ready, in") && says.contains("read beside it"), "{says}");
    read(&found);

    // One that hangs still has the file.
    router.signal("STOP").await;
    let hangs = doctor();
    let found = findings(&hangs);
    let says = finding(&found, "router");
    assert_eq!((hangs.status.code(), &says["mark"]), (Some(1), &json!("failure")), "{found:#?}");
    assert!(says["found"].as_str().unwrap().contains("no router answers"), "{says}");
    read(&found);
    router.signal("CONT").await;
    assert_eq!(router.terminate().await, Some(0));
    let found = findings(&doctor());
    assert!(found.iter().all(|finding| finding["what"] != "router"), "{found:#?}");
    read(&found);
}

#[test]
fn doctor_says_of_a_file_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let no_database = folder.path().join("notes.txt");
    std::fs::write(&no_database, "not a database at all, ".repeat(500)).unwrap();
    for (path, part) in [(no_database.clone(), ".recover"), (no_database.join("kassir.db"), "store.url")] {
        let url = format!("sqlite:{}", path.display());
        let doctor =
            kassir(folder.path(), &["doctor", "--offline", "--json"], &[("KASSIR__STORE__URL", &url)]);
        let found = findings(&doctor);
        let store = finding(&found, "store");
        assert_eq!((doctor.status.code(), &store["mark"]), (Some(1), &json!("failure")), "{store}");
        assert!(store["advice"].as_str().unwrap().contains(part), "{store}");
        assert!(finding(&found, "disk")["found"].as_str().unwrap().ends_with("MiB are free"), "{found:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_master_key_than_the_stores_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path());
    let router = plan.start().await;
    let client = plan.client();
    let merchant = client.post("/merchants", &json!({ "name": "Лавка" })).await.unwrap();
    assert_eq!(router.terminate().await, Some(0));
    let (key, kept) = (folder.path().join("master.key"), folder.path().join("kept.key"));
    let refused = |is: bool, words: &str| {
        let environment = [
            ("KASSIR__LISTEN", "127.0.0.1:0"),
            ("KASSIR__STORE__URL", plan.store.as_str()),
            ("KASSIR__SECRETS__MASTER_KEY_FILE", key.to_str().unwrap()),
        ];
        let doctor = kassir(folder.path(), &["doctor", "--offline", "--json"], &environment);
        let told: Value = serde_json::from_str(&out(&doctor)).unwrap();
        let told =
            told.as_array().unwrap().iter().find(|finding| finding["what"] == "stored secrets").unwrap();
        assert_eq!((told["mark"] == "failure", doctor.status.code() == Some(1)), (is, is), "{told}");
        assert!(told.to_string().contains(words), "{told}");
        if is {
            let serve = kassir(folder.path(), &["serve"], &environment);
            assert_eq!(serve.status.code(), Some(2), "{}", err(&serve));
            for part in [words, key.to_str().unwrap(), "KASSIR__SECRETS__MASTER_KEY_FILE"] {
                assert!(err(&serve).contains(part), "{part}: {}", err(&serve));
            }
            assert!(!folder.path().join("admin.token").exists(), "it left a token behind");
        }
    };

    // A store without secrets takes any key.
    std::fs::rename(&key, &kept).unwrap();
    refused(false, "none so far");
    let router = plan.start().await;
    let path = format!("/merchants/{}/integrations", merchant["id"].as_str().unwrap());
    let shop =
        json!({ "provider": "cloudpayments", "credentials": { "public_id": "pk_1", "api_secret": "abc" } });
    client.post(&path, &shop).await.unwrap();
    assert_eq!(router.terminate().await, Some(0));

    // The file is lost: no other one is made in its place.
    let fresh = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    refused(true, "is not there");
    assert!(!key.exists(), "it left a key behind");
    // Another file.
    std::fs::copy(&kept, &key).unwrap();
    refused(true, "sealed under another master key");
    std::fs::write(&key, &fresh).unwrap();
    refused(false, "open with the master key");
    let router = plan.start().await;
    assert_eq!(client.get(&path).await.unwrap()["data"][0]["provider"], "cloudpayments");
    assert_eq!(router.terminate().await, Some(0));
}
