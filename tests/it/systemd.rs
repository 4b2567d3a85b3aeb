//! The systemd unit: which configuration counts under it, and where it keeps things.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use kassir::app::{admin_token_file, store_file};
use kassir::config::from_parts;
use serde_json::Value;

/// Where the unit and its configuration are.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ops/systemd");

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(FOLDER).join(name)).unwrap()
}

/// What the unit says of a key, once for each time.
fn said<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// The file that the unit's first line tells people to make.
fn named(unit: &str) -> &str {
    let words = unit.lines().next().unwrap().split_whitespace();
    let mut paths = words.map(|word| word.trim_end_matches(',')).filter(|word| word.starts_with("/etc/"));
    paths.next().unwrap()
}

/// The configuration that the unit's router would have if this folder were the root of the machine.
fn effective(unit: &str, root: &Path) -> Value {
    let below = |path: &str| root.join(path.trim_start_matches('/')).display().to_string();
    let folder = below(said(unit, "WorkingDirectory")[0]);
    std::fs::create_dir_all(&folder).unwrap();
    let words = said(unit, "ExecStart")[0].split_whitespace().skip(1);
    let words = words.map(|word| if word.starts_with('/') { below(word) } else { word.to_owned() });
    let arguments = words.filter(|word| word != "serve");
    let shown = Command::new(env!("CARGO_BIN_EXE_kassir"))
        .args(arguments)
        .args(["config", "show", "--json"])
        .current_dir(folder)
        .envs(said(unit, "Environment").iter().map(|pair| pair.split_once('=').unwrap()))
        .output()
        .unwrap();
    serde_json::from_slice(&shown.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&shown.stderr)))
}

#[test]
fn the_file_that_the_unit_names_is_the_one_that_counts() {
    let (unit, root) = (read("kassir.service"), tempfile::tempdir().unwrap());
    let file = root.path().join(named(&unit).trim_start_matches('/'));
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let text = "listen = \"127.0.0.1:7\"\n[store]\nurl = \"redis://cache:6379/0\"\n\
                [secrets]\nmaster_key_file = \"/keys/of.ours\"\n[log]\nformat = \"text\"\n";
    std::fs::write(&file, text).unwrap();
    let shown = effective(&unit, root.path());
    for (key, value) in [
        ("listen", "127.0.0.1:7"),
        ("store.url", "redis://cache:6379/0"),
        ("secrets.master_key_file", "/keys/of.ours"),
        ("log.format", "text"),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
}

#[test]
fn what_the_unit_keeps_is_where_it_may_write() {
    let unit = read("kassir.service");
    let state = PathBuf::from("/var/lib").join(said(&unit, "StateDirectory")[0]);
    let paths = |text: &str| {
        let config = from_parts(Some(text), "kassir.toml", &BTreeMap::new()).unwrap();
        let (key, token) = (config.secrets.master_key_file.clone(), admin_token_file(&config));
        [store_file(&config).unwrap().to_owned(), key, token]
    };
    for path in paths(&read("kassir.toml")) {
        assert!(path.starts_with(&state), "{}", path.display());
    }
    // A file that says nothing of them.
    let working = Path::new(said(&unit, "WorkingDirectory")[0]);
    for path in paths("") {
        assert!(working.join(&path).starts_with(&state), "{}", path.display());
    }
}
