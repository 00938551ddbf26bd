//! Calls.
//!
//! A call of a declared function is walked in three steps: the signature, with its dim variables as
//! unknowns; solving them from the arguments' shapes; then the body, in place for functions on compile-time
//! values (and, when only checking, wherever the signature does not tell the result), or as a function of
//! its own that the world calls.

use crate::analysis::db::Report;
use crate::analysis::elaborate::arguments::{Arguments, CallArg};
use crate::analysis::elaborate::names::{full_fn, full_layer};
use crate::analysis::elaborate::stmt::Flow;
use crate::analysis::elaborate::types::TypeSpec;
use crate::analysis::elaborate::{DeclareAs, Declared, Declaring, Elaborator};
use crate::analysis::modules;
use crate::analysis::value::{Cond, FnRef, Function, Instance, List, TensorValue, Value, ValueRef};
use crate::analysis::world::{Abort, CallRequest, Walk, renumber, visit_tensors};
use crate::base::{Span, code};
use crate::ops;
use crate::syntax::ast::{Arg, ExprId, ExprKind};
use crate::types::dim::Atom;
use crate::types::{Bound, Dim, Elem, HostExpr, Pack, Shape, Symbol, TensorType, Verdict};
use std::collections::{BTreeMap, VecDeque};

/// What calling a signature with given arguments comes to.
struct Applied<'db> {
    /// By parameter; over the caller's symbols and the unknowns.
    params: Vec<(TypeSpec<'db>, Value<'db>, Span)>,
    result: Option<TypeSpec<'db>>,
    declared: Vec<Declared>,
    elems: Vec<(String, Elem)>,
    /// With their positions among the facts of the signature.
    wheres: Vec<(usize, Cond)>,
}

/// The unknowns of a signature, solved.
#[derive(Default)]
struct Solution {
    dims: BTreeMap<Symbol, Dim>,
    packs: BTreeMap<Symbol, Shape>,
}

impl Solution {
    fn dim(&self, dim: &Dim) -> Dim {
        dim.substitute_symbols(&|symbol| self.dims.get(symbol).cloned())
    }

    fn shape(&self, shape: &Shape) -> Shape {
        let shape = shape.map_dims(|dim| self.dim(dim));
        match &shape.pack {
            Some((_, Pack::Named(name))) => match self.packs.get(name) {
                Some(dims) => shape.expand_pack(&name.clone(), dims),
                None => shape,
            },
            _ => shape,
        }
    }

    fn spec<'db>(&self, spec: &TypeSpec<'db>) -> TypeSpec<'db> {
        match spec {
            TypeSpec::Tensor(ty) => TypeSpec::Tensor(ty.with_shape(self.shape(&ty.shape))),
            TypeSpec::Tuple(items) => TypeSpec::Tuple(items.iter().map(|item| self.spec(item)).collect()),
            TypeSpec::List(item) => TypeSpec::List(Box::new(self.spec(item))),
            other => other.clone(),
        }
    }
}

