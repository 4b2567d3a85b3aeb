//! `kassir explain`: what a document of the configurable adapter makes of a request, step by step, without a router.

use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use kassir_providers::generic::{self, ExplainStep, ExplainVerdict, Explanation, Generic};
use kassir_providers::{Account, Request, json as text};
use serde_json::{Map, Value, json};

use super::simulate::{pairs, settings};
use super::{Failed, print};
use crate::clock::{Clock as _, SystemClock};
use crate::limits::INBOUND_BODY_MAX;
use crate::manage::{InputError, ManageError, Members, integrations, pasted, time};

/// Largest file that is read, bytes: a request with its head, a body in base64.
const FILE_MAX: u64 = 2 * INBOUND_BODY_MAX as u64 + 64 * 1024;
/// Width of a step's word, characters.
const WORD_WIDTH: usize = 10;

/// What a request looks like.
pub(super) const HELP: &str = "A request is either what goes over the wire:

  POST /webhooks/flowell/token HTTP/1.1
  X-Signature: sha256=5d51be2e…

  {\"payment\":{\"id\":\"fw_7f3a\"}}

or JSON: {\"method\", \"kind\", \"query\", \"headers\", \"body\", \"body_is_base64\", \"peer\"}.
Without Content-Length one line break at the end of the body is left out.

Exit codes: 0 proven, 1 not proven, 2 wrong usage or document.";

/// Arguments.
#[derive(Args)]
pub(super) struct Arguments {
    /// The document, a JSON file; instead of it --setting preset=NAME takes a ready-made one.
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
    /// A secret that the document names, such as main=…; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    credential: Vec<String>,
    /// A setting of the integration, such as hosts=[\"api.example\"]; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    setting: Vec<String>,
    /// The request; - is standard input.
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// The address it came from.
    #[arg(long, value_name = "ADDRESS")]
    peer: Option<IpAddr>,
    /// When it came, RFC 3339; without it now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failed> {
    let account = match account(arguments)? {
        Ok(account) => account,
        Err(errors) => return Err(wrong(&errors, arguments.json)),
    };
    let request = match request(arguments)? {
        Ok(request) => request,
        Err(errors) => return Err(wrong(&errors, arguments.json)),
    };
    let told = generic::explain(&request, &account);
    if arguments.json {
        let text = serde_json::to_string_pretty(&told).map_err(|error| Failed::Work(error.to_string()))?;
        print::line(text);
    } else {
        show(&told);
    }
    match told.verdict {
        ExplainVerdict::Proven => Ok(()),
        ExplainVerdict::Unproven => Err(Failed::Work("the request proves nothing by itself".to_owned())),
        ExplainVerdict::Refused => Err(Failed::Work("the request would be refused".to_owned())),
    }
}

type Checked<T> = Result<T, Vec<InputError>>;

fn account(arguments: &Arguments) -> Result<Checked<Account>, Failed> {
    let mut settings = settings(&arguments.setting)?;
    if let Some(path) = &arguments.document {
        settings.insert("document".to_owned(), document(path)?);
    }
    let credentials: Map<String, Value> = pairs(&arguments.credential, "credential")?
        .into_iter()
        .map(|(key, value)| (key, Value::String(value)))
        .collect();
    let mut given = Map::new();
    given.insert("settings".to_owned(), Value::Object(settings));
    given.insert("credentials".to_owned(), Value::Object(credentials));
    let mut body = Members::of(given, String::new());
    let account = integrations::draft(&Generic, Account::default(), &mut body);
    Ok(checked(account, body))
}

fn checked<T>(read: T, members: Members) -> Checked<T> {
    match members.finish() {
        Ok(()) => Ok(read),
        Err(ManageError::Invalid(errors)) => Err(errors),
        Err(other) => Err(vec![InputError::at("", other.to_string())]),
    }
}

fn document(path: &Path) -> Result<Value, Failed> {
    let shown = path.display();
    let text = String::from_utf8(read(path)?).map_err(|_| Failed::Usage(format!("{shown} is not UTF-8")))?;
    let document: Value = serde_json::from_str(&text)
        .map_err(|error| Failed::Usage(format!("{shown} is not JSON: {error}")))?;
    match text::duplicate_name(&text) {
        Some(name) => Err(Failed::Usage(format!("{shown} has the member {name:?} twice in one object"))),
        None => Ok(document),
    }
}

fn request(arguments: &Arguments) -> Result<Checked<Request>, Failed> {
    let now = match &arguments.at {
        None => SystemClock.now(),
        Some(at) => time::parse(at).map_err(|why| Failed::Usage(format!("--at {why}")))?,
    };
    let bytes = read(&arguments.request)?;
    let request = if bytes.trim_ascii_start().starts_with(b"{") {
        let mut members =
            Members::parse(&bytes).map_err(|why| Failed::Usage(format!("{}: {why}", shown(arguments))))?;
        let request = pasted::request(&mut members, now);
        checked(request, members)
    } else {
        let read =
            pasted::text(&bytes, now).map_err(|why| Failed::Usage(format!("{}: {why}", shown(arguments))))?;
        if read.line_break_dropped {
            print::note(
                "remark: the line break at the end of the body was left out; a header Content-Length says exactly \
                 what belongs to it",
            );
        }
        Ok(read.request)
    };
    Ok(request.map(|request| Request { peer: arguments.peer.or(request.peer), ..request }))
}

fn shown(arguments: &Arguments) -> String {
    format!("--request {}", arguments.request.display())
}

/// A file, or standard input for `-`.
fn read(path: &Path) -> Result<Vec<u8>, Failed> {
    let shown = path.display();
    let failed = |error: std::io::Error| Failed::Usage(format!("can't read {shown}: {error}"));
    let mut bytes = Vec::new();
    let limited = |source: &mut dyn std::io::Read, bytes: &mut Vec<u8>| {
        source.take(FILE_MAX.saturating_add(1)).read_to_end(bytes)
    };
    if path == Path::new("-") {
        limited(&mut std::io::stdin().lock(), &mut bytes).map_err(failed)?;
    } else {
        limited(&mut std::fs::File::open(path).map_err(failed)?, &mut bytes).map_err(failed)?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|len| len > FILE_MAX) {
        return Err(Failed::Usage(format!("{shown} is larger than {FILE_MAX} bytes")));
    }
    Ok(bytes)
}

/// Everything that is wrong, as a list.
fn wrong(errors: &[InputError], as_json: bool) -> Failed {
    if as_json {
        print::line(json!({ "errors": errors }).to_string());
    }
    let list: String =
        errors.iter().map(|error| format!("\n  {}: {}", error.pointer, error.detail)).collect();
    let things = if errors.len() == 1 { "one thing is" } else { "several things are" };
    Failed::Usage(format!("{things} wrong:{list}"))
}

fn show(told: &Explanation) {
    told.steps.iter().for_each(step);
    print::line(format!("verdict: {}", told.verdict.word()));
}

fn step(step: &ExplainStep) {
    let mark = if step.ok { "ok  " } else { "FAIL" };
    print::line(format!("{mark}  {:WORD_WIDTH$}  {}", step.what, plain(&step.detail)));
    let more = [("base", &step.base), ("expected", &step.expected), ("received", &step.received)];
    for (name, text) in more {
        if let Some(text) = text {
            print::line(format!("      {:WORD_WIDTH$}  {name:8}  {}", "", plain(text)));
        }
    }
}

/// What came from outside can't move the cursor or begin a line of its own.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() { out.extend(letter.escape_default()) } else { out.push(letter) }
    }
    out
}
