//! What the standard passes cost on the models of the standard library: how long a build takes without them, with those
//! of level 2 and with those of level 3, in a process that has compiled before. What they save, `cargo test --test
//! pass_table` counts.

#[path = "support/mod.rs"]
mod support;

use std::time::Duration;
use support::{MODELS, compute_time, is_timed, program_of_model, seconds};
use tritonc::driver::{BuildRequest, Session};
use tritonc::passes::OptLevel;

const LEVELS: [OptLevel; 3] = [OptLevel::O0, OptLevel::O2, OptLevel::O3];

fn main() {
    let turns = if is_timed() { 20 } else { 1 };
    let requests = LEVELS.map(request);
    let mut session = Session::default();
    println!("{:20} {:>10} {:>10} {:>10} {:>7} {:>7}", "model", "level 0", "level 2", "level 3", "2 / 0", "3 / 0");
    let mut ratios = [vec![], vec![]];
    for model in MODELS {
        let mut best = [Duration::MAX; LEVELS.len()];
        for turn in 0..LEVELS.len() * turns {
            let (text, which) = (program_of_model(*model, turn), turn % LEVELS.len());
            let taken = compute_time(|| build(&mut session, &text, &requests[which]));
            best[which] = best[which].min(taken);
        }
        let [second, third] = [1, 2].map(|level| best[level].as_secs_f64() / best[0].as_secs_f64());
        ratios[0].push(second);
        ratios[1].push(third);
        let times = best.map(seconds);
        println!("{:20} {:>10} {:>10} {:>10} {second:>6.2}x {third:>6.2}x", model.1, times[0], times[1], times[2]);
    }
    for (level, ratios) in LEVELS[1..].iter().zip(&mut ratios) {
        ratios.sort_by(f64::total_cmp);
        println!("level {level}: median {:.2}x, worst {:.2}x", ratios[ratios.len() / 2], ratios[ratios.len() - 1]);
    }
}

fn request(level: OptLevel) -> BuildRequest {
    let mut request = BuildRequest { targets: vec!["pytorch".into()], ..BuildRequest::default() };
    request.passes.selection.level = level;
    request
}

fn build(session: &mut Session, text: &str, request: &BuildRequest) {
    if session.build_text("main.tri", text, request).is_err() {
        panic!("{}", session.render());
    }
}