impl<'db> Elaborator<'_, 'db> {
    pub fn call_expr(&mut self, callee: ExprId, args: &'db [Arg], span: Span) -> Walk<Value<'db>> {
        let ast = self.ast;
        let mut receiver = None;
        let function = match &ast[callee].kind {
            ExprKind::Field { base, name } => {
                // What is converted keeps its own type.
                let context = if name.name == "to" { self.context.take() } else { self.context.clone() };
                let base_value = self.expr(*base);
                self.context = context;
                let base_value = base_value?;
                let base_span = ast[*base].span;
                match base_value {
                    Value::Error => Value::Error,
                    value @ (Value::Module(_) | Value::Instance(_)) => self.field(value, name, ast[callee].span)?,
                    value => {
                        // `x.relu()` is `relu(x)`; `x.to(float16)` is a cast.
                        let function = match name.name.as_str() {
                            "to" => Value::Function(Function::Op(ops::builtin("cast"))),
                            other => self.function_name(other, &value, name.span)?,
                        };
                        receiver = Some(CallArg::positional(value, base_span));
                        function
                    }
                }
            }
            _ => self.expr(callee)?,
        };
        let arguments = self.arguments(args)?;
        if matches!(function, Value::Error) {
            return Ok(Value::Error);
        }
        if arguments.has_placeholder() {
            return Ok(partial(function, receiver, arguments));
        }
        let passes = arguments.passes_hypers;
        let mut list: Vec<_> = receiver.into_iter().collect();
        list.extend(arguments.into_args());
        match function {
            Value::Layer(layer, elems) => self.make_instance(layer, elems, list, passes, span),
            function => self.call_value(function, list, span),
        }
    }

    /// The function that `value.name(...)` calls: not a local or member of that name.
    fn function_name(&mut self, name: &str, value: &Value<'db>, span: Span) -> Walk<Value<'db>> {
        let db = self.db;
        let known = modules::scope(db, self.file).contains_key(name)
            || modules::implicit(db, name).is_some()
            || super::builtins::NAMES.contains(&name)
            || ops::find(name).is_some();
        if known {
            let scopes = std::mem::take(&mut self.scopes);
            let function = self.name(name, span);
            self.scopes = scopes;
            return function;
        }
        if self.local(name).is_some() {
            return self.name(name, span);
        }
        let mut candidates: Vec<String> = ops::all().map(|op| op.name().to_string()).collect();
        candidates.extend(modules::implicit_names(db).into_iter().map(String::from));
        candidates.extend(modules::scope(db, self.file).keys().cloned());
        let best = crate::base::suggest::closest(name, candidates.iter().map(String::as_str)).map(String::from);
        let what = value.describe();
        Err(self.unknown_member(&what, name, best, span))
    }

    pub fn call_value(&mut self, function: Value<'db>, args: Vec<CallArg<'db>>, span: Span) -> Walk<Value<'db>> {
        match function {
            Value::Error => Ok(Value::Error),
            Value::Function(Function::Op(op)) => self.call_op(op, args, span),
            Value::Function(Function::Builtin(name)) => self.call_builtin(name, args, span),
            Value::Function(Function::User(function)) => self.call_function(function, None, args, span),
            Value::Function(Function::Method(instance, method)) => {
                self.call_function(method, Some(*instance), args, span)
            }
            Value::Function(Function::Partial { function, args: slots }) => {
                let mut given = args.into_iter();
                let mut all = vec![];
                for (name, value) in slots {
                    match value {
                        Some(value) => all.push(CallArg { name, value, span, gathered: false }),
                        None => all.extend(given.next().map(|arg| CallArg { name, ..arg })),
                    }
                }
                all.extend(given);
                self.call_value(*function, all, span)
            }
            Value::Layer(layer, elems) => self.make_instance(layer, elems, args, false, span),
            Value::Instance(instance) => self.call_instance(*instance, args, span),
            Value::List(list) => self.call_list(list, args, span),
            Value::TensorType(ty) => self.tensor_literal(ty, args, span),
            Value::DType(Elem::Known(dtype)) => match dtype {
                crate::types::DType::Int8 => self.call_builtin("int8", args, span),
                crate::types::DType::Int4 => self.call_builtin("int4", args, span),
                _ => {
                    let message = format!("the element type {dtype} cannot be called");
                    let place = self.place(span);
                    let report = Report::new(code::E0207, message)
                        .at(place, "")
                        .note(format!("to convert a tensor write `x.to({dtype})`"));
                    Err(self.fail(report))
                }
            },
            other => {
                let message = format!("{} cannot be called", other.describe());
                Err(self.error(code::E0207, message, span, ""))
            }
        }
    }

    fn call_instance(&mut self, instance: Instance<'db>, args: Vec<CallArg<'db>>, span: Span) -> Walk<Value<'db>> {
        let layer = full_layer(self.db, instance.layer);
        match super::names::methods(layer).find(|m| m.decl.name.name == "forward") {
            Some(forward) => self.call_function(forward, Some(instance), args, span),
            None => {
                let message = format!("layer `{}` has no `forward`, so it cannot be called", layer.decl.name.name);
                Err(self.error(code::E0207, message, span, ""))
            }
        }
    }

    /// `[a, b, c](x)` is `c(b(a(x)))`.
    fn call_list(&mut self, list: List<'db>, args: Vec<CallArg<'db>>, span: Span) -> Walk<Value<'db>> {
        let [arg] = args.as_slice() else {
            return Err(self.error(code::E0203, "a list of layers takes one argument", span, ""));
        };
        let (mut value, arg_span) = (arg.value.clone(), arg.span);
        let items = match list {
            List::Items(items) => items,
            repeat @ List::Repeat { .. } => {
                let repeat = Value::List(repeat);
                let Some(counted) = self.counted(&repeat, "i") else { return Ok(Value::Error) };
                const CARRIED: &str = "x'";
                self.scopes.push(BTreeMap::from([(CARRIED.to_string(), super::Binding::Value(value.clone()))]));
                let item = counted.item.clone();
                let done = self.rolled(&counted, &[CARRIED.to_string()], span, &mut |walk| {
                    let Some(super::Binding::Value(x)) = walk.local(CARRIED).cloned() else { return Ok(()) };
                    let next = walk.call_value(item.clone(), vec![CallArg::positional(x, arg_span)], span)?;
                    walk.assign_local(CARRIED, next);
                    Ok(())
                });
                let result = self.local(CARRIED).cloned();
                self.scopes.pop();
                if done? && let Some(super::Binding::Value(value)) = result {
                    return Ok(value);
                }
                match self.iterate(&repeat, span)? {
                    Some(items) => items,
                    None => return Ok(Value::Error),
                }
            }
        };
        for item in items {
            value = self.call_value(item, vec![CallArg::positional(value, arg_span)], span)?;
        }
        Ok(value)
    }

    /// `TernaryTensor[2, 2](1, 0, -1, 1)`
    fn tensor_literal(&mut self, ty: TensorType, args: Vec<CallArg<'db>>, span: Span) -> Walk<Value<'db>> {
        let flat = Value::list(args.into_iter().map(|arg| arg.value).collect());
        let flat = self.to_tensor(flat, Some(&ty.elem), span)?;
        let attrs = ops::Attrs::new().with("shape", ops::Attr::Shape(ty.shape.clone()));
        self.emit_one("reshape", vec![flat], attrs, &[span], span)
    }

    /// Calls a declared function or method.
    pub fn call_function(
        &mut self,
        function: FnRef<'db>,
        instance: Option<Instance<'db>>,
        args: Vec<CallArg<'db>>,
        span: Span,
    ) -> Walk<Value<'db>> {
        if args.iter().any(|arg| matches!(arg.value, Value::Error)) {
            return Ok(Value::Error);
        }
        let name = callee_name(&function);
        let reports = self.reports.len();
        let applied = self
            .apply_signature(function, instance.as_ref(), args, span)
            .inspect_err(|_| self.blame_call(reports, span))?;
        let solution = self.solve(&applied)?;
        let mut values = vec![];
        for ((written, value, arg_span), param) in applied.params.iter().zip(&function.decl.params) {
            let spec = solution.spec(written);
            let value = value.substitute(&|symbol| solution.dims.get(symbol).cloned().map(HostExpr::Int));
            // What could not be solved is shown as it is written.
            let shown = match &spec {
                TypeSpec::Tensor(ty) if !ty.shape.is_determined() => written.clone(),
                spec => spec.clone(),
            };
            values.push((self.pass((&name, &param.name.name), value, &spec, &shown, *arg_span)?, *arg_span));
        }
        let place = self.place(span);
        for (index, cond) in &applied.wheres {
            let cond = match Value::Bool(cond.clone())
                .substitute(&|symbol| solution.dims.get(symbol).cloned().map(HostExpr::Int))
            {
                Value::Bool(cond) => cond,
                _ => continue,
            };
            self.check_where(&name, &cond, place, |db| {
                let full = full_fn(db, function);
                super::layer::source_of(db, full.item, full.ast, full.decl.wheres.get(*index).copied())
            })?;
        }
        let given: VecDeque<Shape> = applied
            .declared
            .iter()
            .map(|declared| match declared.is_pack {
                true => solution.packs.get(&declared.symbol).cloned().unwrap_or_else(Shape::unknown),
                false => {
                    Shape::new(vec![solution.dims.get(&declared.symbol).cloned().unwrap_or_else(|| Dim::symbol("?"))])
                }
            })
            .collect();
        let is_runtime = instance.is_some() || values.iter().any(|(value, _)| value.has_tensor());
        if self.world.specialises() && is_runtime && values.iter().all(|(value, _)| is_plain(value)) {
            return self.call_separate(function, instance, &applied, given, values, span);
        }
        if !self.world.specialises()
            && is_runtime
            && let Some(spec) = &applied.result
            && let Some(value) = declared_result(&solution.spec(spec))
        {
            return Ok(value);
        }
        let quiet = !self.world.specialises() && is_runtime;
        self.call_in_place(function, instance, &applied, given, values, quiet, span)
    }

    /// Reads the signature in the callee's scope, with its dim variables as unknowns.
    fn apply_signature(
        &mut self,
        function: FnRef<'db>,
        instance: Option<&Instance<'db>>,
        args: Vec<CallArg<'db>>,
        span: Span,
    ) -> Walk<Applied<'db>> {
        let name = callee_name(&function);
        let bound = self.bind_arguments(&name, &function.decl.params, args)?;
        let caller = self.place(span);
        self.nested(function.item, function.ast, |inner| {
            if let (Some(layer), Some(instance)) = (function.layer, instance) {
                inner.enter_layer(layer, instance.clone());
                inner.members_of_types(layer, instance)?;
            }
            inner.declare_type_params(&function.decl.type_params)?;
            inner.declaring = Some(Declaring::new(DeclareAs::Fresh));
            let mut params = vec![];
            for (param, arg) in function.decl.params.iter().zip(bound) {
                let spec = match param.ty {
                    Some(ty) => inner.resolve_type(ty)?,
                    None => TypeSpec::Any,
                };
                let (value, arg_span) = match arg {
                    Some(arg) => {
                        let place = crate::analysis::db::Place { item: caller.item, span: arg.span };
                        inner.infer_elem(&spec, &arg.value, place)?;
                        (arg.value, arg.span)
                    }
                    None => match param.default {
                        Some(default) => (inner.default_value(default, &spec)?, span),
                        None => {
                            let message = format!("`{name}` needs `{}`", param.name.name);
                            let report = Report::new(code::E0205, message)
                                .at(caller, format!("`{}` is missing", param.name.name));
                            return Err(inner.fail(report));
                        }
                    },
                };
                // Type variables bound by this argument are known from here on.
                let spec = match param.ty {
                    Some(_) => inner.settle_elems(spec),
                    None => spec,
                };
                inner.bind(&param.name.name, value.clone());
                params.push((spec, value, arg_span));
            }
            let declaring = inner.declaring.take();
            let result = match function.decl.result {
                Some(ty) => Some(inner.resolve_type(ty)?),
                None => None,
            };
            let mut wheres = vec![];
            for (index, expr) in function.decl.wheres.iter().enumerate() {
                if let Value::Bool(cond) = inner.expr(*expr)? {
                    wheres.push((index, cond));
                }
            }
            let elems = function.decl.type_params.iter();
            let elems = elems.filter_map(|p| Some((p.name.name.clone(), inner.elems.get(&p.name.name)?.clone())));
            let elems = elems.collect();
            let declared = declaring.map(|d| d.declared).unwrap_or_default();
            Ok(Applied { params, result, declared, elems, wheres })
        })
    }

    /// The default of a parameter; `None` makes it optional whatever its type.
    fn default_value(&mut self, default: ExprId, spec: &TypeSpec<'db>) -> Walk<Value<'db>> {
        match &self.ast[default].kind {
            ExprKind::None => Ok(Value::None),
            _ => match spec {
                TypeSpec::Tensor(_) => self.expr(default),
                spec => self.expr_as(default, spec),
            },
        }
    }

    /// Binds a type variable from the first tensor that has it.
    fn infer_elem(
        &mut self,
        spec: &TypeSpec<'db>,
        value: &Value<'db>,
        place: crate::analysis::db::Place<'db>,
    ) -> Walk<()> {
        let (TypeSpec::Tensor(ty), Value::Tensor(tensor)) = (spec, value) else { return Ok(()) };
        let Elem::Var(name, bound) = &ty.elem else { return Ok(()) };
        let current = self.elems.get(name.as_str()).cloned();
        if current.as_ref() != Some(&ty.elem) {
            return Ok(());
        }
        let fits = match &tensor.ty.elem {
            Elem::Known(dtype) => bound.admits(*dtype),
            Elem::Var(_, own) => bound.includes(*own),
        };
        if !fits {
            let what = match bound {
                Bound::Float => "a float tensor",
                Bound::Int => "an integer tensor",
                Bound::Num => "a tensor of numbers",
                Bound::Any => "a tensor",
            };
            let message = format!("{what} is needed here, not {}", tensor.ty);
            let report = Report::new(code::E0209, message).at(place, format!("this is {}", tensor.ty.elem));
            return Err(self.fail(report));
        }
        self.elems.insert(name.as_str().to_string(), tensor.ty.elem.clone());
        Ok(())
    }

    /// A type with its variables replaced by what they are known to be.
    fn settle_elems(&self, spec: TypeSpec<'db>) -> TypeSpec<'db> {
        match spec {
            TypeSpec::Tensor(ty) => match &ty.elem {
                Elem::Var(name, _) => {
                    let elem = self.elems.get(name.as_str()).cloned().unwrap_or(ty.elem.clone());
                    TypeSpec::Tensor(TensorType { elem, shape: ty.shape })
                }
                Elem::Known(_) => TypeSpec::Tensor(ty),
            },
            other => other,
        }
    }

    /// Solves dim variables and packs from the arguments' shapes.
    fn solve(&mut self, applied: &Applied<'db>) -> Walk<Solution> {
        let mut solution = Solution::default();
        let mut equations = vec![];
        for (spec, value, _) in &applied.params {
            self.equations(spec, value, &mut solution, &mut equations);
        }
        let unknown = |symbol: &Symbol| applied.declared.iter().any(|d| d.symbol == *symbol);
        loop {
            let mut progress = false;
            equations.retain(|(formal, actual): &(Dim, Dim)| {
                let formal = solution.dim(formal);
                let open: Vec<Symbol> =
                    formal.symbols().into_iter().filter(|s| unknown(s) && !solution.dims.contains_key(s)).collect();
                let [symbol] = open.as_slice() else { return !open.is_empty() };
                match formal.solve(&Atom::Sym(symbol.clone()), actual) {
                    Some(value) => {
                        solution.dims.insert(symbol.clone(), value);
                        progress = true;
                        false
                    }
                    None => true,
                }
            });
            if !progress {
                break;
            }
        }
        for declared in &applied.declared {
            if !declared.is_pack && !solution.dims.contains_key(&declared.symbol) {
                let dim = self.fresh_dim();
                solution.dims.insert(declared.symbol.clone(), dim);
            }
        }
        Ok(solution)
    }

    /// Pairs of formal and actual dims.
    fn equations(
        &mut self,
        spec: &TypeSpec<'db>,
        value: &Value<'db>,
        solution: &mut Solution,
        equations: &mut Vec<(Dim, Dim)>,
    ) {
        match (spec, value) {
            (TypeSpec::Tensor(ty), Value::Tensor(tensor)) => {
                match_shapes(&ty.shape, &tensor.ty.shape, solution, equations);
            }
            (TypeSpec::Tensor(ty), Value::List(_) | Value::Number(_) | Value::Bool(_) | Value::None) => {
                // An optional parameter that is not given, or a literal: its packs have no dims to say.
                if let Some((_, Pack::Named(name))) = &ty.shape.pack {
                    solution.packs.entry(name.clone()).or_insert_with(Shape::scalar);
                }
            }
            (TypeSpec::Tuple(specs), value) => {
                if let Some(items) = self.as_items(value) {
                    for (spec, item) in specs.iter().zip(&items) {
                        self.equations(spec, item, solution, equations);
                    }
                }
            }
            (TypeSpec::List(inner), value) => {
                for item in self.as_items(value).unwrap_or_default() {
                    self.equations(inner, &item, solution, equations);
                }
            }
            _ => {}
        }
    }

    /// Checks an argument against its parameter's type.
    fn pass(
        &mut self,
        names: (&str, &str),
        value: Value<'db>,
        spec: &TypeSpec<'db>,
        shown: &TypeSpec<'db>,
        span: Span,
    ) -> Walk<Value<'db>> {
        if value == Value::None && matches!(spec, TypeSpec::Tensor(_)) {
            return Ok(Value::None);
        }
        if let (TypeSpec::Tensor(ty), Value::Tensor(tensor)) = (spec, &value) {
            let found = &tensor.ty;
            let shapes = found.shape.compare(&ty.shape, &self.facts);
            let shown = if let TypeSpec::Tensor(shown) = shown { shown } else { ty };
            if found.elem != ty.elem {
                let (callee, param) = names;
                let message = format!("`{param}` of `{callee}` must be {shown}, but this is {found}");
                let place = self.place(span);
                let report = Report::new(code::E0202, message).at(place, format!("this is {}", found.elem));
                return Err(self.fail(report.note(format!("convert it with `.to({})`", ty.elem))));
            }
            if shapes == Verdict::Differ {
                return Err(self.argument_mismatch(names, found, ty, shown, span));
            }
            return Ok(value);
        }
        self.conform(value, spec, span)
    }

    fn argument_mismatch(
        &mut self,
        (callee, param): (&str, &str),
        found: &TensorType,
        wanted: &TensorType,
        shown: &TensorType,
        span: Span,
    ) -> Abort {
        let place = self.place(span);
        let message = match (found.shape.rank(), wanted.shape.rank()) {
            (Some(a), Some(b)) if a != b => {
                format!("`{param}` of `{callee}` must be {shown}, of rank {b}, but this is {found}, of rank {a}")
            }
            _ => format!("`{param}` of `{callee}` must be {shown}, but this is {found}"),
        };
        let code = match (found.shape.rank(), wanted.shape.rank()) {
            (Some(a), Some(b)) if a != b => code::E0304,
            _ => code::E0303,
        };
        let mut report = Report::new(code, message).at(place, format!("shape [{}]", found.shape));
        let tails = found.shape.tail().iter().rev().zip(wanted.shape.tail().iter().rev());
        let clash: Vec<_> = tails.filter(|(a, b)| self.facts.compare(a, b) == Verdict::Differ).collect();
        let mut dims = vec![];
        for (a, b) in clash {
            report = report.note(format!("dim {a} is given where {b} is needed"));
            dims.extend([a.clone(), b.clone()]);
        }
        report = self.with_origins(report, &dims);
        self.fail(report)
    }

    /// Walks the body where the call stands.
    #[allow(clippy::too_many_arguments)] // The parts of one call, used once.
    fn call_in_place(
        &mut self,
        function: FnRef<'db>,
        instance: Option<Instance<'db>>,
        applied: &Applied<'db>,
        given: VecDeque<Shape>,
        values: Vec<(Value<'db>, Span)>,
        quiet: bool,
        span: Span,
    ) -> Walk<Value<'db>> {
        let full = full_fn(self.db, function);
        let reports = self.reports.len();
        let obligations = self.obligations.len();
        let makes_layers = self.makes_layers && instance.is_none();
        let compile_time = instance.is_none() && !values.iter().any(|(value, _)| value.has_tensor());
        let result = self.nested(full.item, full.ast, |inner| {
            inner.makes_layers = makes_layers;
            inner.compile_time = compile_time;
            if let (Some(layer), Some(instance)) = (full.layer, instance) {
                let layer = full_layer(inner.db, layer);
                let path = instance.path.clone().unwrap_or_default();
                inner.enter_layer(layer, instance);
                inner.members(layer, &path)?;
                // They were due when the instance was made.
                inner.obligations.clear();
            }
            for (name, elem) in &applied.elems {
                inner.elems.insert(name.clone(), elem.clone());
            }
            inner.scopes.push(BTreeMap::new());
            inner.declaring = Some(Declaring::new(DeclareAs::Given(given)));
            for (param, (value, _)) in full.decl.params.iter().zip(values) {
                if let Some(ty) = param.ty {
                    inner.resolve_type(ty)?;
                }
                inner.bind(&param.name.name, value);
            }
            inner.declaring = None;
            inner.function_result(full)
        });
        match result {
            // What is wrong in there is reported where it is checked.
            Err(Abort::Reported) if quiet => {
                self.reports.truncate(reports);
                self.obligations.truncate(obligations);
                Ok(Value::Error)
            }
            Err(abort) => {
                let place = self.place(span);
                for report in &mut self.reports[reports..] {
                    *report = report.clone().also(place, "in this call");
                }
                Err(abort)
            }
            Ok(value) => Ok(value),
        }
    }

    /// Runs the body and checks what it returns. The scope holds parameters and members.
    pub fn function_result(&mut self, function: FnRef<'db>) -> Walk<Value<'db>> {
        let result = match function.decl.result {
            Some(ty) => Some((self.resolve_type(ty)?, self.ast[ty].span)),
            None => None,
        };
        self.result = result.as_ref().map(|(spec, _)| spec.clone());
        let flow = match &function.decl.body {
            crate::syntax::ast::FnBody::Block(block) => self.block(block, None)?,
            crate::syntax::ast::FnBody::Expr(expr) => {
                let span = self.span(*expr);
                let value = match &result {
                    Some((spec @ TypeSpec::Tensor(_), _)) => self.expr_as(*expr, spec)?,
                    _ => self.expr(*expr)?,
                };
                Flow::Return(value, span)
            }
        };
        if let Flow::Return(_, span) = &flow {
            self.returned = Some(*span);
        }
        match (flow, result) {
            (Flow::Return(value, span), Some((spec, _))) => self.conform(value, &spec, span),
            (Flow::Return(value, _), None) => Ok(value),
            (Flow::Next, None) => Ok(Value::None),
            (Flow::Next, Some((spec, span))) => {
                let message = format!("`{}` ends without returning {}", function.decl.name.name, spec.describe());
                Err(self.error(code::E0210, message, span, "a result is declared here"))
            }
        }
    }

    /// Calls through the world: the callee is a function of its own.
    fn call_separate(
        &mut self,
        function: FnRef<'db>,
        instance: Option<Instance<'db>>,
        applied: &Applied<'db>,
        given: VecDeque<Shape>,
        values: Vec<(Value<'db>, Span)>,
        span: Span,
    ) -> Walk<Value<'db>> {
        let mut operands: Vec<ValueRef> = vec![];
        let mut arguments = vec![];
        for (param, (value, _)) in function.decl.params.iter().zip(values) {
            visit_tensors(&value, &mut |tensor| operands.push(tensor.value));
            arguments.push((param.name.name.clone(), value));
        }
        let request = CallRequest {
            function,
            instance,
            elems: applied.elems.clone(),
            arguments,
            declared: applied.declared.iter().zip(given).map(|(d, shape)| (d.name.clone(), shape)).collect(),
        };
        let place = self.place(span);
        let db = self.db;
        match self.world.call(db, &request, &operands, place) {
            Ok((outcome, values)) => {
                for (obligation, _) in outcome.obligations {
                    self.require(obligation, span)?;
                }
                Ok(renumber(outcome.result, &mut values.into_iter()))
            }
            Err((abort, reports)) => {
                self.reports.extend(reports.into_iter().map(|report| report.also(place, "in this call")));
                Err(abort)
            }
        }
    }
}

/// `f(_, k=2)`
fn partial<'db>(function: Value<'db>, receiver: Option<CallArg<'db>>, arguments: Arguments<'db>) -> Value<'db> {
    let mut args: Vec<_> = receiver.into_iter().map(|arg| (arg.name, Some(arg.value))).collect();
    args.extend(arguments.args.into_iter().map(|(arg, placeholder)| (arg.name, (!placeholder).then_some(arg.value))));
    Value::Function(Function::Partial { function: Box::new(function), args })
}

