//! What the standard passes do to the models of the standard library: instructions before and after, and how long
//! a build takes without them and with them. The process has compiled before; a build is checking, lowering,
//! verifying and writing the PyTorch text.

#[path = "support/mod.rs"]
mod support;

use std::time::Duration;
use support::{MODELS, compute_time, is_timed, program_of_model, seconds};
use tritonc::analysis::Project;
use tritonc::analysis::project::NoFiles;
use tritonc::base::Source;
use tritonc::driver::pipeline::STANDARD_PASSES;
use tritonc::ir::{self, Verified};
use tritonc::targets::{self, EmitOptions, Mode, Templates, Writer};
use tritonc::{lower, passes};

fn main() {
    let turns = if is_timed() { 20 } else { 1 };
    let target = targets::find("pytorch").expect("a target");
    let writer = target.writer(&Templates::builtin()).expect("templates");
    let mut project = Project::new();
    println!(
        "{:20} {:>7} {:>7} {:>7} {:>10} {:>10} {:>6}",
        "model", "before", "after", "gone", "without", "with", "ratio"
    );
    let (mut all, mut ratios) = ([0, 0], vec![]);
    for model in MODELS {
        let module = lowered(&mut project, &program_of_model(*model, usize::MAX));
        let before = passes::instruction_count(&module);
        let after = passes::instruction_count(&passes::run(module, STANDARD_PASSES).expect("passes"));
        let mut best = [Duration::MAX; 2];
        for turn in 0..2 * turns {
            let text = program_of_model(*model, turn);
            let names = if turn % 2 == 0 { &[][..] } else { STANDARD_PASSES };
            let taken = compute_time(|| build(&mut project, &text, names, &*writer));
            best[turn % 2] = best[turn % 2].min(taken);
        }
        let ratio = best[1].as_secs_f64() / best[0].as_secs_f64();
        row(model.1, [before, after], best, ratio);
        all = [all[0] + before, all[1] + after];
        ratios.push(ratio);
    }
    let gone = 100.0 - 100.0 * all[1] as f64 / all[0] as f64;
    ratios.sort_by(f64::total_cmp);
    println!(
        "all: {} -> {} instructions ({gone:.1} % gone); time: median {:.2}x, worst {:.2}x",
        all[0],
        all[1],
        ratios[ratios.len() / 2],
        ratios[ratios.len() - 1]
    );
}

fn row(name: &str, [before, after]: [usize; 2], [without, with]: [Duration; 2], ratio: f64) {
    let gone = 100.0 - 100.0 * after as f64 / before as f64;
    println!(
        "{name:20} {before:>7} {after:>7} {gone:>5.1} % {:>10} {:>10} {ratio:>5.2}x",
        seconds(without),
        seconds(with)
    );
}

fn lowered(project: &mut Project, text: &str) -> Verified {
    project.clear();
    let (file, _) = project.open("main", Source::new("main.tri", text), &mut NoFiles);
    assert!(project.check_all().is_empty(), "{text}");
    let module = lower::entry(project, file, &lower::EntryRequest::default()).expect("a program that is right");
    ir::verify(module).expect("valid IR")
}

/// How many bytes the text has.
fn build(project: &mut Project, text: &str, names: &[&str], writer: &dyn Writer) -> usize {
    let module = lowered(project, text);
    let module = if names.is_empty() { module } else { passes::run(module, names).expect("passes") };
    let options = EmitOptions { mode: Mode::Infer, ..EmitOptions::default() };
    let files = writer.write(&module, &options).expect("files");
    files.iter().map(|file| file.contents.as_bytes().len()).sum()
}
