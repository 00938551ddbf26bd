//! Branches and loops: resolved where they are known, regions where they depend on tensors.

use crate::analysis::elaborate::host::element_at;
use crate::analysis::elaborate::stmt::{Flow, Rest};
use crate::analysis::elaborate::{Binding, Elaborator};
use crate::analysis::value::{Cond, List, TensorValue, Value};
use crate::analysis::world::{Abort, Structured, Walk, renumber, visit_tensors};
use crate::base::{Span, code};
use crate::syntax::ast::{Ast, Block, ExprId, ExprKind, If, Pattern, Stmt, StmtKind};
use crate::types::{DType, Dim, Facts, Symbol, TensorType, Verdict};
use std::collections::BTreeMap;

/// A condition of a branch or loop.
enum Condition {
    Static(bool),
    Tensor(TensorValue),
}

/// A loop that need not be expanded: its index, bounds, and the element at the index.
pub struct Counted<'db> {
    pub index: Symbol,
    pub start: Dim,
    pub stop: Dim,
    pub item: Value<'db>,
}

/// What must be put back when a walk is undone.
struct Snapshot<'db> {
    scopes: Vec<BTreeMap<String, Binding<'db>>>,
    facts: Facts,
    reports: usize,
    obligations: usize,
    inferred: usize,
    mark: usize,
}

/// Turns of a `while` that is resolved at compile time.
const MAX_STATIC_TURNS: usize = 100_000;

