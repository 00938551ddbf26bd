//! How the memory of a method is laid out by targets that allocate none: what `inspect --memory` shows.
//!
//! The program is what such targets get (inlined, its operations put together to kernels), with the sizes that the entry
//! and `--shape` give.

use crate::base::code::E0804;
use crate::base::{Diagnostic, Loc};
use crate::driver::inputs::{self, InputRequest};
use crate::driver::options::{MemoryRequest, PassRequest, Strategy};
use crate::driver::{EntryRequest, Failed, Session, model, optimise, pipeline};
use crate::ir::substitute::Substitution;
use crate::ir::{self, FuncId, Function, InstKind, Module, ValueId, printer};
use crate::passes::plan_memory::{Lifetimes, Memory, Place, PlainMemory, Plan, Sizes, UnknownSize, plan};
use crate::passes::{Form, Style};
use crate::targets::memory::check_maximum;
use crate::types::{DType, HostExpr, Symbol};
use std::sync::Arc;

/// What is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct MethodMemory<'a> {
    /// `forward` if `None`.
    pub method: Option<&'a str>,
    pub memory: MemoryRequest,
}

/// Where the values of a method are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub method: String,
    /// Those that have memory, in the order in which they are made.
    pub values: Vec<PlacedValue>,
    pub total: usize,
    /// The most that is needed at one time, and where that is.
    pub lower_bound: usize,
    pub peak: Option<String>,
    /// What it would take if no two values shared memory.
    pub unshared: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedValue {
    /// As the IR has it; of what a call needs, the callee's.
    pub name: String,
    /// Element type and shape; `None` for what a call needs.
    pub ty: Option<(DType, Vec<usize>)>,
    pub bytes: usize,
    pub place: PlacedAt,
    /// Source file and line from which and to which it is needed.
    pub first: String,
    pub last: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacedAt {
    /// So many bytes after the beginning of the arena.
    Arena(usize),
    /// In the memory of a result.
    Result(usize),
    /// In its part of what a loop collects.
    Part(String),
}

/// Lays out the memory of a method of a program's entry.
pub fn program(
    session: &mut Session,
    path: &str,
    entry: &EntryRequest,
    passes: &PassRequest,
    wanted: MethodMemory<'_>,
) -> Result<Layout, Failed> {
    let file = session.open(path)?;
    let module = pipeline::lower(session, file, entry)?;
    let form = Form { style: Style::Kernels, mode: entry.mode };
    let module = optimise::run(session, module, passes, (form, "kernels"), Arc::new(|_| false))?;
    let is_given = |name: &str| entry.shapes.iter().any(|(given, _)| given == name);
    let signature = model::signature(&module, wanted.method, &is_given);
    let signature = signature.map_err(|diagnostic| session.fail(vec![diagnostic]))?;
    // The size of what is computed may depend on numbers that come with a call: these are given in the same way.
    let is_number = |name: &str| signature.numbers.iter().any(|(symbol, _)| symbol.as_str() == name);
    let (numbers, shapes): (Vec<_>, Vec<_>) = entry.shapes.iter().cloned().partition(|(name, _)| is_number(name));
    let shapes = InputRequest { shapes: &shapes, known: &signature.known, ..InputRequest::default() };
    let mut sizes = inputs::check(&signature, &shapes).map_err(|errors| session.fail(errors))?;
    let number = |(name, sizes): (String, Vec<usize>)| Some((Symbol::new(&name), i64::try_from(*sizes.first()?).ok()?));
    sizes.extend(numbers.into_iter().filter_map(number));
    let module = sized(&module, signature.method, &sizes);
    let function = &module[signature.method];
    let strategy = wanted.memory.strategy;
    let memory = PlainMemory::of(&module, function, &sizes, strategy);
    let memory = memory.map_err(|unknown| session.fail(vec![unknown_size(&module, &unknown)]))?;
    let found = plan(function, &memory, strategy);
    check_maximum(&module.files, function, &found, strategy, wanted.memory.maximum)
        .map_err(|error| pipeline::target_failed(session, vec![error]))?;
    Ok(layout(&module, function, &memory, &found, strategy))
}

/// The module with known sizes in the types of a function.
fn sized(module: &ir::Verified, function: FuncId, sizes: &Sizes) -> Module {
    let known = sizes.iter().map(|(symbol, size)| (symbol.clone(), HostExpr::int(*size)));
    let known = Substitution::new(known);
    let mut module = Module::clone(module);
    module[function].values.iter_mut().for_each(|value| value.ty = known.ty(&value.ty));
    module[function].results.iter_mut().for_each(|ty| *ty = known.ty(ty));
    module
}

fn unknown_size(module: &Module, unknown: &UnknownSize) -> Diagnostic {
    let function = module.function_named(&unknown.function).map(|id| &module[id]);
    let name = function.and_then(|function| printer::value_names(function).remove(&unknown.value));
    let message = format!(
        "how much memory `{}` needs is not known: `{}` is {}",
        unknown.function,
        name.unwrap_or_default(),
        unknown.ty
    );
    let diagnostic = Diagnostic::new(E0804, message);
    match &unknown.symbol {
        Some(symbol) => diagnostic.note(format!("help: give `{symbol}` a size, as in `--shape {symbol}=4`")),
        None => diagnostic,
    }
}

fn layout(module: &Module, function: &Function, memory: &PlainMemory, found: &Plan, strategy: Strategy) -> Layout {
    let names = printer::value_names(function);
    let lifetimes = Lifetimes::of(function);
    let name = |value: ValueId| names.get(&value).cloned().unwrap_or_default();
    let line = |loc: Loc| match module.files.get(loc.file.0 as usize) {
        Some(file) if loc.line > 0 => format!("{file}:{}", loc.line),
        _ => "-".to_string(),
    };
    let row = |value: ValueId| {
        let place = match found.place(value) {
            Place::Arena(offset) => PlacedAt::Arena(offset),
            Place::Result(position) => PlacedAt::Result(position),
            Place::Part { of, .. } => PlacedAt::Part(name(of)),
            Place::Own(_) => return None,
        };
        let (first, last) = lifetimes.ends(value)?;
        let dims = function[value].ty.shape.known()?;
        let dims = dims.iter().filter_map(|dim| usize::try_from(dim.as_const()?).ok()).collect();
        let row = PlacedValue {
            name: name(value),
            ty: Some((function.dtype(value), dims)),
            bytes: memory.bytes(value)?,
            place,
            first: line(function[first].loc),
            last: line(function[last].loc),
        };
        Some((lifetimes.value(value).first()?.0, row))
    };
    let mut values: Vec<(u32, PlacedValue)> =
        (0..function.values.len() as u32).filter_map(|index| row(ValueId(index))).collect();
    values.extend(lifetimes.insts().filter_map(|inst| {
        let InstKind::Call { func, .. } = &function[inst].kind else { return None };
        let place = PlacedAt::Arena(found.scratch(inst)?);
        let (name, here) = (format!("@{}", module[*func].name), line(function[inst].loc));
        let row = PlacedValue { name, ty: None, bytes: memory.scratch(inst), place, first: here.clone(), last: here };
        Some((lifetimes.span(inst).first()?.0, row))
    }));
    values.sort_by_key(|(begin, _)| *begin);
    Layout {
        method: function.source_name.clone(),
        values: values.into_iter().map(|(_, row)| row).collect(),
        total: found.total,
        lower_bound: memory.lower_bound(function, strategy),
        peak: found.peak.inst.map(|inst| line(function[inst].loc)),
        unshared: plan(function, memory, Strategy::None).total,
    }
}
