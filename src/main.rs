//! The binary: parses the command line and runs the command.

/// Records are made in one thread and freed in another, at a high rate: what the system's allocator does worst.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    kassir::cli::main()
}
