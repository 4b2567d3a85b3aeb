//! `kassir doctor`: what is wrong, and what to do about it.

mod absent;
mod advice;
mod disk;
mod keeping;
mod router;
mod store;
mod waiting;

use std::time::Duration;

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use kassir_providers::Method;
use serde::Serialize;

use super::{Failed, print};
use crate::config::Config;
use crate::delivery::outbound::{Outbound, OutboundRequest};
use crate::secrets::Vault;

/// Longest wait for one provider.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(5);

/// Arguments.
#[derive(Args)]
pub(super) struct Arguments {
    /// Do not try to reach the providers' APIs.
    #[arg(long)]
    offline: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Mark {
    Ok,
    Warning,
    Failure,
}

#[derive(Serialize)]
struct Finding {
    mark: Mark,
    what: String,
    found: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    advice: String,
}

impl Finding {
    fn new(mark: Mark, what: &str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { mark, what: what.to_owned(), found: found.into(), advice: advice.into() }
    }

    fn ok(what: &str, found: impl Into<String>) -> Finding {
        Finding::new(Mark::Ok, what, found, "")
    }
}

pub(super) async fn run(arguments: Arguments, config: Config) -> Result<(), Failed> {
    let mut findings = vec![Finding::ok("configuration", "valid")];
    findings.extend(settings(&config));
    findings.extend(secrets(&config));
    findings.extend(store::findings(&config).await);
    match crate::app::outbound(&config) {
        Ok(outbound) => {
            findings.push(Finding::ok("TLS", "CA certificates are there"));
            findings.extend(proxy(&outbound).await);
            if !arguments.offline {
                findings.extend(providers(&outbound).await);
            }
        }
        Err(error) => findings.push(Finding::new(Mark::Failure, "TLS", format!("{error:#}"), "")),
    }
    show(&arguments, &findings)?;
    let failures = findings.iter().filter(|finding| finding.mark == Mark::Failure).count();
    if failures == 0 { Ok(()) } else { Err(Failed::Work(format!("{failures} checks failed"))) }
}

fn settings(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let public = config.public_url();
    findings.push(if public.starts_with("https://") {
        Finding::ok("public_url", public)
    } else {
        let advice = "providers reach Kassir by https only: set public_url to the https:// address of the proxy before it";
        Finding::new(Mark::Warning, "public_url", public, advice)
    });
    if config.outbound.allow_http {
        let advice = "for tests only: events go out unencrypted";
        findings.push(Finding::new(Mark::Warning, "outbound.allow_http", "on", advice));
    }
    if !config.outbound.allow_networks.is_empty() {
        let networks: Vec<String> = config.outbound.allow_networks.iter().map(ToString::to_string).collect();
        let advice = "merchants' endpoints may reach these networks: leave only what is meant";
        findings.push(Finding::new(Mark::Warning, "outbound.allow_networks", networks.join(", "), advice));
    }
    findings.push(if config.trusted_proxies.is_empty() {
        let advice = "behind a proxy list its network, else source_ips sees the proxy's address";
        Finding::new(Mark::Warning, "trusted_proxies", "none", advice)
    } else {
        let networks: Vec<String> = config.trusted_proxies.iter().map(ToString::to_string).collect();
        Finding::ok("trusted_proxies", format!("X-Forwarded-For counts from {}", networks.join(", ")))
    });
    findings
}

fn secrets(config: &Config) -> Vec<Finding> {
    let path = &config.secrets.master_key_file;
    if !path.exists() {
        let advice = "the first `kassir serve` on a new store makes it";
        return vec![Finding::new(
            Mark::Warning,
            "master key",
            format!("{} is not there yet", path.display()),
            advice,
        )];
    }
    match Vault::read(path) {
        Err(error) => {
            vec![Finding::new(Mark::Failure, "master key", error.to_string(), "restore it from its copy")]
        }
        Ok(_) => {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(path).map_or(0, |file| file.permissions().mode() & 0o777);
            let readable = mode & 0o077 != 0;
            let advice = if readable { format!("chmod 600 {}", path.display()) } else { String::new() };
            let mark = if readable { Mark::Warning } else { Mark::Ok };
            vec![Finding::new(mark, "master key", format!("{} (mode {mode:o})", path.display()), advice)]
        }
    }
}

async fn proxy(outbound: &Outbound) -> Option<Finding> {
    Some(match outbound.check_proxy().await? {
        Ok(place) => Finding::ok("outbound.proxy", format!("{place} takes connections")),
        Err(failure) => {
            let advice = "nothing goes out without it: is it up, and is outbound.proxy right?";
            Finding::new(Mark::Failure, "outbound.proxy", failure.to_string(), advice)
        }
    })
}

async fn providers(outbound: &Outbound) -> Vec<Finding> {
    let asked = kassir_providers::ALL
        .iter()
        .map(|provider| provider.about())
        .filter(|about| !about.api_base.is_empty());
    let checks = asked.map(|about| async move {
        let request = OutboundRequest {
            method: Method::Get,
            url: about.api_base.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: Some(PROVIDER_TIMEOUT),
            response_max: 1024,
        };
        let outcome = outbound.send(request).await;
        match outcome.status {
            Some(_) => {
                Finding::ok(about.slug, format!("{} answers in {} ms", about.api_base, outcome.duration_ms))
            }
            None => {
                let why = outcome.failure.map_or_else(String::new, |failure| failure.to_string());
                let advice = "only confirmations and operations at this provider need it";
                Finding::new(Mark::Warning, about.slug, format!("{}: {why}", about.api_base), advice)
            }
        }
    });
    futures_util::future::join_all(checks).await
}

fn show(arguments: &Arguments, findings: &[Finding]) -> Result<(), Failed> {
    if arguments.json {
        let text = serde_json::to_string_pretty(findings).map_err(|error| Failed::Work(error.to_string()))?;
        print::line(text);
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    for finding in findings {
        let mark = match finding.mark {
            Mark::Ok => "ok",
            Mark::Warning => "warning",
            Mark::Failure => "FAILURE",
        };
        let advice =
            if finding.advice.is_empty() { String::new() } else { format!("→ {}", finding.advice) };
        table.add_row([mark, &finding.what, &finding.found, &advice]);
    }
    print::line(table.to_string());
    Ok(())
}
