//! What the service logs while these tests run, to see that no secret is in it.

use std::io::Write;
use std::sync::Mutex;

static KEPT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Keeper;

impl Write for Keeper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        KEPT.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// From now on everything that is logged is kept. The log is the process's: it can be set up once only.
pub fn keep() {
    let filter = tracing_subscriber::EnvFilter::new("warn,kassir=trace,kassir_providers=trace");
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(|| Keeper);
    let _ = log.try_init();
}

/// A text of so many characters is in no id by chance.
const TELLING_LEN: usize = 8;

/// None of these is in the log.
#[track_caller]
pub fn holds_none_of(secrets: &[String]) {
    let log = String::from_utf8_lossy(&KEPT.lock().unwrap()).into_owned();
    let found: Vec<&str> =
        secrets.iter().filter_map(|secret| log.lines().find(|line| holds(line, secret))).collect();
    assert!(found.is_empty(), "a secret in the log: {found:?}");
}

/// Whether a line holds a secret. The vectors have secrets such as `p2`: those must stand alone, for any random id may
/// have them in it.
fn holds(line: &str, secret: &str) -> bool {
    let stands_alone = |at: usize| {
        let (before, after) = (&line[..at], &line[at + secret.len()..]);
        !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric)
    };
    line.match_indices(secret).any(|(at, _)| secret.len() >= TELLING_LEN || stands_alone(at))
}

#[test]
fn a_short_secret_is_seen_where_it_stands_alone() {
    for line in ["password=p2", "p2", "{\"password\":\"p2\"}", "1gp2h5y3 and p2"] {
        assert!(holds(line, "p2"), "{line}");
    }
    assert!(!holds("int_01kdvdna00e008010n1gp2h5y3", "p2"));
    assert!(holds("xlong-secret-text1", "long-secret-text"), "a telling one is seen anywhere");
}
