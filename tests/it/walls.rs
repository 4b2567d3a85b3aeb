//! The walls of the house: what may never import what. Reads the source as text.

use std::path::{Path, PathBuf};

/// A wall: files below `inside` never mention any of `never`, except those in `but`.
struct Wall {
    inside: &'static str,
    never: &'static [&'static str],
    but: &'static [&'static str],
    why: &'static str,
}

const WALLS: &[Wall] = &[
    Wall {
        inside: "providers/src",
        never: &[
            "tokio",
            "actix",
            "reqwest",
            "redis::",
            "rusqlite",
            "tracing",
            "SystemTime",
            "Instant::",
            "std::env",
            "std::fs",
            "TcpStream",
            "metrics::",
        ],
        but: &[],
        why: "adapters are pure: bytes in, facts out",
    },
    Wall {
        inside: "src/domain",
        never: &[
            "crate::store",
            "crate::intake",
            "crate::delivery",
            "crate::api",
            "crate::clock",
            "crate::config",
            "crate::registry",
            "crate::ledger",
            "tokio",
            "actix_web",
            "reqwest",
            "Clock",
        ],
        but: &[],
        why: "the domain imports only the providers' vocabulary; times and ids are arguments",
    },
    Wall {
        inside: "src/jobs",
        never: &[
            "Wish::Create",
            "Wish::Charge",
            "Wish::Capture",
            "Wish::Cancel",
            "Wish::Refund {",
            "crate::payments",
        ],
        but: &[],
        why: "a job may run twice at once, when its lease ran out: no job moves money",
    },
    Wall {
        inside: "src/store",
        never: &[
            "actix_web",
            "reqwest",
            "crate::intake",
            "crate::delivery",
            "crate::api",
            "crate::registry",
            "crate::ledger",
            "yookassa",
            "robokassa",
            "cloudpayments",
            "by_slug",
        ],
        but: &[],
        why: "a store knows no provider and nobody above it",
    },
    Wall {
        inside: "src/intake",
        never: &["crate::delivery", "outbound", "crate::api", "crate::operations", "sqlite", "redis"],
        but: &[],
        why: "receiving must not be able to wait for sending",
    },
    Wall {
        inside: "src/delivery",
        never: &["actix_web", "by_slug", "crate::intake", "crate::api", "crate::registry", "crate::ledger"],
        but: &[],
        why: "delivery knows no provider and no web server",
    },
    Wall {
        inside: "src/api",
        never: &["crate::intake", "crate::store::sqlite", "crate::store::redis", "crate::console"],
        but: &[],
        why: "the API is a face of the store's verbs",
    },
    Wall {
        inside: "src",
        never: &["store::sqlite", "store::redis", "SqliteStore", "RedisStore"],
        but: &["src/app", "src/store"],
        why: "only the composition root names a concrete store",
    },
    Wall {
        inside: "src",
        never: &["hyper::", "hyper_util::", "reqwest::"],
        but: &["src/delivery/outbound"],
        why: "only outbound names the HTTP client",
    },
    Wall {
        inside: "src",
        never: &["use backoff"],
        but: &["src/delivery/schedule.rs"],
        why: "one retry policy",
    },
    Wall {
        inside: "src",
        never: &["std::env::var", "env::vars"],
        but: &["src/config/env.rs"],
        why: "only config reads the environment",
    },
    Wall {
        inside: "src",
        never: &["SystemTime::now", "Instant::now", "Timestamp::now"],
        but: &["src/clock.rs"],
        why: "only the clock reads the time",
    },
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// A file's code: without comments, and without what only tests see.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or("");
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn nobody_climbs_a_wall() {
    let root = root();
    let mut found = Vec::new();
    for wall in WALLS {
        let mut files = Vec::new();
        rust_files(&root.join(wall.inside), &mut files);
        assert!(!files.is_empty(), "{} is empty", wall.inside);
        for file in files {
            let name = file.strip_prefix(&root).unwrap().display().to_string();
            if name.ends_with("_tests.rs") || wall.but.iter().any(|but| name.starts_with(but)) {
                continue;
            }
            let code = code(&std::fs::read_to_string(&file).unwrap());
            for never in wall.never.iter().filter(|never| code.contains(**never)) {
                found.push(format!("{name} mentions {never}: {}", wall.why));
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_manifest_of_the_providers_names_nothing_impure() {
    let manifest = std::fs::read_to_string(root().join("providers/Cargo.toml")).unwrap();
    for never in ["tokio", "reqwest", "redis", "rusqlite", "actix", "tracing", "async-trait"] {
        assert!(!manifest.contains(never), "providers/Cargo.toml names {never}");
    }
}

#[test]
fn files_stay_small() {
    let root = root();
    let mut files = Vec::new();
    for folder in ["src", "providers/src"] {
        rust_files(&root.join(folder), &mut files);
    }
    let lines = |file: &PathBuf| std::fs::read_to_string(file).unwrap().lines().count();
    let large: Vec<_> =
        files.iter().map(|file| (lines(file), file)).filter(|(lines, _)| *lines > 700).collect();
    assert!(large.is_empty(), "look twice: {large:?}");
    let mut all: Vec<_> = files.iter().map(lines).collect();
    all.sort_unstable();
    assert!(all[all.len() / 2] <= 200, "the median file has {} lines", all[all.len() / 2]);
}
