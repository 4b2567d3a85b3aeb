//! What to do about an error of the store: a file has other troubles than a server.

use crate::app::store_file;
use crate::config::Config;
use crate::store::StoreError;

/// What kind of store the configuration names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file of this machine.
    File,
    /// A server.
    Server,
}

impl Kind {
    /// That of the configuration.
    pub(super) fn of(config: &Config) -> Kind {
        if store_file(config).is_some() { Kind::File } else { Kind::Server }
    }

    /// What to do about an error; empty when its own words say it.
    pub(super) fn advice(self, error: &StoreError) -> &'static str {
        match self {
            Kind::File => file(error),
            Kind::Server => server(error),
        }
    }
}

const fn server(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unavailable(_) => "is the server up, and is store.url right?",
        StoreError::Unusable(_) => "if a router is running on it, ask that one: GET /health/ready",
        _ => "",
    }
}

/// Words of the system and of SQLite, in small letters, and what to do. The first that fits counts.
const FILE: [(&[&str], &str); 8] = [
    (
        &["is full", "no space left", "quota exceeded"],
        "free space on the disk, or give it more; a running router goes on by itself then. To need less: shorten \
         retention.*",
    ),
    (
        &["read-only file system"],
        "the file system is mounted read-only: the system's log (dmesg) says whether its disk failed; mount it for \
         writing, and let a service write there (systemd: ReadWritePaths)",
    ),
    (
        &["permission denied", "operation not permitted", "readonly database"],
        "run this as the user that the router runs as; folder and files must be that user's (chown)",
    ),
    (
        &["damaged", "not a database", "no database"],
        "stop the router, keep the file with its -wal, and restore a copy; without one, save what is left with \
         `sqlite3 FILE .recover`",
    ),
    (
        &["no such file or directory", "not a directory", "is a directory", "file exists"],
        "is its disk mounted, and is store.url right? A path that does not begin with / counts from the working folder",
    ),
    (&["the disk failed"], "the system's log (dmesg) says what the disk has; is there room on it?"),
    (&["is locked"], "another program (a copy being made, a sqlite3 shell) holds the file: end it"),
    (
        &["unable to open"],
        "is store.url right, and may this user read the file and its folder? Run this as the router's user",
    ),
];

fn file(error: &StoreError) -> &'static str {
    let words = match error {
        StoreError::Unavailable(words) | StoreError::Unusable(words) | StoreError::Corrupt(words) => {
            words.to_lowercase()
        }
        _ => return "",
    };
    let fits = |(signs, _): &&(&[&str], &str)| signs.iter().any(|sign| words.contains(sign));
    FILE.iter().find(fits).map_or("", |(_, advice)| advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_the_system(code: i32) -> StoreError {
        let error = std::io::Error::from_raw_os_error(code);
        StoreError::Unusable(format!("the store's /var/lib/kassir can't be made: {error}"))
    }

    fn unavailable(words: &str) -> StoreError {
        StoreError::Unavailable(words.to_owned())
    }

    #[test]
    fn a_file_gets_advice_for_files() {
        let (no_entry, no_access, exists, not_a_folder, no_space, read_only) = (2, 13, 17, 20, 28, 30);
        let full = unavailable("the disk (or the size that the store may have) is full; nothing was written");
        let failed =
            unavailable("the disk failed (disk I/O error: Error code 522); nothing is known to be written");
        let damaged =
            StoreError::Corrupt("the database file is damaged (malformed); restore a copy of it".to_owned());
        let strange =
            StoreError::Unusable("k.db is damaged or no database: file is not a database".to_owned());
        for (error, part) in [
            (of_the_system(no_space), "free space"),
            (full, "free space"),
            (of_the_system(read_only), "mounted read-only"),
            (of_the_system(no_access), "as the user"),
            (unavailable("attempt to write a readonly database"), "as the user"),
            (of_the_system(no_entry), "store.url"),
            (of_the_system(not_a_folder), "store.url"),
            (of_the_system(exists), "store.url"),
            (damaged, ".recover"),
            (strange, ".recover"),
            (failed, "dmesg"),
            (unavailable("database is locked"), "another program"),
            (unavailable("unable to open database file: /k.db"), "router's user"),
        ] {
            let advice = Kind::File.advice(&error);
            assert!(advice.contains(part), "{error}: {advice}");
            assert!(!advice.contains("server"), "{error}: {advice}");
        }
        let newer = StoreError::Unusable("k.db was written by a newer Kassir: use that version".to_owned());
        assert_eq!(Kind::File.advice(&newer), "");
    }

    #[test]
    fn a_server_gets_advice_for_servers() {
        let advice = Kind::Server.advice(&unavailable("Connection refused"));
        assert_eq!(advice, "is the server up, and is store.url right?");
    }
}
