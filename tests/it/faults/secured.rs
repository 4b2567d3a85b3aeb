//! Redis behind TLS with a certificate of the tests' own authority, and with a user of few rights.

use kassir::store::redis::{Options, RedisStore};

use super::{Receiver, accept_all, shop};
use crate::authority::Authority;
use crate::process::{Plan, free_port};
use crate::redis_faults::words;
use crate::redis_server::{DURABLE, Server};

/// The rights that docs/redis-keys.md asks for.
const RIGHTS: &[&str] = &[
    "ACL",
    "SETUSER",
    "kassir",
    "on",
    ">geheim",
    "~kassir:*",
    "+@all",
    "-@dangerous",
    "+info",
    "+config|get",
];

#[tokio::test(flavor = "multi_thread")]
async fn through_tls_and_with_few_rights() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let (certificate, key) = authority.server_pem("127.0.0.1");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = (file("redis.crt", &certificate), file("redis.key", &key));
    let (ca, port) = (authority.ca_file().display().to_string(), free_port().to_string());
    let tls = [
        ("tls-port", port.as_str()),
        ("tls-cert-file", &certificate),
        ("tls-key-file", &key),
        ("tls-ca-cert-file", &ca),
        ("tls-auth-clients", "no"),
    ];
    let server = Server::start(&[DURABLE, &tls].concat());
    server.command::<()>(RIGHTS);
    let url = |login: &str| format!("rediss://{login}127.0.0.1:{port}/0");

    // A certificate that nobody trusts, no login, a wrong one.
    let untrusted = words(RedisStore::open(&url("kassir:geheim@"), Options::default()).await);
    assert!(untrusted.contains("certificate") && !untrusted.contains("geheim"), "{untrusted}");

    let mut plan = Plan::on(folder.path(), &url("kassir:geheim@"));
    plan.more = vec![("SSL_CERT_FILE".to_owned(), ca)];
    let receiver = Receiver::start();
    let router = plan.start().await;
    let said = router.said.join("\n");
    assert!(said.contains("accepted means: on the disk") && !said.contains("geheim"), "{said}");
    let shop = shop(&[&plan], &receiver.url).await;
    let orders: Vec<usize> = (1..=50).collect();
    accept_all(&shop, &orders, 1, async |_| {}).await;
    receiver.wait_for(&orders).await;
    assert_eq!(router.terminate().await, Some(0));
    let counts = receiver.counts(&orders);
    counts.print("redis_tls_and_acl", &[]);
    assert_eq!((counts.lost, counts.duplicated), (0, 0));
}
