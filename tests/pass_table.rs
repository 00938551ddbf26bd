//! What the passes leave of the models of the standard library: a table, and the least that must be gone.
//!
//! `cargo test --test pass_table -- --nocapture` prints it. Two things are counted:
//! - *instructions* of the whole module, as they stand in its text; a fused instruction and what is in it are one;
//! - *operations of a forward*: how many are dispatched in one call of the entry's `forward`, calls expanded, loops with
//!   as many turns as they have (one, where only a run tells), of an `if` the branch with more. A fused instruction is one
//!   dispatch. Views count, as they do in a framework that runs operations one by one; reads of members, constants and
//!   numbers do not.

mod support;

#[path = "../benches/support/programs.rs"]
mod programs;

use programs::{MODELS, program_of_model};
use support::with_deep_stack;
use tritonc::driver::{BuildRequest, Emit, EntryRequest, Mode, Session};
use tritonc::ir::substitute::Substitution;
use tritonc::ir::{Function, InstKind, LayerId, Module, PathSegment, Region, ValueId, Verified, reader, verify};
use tritonc::passes::{self, Form, OptLevel, Pipeline, Selection, Style};
use tritonc::types::{HostExpr, HostValue};

/// The model as lowering writes it.
fn lowered(model: (&str, &str, &str), mode: Mode) -> Verified {
    let entry = EntryRequest { mode, ..EntryRequest::default() };
    let mut request = BuildRequest { entry, emit: Some(Emit::Ir), ..BuildRequest::default() };
    request.passes.selection.level = OptLevel::O0;
    let mut session = Session::default();
    let Ok(artifacts) = session.build_text("main.tri", &program_of_model(model, 0), &request) else {
        panic!("{}", session.render());
    };
    let text = String::from_utf8(artifacts[0].bytes.clone()).unwrap();
    verify(reader::read(&text).unwrap()).unwrap_or_else(|errors| panic!("{}: {errors:?}", model.1))
}

fn optimised(module: &Verified, style: Style, mode: Mode, level: OptLevel) -> Verified {
    let selection = Selection { level, ..Selection::default() };
    let pipeline = Pipeline::select(&selection, Form { style, mode }, &[]).unwrap();
    passes::run(module.clone(), &pipeline, &mut |_| {}).unwrap_or_else(|error| panic!("{error}")).0
}

/// Instructions that stand in the text; a fused one stands for what is in it.
fn instructions(module: &Module) -> usize {
    fn count(function: &Function, region: &Region) -> usize {
        let within = |id: &tritonc::ir::InstId| match &function[*id].kind {
            InstKind::Fused { .. } => 1,
            kind => 1 + Function::regions(kind).into_iter().map(|inner| count(function, inner)).sum::<usize>(),
        };
        region.insts.iter().map(within).sum()
    }
    module.functions.iter().map(|function| count(function, &function.body)).sum()
}

/// Operations that one call of the entry's `forward` dispatches.
fn operations(module: &Module) -> usize {
    let entry = module.entry.as_ref().unwrap();
    let forward = module.method(entry.layer, "forward", &|_| false).unwrap();
    let known = entry.args.iter().map(|(name, value)| {
        let value = match value {
            HostValue::Float(value) => HostExpr::float(value.0),
            other => HostExpr::int(other.as_int().unwrap_or(0)),
        };
        (name.clone(), value)
    });
    Walk { module, function: &module[forward], known: Substitution::new(known) }.region(&module[forward].body)
}

/// A function that runs, and what is known of its symbols.
struct Walk<'m> {
    module: &'m Module,
    function: &'m Function,
    known: Substitution,
}

