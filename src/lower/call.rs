//! Functions for callees.
//!
//! A callee is seen through its own symbols: the names of its dim variables, its number parameters, and
//! `d0`, `d1`, ... for the dims that a `...` stands for. Each call of it gives their values.

use crate::analysis::db::{Place, Report};
use crate::analysis::elaborate::function::Callee;
use crate::analysis::elaborate::function_call::callee_name;
use crate::analysis::elaborate::names::full_fn;
use crate::analysis::value::{FnRef, Instance, List, TensorValue, Value, ValueRef};
use crate::analysis::world::{Abort, CallRequest, Outcome, visit_tensors};
use crate::base::code;
use crate::ir::{self, FuncId, HostKind, InstKind, LayerId};
use crate::lower::body::{Body, host_args};
use crate::lower::world::path_segments;
use crate::lower::{Failure, FunctionMemo, Lowering, layer_owner};
use crate::types::{Dim, Elem, HostExpr, Shape, Symbol, TensorType};
use std::collections::BTreeMap;

/// What tells two functions for one declaration apart.
#[derive(Clone, PartialEq)]
pub struct FunctionKey<'db> {
    function: FnRef<'db>,
    layer: Option<LayerId>,
    /// Whether it takes the parameters of its instance.
    valued: bool,
    elems: Vec<(String, Elem)>,
    arguments: Vec<(String, Value<'db>)>,
    declared: Vec<Shape>,
}

impl<'db> FunctionKey<'db> {
    fn of(callee: &Callee<'db>, layer: Option<LayerId>) -> FunctionKey<'db> {
        FunctionKey {
            function: callee.function,
            layer,
            valued: callee.takes_parameters(),
            elems: callee.elems.clone(),
            arguments: callee.arguments.clone(),
            declared: callee.declared.iter().map(|(_, shape)| shape.clone()).collect(),
        }
    }
}

fn is_recursion(reports: &[Report<'_>]) -> bool {
    reports.iter().any(|report| report.code == code::E0213)
}

/// Symbols of a callee and what a call gives for them.
#[derive(Default)]
struct Bindings {
    symbols: Vec<(Symbol, HostKind)>,
    values: Vec<(Symbol, HostExpr)>,
    /// Names that a new symbol must not take.
    taken: Vec<String>,
    /// Dims of packs keep the caller's constants and relations, renamed; otherwise each is a symbol.
    exact: bool,
}

impl Bindings {
    fn bind(&mut self, symbol: Symbol, kind: HostKind, value: HostExpr) {
        self.symbols.push((symbol.clone(), kind));
        self.values.push((symbol, value));
    }

    /// What stands for this dim of the caller.
    fn dim(&mut self, dim: &Dim) -> Dim {
        if self.exact {
            for symbol in dim.symbols() {
                self.symbol(&Dim::symbol(symbol.as_str()));
            }
            let known = |symbol: &Symbol| {
                let value = HostExpr::Int(Dim::symbol(symbol.as_str()));
                let (own, _) = self.values.iter().find(|(s, v)| *v == value && is_generated(s.as_str()))?;
                Some(Dim::symbol(own.as_str()))
            };
            return dim.substitute_symbols(&known);
        }
        self.symbol(dim)
    }

    /// The symbol for a dim of the caller.
    fn symbol(&mut self, dim: &Dim) -> Dim {
        let value = HostExpr::Int(dim.clone());
        if let Some((symbol, _)) = self.values.iter().find(|(s, v)| *v == value && is_generated(s.as_str())) {
            return Dim::symbol(symbol.as_str());
        }
        let count = self.values.iter().filter(|(s, _)| is_generated(s.as_str())).count();
        let mut name = format!("d{count}");
        while self.taken.contains(&name) || self.values.iter().any(|(s, _)| s.as_str() == name) {
            name.push('_');
        }
        self.bind(Symbol::new(&name), HostKind::Int, value);
        Dim::symbol(&name)
    }
}

fn is_generated(name: &str) -> bool {
    let digits = name.trim_end_matches('_').strip_prefix('d');
    digits.is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()))
}

