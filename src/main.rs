//! The binary: parses the command line and runs the command.

/// Requests and records are many small pieces of memory that one thread makes and another one frees: the system's
/// allocator takes a fifth of the router's time for them, this one about half as much (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    kassir::cli::main()
}
