//! What SQLite's errors mean to a caller.

use rusqlite::{Error, ErrorCode};

use super::super::{Conflict, StoreError};

/// How an error begins that says that the file is damaged, and not only a record in it.
const DAMAGED: &str = "the database file is damaged";

/// Says an error of SQLite in the store's words. A broken UNIQUE is a conflict; what may pass (a full disk, a lock,
/// an I/O error) is [`StoreError::Unavailable`]; what says that the file is damaged is [`StoreError::Corrupt`].
pub(super) fn from_sqlite(error: Error) -> StoreError {
    let Some(code) = error.sqlite_error_code() else {
        return match error {
            Error::FromSqlConversionFailure(..)
            | Error::InvalidColumnType(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::Utf8Error(..) => StoreError::Corrupt(error.to_string()),
            other => StoreError::Unavailable(other.to_string()),
        };
    };
    match code {
        ErrorCode::ConstraintViolation => StoreError::Conflict(Conflict::Exists),
        ErrorCode::TooBig => StoreError::Limit("the record is too large for the store".to_owned()),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
            StoreError::Corrupt(format!("{DAMAGED} ({error}); restore a copy of it"))
        }
        ErrorCode::DiskFull => StoreError::Unavailable(
            "the disk (or the size that the store may have) is full; nothing was written".to_owned(),
        ),
        ErrorCode::SystemIoFailure => {
            StoreError::Unavailable(format!("the disk failed ({error}); nothing is known to be written"))
        }
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// Whether the file itself failed, or nobody knows; a record in it that can't be read is no such error.
pub(super) fn is_of_file(error: &StoreError) -> bool {
    match error {
        StoreError::Unavailable(_) => true,
        StoreError::Corrupt(why) => why.starts_with(DAMAGED),
        _ => false,
    }
}

/// Whether the connection should not be trusted any further after this error: after a failed write or fsync what the
/// system holds in memory and what the disk holds may differ.
pub(super) fn is_lasting(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OutOfMemory
                | ErrorCode::ApiMisuse
        )
    )
}
