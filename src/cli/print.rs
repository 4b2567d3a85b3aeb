//! What people see: plain lines, colours only on a terminal.

use std::io::IsTerminal as _;
use std::io::Write as _;

/// A line on standard output. A closed pipe is no error.
pub(super) fn line(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stdout(), "{}", text.as_ref());
}

/// An error on standard error.
pub(super) fn error(text: &str) {
    let word = if std::io::stderr().is_terminal() { "\u{1b}[1;31merror:\u{1b}[0m" } else { "error:" };
    let _ = writeln!(std::io::stderr(), "{word} {text}");
}

/// A remark on standard error, so that standard output stays the result.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