impl Walk<'_> {
    fn region(&self, region: &Region) -> usize {
        region.insts.iter().map(|id| self.inst(*id)).sum()
    }

    fn inst(&self, id: tritonc::ir::InstId) -> usize {
        let inst = &self.function[id];
        match &inst.kind {
            InstKind::Op { .. } | InstKind::Fused { .. } => 1,
            InstKind::If { then, otherwise } => self.region(then).max(self.region(otherwise)),
            InstKind::For { body, .. } => self.turns(&inst.operands) * self.region(body),
            InstKind::While { cond, body, .. } => self.region(cond) + self.region(body),
            InstKind::Call { func, bindings, path, .. } => {
                let callee = &self.module[*func];
                let mut known = match (callee.layer, path) {
                    (Some(_), Some(path)) => self.instance(self.function.layer.unwrap(), path),
                    _ => Substitution::default(),
                };
                known.extend(bindings.iter().map(|(name, value)| (name.clone(), self.known.expr(value))));
                Walk { module: self.module, function: callee, known }.region(&callee.body)
            }
            _ => 0,
        }
    }

    /// The hyperparameters of a part, as far as they are known.
    fn instance(&self, layer: LayerId, path: &[PathSegment]) -> Substitution {
        let (inner, scope) = self.module.instance_at(layer, &self.known.path(path)).unwrap();
        let hypers = self.module[inner].hypers.iter().map(|hyper| &hyper.name);
        Substitution::new(hypers.filter_map(|name| Some((name.clone(), self.known.expr(&scope.get(name)?)))))
    }

    fn turns(&self, bounds: &[ValueId]) -> usize {
        let number = |value: &ValueId| {
            let maker = self.function.insts.iter().find(|inst| inst.results.contains(value))?;
            match &maker.kind {
                InstKind::Host(expr) => self.known.expr(expr).as_dim()?.as_const(),
                InstKind::Const(tensor) => tensor.as_i64()?.first().copied(),
                _ => None,
            }
        };
        match (bounds.first().and_then(number), bounds.get(1).and_then(number)) {
            (Some(start), Some(stop)) => usize::try_from(stop - start).unwrap_or(0),
            _ => 1,
        }
    }
}

fn gone(before: usize, after: usize) -> f64 {
    100.0 - 100.0 * after as f64 / before as f64
}

/// Something that is counted, before and after.
type Pair = [usize; 2];

/// Instructions of modules, at levels 0 and 2; instructions of kernels, as `inline` leaves them and at level 3;
/// operations of a forward, at levels 0 and 2 for modules, and at levels 0 and 3.
fn counts(module: &Verified, mode: Mode) -> [Pair; 4] {
    let modules = optimised(module, Style::Modules, mode, OptLevel::O2);
    let kernels = optimised(module, Style::Kernels, mode, OptLevel::O3);
    let inlined = passes::run(module.clone(), &Pipeline::named(&["inline"]).unwrap(), &mut |_| {}).unwrap().0;
    [
        [instructions(module), instructions(&modules)],
        [instructions(&inlined), instructions(&kernels)],
        [operations(module), operations(&modules)],
        [operations(module), operations(&kernels)],
    ]
}

fn line(name: &str, counts: &[Pair; 4]) {
    let pair = |[before, after]: &Pair| format!("{before:>6} {after:>6} {:>5.1} %", gone(*before, *after));
    println!("{name:18} {}", counts.iter().map(pair).collect::<Vec<_>>().join("   "));
}

/// The least that must be gone of each model, in per cent: instructions and operations of kernels. Modules keep their
/// structure, so that there is little that could go.
const LEAST: [f64; 2] = [10.0, 30.0];

#[test]
fn the_models_get_smaller() {
    with_deep_stack(|| {
        for mode in [Mode::Infer, Mode::Train] {
            println!("\n--mode {mode}");
            println!(
                "{:18} {:22}   {:22}   {:22}   {:22}",
                "", "modules, instructions", "kernels, instructions", "modules, a forward", "kernels, a forward"
            );
            let mut all = [[0; 2]; 4];
            for model in MODELS {
                let counts = counts(&lowered(*model, mode), mode);
                line(model.1, &counts);
                for (sum, pair) in all.iter_mut().zip(counts) {
                    *sum = [sum[0] + pair[0], sum[1] + pair[1]];
                    assert!(pair[1] <= pair[0], "{}: {pair:?}", model.1);
                }
                for (place, least) in [1, 3].into_iter().zip(LEAST) {
                    let [before, after] = counts[place];
                    assert!(gone(before, after) >= least, "{}: {before} -> {after}, {least} % are wanted", model.1);
                }
            }
            line("all", &all);
        }
    });
}
