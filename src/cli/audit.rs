//! `kassir audit`: the audit log as a file, and whether its chain is whole.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::router::Router;
use super::{Failed, print};
use crate::client::Client;
use crate::config::Config;
use crate::domain::ids::{AuditId, MerchantId};
use crate::domain::people::AuditEntry;
use crate::manage::chain::{Broken, ChainCheck};
use crate::manage::time;

/// Entries of one request.
const PAGE: u32 = 200;

/// What to do with the audit log.
#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Write the log as one JSON object a line, newest first.
    Export(ExportArguments),
    /// Check the chain of a running router's log, or of an exported file; names the first broken entry.
    Verify(VerifyArguments),
}

/// Which log.
#[derive(Args)]
pub(super) struct Whose {
    /// Only this merchant's.
    #[arg(long, value_name = "ID")]
    merchant: Option<MerchantId>,
    #[command(flatten)]
    router: Router,
}

/// Arguments.
#[derive(Args)]
pub(super) struct ExportArguments {
    /// The file; without it standard output.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    whose: Whose,
}

/// Arguments.
#[derive(Args)]
pub(super) struct VerifyArguments {
    /// An exported file; without it the router is asked.
    file: Option<PathBuf>,
    /// A hash that was noted earlier: an entry with it must be there. It shows that no newest entries were taken away.
    #[arg(long, value_name = "HASH")]
    knows: Option<String>,
    #[command(flatten)]
    whose: Whose,
}

/// An entry as API and file have it.
#[derive(Deserialize)]
struct Line {
    id: AuditId,
    actor: String,
    action: String,
    target: String,
    merchant_id: Option<MerchantId>,
    detail: String,
    at: String,
    hash: String,
}

impl Line {
    fn entry(self) -> Result<AuditEntry, String> {
        Ok(AuditEntry {
            id: self.id,
            actor: self.actor,
            action: self.action,
            target: self.target,
            merchant: self.merchant_id,
            detail: self.detail,
            at: time::parse(&self.at)?,
            hash: self.hash,
        })
    }
}

pub(super) async fn run(command: AuditCommand, config: Config) -> Result<(), Failed> {
    match command {
        AuditCommand::Export(arguments) => export(&arguments, &config).await,
        AuditCommand::Verify(arguments) => verify(&arguments, &config).await,
    }
}

async fn export(arguments: &ExportArguments, config: &Config) -> Result<(), Failed> {
    let client = arguments.whose.router.client(config)?;
    let mut out: Box<dyn std::io::Write + Send> = match &arguments.out {
        Some(file) => Box::new(std::io::BufWriter::new(
            std::fs::File::create(file)
                .map_err(|error| Failed::Work(format!("can't write {}: {error}", file.display())))?,
        )),
        None => Box::new(std::io::stdout()),
    };
    let mut count = 0_u64;
    read_all(&client, arguments.whose.merchant, |row| {
        count += 1;
        Ok(writeln!(out, "{row}")?)
    })
    .await?;
    out.flush()?;
    print::note(&format!("{count} entries"));
    Ok(())
}

/// Every entry of a router's log, newest first.
async fn read_all(
    client: &Client,
    merchant: Option<MerchantId>,
    mut each: impl FnMut(&serde_json::Value) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let mut path = format!("/audit?limit={PAGE}");
    if let Some(merchant) = merchant {
        path.push_str(&format!("&merchant_id={merchant}"));
    }
    let mut cursor = String::new();
    loop {
        let page = client.get(&format!("{path}{cursor}")).await?;
        for row in page.get("data").and_then(serde_json::Value::as_array).into_iter().flatten() {
            each(row)?;
        }
        match page.get("next_cursor").and_then(serde_json::Value::as_str) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(()),
        }
    }
}

async fn verify(arguments: &VerifyArguments, config: &Config) -> Result<(), Failed> {
    let mut check = ChainCheck::default();
    let mut known = arguments.knows.is_none();
    let mut take = |entry: AuditEntry| {
        known |= arguments.knows.as_ref() == Some(&entry.hash);
        check.take(entry).map_err(Failed::Work)
    };
    match &arguments.file {
        Some(file) => read_file(file, take)?,
        None => {
            let client = arguments.whose.router.client(config)?;
            read_all(&client, arguments.whose.merchant, |row| {
                let line: Line = serde_json::from_value(row.clone())
                    .map_err(|error| Failed::Work(format!("an entry can't be read: {error}")))?;
                take(line.entry().map_err(Failed::Work)?)
            })
            .await?;
        }
    }
    let told = check.end();
    if let Some(broken) = told.first_broken {
        return Err(Failed::Work(words(&broken)));
    }
    if !known {
        return Err(Failed::Work(
            "the hash that was noted is not there: the newest entries were removed".to_owned(),
        ));
    }
    print::line(format!("{} entries in {} chains are whole", told.entries, told.chains));
    for (whose, hash) in told.newest {
        let whose = whose.map_or_else(|| "router".to_owned(), |merchant| merchant.to_string());
        print::line(format!("{whose}  {hash}"));
    }
    Ok(())
}

fn words(Broken { entry, beside }: &Broken) -> String {
    let why = match beside {
        None => "this entry was changed, or the one before it was changed or removed".to_owned(),
        Some(other) => format!("it follows the same entry as {other}: one of the two was put in"),
    };
    let at = time::show(entry.at);
    format!("the chain is broken at {} ({at}, {} {}): {why}", entry.id, entry.action, entry.target)
}

fn read_file(file: &Path, mut take: impl FnMut(AuditEntry) -> Result<(), Failed>) -> Result<(), Failed> {
    let wrong = |why: String| Failed::Work(format!("{}: {why}", file.display()));
    let reader = BufReader::new(std::fs::File::open(file).map_err(|error| wrong(error.to_string()))?);
    for (index, text) in reader.lines().enumerate() {
        let text = text.map_err(|error| wrong(error.to_string()))?;
        let line: Line = serde_json::from_str(&text)
            .map_err(|error| wrong(format!("line {} is no entry: {error}", index + 1)))?;
        take(line.entry().map_err(|why| wrong(format!("line {}: at {why}", index + 1)))?)?;
    }
    Ok(())
}
