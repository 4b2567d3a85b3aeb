//! `kassir export`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::super::router::Router;
use super::super::{Failed, print};
use super::{Document, VERSION, passphrase, read_passphrase};
use crate::client::Client;
use crate::config::Config;
use crate::domain::ids::MerchantId;
use crate::manage::transfer::{each_secret, sealed};
use crate::secrets::Vault;

/// Merchants of one request.
const PAGE: u32 = 200;

/// Arguments.
#[derive(Args)]
pub(in super::super) struct Arguments {
    /// Only this merchant; without it all that the token sees.
    #[arg(long, value_name = "ID")]
    merchant: Option<MerchantId>,
    /// The file, which must not be there yet; without it standard output.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// With secrets, sealed under a passphrase. Needs the master key file of the router and an admin token.
    #[arg(long, requires = "passphrase_file")]
    with_secrets: bool,
    /// A file whose first line is the passphrase; - is standard input.
    #[arg(long, value_name = "FILE", requires = "with_secrets")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    router: Router,
}

pub(in super::super) async fn run(arguments: Arguments, config: Config) -> Result<(), Failed> {
    let client = arguments.router.client(&config)?;
    let passphrase = arguments.passphrase_file.as_deref().map(read_passphrase).transpose()?;
    let master = match passphrase {
        Some(_) => Some(master(&config.secrets.master_key_file)?),
        None => None,
    };
    let merchants = match arguments.merchant {
        Some(id) => vec![id.to_string()],
        None => merchants(&client).await?,
    };
    let mut document = Document { kassir_export: VERSION, secrets: None, merchants: Vec::new() };
    let query = if master.is_some() { "?sealed=true" } else { "" };
    for id in merchants {
        document.merchants.push(client.get(&format!("/merchants/{id}/export{query}")).await?);
    }
    if let (Some(passphrase), Some(master)) = (&passphrase, &master) {
        seal(&mut document, passphrase, master)?;
    }
    let text = serde_json::to_string_pretty(&document).map_err(|error| Failed::Work(error.to_string()))?;
    write(arguments.out.as_deref(), &format!("{text}\n"))?;
    let secrets = if passphrase.is_some() { "sealed under the passphrase" } else { "left out" };
    print::note(&format!("{} merchants, secrets {secrets}", document.merchants.len()));
    Ok(())
}

/// The router's master key. It must be there: a new one would open nothing.
fn master(path: &Path) -> Result<Vault, Failed> {
    if !path.exists() {
        return Err(Failed::Usage(format!(
            "--with-secrets needs the router's master key, and {} is not there: run it where the router runs, with its \
             configuration",
            path.display()
        )));
    }
    Ok(Vault::open_or_create(path).map_err(|error| Failed::Work(error.to_string()))?.0)
}

/// The ids of all merchants that the token sees, oldest first.
async fn merchants(client: &Client) -> Result<Vec<String>, Failed> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client.get(&format!("/merchants?limit={PAGE}{cursor}")).await?;
        let rows = page.get("data").and_then(Value::as_array).into_iter().flatten();
        ids.extend(rows.filter_map(|row| Some(row.get("id")?.as_str()?.to_owned())));
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    ids.reverse();
    Ok(ids)
}

/// Turns what is sealed under the master key into what is sealed under the passphrase.
fn seal(
    document: &mut Document,
    passphrase: &kassir_providers::Secret,
    master: &Vault,
) -> Result<(), Failed> {
    let (sealing, vault) = passphrase::new(passphrase).map_err(Failed::Work)?;
    document.secrets = Some(sealing);
    for (index, merchant) in document.merchants.iter_mut().enumerate() {
        let turned = each_secret(merchant, |owner, place| {
            let text = master.open(owner, place).map_err(|error| error.to_string())?;
            let again = vault.seal(owner, text.expose()).map_err(|error| error.to_string())?;
            Ok(sealed(&again))
        });
        turned.map_err(|errors| {
            let list: String =
                errors.iter().map(|(at, why)| format!("\n  /merchants/{index}{at}: {why}")).collect();
            Failed::Work(format!("not all secrets open:{list}"))
        })?;
    }
    Ok(())
}

/// Writes the file, readable by its owner only.
fn write(out: Option<&Path>, text: &str) -> Result<(), Failed> {
    match out {
        None => Ok(std::io::stdout().write_all(text.as_bytes())?),
        Some(path) => crate::secrets::write_private(path, text)
            .map_err(|error| Failed::Work(format!("can't write {}: {error}", path.display()))),
    }
}
