//! The schema, and the way to it from every older one. `PRAGMA user_version` says which one a file has.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::super::{Result, StoreError};
use super::error::from_sqlite;
use super::file::{APPLICATION_ID, opening};

/// Steps, oldest first: the one at index N leads from version N to N + 1. A step that was released never changes.
const STEPS: &[&str] = &[include_str!("migrations/0001.sql")];

/// Brings a file up to this program's schema. A newer one, or a file of another program, is refused untouched.
pub(super) fn migrate(conn: &mut Connection, path: &Path) -> Result<()> {
    apply(conn, path, STEPS)
}

/// Whether a file is one that [`migrate`] takes.
pub(super) fn accept(conn: &Connection, path: &Path) -> Result<()> {
    version(conn, path, STEPS).map(drop)
}

/// Whether a file has this program's schema, for who only reads it. Another one is refused.
pub(super) fn check(conn: &Connection, path: &Path) -> Result<()> {
    checked(conn, path, STEPS)
}

fn checked(conn: &Connection, path: &Path, steps: &[&str]) -> Result<()> {
    let version = version(conn, path, steps)?;
    if version < steps.len() {
        return Err(StoreError::Unusable(format!(
            "{} was written by an older Kassir (schema {version}; this one reads {}): use that version, or start this \
             one on it",
            path.display(),
            steps.len()
        )));
    }
    Ok(())
}

/// The schema that a file has. A newer one, or a file of another program, is refused.
fn version(conn: &Connection, path: &Path, steps: &[&str]) -> Result<usize> {
    let at = |error| opening(path, from_sqlite(error));
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(at)?;
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(at)?;
    let tables: i64 =
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(at)?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(StoreError::Unusable(format!(
            "{} is an SQLite file of another program; Kassir leaves it alone",
            path.display()
        )));
    }
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    if version > known {
        return Err(StoreError::Unusable(format!(
            "{} was written by a newer Kassir (schema {version}; this one knows {known}): use that version",
            path.display()
        )));
    }
    Ok(usize::try_from(version).unwrap_or(0))
}

fn apply(conn: &mut Connection, path: &Path, steps: &[&str]) -> Result<()> {
    let done = version(conn, path, steps)?;
    for (index, step) in steps.iter().enumerate().skip(done) {
        // One step is one transaction, with its version: a crash leaves the file before it or after it.
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(from_sqlite)?;
        tx.execute_batch(step).map_err(from_sqlite)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(from_sqlite)?;
        tx.pragma_update(None, "user_version", i64::try_from(index + 1).unwrap_or(i64::MAX))
            .map_err(from_sqlite)?;
        tx.commit().map_err(from_sqlite)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version_of(conn: &Connection) -> i64 {
        conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    #[test]
    fn an_older_schema_goes_forward_and_keeps_its_rows() {
        let mut conn = Connection::open_in_memory().unwrap();
        let path = Path::new("test.db");
        apply(&mut conn, path, STEPS).unwrap();
        conn.execute("INSERT INTO merchant VALUES ('mer_1', 1, 1, 7, '{}')", []).unwrap();
        let next = "ALTER TABLE merchant ADD COLUMN extra TEXT NOT NULL DEFAULT 'new'";
        let longer: Vec<&str> = STEPS.iter().copied().chain([next]).collect();
        apply(&mut conn, path, &longer).unwrap();
        assert_eq!(version_of(&conn), i64::try_from(longer.len()).unwrap());
        let row: (i64, String) = conn
            .query_row("SELECT last_payment, extra FROM merchant", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(row, (7, "new".to_owned()));
        // Who only reads refuses what is older, and takes what is its own.
        let refused = checked(&conn, path, &[longer.as_slice(), &[next]].concat()).unwrap_err();
        assert!(matches!(&refused, StoreError::Unusable(why) if why.contains("older Kassir")), "{refused}");
        checked(&conn, path, &longer).unwrap();
        // And back: the older program refuses the newer file.
        let refused = apply(&mut conn, path, STEPS).unwrap_err();
        assert!(matches!(&refused, StoreError::Unusable(why) if why.contains("newer Kassir")), "{refused}");
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let mut conn = Connection::open_in_memory().unwrap();
        let path = Path::new("test.db");
        apply(&mut conn, path, STEPS).unwrap();
        let before = version_of(&conn);
        let broken = "CREATE TABLE half (a); INSERT INTO nowhere VALUES (1);";
        let longer: Vec<&str> = STEPS.iter().copied().chain([broken]).collect();
        apply(&mut conn, path, &longer).unwrap_err();
        assert_eq!(version_of(&conn), before);
        let half: i64 = conn
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'half'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(half, 0);
    }

    #[test]
    fn a_file_of_another_program_is_left_alone() {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE photos (a)").unwrap();
        let refused = migrate(&mut conn, Path::new("test.db")).unwrap_err();
        assert!(
            matches!(&refused, StoreError::Unusable(why) if why.contains("another program")),
            "{refused}"
        );
    }
}
