//! The pages of the providers say what the declarations say. `UPDATE_DOCS=1` writes them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{create_dir_all, read_dir, read_to_string, write};
use std::path::{Path, PathBuf};

use kassir_providers::{ALL, docs};

const BEGIN: &str = "<!-- providers:begin -->";
const END: &str = "<!-- providers:end -->";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

#[expect(clippy::disallowed_methods, reason = "a person asks the test to write the pages")]
fn asked_to_write() -> bool {
    std::env::var("UPDATE_DOCS").is_ok_and(|value| value == "1")
}

/// Compares a file with what it shall be, or writes it.
fn settle(path: &Path, wanted: &str, stale: &mut Vec<String>) {
    if read_to_string(path).is_ok_and(|text| text == wanted) {
        return;
    }
    if asked_to_write() {
        create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        write(path, wanted).expect("the page can be written");
    } else {
        stale.push(path.display().to_string());
    }
}

#[test]
fn pages_of_providers_are_up_to_date() {
    let folder = root().join("docs/providers");
    let mut stale = Vec::new();
    for provider in ALL {
        let about = provider.about();
        settle(&folder.join(format!("{}.md", about.slug)), &docs::page(about), &mut stale);
    }
    let names = read_dir(&folder).into_iter().flatten().map(|entry| entry.expect("an entry").file_name());
    for name in names {
        let name = name.to_string_lossy().into_owned();
        let known = ALL.iter().any(|provider| name == format!("{}.md", provider.about().slug));
        assert!(known || name == "README.md", "docs/providers/{name} belongs to no provider");
    }
    let readme = root().join("README.md");
    if let Ok(text) = read_to_string(&readme)
        && let Some((before, rest)) = text.split_once(BEGIN)
        && let Some((_, after)) = rest.split_once(END)
    {
        let table = docs::table(ALL.iter().map(|provider| provider.about()));
        settle(&readme, &format!("{before}{BEGIN}\n{table}{END}{after}"), &mut stale);
    }
    assert!(
        stale.is_empty(),
        "out of date: {}; write them with UPDATE_DOCS=1 cargo test -p kassir-providers --test docs",
        stale.join(", ")
    );
}
