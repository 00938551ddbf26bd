//! What the standard passes do to the models of the standard library: instructions before and after, and how long
//! a build takes without them and with them, in a process that has compiled before.

#[path = "support/mod.rs"]
mod support;

use std::time::Duration;
use support::{MODELS, compute_time, is_timed, program_of_model, seconds};
use tritonc::driver::{BuildRequest, Session};
use tritonc::passes::OptLevel;

fn main() {
    let turns = if is_timed() { 20 } else { 1 };
    let requests = [OptLevel::O0, OptLevel::default()].map(request);
    let mut session = Session::default();
    println!(
        "{:20} {:>7} {:>7} {:>7} {:>10} {:>10} {:>6}",
        "model", "before", "after", "gone", "without", "with", "ratio"
    );
    let (mut all, mut ratios) = ([0, 0], vec![]);
    for model in MODELS {
        let mut best = [Duration::MAX; 2];
        for turn in 0..2 * turns {
            let (text, which) = (program_of_model(*model, turn), turn % 2);
            let taken = compute_time(|| build(&mut session, &text, &requests[which]));
            best[which] = best[which].min(taken);
        }
        // The last build was one with passes.
        let passes = session.pass_reports().iter().flat_map(|form| &form.passes);
        let counts: Vec<[usize; 2]> = passes.map(|pass| [pass.before, pass.after]).collect();
        let (before, after) = (counts[0][0], counts[counts.len() - 1][1]);
        all = [all[0] + before, all[1] + after];
        ratios.push(best[1].as_secs_f64() / best[0].as_secs_f64());
        let times = best.map(seconds);
        let (gone, ratio) = (gone(before, after), ratios[ratios.len() - 1]);
        println!("{:20} {before:>7} {after:>7} {gone:>5.1} % {:>10} {:>10} {ratio:>5.2}x", model.1, times[0], times[1]);
    }
    ratios.sort_by(f64::total_cmp);
    let (median, worst) = (ratios[ratios.len() / 2], ratios[ratios.len() - 1]);
    println!(
        "all: {} -> {}, {:.1} % gone; time: median {median:.2}x, worst {worst:.2}x",
        all[0],
        all[1],
        gone(all[0], all[1])
    );
}

fn gone(before: usize, after: usize) -> f64 {
    100.0 - 100.0 * after as f64 / before as f64
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
