//! The memory that compiling takes in a process that has compiled before: the most that is held while one program
//! is built, beyond what the process holds without it, and what stays of it afterwards.

#[path = "support/measure.rs"]
mod measure;
#[path = "support/programs.rs"]
mod programs;

use measure::{is_timed, peak_memory};
use programs::{MODELS, SIMPLE_LAYER, layer_of_operations, program_of_layers, program_of_model};
use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tritonc::driver::{BuildRequest, Mode, Session};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// The program's allocator, with a count of the bytes that are held.
struct Counting;

// SAFETY: every call is passed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(held, Relaxed);
        unsafe { mimalloc::MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { mimalloc::MiMalloc.dealloc(pointer, layout) }
    }
}

fn main() {
    let turns = if is_timed() { 200 } else { 2 };
    let mut request = BuildRequest { targets: vec!["pytorch".into()], ..BuildRequest::default() };
    request.entry.mode = Mode::Infer;
    let mut session = Session::default();
    build(&mut session, SIMPLE_LAYER, &request);
    println!("a session with the standard library and one program: {}", kib(HELD.load(Relaxed)));
    println!("{:26} {:>12} {:>12}", "program", "at most", "stays");
    let programs = [
        ("a simple layer", SIMPLE_LAYER.to_string()),
        ("a layer of 50 operations", layer_of_operations(50)),
        ("10 layers", program_of_layers(10)),
    ];
    for (name, text) in &programs {
        row(name, &mut session, &request, turns, |turn| text.replace("64", &(65 + turn).to_string()));
    }
    for model in MODELS {
        row(model.1, &mut session, &request, turns.div_ceil(20), |turn| program_of_model(*model, turn));
    }
    println!("peak memory of this process: {} KiB", peak_memory());
}

/// Builds so many programs that differ, after two of their kind.
fn row(name: &str, session: &mut Session, request: &BuildRequest, turns: usize, text: impl Fn(usize) -> String) {
    let texts: Vec<String> = (0..turns + 2).map(text).collect();
    texts[..2].iter().for_each(|text| build(session, text, request));
    let (first, mut most) = (HELD.load(Relaxed), 0);
    for text in &texts[2..] {
        let before = HELD.load(Relaxed);
        MOST.store(before, Relaxed);
        build(session, text, request);
        most = most.max(MOST.load(Relaxed) - before);
    }
    let stays = HELD.load(Relaxed) as f64 - first as f64;
    println!("{name:26} {:>12} {:>8.1} KiB", kib(most), stays / turns as f64 / 1024.0);
}

fn build(session: &mut Session, text: &str, request: &BuildRequest) {
    if session.build_text("main.tri", text, request).is_err() {
        panic!("{}", session.render());
    }
}

fn kib(bytes: usize) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}
