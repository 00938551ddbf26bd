//! A thread with room for deep programs.

/// The stack of the compiler's own threads (the command line runs on one as large).
const STACK: usize = 256 << 20;

/// Runs the compiler on a thread with room for deep programs. A panic in it goes on here.
pub fn with_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        match thread.expect("a thread can be started").join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
