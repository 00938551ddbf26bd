//! Standard output and standard error.

use crate::base::Diagnostic;
use crate::base::code::E0802;
use crate::driver::{Failed, Session};
use crate::weights::reason;
use std::io::{self, ErrorKind, Write};

/// Writes a result. A reader that went away (`tritonc ... | head`) is no error.
pub fn write(session: &mut Session, bytes: &[u8]) -> Result<(), Failed> {
    try_write(bytes).map_err(|error| {
        session.report(Diagnostic::new(E0802, format!("standard output cannot be written: {}", reason(&error))));
        Failed
    })
}

/// The same without a session.
pub fn try_write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Standard output as a program's `print` sees it: each line is out before the next is computed.
pub struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        try_write(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes to standard error; there is nobody left to tell if that fails.
pub fn error_text(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

pub fn error_line(text: &str) {
    error_text(&format!("{text}\n"));
}
