//! Calls of declared functions and methods.
//!
//! Such a call is walked in three steps: the signature, with its dim variables as unknowns (`signature.rs`); solving
//! them from the arguments' shapes (`solve.rs`); then the body, in place for functions on compile-time values (and,
//! when only checking, wherever the signature does not tell the result), or as a function of its own that the world
//! calls.

use crate::analysis::db::Place;
use crate::analysis::elaborate::arguments::CallArg;
use crate::analysis::elaborate::instance::source_of;
use crate::analysis::elaborate::names::{full_fn, full_layer};
use crate::analysis::elaborate::signature::{Applied, Receiver};
use crate::analysis::elaborate::solve::Solution;
use crate::analysis::elaborate::stmt::Flow;
use crate::analysis::elaborate::types::TypeSpec;
use crate::analysis::elaborate::valued::seen_from;
use crate::analysis::elaborate::{DeclareAs, Declared, Declaring, Elaborator};
use crate::analysis::value::{Cond, FnRef, Function, Instance, List, TensorValue, Value, ValueRef};
use crate::analysis::world::{Abort, CallRequest, Walk, renumber, visit_tensors};
use crate::base::{Code, Span, code};
use crate::ops;
use crate::syntax::ast::FnBody;
use crate::types::{Dim, Elem, HostExpr, Pack, Shape, Symbol, TensorType};
use std::collections::{BTreeMap, BTreeSet};

/// A call whose arguments fit its signature.
#[derive(Clone)]
pub struct FittedCall<'db> {
    pub function: FnRef<'db>,
    pub instance: Option<Instance<'db>>,
    pub elems: Vec<(String, Elem)>,
    /// What the dim variables and packs of the signature stand for, with their names.
    pub sizes: Vec<(Option<String>, Shape)>,
    pub values: Vec<(Value<'db>, Span)>,
}

/// A call, with what the signature alone tells of it.
struct Fitted<'db> {
    call: FittedCall<'db>,
    /// The result, where its declaration tells all.
    result: Option<Value<'db>>,
    /// A number among the arguments may be an axis that is not there.
    may_miss_axis: bool,
}

impl<'db> Elaborator<'_, 'db> {
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
        self.note_call(function, instance.as_ref(), span)?;
        let Some(fitted) = self.fit(function, instance, args, span)? else { return Ok(Value::Error) };
        let Fitted { call, result, may_miss_axis } = fitted;
        let is_runtime = call.instance.is_some() || call.values.iter().any(|(value, _)| value.has_tensor());
        let is_plain = call.values.iter().all(|(value, _)| is_plain(value));
        if self.world.has_functions() && is_runtime && is_plain {
            return self.call_separate(call, span);
        }
        let quiet = !self.world.specialises() && is_runtime;
        if let Some(value) = result.filter(|_| quiet) {
            // Whether a callable fits shows where the body calls it.
            let mut takes = call.function.decl.params.iter().zip(&call.values);
            if takes.any(|(param, (value, _))| param.ty.is_none() && is_callable(value)) {
                self.call_in_place(call, false, span)?;
            } else if call.instance.is_none() && may_miss_axis {
                self.call_in_place(call, true, span)?;
            } else if call.is_sized() {
                self.check_sized(call, span)?;
            }
            return Ok(value);
        }
        let value = self.call_in_place(call, quiet, span)?;
        // As in the function that it becomes.
        if quiet && is_plain { self.results(value, span) } else { Ok(value) }
    }

    /// Fits arguments to a signature; `None` where an instance of which too little is known gives no signature.
    fn fit(
        &mut self,
        function: FnRef<'db>,
        instance: Option<Instance<'db>>,
        args: Vec<CallArg<'db>>,
        span: Span,
    ) -> Walk<Option<Fitted<'db>>> {
        let name = callee_name(&function);
        let reports = self.reports.len();
        let applied = match self.apply_signature(function, instance.as_ref(), args, span) {
            Ok(applied) => applied,
            Err(Abort::Reported)
                if self.reports.len() == reports && instance.as_ref().is_some_and(Instance::is_open) =>
            {
                return Ok(None);
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
        self.require_wheres(function, &applied, &solution, span)?;
        let size = |declared: &Declared| match declared.is_pack {
            true => solution.packs.get(&declared.symbol).cloned().unwrap_or_else(Shape::unknown),
            false => Shape::new(vec![solution.dims.get(&declared.symbol).cloned().unwrap_or_else(|| Dim::symbol("?"))]),
        };
        let sizes = applied.declared.iter().map(|declared| (declared.name.clone(), size(declared))).collect();
        let result = applied.result.as_ref().and_then(|spec| declared_result(&solution.spec(spec)));
        let may_miss_axis = may_miss_axis(&applied, &values);
        let call = FittedCall { function, instance, elems: applied.elems, sizes, values };
        Ok(Some(Fitted { call, result, may_miss_axis }))
    }

    /// The facts of the signature, with what its dim variables stand for.
    fn require_wheres(
        &mut self,
        function: FnRef<'db>,
        applied: &Applied<'db>,
        solution: &Solution,
        span: Span,
    ) -> Walk<()> {
        let place = self.place(span);
        for (index, cond) in &applied.wheres {
            let cond =
                Value::Bool(cond.clone()).substitute(&|symbol| solution.dims.get(symbol).cloned().map(HostExpr::Int));
            let Value::Bool(cond) = cond else { continue };
            self.check_where(&callee_name(&function), &cond, place, |db| {
                let full = full_fn(db, function);
                source_of(db, full.item, full.ast, full.decl.wheres.get(*index).copied())
            })?;
        }
        Ok(())
    }

    /// Dim variables are at least 1; a size that only a run tells may be none.
    fn require_sizes(&mut self, callee: &str, applied: &Applied<'db>, solution: &Solution, span: Span) -> Walk<()> {
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

    /// Walks the body where the call stands. A quiet walk is for what the call makes wrong.
    pub(super) fn call_in_place(&mut self, call: FittedCall<'db>, quiet: bool, span: Span) -> Walk<Value<'db>> {
        let has_sizes = quiet && call.is_sized();
        let FittedCall { function, instance, elems, sizes, values } = call;
        let full = full_fn(self.db, function);
        let own = Place { item: full.item, span: full.decl.name.span };
        if quiet && self.inferring.contains(&own) {
            return Ok(Value::Error);
        }
        let reports = self.reports.len();
        let obligations = self.obligations.len();
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
            inner.elems.extend(elems);
            inner.scopes.push(BTreeMap::new());
            let given = sizes.into_iter().map(|(_, size)| size).collect();
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
            FnBody::Block(block) => self.block(block, None)?,
            FnBody::Expr(expr) => {
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
    fn call_separate(&mut self, call: FittedCall<'db>, span: Span) -> Walk<Value<'db>> {
        let FittedCall { function, instance, elems, sizes, values } = call;
        let path = instance.as_ref().and_then(|instance| instance.path.clone()).unwrap_or_default();
        // First what stands in the place of the instance's parameters.
        let weights = instance.iter().flat_map(|instance| instance.values.iter().flatten());
        let mut operands: Vec<ValueRef> = weights.map(|(_, tensor)| tensor.value).collect();
        let mut arguments = vec![];
        for (param, (value, _)) in function.decl.params.iter().zip(values) {
            visit_tensors(&value, &mut |tensor| operands.push(tensor.value));
            arguments.push((param.name.name.clone(), value));
        }
        let request = CallRequest { function, instance, elems, arguments, declared: sizes };
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
