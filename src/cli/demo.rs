//! `kassir demo`.

use clap::Args;

use super::{Failed, print};
use crate::demo::{Options, play};

/// Arguments.
#[derive(Args)]
pub(super) struct Arguments {
    /// Stay up at the end, to look around.
    #[arg(long)]
    keep: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failed> {
    print::line("Kassir's whole job, on a throw-away store:");
    let watch = crate::clock::Stopwatch::start();
    play(Options { keep: arguments.keep }, &|line| print::line(line)).await?;
    print::line("");
    print::line(format!("done in {:.1} s", watch.elapsed().as_secs_f64()));
    Ok(())
}