/// `Linear.forward`, `softmax`
pub fn callee_name(function: &FnRef<'_>) -> String {
    match function.layer {
        Some(layer) => format!("{}.{}", layer.decl.name.name, function.decl.name.name),
        None => function.decl.name.name.clone(),
    }
}

fn match_shapes(formal: &Shape, actual: &Shape, solution: &mut Solution, equations: &mut Vec<(Dim, Dim)>) {
    let Some((_, pack)) = &formal.pack else {
        if actual.pack.is_none() && actual.dims.len() == formal.dims.len() {
            equations.extend(formal.dims.iter().cloned().zip(actual.dims.iter().cloned()));
        }
        return;
    };
    let (head, tail) = (formal.head().len(), formal.tail().len());
    let fits = match &actual.pack {
        None => head + tail <= actual.dims.len(),
        Some(_) => head <= actual.head().len() && tail <= actual.tail().len(),
    };
    if !fits {
        return;
    }
    let end = actual.dims.len() - tail;
    equations.extend(formal.head().iter().cloned().zip(actual.dims[..head].iter().cloned()));
    equations.extend(formal.tail().iter().cloned().zip(actual.dims[end..].iter().cloned()));
    let inside = Shape {
        dims: actual.dims[head..end].to_vec(),
        pack: actual.pack.as_ref().map(|(at, pack)| (at - head, pack.clone())),
    };
    if let Pack::Named(name) = pack {
        solution.packs.entry(name.clone()).or_insert(inside);
    }
}

/// The value of a declared result, where the declaration tells all.
fn declared_result<'db>(spec: &TypeSpec<'db>) -> Option<Value<'db>> {
    match spec {
        TypeSpec::Tensor(ty) if ty.shape.is_determined() => {
            Some(Value::Tensor(TensorValue { ty: ty.clone(), value: ValueRef(u32::MAX) }))
        }
        TypeSpec::Tuple(items) => Some(Value::Tuple(items.iter().map(declared_result).collect::<Option<_>>()?)),
        _ => None,
    }
}

/// Whether a value can be handed to a function of its own: tensors and host values, no instances.
fn is_plain(value: &Value<'_>) -> bool {
    match value {
        Value::Tensor(_)
        | Value::Number(_)
        | Value::Bool(Cond::Known(_))
        | Value::Str(_)
        | Value::None
        | Value::DType(_)
        | Value::Scheme(_)
        | Value::Shape(_) => true,
        Value::Function(Function::Op(_) | Function::Builtin(_) | Function::User(_)) => true,
        Value::Tuple(items) | Value::List(List::Items(items)) => items.iter().all(is_plain),
        _ => false,
    }
}
