//! The process itself: memory, open files, how long it runs. Read from `/proc` when somebody scrapes; elsewhere than on
//! Linux only what needs no `/proc` is told.

use std::sync::LazyLock;

use crate::clock::Stopwatch;

static STARTED: LazyLock<Stopwatch> = LazyLock::new(Stopwatch::start);

/// Bytes of a kibibyte, the unit of `/proc/self/status`.
const KIB: f64 = 1024.0;

pub(super) fn start() {
    LazyLock::force(&STARTED);
}

/// Measures the process now.
#[allow(clippy::cast_precision_loss, reason = "gauges are floats")]
pub fn measure() {
    metrics::gauge!("kassir_uptime_seconds").set(STARTED.elapsed().as_secs_f64());
    if let Some(kib) = std::fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident) {
        metrics::gauge!("process_resident_memory_bytes").set(kib * KIB);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // The folder itself is open while it is read.
        metrics::gauge!("process_open_fds").set(open.count().saturating_sub(1) as f64);
    }
    if let Some(most) = std::fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(fds_max) {
        metrics::gauge!("process_max_fds").set(most);
    }
}

/// Resident memory in KiB, of `/proc/self/status`.
fn resident(status: &str) -> Option<f64> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

/// Soft limit of open files, of `/proc/self/limits`.
fn fds_max(limits: &str) -> Option<f64> {
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells_is_read() {
        assert_eq!(resident("Name:\tkassir\nVmRSS:\t   12345 kB\nThreads:\t9\n"), Some(12_345.0));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files   1024   4096   files\n";
        assert_eq!(fds_max(limits), Some(1_024.0));
        assert_eq!((resident(""), fds_max("Max open files unlimited")), (None, None));
    }
}
