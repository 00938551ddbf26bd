//! From source text to PyTorch text, in a process that has compiled before: each text is another program, so
//! that nothing of it is known from the last one.

#[path = "support/mod.rs"]
mod support;

use divan::Bencher;
use divan::counter::ItemsCount;
use tritonc::driver::{BuildRequest, Mode, Session};

fn main() {
    divan::main();
}

fn request(mode: Mode) -> BuildRequest {
    let mut request = BuildRequest { targets: vec!["pytorch".into()], ..BuildRequest::default() };
    request.entry.mode = mode;
    request
}

fn build(session: &mut Session, text: &str, request: &BuildRequest) -> usize {
    match session.build_text("main.tri", text, request) {
        Ok(files) => files.iter().map(|file| file.bytes.len()).sum(),
        Err(_) => panic!("{}", session.render()),
    }
}

/// Programs like `text`, no two alike.
fn variants(text: &str) -> impl FnMut() -> String {
    let mut width = 64;
    move || {
        width += 1;
        text.replace("64", &width.to_string())
    }
}

fn warm(bencher: Bencher<'_, '_>, text: &str, mode: Mode) {
    let (mut session, request, mut next) = (Session::default(), request(mode), variants(text));
    for _ in 0..10 {
        build(&mut session, &next(), &request);
    }
    let bencher = bencher.with_inputs(next).counter(ItemsCount::new(1usize));
    bencher.bench_local_values(|text| build(&mut session, &text, &request));
}

#[divan::bench]
fn simple_layer(bencher: Bencher<'_, '_>) {
    warm(bencher, support::SIMPLE_LAYER, Mode::Infer);
}

#[divan::bench]
fn simple_layer_for_training(bencher: Bencher<'_, '_>) {
    warm(bencher, support::SIMPLE_LAYER, Mode::Train);
}

#[divan::bench]
fn layer_of_50_operations(bencher: Bencher<'_, '_>) {
    warm(bencher, &support::layer_of_operations(50), Mode::Infer);
}

#[divan::bench]
fn program_of_10_layers(bencher: Bencher<'_, '_>) {
    warm(bencher, &support::program_of_layers(10), Mode::Infer);
}

/// The standard library and the templates are read anew.
#[divan::bench]
fn simple_layer_in_a_new_session(bencher: Bencher<'_, '_>) {
    let request = request(Mode::Infer);
    bencher.bench(|| build(&mut Session::default(), support::SIMPLE_LAYER, &request));
}
