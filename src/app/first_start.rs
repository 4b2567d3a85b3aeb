//! What the first start makes: the admin token.

use std::path::PathBuf;

use anyhow::Context as _;
use kassir_providers::Secret;

use crate::config::Config;
use crate::secrets;

/// The admin token and where it comes from.
pub struct AdminToken {
    /// The token.
    pub token: Secret,
    /// The file it is in; `None` when the configuration gives it.
    pub file: Option<PathBuf>,
    /// Whether it was made just now.
    pub made: bool,
}

/// The admin token: the configuration's, else the one in `admin.token` beside the master key, made when there is
/// none (mode 0600).
///
/// # Errors
/// When the file can't be read or written, or is empty.
pub fn admin_token(config: &Config) -> anyhow::Result<AdminToken> {
    if let Some(known) = known_admin_token(config)? {
        return Ok(known);
    }
    let file = admin_token_file(config);
    let token = secrets::new_token("kas_")?;
    secrets::write_private(&file, &format!("{}\n", token.expose()))
        .with_context(|| format!("can't write {}", file.display()))?;
    Ok(AdminToken { token, file: Some(file), made: true })
}

/// Where the admin token is, or would be made, when the configuration gives none.
#[must_use]
pub fn admin_token_file(config: &Config) -> PathBuf {
    config.secrets.master_key_file.with_file_name("admin.token")
}

/// The admin token, if there is one: for those who only talk to a router. One that they made up nobody would know.
///
/// # Errors
/// When the file can't be read, or is empty.
pub fn known_admin_token(config: &Config) -> anyhow::Result<Option<AdminToken>> {
    if let Some(token) = &config.admin_token {
        return Ok(Some(AdminToken { token: token.clone(), file: None, made: false }));
    }
    let file = admin_token_file(config);
    match std::fs::read_to_string(&file) {
        Ok(text) => {
            let token = text.trim();
            anyhow::ensure!(
                !token.is_empty(),
                "{} is empty: delete it to have a new token made",
                file.display()
            );
            Ok(Some(AdminToken { token: Secret::new(token), file: Some(file), made: false }))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("can't read {}", file.display())),
    }
}