impl<'db> Elaborator<'_, 'db> {
    fn snapshot(&mut self) -> Snapshot<'db> {
        Snapshot {
            scopes: self.scopes.clone(),
            facts: self.facts.clone(),
            reports: self.reports.len(),
            obligations: self.obligations.len(),
            inferred: self.inferred.len(),
            mark: self.world.mark(),
        }
    }

    fn restore(&mut self, snapshot: Snapshot<'db>) {
        self.scopes = snapshot.scopes;
        self.facts = snapshot.facts;
        self.reports.truncate(snapshot.reports);
        self.obligations.truncate(snapshot.obligations);
        self.inferred.truncate(snapshot.inferred);
        self.world.rollback(snapshot.mark);
    }

    fn condition(&mut self, cond: ExprId) -> Walk<Option<Condition>> {
        let span = self.span(cond);
        match self.expr(cond)? {
            Value::Bool(cond) => Ok(Some(Condition::Static(self.decide(&cond)?))),
            Value::Opaque(opaque) => Ok(Some(Condition::Static(self.decide(&Cond::Opaque(opaque.name))?))),
            Value::Tensor(tensor) => {
                if !tensor.ty.elem.is(DType::Bool) {
                    let message = format!("a condition must be bool, not {}", tensor.ty);
                    return Err(self.error(code::E0201, message, span, "not a bool"));
                }
                if !matches!(tensor.ty.shape.rank(), Some(0) | None) {
                    let message = format!("a condition must be one bool, not {}", tensor.ty);
                    let place = self.place(span);
                    let report = crate::analysis::db::Report::new(code::E0304, message)
                        .at(place, "more than one value")
                        .note("reduce it with `.all()` or `.any()`, or choose elementwise with `where`");
                    return Err(self.fail(report));
                }
                Ok(Some(Condition::Tensor(tensor)))
            }
            Value::Error => Ok(None),
            other => {
                let message = format!("a condition must be a bool, not {}", other.describe());
                Err(self.error(code::E0201, message, span, "not a bool"))
            }
        }
    }

    /// A condition that must be settled at compile time.
    pub fn static_condition(&mut self, cond: ExprId) -> Walk<bool> {
        let span = self.span(cond);
        match self.condition(cond)? {
            Some(Condition::Static(truth)) => Ok(truth),
            Some(Condition::Tensor(_)) => {
                let message = "this condition must be known at compile time";
                Err(self.error(code::E0401, message, span, "depends on a tensor"))
            }
            None => Err(Abort::Reported),
        }
    }

    pub fn if_stmt(&mut self, branches: &'db If, from: usize, rest: &Rest<'_, 'db>, span: Span) -> Walk<Flow<'db>> {
        let Some((cond, block)) = branches.branches.get(from) else {
            return match &branches.otherwise {
                Some(block) => self.block(block, Some(rest)),
                None => Ok(Flow::Next),
            };
        };
        match self.condition(*cond)? {
            Some(Condition::Static(true)) => self.block(block, Some(rest)),
            Some(Condition::Static(false)) => self.if_stmt(branches, from + 1, rest, span),
            Some(Condition::Tensor(cond)) => self.tensor_if(cond, branches, from, rest, span),
            None => Err(Abort::Reported),
        }
    }

    /// Both ways as regions; what they assign comes out of the `if`.
    fn tensor_if(
        &mut self,
        cond: TensorValue,
        branches: &'db If,
        from: usize,
        rest: &Rest<'_, 'db>,
        span: Span,
    ) -> Walk<Flow<'db>> {
        let ast = self.ast;
        let block = &branches.branches[from].1;
        if returns(block) {
            return self.returning_if(cond, branches, from, rest, span);
        }
        let mut names = assigned_names(ast, block);
        for (_, block) in &branches.branches[from + 1..] {
            names.extend(assigned_names(ast, block));
        }
        if let Some(block) = &branches.otherwise {
            names.extend(assigned_names(ast, block));
        }
        names.sort();
        names.dedup();
        names.retain(|name| matches!(self.local(name), Some(Binding::Value(_))));
        let before = self.scopes.clone();
        let then = self.region(&names, span, |walk| match walk.block(block, None)? {
            Flow::Next => Ok(()),
            Flow::Return(..) => Err(Abort::Reported),
        })?;
        self.scopes = before.clone();
        let none = Rest { stmts: &[], next: None };
        let otherwise = self.region(&names, span, |walk| match walk.if_stmt(branches, from + 1, &none, span)? {
            Flow::Next => Ok(()),
            Flow::Return(_, span) => {
                let message = "a branch that returns must come first: put the returning branch in front";
                Err(walk.error(code::E0210, message, span, "returns here"))
            }
        })?;
        self.scopes = before;
        let types = self.merge_types(&names, &then, &otherwise, span)?;
        let place = self.place(span);
        let values = self.world.structured(Structured::If, &[cond.value], &types, place);
        for ((name, ty), value) in names.iter().zip(types).zip(values) {
            self.assign_local(name, Value::Tensor(TensorValue { ty, value }));
        }
        Ok(Flow::Next)
    }

    /// Walks into a region of its own; gives the types of the names' values at its end.
    fn region(
        &mut self,
        names: &[String],
        span: Span,
        walk: impl FnOnce(&mut Self) -> Walk<()>,
    ) -> Walk<Vec<TensorType>> {
        self.world.open(&[]);
        let outcome = walk(self).and_then(|()| self.carried(names, span));
        let place = self.place(span);
        match outcome {
            Ok(carried) => {
                let values: Vec<_> = carried.iter().map(|t| t.value).collect();
                self.world.close(&values, place);
                Ok(carried.into_iter().map(|t| t.ty).collect())
            }
            Err(abort) => {
                self.world.close(&[], place);
                Err(abort)
            }
        }
    }

    /// The values of names, as run-time tensors.
    fn carried(&mut self, names: &[String], span: Span) -> Walk<Vec<TensorValue>> {
        let mut tensors = vec![];
        for name in names {
            let value = match self.local(name) {
                Some(Binding::Value(value)) => value.clone(),
                _ => Value::Error,
            };
            match self.as_runtime(value, span)? {
                Value::Tensor(tensor) => tensors.push(tensor),
                Value::Error => return Err(Abort::Reported),
                other => {
                    let message = format!(
                        "`{name}` is {}, which cannot change at run time; only tensors and numbers can",
                        other.describe()
                    );
                    return Err(self.error(code::E0401, message, span, "assigned in here"));
                }
            }
        }
        Ok(tensors)
    }

    fn merge_types(
        &mut self,
        names: &[String],
        then: &[TensorType],
        otherwise: &[TensorType],
        span: Span,
    ) -> Walk<Vec<TensorType>> {
        let mut merged = vec![];
        for ((name, a), b) in names.iter().zip(then).zip(otherwise) {
            if a.elem != b.elem || a.shape.compare(&b.shape, &self.facts) == Verdict::Differ {
                let message = format!("`{name}` is {a} after one branch and {b} after the other");
                return Err(self.error(code::E0303, message, span, "the branches must agree"));
            }
            merged.push(if a.shape.is_determined() { a.clone() } else { b.clone() });
        }
        Ok(merged)
    }

    /// `if cond { return a }` with the code after it as the other branch.
    fn returning_if(
        &mut self,
        cond: TensorValue,
        branches: &'db If,
        from: usize,
        rest: &Rest<'_, 'db>,
        span: Span,
    ) -> Walk<Flow<'db>> {
        let block = &branches.branches[from].1;
        let before = self.scopes.clone();
        let (first, return_span) = self.returning_region(span, |walk| walk.block(block, None))?;
        self.scopes = before.clone();
        let (second, _) =
            self.returning_region(span, |walk| match walk.if_stmt(branches, from + 1, rest, span)? {
                Flow::Next => walk.rest(Some(rest)),
                flow => Ok(flow),
            })?;
        self.scopes = before;
        let (mut types, mut others) = (vec![], vec![]);
        visit_tensors(&first, &mut |t| types.push(t.ty.clone()));
        visit_tensors(&second, &mut |t| others.push(t.ty.clone()));
        if types.len() != others.len() {
            let message = "the two ways return different numbers of values";
            return Err(self.error(code::E0203, message, return_span, ""));
        }
        let names = vec!["the result".to_string(); types.len()];
        let types = self.merge_types(&names, &types, &others, span)?;
        let place = self.place(span);
        let values = self.world.structured(Structured::If, &[cond.value], &types, place);
        Ok(Flow::Return(renumber(first, &mut values.into_iter()), return_span))
    }

    fn returning_region(
        &mut self,
        span: Span,
        walk: impl FnOnce(&mut Self) -> Walk<Flow<'db>>,
    ) -> Walk<(Value<'db>, Span)> {
        self.world.open(&[]);
        let flow = walk(self);
        let place = self.place(span);
        let flow = match flow {
            Ok(Flow::Return(value, at)) => match self.as_runtime(value, at) {
                Ok(value) => Ok((value, at)),
                Err(abort) => Err(abort),
            },
            Ok(Flow::Next) => {
                let message = "one way returns a value, and the other ends without";
                Err(self.error(code::E0210, message, span, "the code after this `if` must return too"))
            }
            Err(abort) => Err(abort),
        };
        let mut values = vec![];
        if let Ok((value, _)) = &flow {
            visit_tensors(value, &mut |t| values.push(t.value));
        }
        self.world.close(&values, place);
        flow
    }

    fn rest(&mut self, rest: Option<&Rest<'_, 'db>>) -> Walk<Flow<'db>> {
        let Some(rest) = rest else { return Ok(Flow::Next) };
        match self.stmts(rest.stmts, rest.next)? {
            Flow::Next => self.rest(rest.next),
            flow => Ok(flow),
        }
    }

    /// `if c { a } else { b }` as a value.
    pub fn if_expr(&mut self, branches: &'db If, span: Span) -> Walk<Value<'db>> {
        self.if_value(branches, 0, span)
    }

    fn if_value(&mut self, branches: &'db If, from: usize, span: Span) -> Walk<Value<'db>> {
        let Some((cond, block)) = branches.branches.get(from) else {
            return match &branches.otherwise {
                Some(block) => self.block_value(block),
                None => Err(self.error(code::E0210, "an `if` that is a value needs an `else`", span, "")),
            };
        };
        match self.condition(*cond)? {
            Some(Condition::Static(true)) => self.block_value(block),
            Some(Condition::Static(false)) => self.if_value(branches, from + 1, span),
            None => Ok(Value::Error),
            Some(Condition::Tensor(cond)) => {
                let wrap = |value: Value<'db>| Flow::Return(value, span);
                let (first, _) = self.returning_region(span, |walk| Ok(wrap(walk.block_value(block)?)))?;
                let (second, _) =
                    self.returning_region(span, |walk| Ok(wrap(walk.if_value(branches, from + 1, span)?)))?;
                let (mut types, mut others) = (vec![], vec![]);
                visit_tensors(&first, &mut |t| types.push(t.ty.clone()));
                visit_tensors(&second, &mut |t| others.push(t.ty.clone()));
                let names = vec!["the value".to_string(); types.len()];
                let types = self.merge_types(&names, &types, &others, span)?;
                let place = self.place(span);
                let values = self.world.structured(Structured::If, &[cond.value], &types, place);
                Ok(renumber(first, &mut values.into_iter()))
            }
        }
    }

    /// The value of a block: that of its last expression.
    pub fn block_value(&mut self, block: &'db Block) -> Walk<Value<'db>> {
        self.scoped(|walk| {
            let Some((last, before)) = block.stmts.split_last() else {
                return Err(walk.error(code::E0210, "this block has no value", block.span, "it is empty"));
            };
            walk.stmts(before, None)?;
            match &last.kind {
                StmtKind::Expr(expr) => walk.expr(*expr),
                StmtKind::If(branches) => walk.if_value(branches, 0, last.span),
                _ => Err(walk.error(code::E0210, "this block has no value", last.span, "this is not an expression")),
            }
        })
    }

    pub fn for_stmt(&mut self, pattern: &'db Pattern, iter: ExprId, body: &'db Block, span: Span) -> Walk<Flow<'db>> {
        let iterable = self.expr(iter)?;
        let iter_span = self.span(iter);
        if matches!(iterable, Value::Error) {
            return Err(Abort::Reported);
        }
        let hint = match pattern {
            Pattern::Name(name) if matches!(iterable, Value::Range(..)) => &name.name,
            _ => "i",
        };
        if let Some(counted) = self.counted(&iterable, hint)
            && !returns(body)
        {
            let names = self.carried_names(body);
            let done = self.rolled(&counted, &names, span, |walk| {
                walk.scoped(|walk| {
                    walk.bind_pattern(pattern, counted.item.clone(), iter_span)?;
                    walk.block(body, None).map(|_| ())
                })
            })?;
            if done {
                return Ok(Flow::Next);
            }
        }
        let Some(items) = self.iterate(&iterable, iter_span)? else {
            self.forget(body);
            return Ok(Flow::Next);
        };
        for item in items {
            let flow = self.scoped(|walk| {
                walk.bind_pattern(pattern, item, iter_span)?;
                walk.block(body, None)
            })?;
            if let Flow::Return(..) = flow {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    /// After a loop whose turns are not known: nothing is known of what it assigns.
    fn forget(&mut self, body: &'db Block) {
        for name in self.carried_names(body) {
            self.assign_local(&name, Value::Error);
        }
    }

    fn carried_names(&self, body: &'db Block) -> Vec<String> {
        let mut names = assigned_names(self.ast, body);
        names.sort();
        names.dedup();
        names.retain(|name| matches!(self.local(name), Some(Binding::Value(_))));
        names
    }

    /// Tries a loop as one region. `false` if it must be expanded: something needs the index, or what it
    /// carries changes its type.
    pub fn rolled(
        &mut self,
        counted: &Counted<'db>,
        names: &[String],
        span: Span,
        walk: impl FnOnce(&mut Self) -> Walk<()>,
    ) -> Walk<bool> {
        let snapshot = self.snapshot();
        let can_expand =
            self.world.specialises() || self.facts.normal(&counted.stop.sub(&counted.start)).as_const().is_some();
        let numbers = names.iter().any(|name| matches!(self.local(name), Some(Binding::Value(Value::Number(_)))));
        match self.try_rolled(counted, names, can_expand, span, walk) {
            Ok(true) => Ok(true),
            Ok(false) => {
                self.restore(snapshot);
                if can_expand {
                    return Ok(false);
                }
                // A definition on its own: after such a loop the shapes are checked at instantiation.
                for name in names {
                    if let Some(Binding::Value(Value::Tensor(tensor))) = self.local(name).cloned() {
                        let ty = tensor.ty.with_shape(crate::types::Shape::unknown());
                        self.assign_local(name, Value::Tensor(TensorValue { ty, value: tensor.value }));
                    } else {
                        self.assign_local(name, Value::Error);
                    }
                }
                Ok(true)
            }
            Err(Abort::Demand(symbols)) if symbols.contains(&counted.index) => {
                self.restore(snapshot);
                Ok(false)
            }
            // A number that was made a run-time scalar may have to be known: see whether expanding helps.
            Err(Abort::Reported) if numbers && can_expand => {
                self.restore(snapshot);
                Ok(false)
            }
            Err(abort) => Err(abort),
        }
    }

    fn try_rolled(
        &mut self,
        counted: &Counted<'db>,
        names: &[String],
        can_expand: bool,
        span: Span,
        walk: impl FnOnce(&mut Self) -> Walk<()>,
    ) -> Walk<bool> {
        // Lists and the like cannot be carried.
        for name in names {
            if let Some(Binding::Value(value)) = self.local(name)
                && !matches!(value, Value::Tensor(_) | Value::Number(_) | Value::Error)
            {
                return Ok(false);
            }
        }
        let before = self.carried(names, span)?;
        let start = self.to_tensor(Value::dim(counted.start.clone()), Some(&DType::Int64.into()), span)?;
        let stop = self.to_tensor(Value::dim(counted.stop.clone()), Some(&DType::Int64.into()), span)?;
        let mut params = vec![TensorType::scalar(DType::Int64)];
        params.extend(before.iter().map(|t| t.ty.clone()));
        let refs = self.world.open(&params);
        for ((name, tensor), value) in names.iter().zip(&before).zip(&refs[1..]) {
            self.world.name(*value, name);
            self.assign_local(name, Value::Tensor(TensorValue { ty: tensor.ty.clone(), value: *value }));
        }
        let index = Dim::symbol(counted.index.as_str());
        self.facts.assume_at_least(&index, &counted.start);
        self.facts.assume_at_least(&counted.stop.sub(&Dim::constant(1)), &index);
        let outcome = self.with_index(&counted.index, can_expand, walk).and_then(|()| self.carried(names, span));
        let place = self.place(span);
        let after = match outcome {
            Ok(after) => after,
            Err(abort) => {
                self.world.close(&[], place);
                return Err(abort);
            }
        };
        let values: Vec<_> = after.iter().map(|t| t.value).collect();
        self.world.close(&values, place);
        let same = before
            .iter()
            .zip(&after)
            .all(|(a, b)| a.ty.elem == b.ty.elem && a.ty.shape.compare(&b.ty.shape, &self.facts) == Verdict::Equal);
        if !same {
            return Ok(false);
        }
        let mut operands = vec![start.value, stop.value];
        operands.extend(before.iter().map(|t| t.value));
        let types: Vec<_> = before.iter().map(|t| t.ty.clone()).collect();
        let kind = Structured::For { index: counted.index.clone() };
        let results = self.world.structured(kind, &operands, &types, place);
        for ((name, ty), value) in names.iter().zip(types).zip(results) {
            self.world.name(value, name);
            self.assign_local(name, Value::Tensor(TensorValue { ty, value }));
        }
        Ok(true)
    }

    /// Walks with an index in scope that something may ask to expand.
    pub fn with_index<T>(
        &mut self,
        index: &Symbol,
        expandable: bool,
        walk: impl FnOnce(&mut Self) -> Walk<T>,
    ) -> Walk<T> {
        if expandable {
            self.expandable.push(index.clone());
        }
        let result = walk(self);
        if expandable {
            self.expandable.retain(|symbol| symbol != index);
        }
        result
    }

    /// The iterable as a counted loop.
    pub fn counted(&mut self, iterable: &Value<'db>, hint: &str) -> Option<Counted<'db>> {
        match iterable {
            Value::Range(start, stop) => {
                let index = self.fresh_index(hint);
                let item = Value::dim(Dim::symbol(index.as_str()));
                Some(Counted { index, start: start.clone(), stop: stop.clone(), item })
            }
            Value::List(List::Repeat { index, count, element }) => {
                let fresh = self.fresh_index(hint);
                let item = element_at(index, element, &Dim::symbol(fresh.as_str()));
                Some(Counted { index: fresh, start: Dim::zero(), stop: count.clone(), item })
            }
            _ => None,
        }
    }

    /// The iterable as a list of like elements: index from 0, count, element.
    pub fn repeated(&mut self, iterable: &Value<'db>) -> Option<(Symbol, Dim, Value<'db>)> {
        let Counted { index, start, stop, item } = self.counted(iterable, "i")?;
        let shifted = start.add(&Dim::symbol(index.as_str()));
        let item = if start == Dim::zero() { item } else { element_at(&index, &item, &shifted) };
        Some((index, stop.sub(&start), item))
    }

    /// The elements one by one; `None` if their number is not known in this definition.
    pub fn iterate(&mut self, iterable: &Value<'db>, span: Span) -> Walk<Option<Vec<Value<'db>>>> {
        let count = match iterable {
            Value::Range(start, stop) => Some(stop.sub(start)),
            Value::List(List::Repeat { count, .. }) => Some(count.clone()),
            _ => None,
        };
        if let Some(count) = count
            && self.known_int(&count)?.is_none()
        {
            return Ok(None);
        }
        if let Value::Range(start, _) = iterable {
            self.known_int(&start.clone())?;
        }
        match (self.as_items(iterable), iterable) {
            (Some(items), _) => Ok(Some(items)),
            (None, Value::Opaque(_) | Value::Error | Value::Range(..) | Value::Shape(_)) => Ok(None),
            (None, Value::Tensor(tensor)) => {
                let message = format!("a tensor {} cannot be iterated", tensor.ty);
                let place = self.place(span);
                let report = crate::analysis::db::Report::new(code::E0201, message)
                    .at(place, "a tensor")
                    .note("loop over its positions: `for i in 0..x.shape[0]`");
                Err(self.fail(report))
            }
            (None, other) => {
                let message = format!("{} cannot be iterated", other.describe());
                Err(self.error(code::E0201, message, span, ""))
            }
        }
    }

    pub fn while_stmt(&mut self, cond: ExprId, body: &'db Block, span: Span) -> Walk<Flow<'db>> {
        for _ in 0..MAX_STATIC_TURNS {
            let mark = self.world.mark();
            match self.condition(cond)? {
                Some(Condition::Static(false)) => return Ok(Flow::Next),
                Some(Condition::Static(true)) => {
                    if let flow @ Flow::Return(..) = self.block(body, None)? {
                        return Ok(flow);
                    }
                }
                Some(Condition::Tensor(_)) => {
                    self.world.rollback(mark);
                    return self.tensor_while(cond, body, span);
                }
                None => return Err(Abort::Reported),
            }
        }
        Err(self.error(code::E0404, "this loop does not end at compile time", span, "too many turns"))
    }

    fn tensor_while(&mut self, cond: ExprId, body: &'db Block, span: Span) -> Walk<Flow<'db>> {
        if returns(body) {
            let message = "a `while` over tensors cannot return from inside";
            return Err(self.error(code::E0210, message, span, "returns in here"));
        }
        let names = self.carried_names(body);
        let before = self.carried(&names, span)?;
        let types: Vec<_> = before.iter().map(|t| t.ty.clone()).collect();
        let place = self.place(span);
        let bind = |walk: &mut Self| {
            let refs = walk.world.open(&types);
            for ((name, ty), value) in names.iter().zip(&types).zip(refs) {
                walk.world.name(value, name);
                walk.assign_local(name, Value::Tensor(TensorValue { ty: ty.clone(), value }));
            }
        };
        bind(self);
        match self.condition(cond)? {
            Some(Condition::Tensor(cond)) => self.world.close(&[cond.value], place),
            _ => {
                let message = "the condition must depend on what the loop changes";
                return Err(self.error(code::E0401, message, span, ""));
            }
        }
        bind(self);
        self.block(body, None)?;
        let after = self.carried(&names, span)?;
        let values: Vec<_> = after.iter().map(|t| t.value).collect();
        self.world.close(&values, place);
        for ((name, a), b) in names.iter().zip(&before).zip(&after) {
            if a.ty.elem != b.ty.elem || a.ty.shape.compare(&b.ty.shape, &self.facts) == Verdict::Differ {
                let message = format!("`{name}` is {} before a turn of this loop and {} after it", a.ty, b.ty);
                return Err(self.error(code::E0308, message, span, "its type must stay the same"));
            }
        }
        let operands: Vec<_> = before.iter().map(|t| t.value).collect();
        let results = self.world.structured(Structured::While, &operands, &types, place);
        for ((name, ty), value) in names.iter().zip(types).zip(results) {
            self.world.name(value, name);
            self.assign_local(name, Value::Tensor(TensorValue { ty, value }));
        }
        Ok(Flow::Next)
    }
}

/// Names that a block assigns (not those it declares).
pub fn assigned_names(ast: &Ast, block: &Block) -> Vec<String> {
    let mut names = vec![];
    visit_statements(block, &mut |stmt| {
        if let StmtKind::Assign { target, .. } = &stmt.kind {
            target_names(ast, *target, &mut names);
        }
    });
    names
}

fn target_names(ast: &Ast, target: ExprId, names: &mut Vec<String>) {
    match &ast[target].kind {
        ExprKind::Name(name) => names.push(name.clone()),
        ExprKind::Tuple(items) | ExprKind::List(items) => {
            items.iter().for_each(|item| target_names(ast, *item, names));
        }
        ExprKind::Index { base, .. } => target_names(ast, *base, names),
        _ => {}
    }
}

/// Whether a `return` stands in the block.
fn returns(block: &Block) -> bool {
    let mut found = false;
    visit_statements(block, &mut |stmt| found |= matches!(stmt.kind, StmtKind::Return(_)));
    found
}

fn visit_statements(block: &Block, visit: &mut dyn FnMut(&Stmt)) {
    for stmt in &block.stmts {
        visit(stmt);
        match &stmt.kind {
            StmtKind::If(branches) => {
                branches.branches.iter().map(|(_, b)| b).chain(&branches.otherwise).for_each(|b| {
                    visit_statements(b, visit);
                });
            }
            StmtKind::For { body, .. } | StmtKind::While { body, .. } => visit_statements(body, visit),
            _ => {}
        }
    }
}
