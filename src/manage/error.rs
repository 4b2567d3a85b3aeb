//! Why something that a person asked for was not done.

use kassir_providers::about;
use serde::Serialize;
use utoipa::ToSchema;

use crate::registry::RegistryError;
use crate::secrets::SecretError;
use crate::store::StoreError;

/// One thing that is wrong with an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct InputError {
    /// JSON pointer (RFC 6901) into the body; `?name` for a query parameter.
    pub pointer: String,
    /// What is wrong and what is expected.
    pub detail: String,
}

impl InputError {
    /// An error of the member at a pointer.
    #[must_use]
    pub fn at(pointer: impl Into<String>, detail: impl Into<String>) -> InputError {
        InputError { pointer: pointer.into(), detail: detail.into() }
    }
}

impl From<about::Problem> for InputError {
    fn from(problem: about::Problem) -> InputError {
        InputError { pointer: problem.pointer, detail: problem.detail }
    }
}

/// Why something that a person asked for was not done; nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// The input is wrong: everything that is wrong with it.
    #[error("{}", words(.0))]
    Invalid(Vec<InputError>),
    /// There is no such record.
    #[error("there is no {what} {id:?}")]
    NotFound {
        /// What kind of record.
        what: &'static str,
        /// The id as it came.
        id: String,
    },
    /// The record's present state does not allow it; says why and what to do.
    #[error("{0}")]
    NotNow(String),
    /// There are too many already.
    #[error("{0}")]
    Limit(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The credentials at rest.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Sealing or opening.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl ManageError {
    /// One error of the input.
    #[must_use]
    pub fn invalid(pointer: &str, detail: impl Into<String>) -> ManageError {
        ManageError::Invalid(vec![InputError::at(pointer, detail)])
    }

    /// There is no such record.
    #[must_use]
    pub fn no(what: &'static str, id: impl std::fmt::Display) -> ManageError {
        ManageError::NotFound { what, id: id.to_string() }
    }
}

fn words(errors: &[InputError]) -> String {
    errors.iter().map(|error| format!("{} {}", error.pointer, error.detail)).collect::<Vec<_>>().join("; ")
}
