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

/// None of these is in the log.
#[track_caller]
pub fn holds_none_of(secrets: &[String]) {
    let log = String::from_utf8_lossy(&KEPT.lock().unwrap()).into_owned();
    let found: Vec<&str> =
        secrets.iter().filter_map(|secret| log.lines().find(|line| line.contains(secret.as_str()))).collect();
    assert!(found.is_empty(), "a secret in the log: {found:?}");
}
