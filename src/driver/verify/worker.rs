//! A process that executes emitted Python. It reads one JSON request a line and writes one JSON answer a line, so that
//! many jobs share one start: importing a framework takes seconds.

use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The start includes importing a framework, from a cold disk perhaps.
const START_LIMIT: Duration = Duration::from_secs(180);
/// So many lines of what the process says on standard error are shown when something goes wrong.
const SHOWN_LINES: usize = 20;
const PYTHON: &str = "TRITONC_PYTHON";

/// The Python that emitted code runs on: what `TRITONC_PYTHON` names, else `python3`.
pub fn python() -> PathBuf {
    let named = std::env::var_os(PYTHON).filter(|name| !name.is_empty());
    named.map_or("python3".into(), PathBuf::from)
}

/// A running process. It ends when this is dropped.
pub struct Worker {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
    /// The last lines of standard error since the request.
    said: Arc<Mutex<Vec<String>>>,
    /// Holds the script and its modules.
    _folder: tempfile::TempDir,
}

impl Worker {
    /// Starts a script, beside which its modules lie. It says a line of JSON as soon as it has what it needs. An error
    /// says what is missing.
    pub fn start(python: &Path, script: &str, modules: &[(&str, &str)]) -> Result<Worker, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let put = |name: &str, text: &str| {
            let path = folder.path().join(format!("{name}.py"));
            std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok::<_, String>(path)
        };
        for (name, text) in modules {
            put(name, text)?;
        }
        let path = put("runner", script)?;
        let mut command = Command::new(python);
        // Unoptimised, so that assertions in emitted modules are executed.
        command.arg("-u").arg(&path).env_remove("PYTHONOPTIMIZE").env("PYTHONDONTWRITEBYTECODE", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let shown = python.display();
        let mut child = command.spawn().map_err(|error| {
            let why = crate::weights::reason(&error);
            format!("`{shown}` does not run: {why}; {PYTHON} names the Python to use")
        })?;
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(format!("`{shown}` has no pipes"));
        };
        let said = Arc::default();
        let listener = listen(errors, Arc::clone(&said));
        let mut worker = Worker { child, input, answers: lines(output), said, _folder: folder };
        match worker.read(START_LIMIT) {
            Ok(_) => Ok(worker),
            Err(why) => {
                worker.stop();
                // With the process, its standard error ends.
                let _ = listener.join();
                let why = worker.heard().pop().unwrap_or(why);
                Err(format!("`{shown}` lacks what is needed: {why}; {PYTHON} names the Python to use"))
            }
        }
    }

    /// Sends a request and waits for the answer. After an error the process is of no more use.
    pub fn ask(&mut self, request: &Value, limit: Duration) -> Result<Value, String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let sent = writeln!(self.input, "{request}").and_then(|()| self.input.flush());
        let answer = match sent {
            Ok(()) => self.read(limit),
            Err(error) => Err(format!("the Python process takes no requests: {error}")),
        };
        answer.map_err(|why| {
            self.stop();
            [vec![why], self.heard()].concat().join("\n")
        })
    }

    fn read(&mut self, limit: Duration) -> Result<Value, String> {
        let line = self.answers.recv_timeout(limit).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("no answer within {} s", limit.as_secs()),
            RecvTimeoutError::Disconnected => match self.child.wait() {
                Ok(status) => format!("the Python process ended ({status})"),
                Err(error) => format!("the Python process ended ({error})"),
            },
        })?;
        serde_json::from_str(&line).map_err(|error| format!("the Python process answered {line:?}: {error}"))
    }

    fn heard(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    /// Its input closes, but a module may hang in native code.
    fn drop(&mut self) {
        self.stop();
    }
}

/// The lines of a stream, read by a thread so that waiting for one can end.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (send, lines) = channel();
    std::thread::spawn(move || {
        let mut all = BufReader::new(stream).lines();
        while let Some(Ok(line)) = all.next() {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// Keeps the last lines of a stream.
fn listen(stream: impl Read + Send + 'static, said: Arc<Mutex<Vec<String>>>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let bytes = BufReader::new(stream).split(b'\n').map_while(io::Result::ok);
        for line in bytes.map(|line| String::from_utf8_lossy(&line).trim_end().to_string()) {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if !line.is_empty() {
                said.push(line);
            }
            let more = said.len().saturating_sub(SHOWN_LINES);
            said.drain(..more);
        }
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use serde_json::json;

    /// A shell takes the place of Python; it reads `-u` as well.
    fn start(script: &str) -> Result<Worker, String> {
        Worker::start(Path::new("/bin/sh"), script, &[])
    }

    #[test]
    fn requests_are_answered_in_turn() {
        let mut worker = start("echo '{\"ok\": true}'\nwhile read line; do echo \"$line\"; done\n").unwrap();
        for number in 0..3 {
            assert_eq!(worker.ask(&json!({ "number": number }), START_LIMIT), Ok(json!({ "number": number })));
        }
    }

    #[test]
    fn a_process_that_does_not_start_says_why() {
        let error = |result: Result<Worker, String>| result.err().unwrap_or_default();
        let told = error(start("echo first >&2\necho 'no such module' >&2\nexit 1\n"));
        assert_eq!(told, "`/bin/sh` lacks what is needed: no such module; TRITONC_PYTHON names the Python to use");
        let told = error(Worker::start(Path::new("/no/such"), "", &[]));
        assert!(told.starts_with("`/no/such` does not run: no such file or directory"), "{told}");
    }

    #[test]
    fn a_process_that_ends_or_hangs_is_an_error() {
        let mut worker = start("echo '{}'\nread line\necho 'out of order' >&2\nsleep 0.2\nexit 7\n").unwrap();
        let told = worker.ask(&json!({}), START_LIMIT).unwrap_err();
        assert_eq!(told, "the Python process ended (exit status: 7)\nout of order");
        let mut worker = start("echo '{}'\nread line\nexec sleep 60\n").unwrap();
        let told = worker.ask(&json!({}), Duration::from_millis(50)).unwrap_err();
        assert_eq!(told, "no answer within 0 s");
        let mut worker = start("echo '{}'\nread line\necho nonsense\n").unwrap();
        assert!(worker.ask(&json!({}), START_LIMIT).unwrap_err().contains("answered \"nonsense\""));
    }
}