impl<'db> Lowering<'_, 'db> {
    /// Calls a function: specialised if need be, then one instruction.
    pub(super) fn call_function(
        &mut self,
        request: &CallRequest<'db>,
        operands: &[ValueRef],
        fresh: &mut dyn FnMut(&Symbol) -> Symbol,
        at: Place<'db>,
    ) -> Result<(Outcome<'db>, Vec<ValueRef>), Failure<'db>> {
        let layer = match &request.instance {
            Some(instance) => Some(self.layer(instance)?),
            None => None,
        };
        // A number that the body demands is fixed, and the callee seen anew. A body that holds for some
        // sizes only is walked with those of the call.
        let mut exact = false;
        let mut failed: Option<(FunctionKey<'db>, Failure<'db>)> = None;
        loop {
            let (callee, bindings) = self.view(request, layer, exact)?;
            // Seeing the same once more would fail once more, and calls within calls would double each time.
            match failed.take() {
                Some((key, failure)) if key == FunctionKey::of(&callee, layer) => {
                    return Err(self.fix_whole(request.instance.as_ref(), layer, failure));
                }
                _ => {}
            }
            match self.function(request, &callee, &bindings, layer, at) {
                Ok(memo) => return self.emit_call((memo, request, &bindings), operands, fresh, at),
                Err((Abort::Reported, reports)) if !exact && !self.restart && !is_recursion(&reports) => {
                    failed = Some((FunctionKey::of(&callee, layer), (Abort::Reported, reports)));
                    exact = true;
                }
                Err((Abort::Demand(symbols), reports)) if !self.restart && !symbols.is_empty() => {
                    if !self.fix(request, layer, &symbols) {
                        return Err((Abort::Demand(symbols), reports));
                    }
                }
                Err(failure) => return Err(self.fix_whole(request.instance.as_ref(), layer, failure)),
            }
        }
    }

    /// A layer may hold for some sizes only, which nothing but its values can tell: before a mistake in it
    /// is reported, it is walked with all its numbers fixed.
    pub(super) fn fix_whole(
        &mut self,
        instance: Option<&Instance<'db>>,
        layer: Option<LayerId>,
        failure: Failure<'db>,
    ) -> Failure<'db> {
        let (Some(instance), Some(layer)) = (instance, layer) else { return failure };
        if self.restart || failure.0 != Abort::Reported || is_recursion(&failure.1) {
            return failure;
        }
        let owner = layer_owner(self.db, &instance.layer);
        let hypers: Vec<Symbol> = self.module[layer].hypers.iter().map(|hyper| hyper.name.clone()).collect();
        for hyper in hypers {
            self.restart |= self.fixed.insert(&owner, hyper);
        }
        if self.restart { (Abort::Demand(vec![]), vec![]) } else { failure }
    }

    /// Notes demanded symbols of a callee. `false` if none of them is the callee's.
    fn fix(&mut self, request: &CallRequest<'db>, layer: Option<LayerId>, symbols: &[Symbol]) -> bool {
        let mut found = false;
        for symbol in symbols {
            let of_layer = layer.is_some_and(|id| self.module[id].hypers.iter().any(|h| h.name == *symbol));
            let owner = match (&request.instance, of_layer) {
                (Some(instance), true) => {
                    self.restart = true;
                    layer_owner(self.db, &instance.layer)
                }
                _ => self.function_owner(&request.function),
            };
            found |= self.fixed.insert(&owner, symbol.clone());
        }
        found && !self.restart
    }

    fn function_owner(&self, function: &FnRef<'db>) -> String {
        format!("{}:{}", function.item.file(self.db).module(self.db), callee_name(function))
    }

    /// The callee over its own symbols, and their values over the caller's.
    fn view(
        &mut self,
        request: &CallRequest<'db>,
        layer: Option<LayerId>,
        exact: bool,
    ) -> Result<(Callee<'db>, Bindings), Failure<'db>> {
        let owner = self.function_owner(&request.function);
        let mut bindings = Bindings { exact, ..Bindings::default() };
        let instance = match &request.instance {
            Some(instance) => Some(self.own_view(instance)?),
            None => None,
        };
        if let Some(layer) = layer {
            bindings.taken.extend(self.module[layer].hypers.iter().map(|h| h.name.as_str().to_string()));
        }
        bindings.taken.extend(request.declared.iter().filter_map(|(name, _)| name.clone()));
        bindings.taken.extend(request.arguments.iter().map(|(name, _)| name.clone()));
        let mut declared = vec![];
        for (name, shape) in &request.declared {
            let own = match (name, shape.known()) {
                (Some(name), Some([dim])) if !is_pack(request, name) => {
                    Shape::new(vec![self.own_dim(&owner, name, dim, &mut bindings)?])
                }
                (_, Some(dims)) => {
                    let dims: Result<Vec<Dim>, Failure<'db>> =
                        dims.iter().map(|dim| self.pack_dim(&owner, dim, &mut bindings)).collect();
                    Shape::new(dims?)
                }
                (_, None) => return Err(self.unknown_rank(request)),
            };
            declared.push((name.clone(), own));
        }
        let mut arguments = vec![];
        for (name, value) in &request.arguments {
            arguments.push((name.clone(), self.own_value(&owner, name, value, &mut bindings)?));
        }
        let positive = bindings.symbols.iter().filter(|(s, _)| !arguments.iter().any(|(n, _)| n == s.as_str()));
        let positive = positive.map(|(symbol, _)| symbol.clone()).collect();
        let callee = Callee {
            function: request.function,
            instance,
            elems: request.elems.clone(),
            declared,
            arguments,
            positive,
        };
        Ok((callee, bindings))
    }

    /// A dim variable under its own name.
    fn own_dim(&mut self, owner: &str, name: &str, dim: &Dim, bindings: &mut Bindings) -> Result<Dim, Failure<'db>> {
        let symbol = Symbol::new(name);
        if self.fixed.contains(owner, &symbol) {
            return constant(dim);
        }
        if bindings.exact {
            return Ok(bindings.dim(dim));
        }
        bindings.bind(symbol, HostKind::Int, HostExpr::Int(dim.clone()));
        Ok(Dim::symbol(name))
    }

    /// A dim that `...` stands for. 1 stays 1, since it broadcasts.
    fn pack_dim(&mut self, owner: &str, dim: &Dim, bindings: &mut Bindings) -> Result<Dim, Failure<'db>> {
        if dim.is_const(1) {
            return Ok(dim.clone());
        }
        let own = bindings.dim(dim);
        let is_fixed = own.as_symbol().is_some_and(|s| self.fixed.contains(owner, s));
        if is_fixed { constant(dim) } else { Ok(own) }
    }

    /// An argument over the callee's symbols.
    fn own_value(
        &mut self,
        owner: &str,
        name: &str,
        value: &Value<'db>,
        bindings: &mut Bindings,
    ) -> Result<Value<'db>, Failure<'db>> {
        Ok(match value {
            Value::Tensor(tensor) => {
                let Some(dims) = tensor.ty.shape.known() else {
                    return Err((Abort::Reported, vec![]));
                };
                let dims: Result<Vec<Dim>, Failure<'db>> =
                    dims.iter().map(|dim| self.pack_dim(owner, dim, bindings)).collect();
                let ty = tensor.ty.with_shape(Shape::new(dims?));
                Value::Tensor(TensorValue { ty, value: ValueRef(0) })
            }
            Value::Number(number) => {
                if number.as_const().is_some() {
                    return Ok(value.clone());
                }
                let symbol = Symbol::new(name);
                if self.fixed.contains(owner, &symbol) {
                    return Err((Abort::Demand(number.symbols().into_iter().collect()), vec![]));
                }
                match number {
                    HostExpr::Int(_) => {
                        bindings.bind(symbol, HostKind::Int, number.clone());
                        Value::dim(Dim::symbol(name))
                    }
                    _ => {
                        bindings.bind(symbol.clone(), HostKind::Float, number.clone());
                        Value::Number(HostExpr::FloatSymbol(symbol))
                    }
                }
            }
            Value::Tuple(items) => Value::Tuple(self.own_values(owner, items, bindings)?),
            Value::List(List::Items(items)) => Value::list(self.own_values(owner, items, bindings)?),
            Value::Shape(shape) => {
                let mut dims = vec![];
                for dim in &shape.dims {
                    dims.push(match dim.as_const() {
                        Some(_) => dim.clone(),
                        None => self.pack_dim(owner, dim, bindings)?,
                    });
                }
                Value::Shape(Shape { dims, pack: shape.pack.clone() })
            }
            other => {
                let symbols: Vec<Symbol> = other.symbols().into_iter().collect();
                if !symbols.is_empty() {
                    return Err((Abort::Demand(symbols), vec![]));
                }
                other.clone()
            }
        })
    }

    fn own_values(
        &mut self,
        owner: &str,
        items: &[Value<'db>],
        bindings: &mut Bindings,
    ) -> Result<Vec<Value<'db>>, Failure<'db>> {
        let mut own = vec![];
        for item in items {
            own.push(match item {
                // A number in a list has no name of its own.
                Value::Number(HostExpr::Int(dim)) if dim.as_const().is_none() => {
                    Value::dim(self.pack_dim(owner, dim, bindings)?)
                }
                item => self.own_value(owner, "", item, bindings)?,
            });
        }
        Ok(own)
    }

    fn unknown_rank(&self, request: &CallRequest<'db>) -> Failure<'db> {
        let name = callee_name(&request.function);
        let full = full_fn(self.db, request.function);
        let place = Place { item: full.item, span: full.decl.name.span };
        let report = Report::new(code::E0304, format!("`{name}` is called with a tensor of unknown rank"))
            .at(place, "its rank must be known to compile it");
        (Abort::Reported, vec![report])
    }

    /// The function for a callee, walked if it is new.
    fn function(
        &mut self,
        request: &CallRequest<'db>,
        callee: &Callee<'db>,
        bindings: &Bindings,
        layer: Option<LayerId>,
        at: Place<'db>,
    ) -> Result<usize, Failure<'db>> {
        let key = FunctionKey::of(callee, layer);
        if let Some(index) = self.functions.iter().position(|memo| memo.key == key) {
            return Ok(index);
        }
        if self.frames.len() > MAX_FRAMES {
            let name = callee_name(&request.function);
            let report =
                Report::new(code::E0213, format!("`{name}` calls itself")).at(at, "recursive calls cannot be compiled");
            return Err((Abort::Reported, vec![report]));
        }
        let full = full_fn(self.db, callee.function);
        let mut function = self.blank(full, layer);
        function.symbols = bindings.symbols.clone();
        function.host_args = host_args(&callee.arguments);
        if callee.takes_parameters() {
            function.source_name += ir::WITH_PARAMETERS;
            function.name = self.unique_function(&(function.name + ir::WITH_PARAMETERS));
        }
        let Body { id, result, obligations } = self.body(function, callee)?;
        if let Some(layer) = layer {
            let methods = &self.module.layers[layer.0 as usize].methods;
            let is_outer = |method: &&FuncId| self.module[**method].exported;
            let position = match self.module[id].source_name.as_str() {
                "forward" => methods.iter().take_while(is_outer).count(),
                _ => methods.len(),
            };
            self.module.layers[layer.0 as usize].methods.insert(position, id);
        }
        self.functions.push(FunctionMemo { key, id, result, obligations });
        Ok(self.functions.len() - 1)
    }

    fn emit_call(
        &mut self,
        (memo, request, bindings): (usize, &CallRequest<'db>, &Bindings),
        operands: &[ValueRef],
        fresh: &mut dyn FnMut(&Symbol) -> Symbol,
        at: Place<'db>,
    ) -> Result<(Outcome<'db>, Vec<ValueRef>), Failure<'db>> {
        let memo = &self.functions[memo];
        let func = memo.id;
        // The callee's symbols are its own and its layer's; both are given over the caller's.
        let mut given: BTreeMap<Symbol, HostExpr> = bindings.values.iter().cloned().collect();
        if let Some(instance) = &request.instance {
            for (name, value) in &instance.hypers {
                if let Value::Number(number) = value {
                    given.entry(Symbol::new(name)).or_insert_with(|| number.clone());
                }
            }
        }
        // So are the sizes that the callee finds, under new names.
        let fresh: Vec<Symbol> = self.module[func].fresh.iter().map(fresh).collect();
        let named = self.module[func].fresh.iter().zip(&fresh);
        given.extend(named.map(|(own, name)| (own.clone(), HostExpr::Int(Dim::symbol(name.as_str())))));
        let replace = |symbol: &Symbol| given.get(symbol).cloned();
        let result = memo.result.substitute(&replace);
        let dim = |dim: &Dim| dim.substitute_symbols(&|symbol| replace(symbol)?.as_dim().cloned());
        let obligations =
            memo.obligations.iter().map(|(obligation, place)| (obligation.map_dims(dim), *place)).collect();
        let mut types: Vec<TensorType> = vec![];
        visit_tensors(&result, &mut |tensor| types.push(tensor.ty.clone()));
        let path = request.instance.as_ref().map(|i| path_segments(i.path.as_deref().unwrap_or(&[])));
        let used = &self.module[func].symbols;
        let given = bindings.values.iter().filter(|(symbol, _)| used.iter().any(|(s, _)| s == symbol));
        let kind = InstKind::Call { func, bindings: given.cloned().collect(), path, fresh: fresh.clone() };
        let values = self.emit(kind, operands, &types, at);
        Ok((Outcome { result, obligations, fresh }, values))
    }

    /// An instance as its own methods see it: numbers are symbols unless they are fixed.
    pub(super) fn own_view(&self, instance: &Instance<'db>) -> Result<Instance<'db>, Failure<'db>> {
        let owner = layer_owner(self.db, &instance.layer);
        let mut hypers = vec![];
        for (name, value) in &instance.hypers {
            let symbol = Symbol::new(name);
            let fixed = self.fixed.contains(&owner, &symbol);
            let own = match value {
                Value::Number(HostExpr::Int(_)) if !fixed => Value::dim(Dim::symbol(name)),
                Value::Number(_) if !fixed => Value::Number(HostExpr::FloatSymbol(symbol)),
                other => {
                    let symbols: Vec<Symbol> = other.symbols().into_iter().collect();
                    if !symbols.is_empty() {
                        return Err((Abort::Demand(symbols), vec![]));
                    }
                    other.clone()
                }
            };
            hypers.push((name.clone(), own));
        }
        // What stands in the place of its parameters, the function takes as its own.
        let values = instance.values.as_ref().map(|_| vec![]);
        Ok(Instance { layer: instance.layer, elems: instance.elems.clone(), hypers, path: Some(vec![]), values })
    }
}

/// Functions call each other this deep at most.
const MAX_FRAMES: usize = 120;

fn is_pack(request: &CallRequest<'_>, name: &str) -> bool {
    // A pack of one dim looks like a dim variable: the signature tells.
    let ast = request.function.ast;
    ast.types.iter().any(|ty| match &ty.kind {
        crate::syntax::ast::TypeKind::Tensor { dims, .. } => {
            dims.iter().any(|dim| matches!(dim, crate::syntax::ast::DimItem::Pack(pack) if pack.name == name))
        }
        _ => false,
    })
}

fn constant<'db>(dim: &Dim) -> Result<Dim, Failure<'db>> {
    match dim.as_const() {
        Some(_) => Ok(dim.clone()),
        None => Err((Abort::Demand(dim.symbols().into_iter().collect()), vec![])),
    }
}
