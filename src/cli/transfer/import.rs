//! `kassir import`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::{Table, presets};
use kassir_providers::json::duplicate_name;
use serde_json::{Value, json};

use super::super::router::Router;
use super::super::{Failed, print};
use super::{Document, VERSION, VERSION_MEMBER, passphrase, read_passphrase};
use crate::client::{Client, ClientError};
use crate::config::Config;
use crate::manage::transfer::each_secret;

/// Largest file, bytes.
const FILE_MAX: u64 = 256 * 1024 * 1024;
/// Status of an input that is wrong, with the places.
const INVALID: u16 = 422;

/// Arguments.
#[derive(Args)]
pub(in super::super) struct Arguments {
    /// The file; - is standard input.
    file: PathBuf,
    /// Only check it, and show what would change.
    #[arg(long)]
    dry_run: bool,
    /// A file whose first line is the passphrase that the secrets are sealed under; - is standard input.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    router: Router,
}

pub(in super::super) async fn run(arguments: Arguments, config: Config) -> Result<(), Failed> {
    let mut document = read(&arguments.file)?;
    open(&mut document, arguments.passphrase_file.as_deref())?;
    let client = arguments.router.client(&config)?;
    // All of it is checked before any of it is written.
    let changes = check(&client, &document).await?;
    show(&changes);
    if arguments.dry_run {
        print::note("nothing was written");
        return Ok(());
    }
    let written = write(&client, &document).await?;
    print::note(&format!("{written} records were written"));
    Ok(())
}

fn wrong(file: &Path, errors: &[(String, String)]) -> Failed {
    let list: String = errors.iter().map(|(at, why)| format!("\n  {at}: {why}")).collect();
    Failed::Usage(format!("{} can't be imported:{list}", file.display()))
}

fn read(path: &Path) -> Result<Document, Failed> {
    let shown = path.display();
    let failed = |error: std::io::Error| Failed::Usage(format!("can't read {shown}: {error}"));
    let mut text = String::new();
    let most = FILE_MAX.saturating_add(1);
    if path == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_string(&mut text).map_err(failed)?;
    } else {
        std::fs::File::open(path).map_err(failed)?.take(most).read_to_string(&mut text).map_err(failed)?;
    }
    if u64::try_from(text.len()).is_ok_and(|len| len > FILE_MAX) {
        return Err(Failed::Usage(format!("{shown} is larger than {FILE_MAX} bytes")));
    }
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| Failed::Usage(format!("{shown} is not JSON: {error}")))?;
    if let Some(name) = duplicate_name(&text) {
        return Err(Failed::Usage(format!("{shown} has the member {name:?} twice in one object")));
    }
    match value.get(VERSION_MEMBER).and_then(Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => {
            let why = format!("is {version}; this version of Kassir reads {VERSION}");
            return Err(wrong(path, &[(format!("/{VERSION_MEMBER}"), why)]));
        }
        None => {
            let why = format!("is missing: this is no file of `kassir export` (it must be {VERSION})");
            return Err(wrong(path, &[(format!("/{VERSION_MEMBER}"), why)]));
        }
    }
    let document: Document =
        serde_json::from_value(value).map_err(|error| Failed::Usage(format!("{shown}: {error}")))?;
    let strangers = document.merchants.iter().enumerate().filter(|(_, merchant)| !merchant.is_object());
    let strangers: Vec<_> =
        strangers.map(|(index, _)| (format!("/merchants/{index}"), "must be an object".to_owned())).collect();
    if strangers.is_empty() { Ok(document) } else { Err(wrong(path, &strangers)) }
}

