//! Commands and their client before a router that answers half of it, something else, or nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};

use kassir::client::{Client, ClientError};
use kassir_providers::Secret;
use serde_json::{Value, json};

/// Takes a connection for each of the answers, reads its request, writes the answer and closes.
fn answering(answers: &[String]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers = answers.to_vec();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            read(&stream);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

fn read(stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    let (mut line, mut len) = (String::new(), 0);
    while reader.read_line(&mut line).unwrap() > 2 {
        let header = std::mem::take(&mut line).to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            len = value.trim().parse().unwrap();
        }
    }
    reader.read_exact(&mut vec![0; len]).unwrap();
}

fn answer(status: u16, body: &str) -> String {
    let len = body.len();
    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {len}\r\n\r\n{body}")
}

async fn get(answer: String) -> Result<Value, ClientError> {
    let url = format!("http://{}", answering(&[answer]));
    Client::new(&url, Secret::new("token")).unwrap().get("/merchants").await
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_answer_is_none() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"data\":".to_owned();
    for (said, words) in [(cut, "broke off"), (answer(200, "<html>"), "is no JSON")] {
        let error = get(said).await.unwrap_err();
        assert!(matches!(error, ClientError::Strange(_)) && error.to_string().contains(words), "{error}");
    }
    assert_eq!(get(answer(200, "")).await.unwrap(), Value::Null);
    assert!(matches!(get(String::new()).await.unwrap_err(), ClientError::Unanswered { .. }));
    let nobody = format!("http://127.0.0.1:{}", crate::process::free_port());
    let error = Client::new(&nobody, Secret::new("token")).unwrap().get("/merchants").await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

fn kassir(folder: &std::path::Path, router: SocketAddr, arguments: &[&str]) -> (Option<i32>, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_kassir"))
        .args(arguments)
        .current_dir(folder)
        .env("KASSIR__LISTEN", router.to_string())
        .env("KASSIR__ADMIN_TOKEN", crate::process::ADMIN)
        .env("KASSIR__STORE__URL", format!("sqlite://{}/kassir.db", folder.display()))
        .output()
        .unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    (output.status.code(), format!("{out}{err}"))
}

#[test]
fn no_second_token_is_made_past_a_router_that_may_have_made_it() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) =
        kassir(folder.path(), answering(&[String::new()]), &["token", "create", "--role", "admin"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("look at the list of tokens first"), "{said}");
    assert!(!folder.path().join("kassir.db").exists());
}

#[test]
fn an_import_that_breaks_off_says_what_it_wrote_and_what_it_made() {
    let folder = tempfile::tempdir().unwrap();
    let file =
        json!({ "kassir_export": 1, "secrets": null, "merchants": [{ "name": "a" }, { "name": "b" }] });
    std::fs::write(folder.path().join("all.json"), file.to_string()).unwrap();
    let change =
        json!({ "deed": "create", "kind": "endpoint", "id": "ep_1", "made": { "secret": "whsec_once" } });
    let done = answer(200, &json!({ "changes": [change] }).to_string());
    let refused = answer(409, &json!({ "title": "Conflict", "detail": "It changed meanwhile." }).to_string());
    let router = answering(&[done.clone(), done.clone(), done, refused]);
    let (code, said) = kassir(folder.path(), router, &["import", "all.json"]);
    assert_eq!(code, Some(1), "{said}");
    for words in ["whsec_once", "It changed meanwhile.", "1 of 2 merchants (1 records) were written before"] {
        assert!(said.contains(words), "{words} is not in {said}");
    }
}
