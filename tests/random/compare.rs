//! What a program computes, by everything that computes it: the same, or a [`Failure`].
//!
//! The interpreter on the program as it is lowered is the meaning. Passes are run one by one and level by level, and the
//! interpreter again on what they leave: the same to the last bit, or within the tolerances where a pass may round otherwise.

use super::noise::Noise;
use super::tree::Program;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tritonc::driver::verify::compare::compare;
use tritonc::driver::verify::tolerance::{Scope, of_result};
use tritonc::driver::{EntryRequest, Mode, Session, model};
use tritonc::interp::{Instance, Machine, RunOptions};
use tritonc::ir::{self, Part};
use tritonc::passes::{self, Form, OptLevel, Pipeline, Selection, Style};
use tritonc::types::{HostValue, Symbol, Tensor};

/// So often a difference is tried with noise.
pub const TRIES: i64 = 3;
/// Initial values are drawn from this.
pub const SEED: u64 = 1;

/// What went wrong: by its kind failures are the same, by its words people understand them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// `check`, `lower`, `run`, `pass cse (train)`, `pytorch (infer)`, ...
    pub kind: String,
    pub words: String,
}

impl Failure {
    pub fn new(kind: impl Into<String>, words: impl Into<String>) -> Failure {
        Failure { kind: kind.into(), words: words.into() }
    }
}

/// A pass under test besides the compiler's own: its name, and what runs it.
pub type Added = Vec<Arc<dyn passes::Pass>>;

/// The program through the checker and all passes, in both modes.
pub fn check_passes(session: &mut Session, program: &Program, added: &Added) -> Result<(), Failure> {
    guarded(|| {
        let file = written(program)?;
        for mode in Mode::ALL {
            let module = lowered(session, &file.path, mode)?;
            check_module(&module, program, mode, added)?;
        }
        Ok(())
    })
}

/// Panics are failures like others.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(Failure::new("panic", words.unwrap_or_default()))
    })
}

/// A program on disk, gone when this is.
pub struct Written {
    pub path: String,
    _folder: tempfile::TempDir,
}

pub fn written(program: &Program) -> Result<Written, Failure> {
    let broken = |error: std::io::Error| Failure::new("disk", error.to_string());
    let folder = tempfile::tempdir().map_err(broken)?;
    let path = folder.path().join("net.tri");
    std::fs::write(&path, program.print()).map_err(broken)?;
    Ok(Written { path: path.to_string_lossy().into_owned(), _folder: folder })
}

/// Checks and lowers a program: neither may have anything to say.
pub fn lowered(session: &mut Session, path: &str, mode: Mode) -> Result<ir::Verified, Failure> {
    session.take_diagnostics();
    session.check(path);
    if !session.diagnostics().is_empty() {
        return Err(Failure::new(format!("check {}", codes(session)), session.render()));
    }
    let request = EntryRequest { mode, ..EntryRequest::default() };
    session.lower(path, &request).map_err(|_| Failure::new(format!("lower {}", codes(session)), session.render()))
}

fn codes(session: &Session) -> String {
    let codes: BTreeSet<String> = session.diagnostics().iter().map(|diagnostic| diagnostic.code.to_string()).collect();
    codes.into_iter().collect::<Vec<_>>().join(" ")
}

fn check_module(module: &ir::Verified, program: &Program, mode: Mode, added: &Added) -> Result<(), Failure> {
    let wanted = run(module, program).map_err(|words| Failure::new("run", words))?;
    for (name, pipeline) in pipelines(mode, added) {
        let kind = format!("pass {name} ({mode})");
        let outcome = passes::run(module.clone(), &pipeline, &mut |_| {});
        let (after, _) = outcome.map_err(|error| Failure::new(kind.clone(), error.to_string()))?;
        let found = run(&after, program).map_err(|words| Failure::new(kind.clone(), words))?;
        let rounds = pipeline.names().any(|pass| passes::ROUNDING.contains(&pass));
        let scope = rounds.then(|| Scope::of(module));
        if let Some(words) = difference(&wanted, &found, scope)
            && !scope.is_some_and(|scope| is_shaky(module, program, &wanted, scope))
        {
            return Err(Failure::new(kind, words));
        }
    }
    Ok(())
}

/// Whether the results move by more than the tolerances when everything is rounded a little otherwise.
fn is_shaky(module: &ir::Verified, program: &Program, wanted: &Outcome, scope: Scope) -> bool {
    (1..=TRIES).any(|seed| {
        let noisy = passes::run(module.clone(), &Pipeline::of(vec![Arc::new(Noise(seed))]), &mut |_| {});
        let found = noisy.ok().and_then(|(noisy, _)| run(&noisy, program).ok());
        found.is_some_and(|found| difference(wanted, &found, Some(scope)).is_some())
    })
}

