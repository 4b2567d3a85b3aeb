//! The command line: one file per command. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.

mod audit;
mod bench;
mod config;
mod demo;
mod doctor;
mod explain;
mod health;
mod listen;
mod print;
mod replay;
mod router;
mod serve;
mod simulate;
mod token;
mod transfer;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigError};

/// Receives payment notifications of many providers, proves them, and delivers them as one kind of event.
#[derive(Parser)]
#[command(name = "kassir", version, propagate_version = true, max_term_width = 110)]
struct Cli {
    /// Configuration file; without it ./kassir.toml, if there is one.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the router: inbound notifications, delivery, API.
    Serve,
    /// Show the whole job in one go on a throw-away store.
    Demo(demo::Arguments),
    /// Send a correctly signed notification as a provider would.
    Simulate(Box<simulate::Arguments>),
    /// Try a document of the configurable adapter on a request: every step, and why it failed.
    #[command(after_help = explain::HELP)]
    Explain(Box<explain::Arguments>),
    /// Send deliveries again: preview, progress, cancel.
    Replay(Box<replay::Arguments>),
    /// Forward events of a running router to an address on this machine.
    Listen(Box<listen::Arguments>),
    /// The audit log: export it, check its chain.
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// Write what is set up (merchants, integrations, endpoints) as a file.
    Export(Box<transfer::export::Arguments>),
    /// Set up what a file of export says; what it does not name stays.
    Import(Box<transfer::import::Arguments>),
    /// Check configuration, store, clock, TLS and providers, and say what to do.
    Doctor(doctor::Arguments),
    /// Ask whether the router on this machine is ready.
    Health,
    /// Measure this machine: intake, end to end, latency, beside a floor.
    Bench(bench::Arguments),
    /// API tokens.
    Token {
        #[command(subcommand)]
        command: token::TokenCommand,
    },
    /// Check or show the configuration.
    Config {
        #[command(subcommand)]
        command: config::ConfigCommand,
    },
}

/// How a command failed.
#[derive(Debug)]
pub enum Failed {
    /// Wrong usage or configuration: exit code 2.
    Usage(String),
    /// It did not work: exit code 1.
    Work(String),
}

impl From<ConfigError> for Failed {
    fn from(error: ConfigError) -> Failed {
        Failed::Usage(error.to_string())
    }
}

impl From<crate::client::ClientError> for Failed {
    fn from(error: crate::client::ClientError) -> Failed {
        Failed::Work(error.to_string())
    }
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Failed {
        Failed::Work(format!("{error:#}"))
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Failed {
        Failed::Work(error.to_string())
    }
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    crate::tls::install();
    let cli = Cli::parse();
    let result = run(cli);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Work(why)) => {
            print::error(&why);
            ExitCode::from(1)
        }
        Err(Failed::Usage(why)) => {
            print::error(&why);
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli) -> Result<(), Failed> {
    let file = cli.config;
    let load = || -> Result<Config, Failed> { Ok(crate::config::load(file.as_deref())?) };
    match cli.command {
        Command::Serve => block_on(serve::run(load()?)),
        Command::Demo(arguments) => block_on(demo::run(arguments)),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Replay(arguments) => block_on(replay::run(*arguments, load()?)),
        Command::Listen(arguments) => block_on(listen::run(*arguments, load()?)),
        Command::Audit { command } => block_on(audit::run(command, load()?)),
        Command::Export(arguments) => block_on(transfer::export::run(*arguments, load()?)),
        Command::Import(arguments) => block_on(transfer::import::run(*arguments, load()?)),
        Command::Doctor(arguments) => block_on(doctor::run(arguments, load()?)),
        Command::Bench(arguments) => block_on(bench::run(arguments)),
        Command::Health => block_on(health::run(load()?)),
        Command::Token { command } => block_on(token::run(command, load()?)),
        Command::Simulate(arguments) => block_on(simulate::run(*arguments)),
        Command::Config { command } => config::run(&command, &load()?),
    }
}

fn block_on<T>(work: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(work)
}
