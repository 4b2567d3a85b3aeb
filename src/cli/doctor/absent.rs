//! A store's file that is not there: before the first start, or because this is not the router's configuration.

use std::fs::OpenOptions;
use std::path::Path;

use super::super::health::{Asked, Said, ask};
use super::super::router::{AS_THE_ROUTER, whole};
use super::advice::Kind;
use super::{Finding, Mark, disk, router};
use crate::config::Config;
use crate::store::StoreError;

/// What is to be said. Nothing is made, but for a file that shows whether the store could be, which goes at once.
pub(super) async fn findings(path: &Path, config: &Config) -> Vec<Finding> {
    let there = match ask(config, Some(router::TIMEOUT)).await {
        Ok(asked) => judged(path, &asked),
        Err(error) => Finding::new(Mark::Failure, "router", error.to_string(), ""),
    };
    let folder = disk::folder_of(path);
    let unmade = try_to_write(folder).err().map(|error| {
        let error = StoreError::Unusable(format!("a store can't be made in {}: {error}", whole(folder)));
        Finding::new(Mark::Failure, "store", error.to_string(), Kind::of(config).advice(&error))
    });
    std::iter::once(there).chain(unmade).collect()
}

/// Where somebody answers there is a router with a store, and this is not it.
fn judged(path: &Path, asked: &Asked) -> Finding {
    let (Asked { url, said }, none) = (asked, format!("there is no store at {}", whole(path)));
    let answers = match said {
        Said::Ready { .. } => format!("{url} answers: ready"),
        Said::NotReady { status, .. } => format!("{url} answers {status}"),
        Said::Nothing { .. } => {
            let advice =
                format!("the first `kassir serve` makes it. Is there a router already, {AS_THE_ROUTER}");
            return Finding::new(Mark::Warning, "store", none, advice);
        }
    };
    let found = format!("{none}, but {answers}: what runs there has another configuration");
    Finding::new(Mark::Failure, "store", found, AS_THE_ROUTER)
}

fn try_to_write(folder: &Path) -> std::io::Result<()> {
    let file = folder.join(format!(".kassir-doctor-{}", std::process::id()));
    let tried = OpenOptions::new().write(true).create_new(true).open(&file).and_then(|made| made.sync_all());
    match std::fs::remove_file(file) {
        Ok(()) => tried,
        Err(error) => tried.and(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_that_answers_has_its_store_elsewhere() {
        let judged = |said| {
            let asked = Asked { url: "http://127.0.0.1:1/health/ready".to_owned(), said };
            judged(Path::new("/nowhere/kassir.db"), &asked)
        };
        let none = judged(Said::Nothing { why: "Connection refused".to_owned() });
        assert!(none.mark == Mark::Warning && none.advice.contains("serve"), "{}", none.advice);
        assert_eq!(none.found, "there is no store at /nowhere/kassir.db");
        for (said, word) in
            [(Said::Ready { ms: 3 }, "ready"), (Said::NotReady { status: 503, body: Vec::new() }, "503")]
        {
            let other = judged(said);
            assert!(other.mark == Mark::Failure && other.found.contains(word), "{}", other.found);
            assert_eq!(other.advice, AS_THE_ROUTER);
        }
    }

    #[test]
    fn a_folder_is_tried_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        try_to_write(folder.path()).unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        assert!(try_to_write(Path::new("/proc")).is_err());
        assert!(try_to_write(&folder.path().join("none")).is_err());
    }
}