/// Each pass alone, and each level for each style, without and with those that round otherwise.
fn pipelines(mode: Mode, added: &Added) -> Vec<(String, Pipeline)> {
    let mut found = vec![];
    let select = |selection: &Selection, style| Pipeline::select(selection, Form { style, mode }, added);
    let names = passes::BUILT_IN.iter().map(|pass| pass.name).chain(added.iter().map(|pass| pass.name()));
    // It is for leaving out what the program says.
    for name in names.filter(|name| *name != "fold-fake-quant") {
        // Gradients do not go through it, but values do.
        let only = Some(vec![name.to_string()]);
        let pipeline = select(&Selection { only, ..Selection::default() }, Style::Kernels);
        found.extend(pipeline.ok().map(|pipeline| (name.to_string(), pipeline)));
    }
    for style in Style::ALL {
        for level in [OptLevel::O1, OptLevel::O2, OptLevel::O3] {
            let exact = Selection {
                level,
                disabled: passes::ROUNDING.iter().map(ToString::to_string).collect(),
                ..Selection::default()
            };
            for (kind, selection) in [("exact", exact), ("all", Selection { level, ..Selection::default() })] {
                let pipeline = select(&selection, style);
                found.extend(pipeline.ok().map(|pipeline| (format!("level {level} {style} {kind}"), pipeline)));
            }
        }
    }
    found
}

/// Whether all that the program gives are ordinary numbers.
pub fn is_finite(session: &mut Session, program: &Program) -> bool {
    session.begin();
    let outcome = guarded(|| {
        let file = written(program)?;
        let module = lowered(session, &file.path, Mode::Infer)?;
        run(&module, program).map_err(|words| Failure::new("run", words))
    });
    outcome.is_ok_and(|outcome| outcome.values().all(|tensor| tensor.to_f64().iter().all(|value| value.is_finite())))
}

/// Results, then state, by name; what an assertion printed is not looked at.
type Outcome = BTreeMap<String, Tensor>;

/// A call of `forward` on the interpreter.
pub fn run(module: &ir::Verified, program: &Program) -> Result<Outcome, String> {
    let given = |name: &str| program.inputs.iter().any(|(own, _)| own == name);
    let signature = model::signature(module, None, &given).map_err(|error| error.message)?;
    let input = |name: &str| program.inputs.iter().find(|(own, _)| own == name).map(|(_, tensor)| tensor.clone());
    let inputs: Vec<Tensor> = signature.tensors.iter().filter_map(|spec| input(&spec.name)).collect();
    let numbers: Vec<(Symbol, HostValue)> =
        program.numbers.iter().map(|(name, value)| (Symbol::new(name), value.clone())).collect();
    let outcome = Instance::entry(module, SEED).and_then(|mut instance| {
        let mut machine = Machine::new(module, RunOptions { seed: SEED, record: false });
        let results = machine.run_with(Some(&mut instance), signature.method, &numbers, &inputs)?;
        drop(machine);
        let mut found = Outcome::new();
        for (index, tensor) in results.into_iter().enumerate() {
            found.insert(format!("result {index}"), tensor);
        }
        let paths: Vec<String> = instance.parameters().into_iter().map(|parameter| parameter.path).collect();
        for path in paths {
            found.insert(path.clone(), instance.get(&path, Part::Value)?);
        }
        Ok(found)
    });
    outcome.map_err(|error| error.to_string())
}

/// How two outcomes differ; to the last bit without a scope.
fn difference(wanted: &Outcome, found: &Outcome, scope: Option<Scope>) -> Option<String> {
    for (name, want) in wanted {
        let Some(have) = found.get(name) else { return Some(format!("{name} is gone")) };
        match scope {
            Some(scope) => match compare(name, have, want, of_result(want, scope)) {
                Ok(difference) if !difference.fails => {}
                Ok(difference) => return Some(difference.worst.unwrap_or_default()),
                Err(unlike) => return Some(unlike.to_string()),
            },
            None => {
                let bits = |tensor: &Tensor| tensor.to_f64().into_iter().map(f64::to_bits).collect::<Vec<_>>();
                if want.dtype() != have.dtype() || want.shape() != have.shape() || bits(want) != bits(have) {
                    return Some(format!("{name}: {} instead of {}", shown(have), shown(want)));
                }
            }
        }
    }
    None
}

fn shown(tensor: &Tensor) -> String {
    let values: Vec<String> = tensor.to_f64().iter().take(8).map(ToString::to_string).collect();
    format!("{}{:?} [{}]", tensor.dtype(), tensor.shape(), values.join(", "))
}
