//! Functions: values, and the regions in which instructions stand.

use crate::base::Loc;
use crate::ir::{HostKind, InstId, InstKind, LayerId, ValueId};
use crate::ops::{Attr, Attrs, Obligation};
use crate::types::{DType, Symbol, TensorType};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Index, IndexMut};

/// A function in SSA form. Symbols in its types are the hyperparameters of `layer`, its `symbols`, the loop
/// indices of its body, and what its instructions bind ([`InstKind::binds`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Unique in the module: `Linear.forward`, `softmax`, `softmax_2`.
    pub name: String,
    /// As in the source, without the layer: `forward`, `softmax`.
    pub source_name: String,
    pub doc: Option<String>,
    pub loc: Loc,
    pub layer: Option<LayerId>,
    /// Dim variables and symbolic host parameters. Each call gives their values.
    pub symbols: Vec<(Symbol, HostKind)>,
    /// Ints of which only the body tells how large they are, among them those that the results mention. Each
    /// call gives them names of the caller.
    pub fresh: Vec<Symbol>,
    /// Host arguments by name, as given or by default: what native forms of a composite (`softmax` with
    /// its `axis`) are written from. Over `symbols`.
    pub host_args: Attrs,
    pub params: Vec<ValueId>,
    pub results: Vec<TensorType>,
    pub values: Vec<Value>,
    pub insts: Vec<Inst>,
    pub body: Region,
    /// `@map(pytorch="...")`: native forms by target.
    pub maps: BTreeMap<String, String>,
    /// Module path and name of a function of the standard library (`nn.softmax`), for target tables.
    pub std_path: Option<String>,
    /// A method of the entry that is called from outside: `forward`, or one with `@export`.
    pub exported: bool,
    /// Such a method is there once for each set of its optional inputs (tensors with the default `None`). These are
    /// all of them, in source order, and whether this one takes them; its parameters have their names.
    pub optional: Vec<(String, bool)>,
    /// What must hold of the symbols for the function to make sense.
    pub obligations: Vec<(Obligation, Loc)>,
}

impl Index<ValueId> for Function {
    type Output = Value;
    fn index(&self, id: ValueId) -> &Value {
        &self.values[id.0 as usize]
    }
}
impl IndexMut<ValueId> for Function {
    fn index_mut(&mut self, id: ValueId) -> &mut Value {
        &mut self.values[id.0 as usize]
    }
}
impl Index<InstId> for Function {
    type Output = Inst;
    fn index(&self, id: InstId) -> &Inst {
        &self.insts[id.0 as usize]
    }
}
impl IndexMut<InstId> for Function {
    fn index_mut(&mut self, id: InstId) -> &mut Inst {
        &mut self.insts[id.0 as usize]
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub ty: TensorType,
    /// The source's name for it, where it has one.
    pub name: Option<String>,
}

/// Structured code: parameters, then instructions, the last of which is the only terminator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Region {
    pub params: Vec<ValueId>,
    pub insts: Vec<InstId>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Inst {
    pub kind: InstKind,
    pub operands: Vec<ValueId>,
    pub results: Vec<ValueId>,
    pub loc: Loc,
}

/// How the name of a method ends that takes the parameters of its instance instead of reading them.
pub const WITH_PARAMETERS: &str = "_with_parameters";

impl Function {
    /// The regions that an instruction owns.
    pub fn regions(kind: &InstKind) -> Vec<&Region> {
        match kind {
            InstKind::If { then, otherwise } => vec![then, otherwise],
            InstKind::For { body, .. } | InstKind::Gradient { body } | InstKind::Fused { body } => vec![body],
            InstKind::While { cond, body, .. } => vec![cond, body],
            InstKind::Op { .. }
            | InstKind::Param { .. }
            | InstKind::Const(_)
            | InstKind::Host(_)
            | InstKind::Rng { .. }
            | InstKind::Call { .. }
            | InstKind::SetState { .. }
            | InstKind::SetSlice { .. }
            | InstKind::Assert { .. }
            | InstKind::Ensure(_)
            | InstKind::Print { .. }
            | InstKind::Yield
            | InstKind::Return => vec![],
        }
    }

    /// The same, for changing them.
    pub fn regions_mut(kind: &mut InstKind) -> Vec<&mut Region> {
        match kind {
            InstKind::If { then, otherwise } => vec![then, otherwise],
            InstKind::For { body, .. } | InstKind::Gradient { body } | InstKind::Fused { body } => vec![body],
            InstKind::While { cond, body, .. } => vec![cond, body],
            _ => vec![],
        }
    }

    /// Forgets symbols that nothing in the function uses.
    pub fn drop_unused_symbols(&mut self) {
        let used = std::cell::RefCell::new(BTreeSet::new());
        let note = |symbol: &Symbol| {
            used.borrow_mut().insert(symbol.clone());
            None
        };
        self.host_args.iter().for_each(|(_, attr)| drop(attr.substitute(&note)));
        let mut used = used.into_inner();
        let mut note = |symbol: &Symbol| {
            if !used.contains(symbol) {
                used.insert(symbol.clone());
            }
        };
        let dims = self.values.iter().flat_map(|value| &value.ty.shape.dims);
        dims.for_each(|dim| dim.visit_symbols(&mut note));
        for (obligation, _) in &self.obligations {
            let (a, b) = obligation.sides();
            a.visit_symbols(&mut note);
            b.visit_symbols(&mut note);
        }
        self.insts.iter().for_each(|inst| used.extend(inst.kind.symbols()));
        self.symbols.retain(|(symbol, _)| used.contains(symbol));
    }

    /// Whether it is a method that takes the parameters of its instance, before its own.
    pub fn takes_parameters(&self) -> bool {
        self.layer.is_some() && self.source_name.ends_with(WITH_PARAMETERS)
    }

    /// The names of its tensors, each its own: the parts of a tuple, which share one, are `NAME.0`, `NAME.1`.
    pub fn input_names(&self) -> Vec<String> {
        let name = |(index, value): (usize, &ValueId)| self[*value].name.clone().unwrap_or(format!("x{index}"));
        let shared: Vec<String> = self.params.iter().enumerate().map(name).collect();
        let count = |names: &[String], name: &String| names.iter().filter(|other| *other == name).count();
        let own = shared.iter().enumerate().map(|(index, name)| match count(&shared, name) {
            1 => name.clone(),
            _ => format!("{name}.{}", count(&shared[..index], name)),
        });
        own.collect()
    }

    /// The optional inputs that this one takes: by name, in source order.
    pub fn given(&self) -> impl Iterator<Item = &str> {
        self.optional.iter().filter(|(_, given)| *given).map(|(name, _)| name.as_str())
    }

    /// The element type of a value; IR holds known ones only.
    pub fn dtype(&self, value: ValueId) -> DType {
        self[value].ty.dtype().unwrap_or(DType::Float32)
    }

    pub fn host_arg(&self, name: &str) -> Option<&Attr> {
        self.host_args.get(name)
    }
}