/// Opens what is sealed under the passphrase.
fn open(document: &mut Document, file: Option<&Path>) -> Result<(), Failed> {
    let Some(sealing) = &document.secrets else {
        return match file {
            None => Ok(()),
            Some(_) => {
                Err(Failed::Usage("the file holds no secrets: leave --passphrase-file out".to_owned()))
            }
        };
    };
    let file = file.ok_or_else(|| {
        Failed::Usage("the secrets are sealed under a passphrase: add --passphrase-file FILE".to_owned())
    })?;
    let vault = passphrase::vault(sealing, &read_passphrase(file)?).map_err(Failed::Usage)?;
    for (index, merchant) in document.merchants.iter_mut().enumerate() {
        let opened = each_secret(merchant, |owner, place| match vault.open(owner, place) {
            Ok(secret) => Ok(Value::String(secret.expose().to_owned())),
            Err(_) => {
                Err("does not open: another passphrase, damaged, or moved from another record".to_owned())
            }
        });
        opened.map_err(|errors| {
            let list: String =
                errors.iter().map(|(at, why)| format!("\n  /merchants/{index}{at}: {why}")).collect();
            Failed::Usage(format!("not all secrets open:{list}"))
        })?;
    }
    Ok(())
}

/// Has every merchant checked; gives the changes of all, or everything that is wrong.
async fn check(client: &Client, document: &Document) -> Result<Vec<Value>, Failed> {
    let (mut changes, mut errors) = (Vec::new(), String::new());
    for (index, merchant) in document.merchants.iter().enumerate() {
        match client.post("/import?dry_run=true", merchant).await {
            Ok(done) => changes.extend(changes_of(&done).cloned()),
            Err(ClientError::Refused { status: INVALID, errors: found, .. }) => {
                for (at, why) in found {
                    errors.push_str(&format!("\n  /merchants/{index}{at}: {why}"));
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    if errors.is_empty() { Ok(changes) } else { Err(Failed::Usage(format!("nothing was written:{errors}"))) }
}

/// Writes one merchant after the other; gives the number of records. What was made is told after each: nothing shows a
/// secret again, whatever becomes of the next.
async fn write(client: &Client, document: &Document) -> Result<usize, Failed> {
    let mut written = 0_usize;
    for (index, merchant) in document.merchants.iter().enumerate() {
        let done = client.post("/import?dry_run=false", merchant).await;
        let done = done.map_err(|error| broken_off(index, document.merchants.len(), written, &error))?;
        written =
            written.saturating_add(changes_of(&done).filter(|change| text(change, "deed") != "same").count());
        changes_of(&done).for_each(made);
    }
    Ok(written)
}

/// The merchant at `index` could not be written after the others before it were.
fn broken_off(index: usize, merchants: usize, records: usize, error: &ClientError) -> Failed {
    let itself = match error {
        ClientError::Unreachable { .. } | ClientError::Refused { status: ..500, .. } => "was not written",
        _ => "may have been written all the same",
    };
    Failed::Work(format!(
        "{error}\n{index} of {merchants} merchants ({records} records) were written before; the next, \
         /merchants/{index}, {itself}, and those after it were not"
    ))
}

fn changes_of(done: &Value) -> impl Iterator<Item = &Value> {
    done.get("changes").and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(change: &'a Value, name: &str) -> &'a str {
    change.get(name).and_then(Value::as_str).unwrap_or("")
}

/// A line for each record that changes: + new, ~ changed, and how many stay.
fn show(changes: &[Value]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut same = 0_usize;
    for change in changes {
        let mark = match text(change, "deed") {
            "create" => "+",
            "update" => "~",
            _ => {
                same += 1;
                continue;
            }
        };
        let members = change.get("members").and_then(Value::as_array).into_iter().flatten();
        let members: Vec<&str> = members.filter_map(Value::as_str).collect();
        table.add_row([
            mark,
            text(change, "kind"),
            text(change, "id"),
            text(change, "name"),
            &members.join(", "),
        ]);
    }
    if table.row_count() > 0 {
        print::line(table.to_string());
    }
    print::line(format!("{same} records are as in the file"));
}

/// What others have to be told, shown this once.
fn made(change: &Value) {
    let made = change.get("made").unwrap_or(&Value::Null);
    let id = text(change, "id");
    if let Some(url) = made.get("webhook_url").and_then(Value::as_str) {
        print::line(json!({ "id": id, "webhook_url": url }).to_string());
    }
    if let Some(secret) = made.get("secret").and_then(Value::as_str) {
        print::line(json!({ "id": id, "secret": secret }).to_string());
    }
}
