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
    if let Some(token) = &config.admin_token {
        return Ok(AdminToken { token: token.clone(), file: None, made: false });
    }
    let file = config.secrets.master_key_file.with_file_name("admin.token");
    match std::fs::read_to_string(&file) {
        Ok(text) => {
            let token = text.trim();
            anyhow::ensure!(
                !token.is_empty(),
                "{} is empty: delete it to have a new token made",
                file.display()
            );
            Ok(AdminToken { token: Secret::new(token), file: Some(file), made: false })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let token = secrets::new_token("kas_")?;
            secrets::write_private(&file, &format!("{}\n", token.expose()))
                .with_context(|| format!("can't write {}", file.display()))?;
            Ok(AdminToken { token, file: Some(file), made: true })
        }
        Err(error) => Err(error).with_context(|| format!("can't read {}", file.display())),
    }
}
