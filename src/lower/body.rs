//! One function of the program: its head, and its body as the elaborator walks it.

use crate::analysis::db::Place;
use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::function::Callee;
use crate::analysis::elaborate::names::full_fn;
use crate::analysis::value::{Cond, FnRef, Function, List, Value};
use crate::analysis::world::{Abort, visit_tensors};
use crate::base::Loc;
use crate::ir::{self, FuncId, LayerId};
use crate::lower::frame::Frame;
use crate::lower::{Failure, Lowering};
use crate::ops::{Attr, Attrs, Obligation};
use crate::syntax::ast::ExprKind;
use crate::types::{Dim, Facts, HostExpr, Symbol};
use std::collections::BTreeMap;

/// A function that was walked and added to the module.
pub(super) struct Body<'db> {
    pub(super) id: FuncId,
    /// Over the function's own symbols.
    pub(super) result: Value<'db>,
    pub(super) obligations: Vec<(Obligation, Place<'db>)>,
}

impl<'db> Lowering<'_, 'db> {
    /// Walks the body of a callee into a function that has its head.
    pub(super) fn body(&mut self, function: ir::Function, callee: &Callee<'db>) -> Result<Body<'db>, Failure<'db>> {
        let full = full_fn(self.db, callee.function);
        let name = full.decl.name.span;
        self.frames.push(Frame::new(function));
        let db = self.db;
        let mut walk = Elaborator::new(db, self, full.item, full.ast);
        let result = walk.callee(callee).and_then(|value| walk.results(value, name));
        let reports = std::mem::take(&mut walk.reports);
        let obligations = std::mem::take(&mut walk.obligations);
        let assumed = std::mem::take(&mut walk.assumed);
        let returned = walk.returned.unwrap_or(name);
        let open = std::mem::take(&mut walk.facts);
        let Some(frame) = self.frames.pop() else { return Err((Abort::Reported, reports)) };
        let result = result.map_err(|abort| (abort, reports))?;
        let mut returns = vec![];
        visit_tensors(&result, &mut |tensor| returns.push(ir::ValueId(tensor.value.0)));
        let loc = self.loc(Place { item: full.item, span: returned });
        let mut function = frame.finish(returns, loc);
        function.obligations = assumed.into_iter().map(|obligation| (obligation, loc)).collect();
        function.obligations.extend(obligations.iter().map(|(o, place)| (o.clone(), self.loc(*place))));
        function.drop_unused_symbols();
        function.fresh = fresh_symbols(&result, &open);
        self.module.functions.push(function);
        let id = FuncId(self.module.functions.len() as u32 - 1);
        Ok(Body { id, result, obligations })
    }

    /// A function with its names and documentation, empty otherwise.
    pub(super) fn blank(&self, full: FnRef<'db>, layer: Option<LayerId>) -> ir::Function {
        let source_name = full.decl.name.name.clone();
        let base = match layer {
            Some(layer) => format!("{}.{source_name}", self.module[layer].name),
            None => source_name.clone(),
        };
        let module = full.item.file(self.db).module(self.db).strip_prefix("std:");
        let is_free = full.layer.is_none();
        ir::Function {
            name: self.unique_function(&base),
            std_path: module.filter(|_| is_free).map(|module| format!("{module}.{source_name}")),
            source_name,
            doc: full.doc.map(String::from),
            loc: self.loc(Place { item: full.item, span: full.decl.name.span }),
            maps: native_forms(full),
            ..empty_function(layer)
        }
    }
}

/// Host arguments as attributes, for native forms of composites.
pub(super) fn host_args(arguments: &[(String, Value<'_>)]) -> Attrs {
    let mut attrs = Attrs::new();
    for (name, value) in arguments {
        let attr = match value {
            Value::Number(HostExpr::Int(dim)) => Attr::Int(dim.clone()),
            Value::Number(number) => Attr::Float(number.clone()),
            Value::Bool(Cond::Known(b)) => Attr::Bool(*b),
            Value::Str(text) => Attr::Str(text.clone()),
            Value::DType(elem) => Attr::DType(elem.clone()),
            Value::Scheme(scheme) => Attr::Scheme(scheme.clone()),
            Value::Shape(shape) => Attr::Shape(shape.clone()),
            Value::None => Attr::None,
            Value::List(List::Items(items)) => {
                let dims: Option<Vec<Dim>> = items.iter().map(|item| item.as_dim().cloned()).collect();
                match dims {
                    Some(dims) => Attr::Ints(dims),
                    None => continue,
                }
            }
            Value::Function(Function::User(function)) => Attr::Str(function.decl.name.name.clone()),
            _ => continue,
        };
        attrs.set(name, attr);
    }
    attrs
}

/// `@map(pytorch="F.gelu({x})")`
fn native_forms(function: FnRef<'_>) -> BTreeMap<String, String> {
    let mut maps = BTreeMap::new();
    for attribute in function.attributes.iter().filter(|a| a.name.name == "map") {
        for arg in &attribute.args {
            if let (Some(name), ExprKind::Str(text)) = (&arg.name, &function.ast[arg.value].kind) {
                maps.insert(name.name.clone(), text.clone());
            }
        }
    }
    maps
}

/// Symbols of a result that the function's own body binds.
fn fresh_symbols(result: &Value<'_>, facts: &Facts) -> Vec<Symbol> {
    result.symbols().into_iter().filter(|symbol| facts.is_open(symbol)).collect()
}

/// A function with nothing in it.
pub(super) fn empty_function(layer: Option<LayerId>) -> ir::Function {
    ir::Function {
        name: String::new(),
        source_name: String::new(),
        doc: None,
        loc: Loc::default(),
        layer,
        symbols: vec![],
        fresh: vec![],
        host_args: Attrs::new(),
        params: vec![],
        results: vec![],
        values: vec![],
        insts: vec![],
        body: ir::Region::default(),
        maps: BTreeMap::new(),
        std_path: None,
        exported: false,
        optional: vec![],
        obligations: vec![],
    }
}
