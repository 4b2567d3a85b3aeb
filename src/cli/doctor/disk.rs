//! What is free on the disk under SQLite.

use std::path::Path;

use super::{Finding, Mark};
use crate::app::store_file;
use crate::config::Config;

/// Less free space than this is worth a warning, bytes.
const DISK_WARNING: u64 = 2 << 30;
/// With less free space than this notifications may soon be refused, bytes.
const DISK_FAILURE: u64 = 100 << 20;
/// Bytes of a MiB.
const MIB: u64 = 1 << 20;

/// Nothing where the store is no file of this machine.
pub(super) fn free(config: &Config) -> Option<Finding> {
    Some(match free_space(store_file(config)?) {
        Some(free) => judged(free),
        None => Finding::new(Mark::Warning, "disk", "df does not tell what is free", "look yourself"),
    })
}

fn judged(free: u64) -> Finding {
    let found = format!("{} MiB are free", free / MIB);
    let advice = "free space, or shorten retention.*: with a full disk providers are told to come again";
    match free {
        ..DISK_FAILURE => Finding::new(Mark::Failure, "disk", found, advice),
        DISK_FAILURE..DISK_WARNING => Finding::new(Mark::Warning, "disk", found, advice),
        _ => Finding::ok("disk", found),
    }
}

/// The folder of a path; where that is missing, the one above it in which it would be made.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("."))
}

/// Free bytes on the file system of a path, as the POSIX command `df` tells.
fn free_space(path: &Path) -> Option<u64> {
    let df = std::process::Command::new("df").arg("-Pk").arg(folder_of(path)).output().ok()?;
    available(std::str::from_utf8(&df.stdout).ok()?)
}

/// The fourth column of the second line, in KiB.
fn available(df: &str) -> Option<u64> {
    df.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_judged() {
        let df = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/x 100 40 60 40% /\n";
        assert_eq!(available(df), Some(60 * 1024));
        assert_eq!(available("df: no such file"), None);
        assert!(judged(1 << 40).mark == Mark::Ok);
        assert!(judged(1 << 30).mark == Mark::Warning);
        assert!(judged(1 << 20).mark == Mark::Failure);
    }
}
