//! What the conformance suite is made of: fixtures as data, ways to break them, a collector of failures.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(dead_code, missing_docs, reason = "three programs share it, and none uses all of it")]

pub mod breaking;
pub mod fixture;
pub mod operation;
pub mod vector;

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use kassir_providers::{ALL, Provider, by_slug};

pub use fixture::Fixture;
pub use vector::Vector;

/// Where the fixtures are.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Failures of one property over all fixtures, shown together at the end.
#[derive(Default)]
pub struct Failures {
    property: &'static str,
    found: Vec<String>,
}

impl Failures {
    pub fn of(property: &'static str) -> Failures {
        Failures { property, found: Vec::new() }
    }

    pub fn add(&mut self, place: impl Display, what: impl Display) {
        self.found.push(format!("{place}: {}: {what}", self.property));
    }

    pub fn append(&mut self, other: Failures) {
        self.found.extend(other.found);
    }

    pub fn check(&mut self, place: impl Display, good: bool, what: impl FnOnce() -> String) {
        if !good {
            self.add(place, what());
        }
    }

    pub fn equal(&mut self, place: impl Display, what: &str, got: &str, expected: &str) {
        if got != expected {
            self.add(place, format!("{what}\n{}", difference(got, expected)));
        }
    }

    /// Runs a step; a panic in it is a failure that names its place.
    pub fn calm<T>(&mut self, place: impl Display, step: impl FnOnce() -> T) -> Option<T> {
        let result = catch_unwind(AssertUnwindSafe(step));
        if result.is_err() {
            self.add(place, "it panicked");
        }
        result.ok()
    }

    pub fn finish(self) {
        let count = self.found.len();
        assert!(
            self.found.is_empty(),
            "\n{}\n\n{count} failure(s) of: {}\n",
            self.found.join("\n"),
            self.property
        );
    }
}

/// Two texts and where they part.
pub fn difference(got: &str, expected: &str) -> String {
    let at = got.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
    format!("    expected: {expected}\n    got:      {got}\n    they part at byte {at}")
}

/// Folders of the fixtures, each with the provider of that name.
pub fn folders() -> Vec<(String, PathBuf)> {
    let mut folders: Vec<_> = std::fs::read_dir(root())
        .expect("fixtures are there")
        .map(|entry| entry.expect("fixtures can be listed").path())
        .filter(|path| path.is_dir())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    folders.sort();
    folders
}

/// The TOML files of a folder, sorted.
pub fn toml_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("fixtures can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

/// Reads a fixture file; the message names it.
pub fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every fixture of every provider, read once.
pub fn fixtures() -> &'static [Fixture] {
    static ALL_FIXTURES: OnceLock<Vec<Fixture>> = OnceLock::new();
    ALL_FIXTURES.get_or_init(read_fixtures)
}

fn read_fixtures() -> Vec<Fixture> {
    let mut all = Vec::new();
    for (slug, folder) in folders() {
        let Some(provider) = by_slug(&slug) else { continue };
        all.extend(toml_files(&folder).iter().map(|path| Fixture::load(provider, path)));
    }
    all
}

/// Every vector of an outgoing operation, read once.
pub fn vectors() -> &'static [Vector] {
    static ALL_VECTORS: OnceLock<Vec<Vector>> = OnceLock::new();
    ALL_VECTORS.get_or_init(read_vectors)
}

fn read_vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    for (slug, folder) in folders() {
        let Some(provider) = by_slug(&slug) else { continue };
        let files = toml_files(&folder.join("operations"));
        all.extend(files.iter().map(|path| Vector::load(provider, path)));
    }
    all
}

/// Every provider with its slug.
pub fn providers() -> impl Iterator<Item = (&'static str, &'static dyn Provider)> {
    ALL.iter().map(|provider| (provider.about().slug, *provider))
}
