//! Calls.
//!
//! A call of a declared function is walked in three steps: the signature, with its dim variables as
//! unknowns (`signature.rs`); solving them from the arguments' shapes (`solve.rs`); then the body, in
//! place for functions on compile-time values (and, when only checking, wherever the signature does not
//! tell the result), or as a function of its own that the world calls.

use crate::analysis::db::{Place, Report};
use crate::analysis::elaborate::arguments::{Arguments, CallArg};
use crate::analysis::elaborate::names::{full_fn, full_layer};
use crate::analysis::elaborate::signature::{Applied, Receiver};
use crate::analysis::elaborate::sized::{SizedCall, is_sized};
use crate::analysis::elaborate::stmt::Flow;
use crate::analysis::elaborate::types::TypeSpec;
use crate::analysis::elaborate::valued::seen_from;
use crate::analysis::elaborate::{DeclareAs, Declaring, Elaborator};
use crate::analysis::modules;
use crate::analysis::value::{Cond, FnRef, Function, Instance, List, TensorValue, Value, ValueRef};
use crate::analysis::world::{Abort, CallRequest, Walk, renumber, visit_tensors};
use crate::base::{Code, Span, code};
use crate::ops;
use crate::syntax::ast::{Arg, ExprId, ExprKind};
use crate::types::{Dim, Elem, HostExpr, Pack, Shape, Symbol, TensorType};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
                    value @ (Value::Module(_) | Value::Instance(_) | Value::Layer(..)) => {
                        self.field(value, name, ast[callee].span)?
                    }
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
        let known = modules::lookup(db, self.file, name).is_some()
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
        let near = crate::base::nearest(name, candidates.iter().map(String::as_str));
        let what = value.describe();
        Err(self.unknown_member(&what, name, near, span))
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
            Value::Function(Function::Gradient(function)) => self.value_and_grad(*function, args, span),
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
        let layer = self.seen_layer(instance.layer);
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
            List::Items(items) | List::Joined(items) => items,
            List::Repeat { element, .. } if element.is_open() => {
                self.aside(|walk| walk.call_value(*element, args, span).map(|_| ()));
                return Ok(Value::Error);
            }
            repeat @ List::Repeat { .. } => {
                let repeat = Value::List(repeat);
                let Some(counted) = self.counted(&repeat, "i") else { return Ok(Value::Error) };
                const CARRIED: &str = "x'";
                self.scopes.push(BTreeMap::from([(CARRIED.to_string(), super::Binding::Value(value.clone()))]));
                let item = counted.item.clone();
                let done = self.rolled(&counted, &[CARRIED.to_string()], None, span, &mut |walk| {
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
            List::Stacked(_) | List::Growing { .. } => {
                return Err(self.error(code::E0207, "a list of tensors cannot be called", span, ""));
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
        let instance = match instance {
            Some(instance) => Some(self.placed(instance, span)?),
            None => None,
        };
        self.refuse_unheld(instance.as_ref(), span)?;
        let name = callee_name(&function);
        self.note_call(function, instance.as_ref(), span)?;
        let reports = self.reports.len();
        let applied = match self.apply_signature(function, instance.as_ref(), args, span) {
            Ok(applied) => applied,
            // The signature names what is not known of the instance.
            Err(Abort::Reported)
                if self.reports.len() == reports && instance.as_ref().is_some_and(Instance::is_open) =>
            {
                return Ok(Value::Error);
            }
            Err(abort) => {
                self.blame_call(reports, span);
                return Err(abort);
            }
        };
        let solution = self.solve(&applied)?;
        let mut values = vec![];
        let mut settled = BTreeSet::new();
        for ((written, value, arg_span), param) in applied.params.iter().zip(&function.decl.params) {
            let spec = solution.spec(written);
            let value = value.substitute(&|symbol| solution.dims.get(symbol).cloned().map(HostExpr::Int));
            let shown = match (&spec, written) {
                // What could not be solved is shown as it is written.
                (TypeSpec::Tensor(ty), _) if !ty.shape.is_determined() => written.clone(),
                (TypeSpec::Tensor(_), TypeSpec::Tensor(ty)) => {
                    let shape = solution.shape_known(&ty.shape, &settled);
                    settled.extend(unknowns(ty));
                    TypeSpec::Tensor(ty.with_shape(shape))
                }
                (spec, _) => spec.clone(),
            };
            let to = Receiver { callee: &name, function, instance: instance.as_ref(), param };
            values.push((self.pass(&to, value, &spec, &shown, *arg_span)?, *arg_span));
        }
        self.require_sizes(&name, &applied, &solution, span)?;
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
                super::instance::source_of(db, full.item, full.ast, full.decl.wheres.get(*index).copied())
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
            // Whether a callable fits shows where the body calls it.
            let takes = function.decl.params.iter().zip(&values);
            if takes.into_iter().any(|(param, (value, _))| param.ty.is_none() && is_callable(value)) {
                self.call_in_place(function, instance, &applied, given, values, false, span)?;
            } else if instance.is_none() && may_miss_axis(&applied, &values) {
                self.call_in_place(function, None, &applied, given, values, true, span)?;
            } else if is_sized(&given, &values, instance.as_ref()) {
                self.check_sized(SizedCall { function, instance, given, values }, &applied, span)?;
            }
            return Ok(value);
        }
        let quiet = !self.world.specialises() && is_runtime;
        let is_separate = quiet && values.iter().all(|(value, _)| is_plain(value));
        let value = self.call_in_place(function, instance, &applied, given, values, quiet, span)?;
        // As in the function that it becomes.
        if is_separate { self.results(value, span) } else { Ok(value) }
    }

    /// Dim variables are at least 1; a size that only a run tells may be none.
    fn require_sizes(
        &mut self,
        callee: &str,
        applied: &Applied<'db>,
        solution: &super::solve::Solution,
        span: Span,
    ) -> Walk<()> {
        for declared in applied.declared.iter().filter(|declared| !declared.is_pack) {
            let (Some(name), Some(dim)) = (&declared.name, solution.dims.get(&declared.symbol)) else { continue };
            if self.facts.is_open_dim(dim) {
                let message = format!("`{name}` of `{callee}` must be at least 1");
                let kind = ops::ObligationKind::AtLeast(dim.clone(), Dim::constant(1));
                self.require(ops::Obligation { kind, code: code::E0310, message }, span)?;
            }
        }
        Ok(())
    }

    /// An instance that a test or script calls where it makes it is a member of that test, as a named one is.
    pub(super) fn placed(&mut self, instance: Instance<'db>, span: Span) -> Walk<Instance<'db>> {
        if instance.path.is_some() || !self.adopts || self.owns_layers() {
            return Ok(instance);
        }
        let hint = instance.layer.decl.name.name.to_lowercase();
        match self.adopt(&hint, Value::Instance(Box::new(instance.clone())), span)? {
            Value::Instance(placed) => Ok(*placed),
            _ => Ok(instance),
        }
    }

    /// Keeps calls that every walk of the definition makes. Those of functions are followed later; a method that
    /// comes back to itself is refused here.
    fn note_call(&mut self, function: FnRef<'db>, instance: Option<&Instance<'db>>, span: Span) -> Walk<()> {
        if self.depth > 0 || self.tentative || self.decisions.asked() > 0 {
            return Ok(());
        }
        let place = self.place(span);
        if function.layer.is_none() {
            self.calls.push((function.item, place));
            return Ok(());
        }
        let is_own = instance.is_some_and(|instance| instance.path.as_ref().is_some_and(Vec::is_empty));
        if !is_own || function.item != self.item {
            return Ok(());
        }
        let full = full_fn(self.db, function);
        if self.defining != Some(Place { item: full.item, span: full.decl.name.span }) {
            return Ok(());
        }
        Err(self.fail(crate::analysis::recursion::report(&callee_name(&function), place, true)))
    }

    /// Walks the body where the call stands.
    #[allow(clippy::too_many_arguments)] // The parts of one call, used once.
    pub(super) fn call_in_place(
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
        let own = Place { item: full.item, span: full.decl.name.span };
        if quiet && self.inferring.contains(&own) {
            return Ok(Value::Error);
        }
        let reports = self.reports.len();
        let obligations = self.obligations.len();
        let has_sizes = quiet && is_sized(&given, &values, instance.as_ref());
        let makes_layers = self.makes_layers && instance.is_none();
        let compile_time = instance.is_none() && !values.iter().any(|(value, _)| value.has_tensor());
        let result = self.nested(full.item, full.ast, span, |inner| {
            inner.makes_layers = makes_layers;
            inner.compile_time = compile_time;
            inner.inferring.extend(quiet.then_some(own));
            if let (Some(layer), Some(instance)) = (full.layer, instance) {
                let layer = full_layer(inner.db, layer);
                let path = instance.path.clone().unwrap_or_default();
                inner.enter_layer(layer, instance);
                inner.assume_wheres(&layer.decl.wheres)?;
                inner.members(layer, &path)?;
                // They were due when the instance was made.
                inner.obligations.clear();
            }
            for (name, elem) in &applied.elems {
                inner.elems.insert(name.clone(), elem.clone());
            }
            inner.scopes.push(BTreeMap::new());
            inner.declaring = Some(Declaring::new(DeclareAs::Given(given)));
            for (param, (value, _)) in full.decl.params.iter().zip(&values) {
                inner.bind_early(param, Some(value));
            }
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
            // The standard library is right in itself, so what is wrong in there is wrong with this call. A function
            // of the user's is reported where it is checked, but for what comes with the call.
            Err(Abort::Reported) if quiet => {
                self.obligations.truncate(obligations);
                let is_right = full.item.file(self.db).embedded(self.db);
                let of_the_call = |code: &Code| OF_THE_CALL.contains(code) || has_sizes && *code == code::E0403;
                let own = self.reports.drain(reports..).find(|report| is_right || of_the_call(&report.code));
                let Some(own) = own else { return Ok(Value::Error) };
                self.reports.push(own);
                self.blame_caller(reports, &callee_name(&function), span);
                Err(Abort::Reported)
            }
            Err(abort) => {
                let place = self.place(span);
                for report in &mut self.reports[reports..] {
                    // A call that calls itself is told once.
                    if report.labels.iter().all(|label| label.place != place) {
                        *report = report.clone().also(place, "in this call");
                    }
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
        let path = instance.as_ref().and_then(|instance| instance.path.clone()).unwrap_or_default();
        // First what stands in the place of the instance's parameters.
        let weights = instance.iter().flat_map(|instance| instance.values.iter().flatten());
        let mut operands: Vec<ValueRef> = weights.map(|(_, tensor)| tensor.value).collect();
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
        let index = &mut self.next_index;
        let mut fresh = |symbol: &Symbol| {
            *index += 1;
            crate::types::facts::hidden_symbol(symbol.spoken(), *index as usize)
        };
        match self.world.call(db, &request, &operands, &mut fresh, place) {
            Ok((outcome, values)) => {
                outcome.fresh.iter().for_each(|symbol| self.open(symbol));
                for (obligation, _) in outcome.obligations {
                    // What only a run tells, the callee itself checks.
                    if !self.depends_on_run(&obligation) {
                        self.require(obligation, span)?;
                    }
                }
                Ok(seen_from(renumber(outcome.result, &mut values.into_iter()), &path))
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

/// What only a call can make wrong: an axis or a position that is not there, a size that cannot be.
const OF_THE_CALL: &[Code] = &[code::E0305, code::E0309, code::E0310];

/// `Linear.forward`, `softmax`
pub fn callee_name(function: &FnRef<'_>) -> String {
    match function.layer {
        Some(layer) => format!("{}.{}", layer.decl.name.name, function.decl.name.name),
        None => function.decl.name.name.clone(),
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

/// Whether a signature of any rank is called with a number, which may be an axis that is not there.
fn may_miss_axis(applied: &Applied<'_>, values: &[(Value<'_>, Span)]) -> bool {
    let has_pack = |spec: &TypeSpec<'_>| matches!(spec, TypeSpec::Tensor(ty) if ty.shape.pack.is_some());
    applied.params.iter().any(|(spec, ..)| has_pack(spec))
        && values.iter().any(|(value, _)| value.as_dim().is_some_and(|dim| dim.as_const().is_some()))
}

/// The symbols and the pack of a declared type.
fn unknowns(ty: &TensorType) -> BTreeSet<Symbol> {
    let pack = ty.shape.pack.iter().filter_map(|(_, pack)| match pack {
        Pack::Named(name) => Some(name.clone()),
        Pack::Unknown => None,
    });
    ty.shape.dims.iter().flat_map(Dim::symbols).chain(pack).collect()
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

/// A layer or function, or a list of them.
fn is_callable(value: &Value<'_>) -> bool {
    match value {
        Value::Function(_) | Value::Layer(..) | Value::Instance(_) => true,
        Value::List(List::Items(items)) => !items.is_empty() && items.iter().all(is_callable),
        Value::List(List::Repeat { element, .. }) => is_callable(element),
        _ => false,
    }
}
