//! Loops: regions where they can be, expanded where something must know the index.

use crate::analysis::db::Report;
use crate::analysis::elaborate::control::{assigned_names, returns};
use crate::analysis::elaborate::host::element_at;
use crate::analysis::elaborate::stmt::Flow;
use crate::analysis::elaborate::{Binding, Elaborator};
use crate::analysis::value::{List, Opaque, OpaqueKind, TensorValue, Value};
use crate::analysis::world::{Abort, Structured, Walk, visit_tensors};
use crate::base::{Span, code};
use crate::syntax::ast::{Block, ExprId, Pattern};
use crate::types::dim::Atom;
use crate::types::{DType, Dim, HostExpr, Symbol, TensorType, Verdict};

/// A loop that need not be expanded: its index, bounds, and the element at the index.
pub struct Counted<'db> {
    pub index: Symbol,
    pub start: Dim,
    pub stop: Dim,
    pub item: Value<'db>,
}

/// One turn of a loop.
pub type Turn<'t, 'w, 'db> = dyn FnMut(&mut Elaborator<'w, 'db>) -> Walk<()> + 't;

/// Turns of a `for`, or elements of a repeated list, that are looked at one by one.
pub const MAX_EXPANDED: i64 = 10_000;

impl<'w, 'db> Elaborator<'w, 'db> {
    pub fn for_stmt(&mut self, pattern: &'db Pattern, iter: ExprId, body: &'db Block, span: Span) -> Walk<Flow<'db>> {
        let iterable = self.expr(iter)?;
        let iter_span = self.span(iter);
        if matches!(iterable, Value::Error) {
            return self.unknown_turns(body, |walk| {
                walk.poison_pattern(pattern);
                Ok(())
            });
        }
        let Value::List(List::Joined(parts)) = iterable else {
            return self.for_each(pattern, &iterable, iter_span, body, span);
        };
        for part in parts {
            if let flow @ Flow::Return(..) = self.for_each(pattern, &part, iter_span, body, span)? {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn for_each(
        &mut self,
        pattern: &'db Pattern,
        iterable: &Value<'db>,
        iter_span: Span,
        body: &'db Block,
        span: Span,
    ) -> Walk<Flow<'db>> {
        let hint = match pattern {
            Pattern::Name(name) if matches!(iterable, Value::Range(..)) => &name.name,
            _ => "i",
        };
        let counted = self.counted(iterable, hint);
        // Of instances from outside nothing but the layer is known: neither is what a turn makes of shapes.
        let open = counted.as_ref().map(|counted| counted.item.clone()).filter(Value::is_open);
        if let Some(counted) = counted.filter(|_| open.is_none())
            && !returns(body)
        {
            let names = self.carried_names(body);
            let done = self.rolled(&counted, &names, Some(body), span, &mut |walk| {
                walk.scoped(|walk| {
                    walk.bind_pattern(pattern, counted.item.clone())?;
                    walk.block(body, None).map(|_| ())
                })
            })?;
            if done {
                return Ok(Flow::Next);
            }
        }
        let Some(items) = self.iterate(iterable, iter_span)? else {
            let names = self.carried_names(body);
            self.aside(|walk| {
                walk.forget(&names);
                walk.scoped(|walk| {
                    match open {
                        Some(item) => walk.bind_pattern(pattern, item)?,
                        None => walk.poison_pattern(pattern),
                    }
                    walk.block(body, None).map(|_| ())
                })
            });
            self.forget(&names);
            return Ok(Flow::Next);
        };
        for item in items {
            let flow = self.scoped(|walk| {
                walk.bind_pattern(pattern, item)?;
                walk.block(body, None)
            })?;
            if let Flow::Return(..) = flow {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    /// Nothing is known of what a loop runs over: its body is looked at once for its own mistakes.
    pub(super) fn unknown_turns(
        &mut self,
        body: &'db Block,
        bind: impl FnOnce(&mut Self) -> Walk<()>,
    ) -> Walk<Flow<'db>> {
        if self.world.specialises() {
            return Err(Abort::Reported);
        }
        self.forget_assigned(body);
        self.aside(|walk| {
            walk.scoped(|walk| {
                bind(walk)?;
                walk.block(body, None).map(|_| ())
            })
        });
        Ok(Flow::Next)
    }

    /// After a loop whose turns are not known: an int is some int, a tensor has some shape, and of
    /// everything else nothing is known.
    pub(super) fn forget(&mut self, names: &[String]) {
        for name in names {
            let value = match self.local(name).cloned() {
                Some(Binding::Value(Value::Number(number))) if number.is_int() => Value::dim(self.fresh_dim()),
                Some(Binding::Value(Value::Tensor(tensor))) => {
                    let ty = tensor.ty.with_shape(crate::types::Shape::unknown());
                    Value::Tensor(TensorValue { ty, value: tensor.value })
                }
                _ => Value::Error,
            };
            self.assign_local(name, value);
        }
    }

    pub(super) fn carried_names(&self, body: &'db Block) -> Vec<String> {
        let mut names = assigned_names(self.ast, body);
        names.sort();
        names.dedup();
        names.retain(|name| matches!(self.local(name), Some(Binding::Value(_))));
        names
    }

    /// Tries a loop as one region; lists that its body fills are collected. `false` if it must be expanded: something needs the index, or what it
    /// carries changes its type.
    pub fn rolled(
        &mut self,
        counted: &Counted<'db>,
        names: &[String],
        body: Option<&'db Block>,
        span: Span,
        walk: &mut Turn<'_, 'w, 'db>,
    ) -> Walk<bool> {
        let can_expand =
            self.world.specialises() || self.facts.normal(&counted.stop.sub(&counted.start)).as_const().is_some();
        let is_number = |name: &String| matches!(self.local(name), Some(Binding::Value(Value::Number(_))));
        if self.compile_time && names.iter().any(is_number) {
            if !can_expand {
                self.forget(names);
            }
            return Ok(!can_expand);
        }
        let snapshot = self.snapshot();
        // A list whose elements are used one by one wants the turns one by one.
        let (lists, others) = self.part_lists(names);
        let outcome = match lists.iter().all(|name| body.is_some_and(|body| self.is_used_whole(name, body))) {
            true => self.try_rolled(counted, (&others, &lists), can_expand, span, walk),
            false => Ok(false),
        };
        match outcome {
            Ok(true) => return Ok(true),
            Err(Abort::Demand(symbols)) if symbols.contains(&counted.index) => {
                self.restore(snapshot);
                return Ok(false);
            }
            Err(demand @ Abort::Demand(_)) => return Err(demand),
            Err(Abort::Reported) if names.is_empty() => return Err(Abort::Reported),
            Ok(false) | Err(Abort::Reported) => {}
        }
        // What is carried does not keep its type, or could not be used as it was: see whether expanding the
        // loop or following its dims helps.
        let reports = self.reports.split_off(snapshot.reports);
        self.restore(snapshot);
        if can_expand {
            return Ok(false);
        }
        // What fails in the first turns, with what is there before them, fails in every run.
        if let Some(reports) = self.first_turns_fail(counted, names, walk)? {
            self.reports.extend(reports);
            return Err(Abort::Reported);
        }
        if names.iter().all(|name| self.is_carriable(name)) && self.grown(counted, names, span, walk)? {
            return Ok(true);
        }
        if outcome == Err(Abort::Reported) {
            self.reports.extend(reports);
            return Err(Abort::Reported);
        }
        // A definition on its own: after such a loop the shapes are checked at instantiation.
        self.forget(names);
        Ok(true)
    }

    /// Walks the first two turns one after the other, the index known; what is reported, if one fails.
    fn first_turns_fail(
        &mut self,
        counted: &Counted<'db>,
        names: &[String],
        walk: &mut Turn<'_, 'w, 'db>,
    ) -> Walk<Option<Vec<Report<'db>>>> {
        let snapshot = self.snapshot();
        let facts = self.facts.clone();
        let index = Dim::symbol(counted.index.as_str());
        let mut failed = None;
        for turn in 0..2 {
            self.facts = facts.clone();
            let outcome = self.in_range((&counted.index, &counted.start, &counted.stop), false, |inner| {
                inner.facts.assume_value(&counted.index, &counted.start.add(&Dim::constant(turn)));
                walk(inner)
            });
            match outcome {
                Ok(()) => self.fix_index(names, &index, &counted.start),
                Err(Abort::Reported) => {
                    let mut reports = self.reports.split_off(snapshot.reports);
                    if turn > 0 {
                        for report in &mut reports {
                            report.notes.push("this is so in the second turn of the loop".to_string());
                        }
                    }
                    failed = Some(reports);
                    break;
                }
                Err(demand) => return Err(demand),
            }
        }
        self.restore(snapshot);
        Ok(failed)
    }

    /// What a turn has left in names, with the index as it was in that turn.
    fn fix_index(&mut self, names: &[String], index: &Dim, value: &Dim) {
        let Some(index) = index.as_symbol() else { return };
        let replace = |symbol: &Symbol| (symbol == index).then(|| HostExpr::Int(value.clone()));
        for name in names {
            if let Some(Binding::Value(old)) = self.local(name).cloned() {
                self.assign_local(name, old.substitute(&replace));
            }
        }
    }

    /// Tensors and numbers go from turn to turn; lists and the like do not.
    fn is_carriable(&self, name: &str) -> bool {
        matches!(self.local(name), Some(Binding::Value(Value::Tensor(_) | Value::Number(_) | Value::Error)))
    }

    /// The values of names, and the tensors in them: those of a tuple one by one.
    pub(super) fn carried_leaves(&mut self, names: &[String], span: Span) -> Walk<(Vec<Value<'db>>, Vec<TensorValue>)> {
        let mut values = vec![];
        let mut tensors = vec![];
        for name in names {
            match self.local(name) {
                Some(Binding::Value(value @ (Value::Tuple(_) | Value::Instance(_)))) => {
                    let value = self.with_parameters(value.clone(), span)?;
                    self.leaves(name, &value, span, &mut tensors)?;
                    values.push(value);
                }
                _ => {
                    let own = self.carried(std::slice::from_ref(name), span)?;
                    values.extend(own.iter().cloned().map(Value::Tensor));
                    tensors.extend(own);
                }
            }
        }
        Ok((values, tensors))
    }

    fn leaves(&mut self, name: &str, value: &Value<'db>, span: Span, tensors: &mut Vec<TensorValue>) -> Walk<()> {
        if let Value::Tuple(items) = value {
            return items.iter().try_for_each(|item| self.leaves(name, item, span, tensors));
        }
        if value.has_tensor() && matches!(value, Value::Instance(_)) {
            visit_tensors(value, &mut |tensor| tensors.push(tensor.clone()));
            return Ok(());
        }
        match self.as_runtime(value.clone(), span)? {
            Value::Tensor(tensor) => {
                tensors.push(tensor);
                Ok(())
            }
            Value::Error => Err(Abort::Reported),
            other => {
                let message = format!("`{name}` holds {}, which cannot change at run time", other.describe());
                Err(self.error(code::E0401, message, span, "assigned in here"))
            }
        }
    }

    /// Gives names the tensors of a turn, in the shape that their values had.
    pub(super) fn assign_leaves(
        &mut self,
        names: &[String],
        values: &[Value<'db>],
        mut tensors: impl Iterator<Item = TensorValue>,
    ) {
        for (name, value) in names.iter().zip(values) {
            let value = with_leaves(value, &mut tensors);
            match &value {
                Value::Tensor(tensor) => self.world.name(tensor.value, name),
                Value::Instance(instance) => {
                    for (path, tensor) in instance.values.iter().flatten() {
                        self.world.name(tensor.value, &format!("{name}_{}", path.replace('.', "_")));
                    }
                }
                _ => {}
            }
            self.assign_local(name, value);
        }
    }

    /// Walks a turn, in which the index is one of the loop's. That there is a turn is not known afterwards.
    pub fn in_range<T>(
        &mut self,
        (index, start, stop): (&Symbol, &Dim, &Dim),
        expandable: bool,
        walk: impl FnOnce(&mut Self) -> Walk<T>,
    ) -> Walk<T> {
        let outer = self.facts.clone();
        let position = Dim::symbol(index.as_str());
        self.facts.assume_at_least(&position, start);
        self.facts.assume_at_least(&stop.sub(&Dim::constant(1)), &position);
        let result = self.with_index(index, expandable, walk);
        self.leave(outer);
        result
    }

    fn try_rolled(
        &mut self,
        counted: &Counted<'db>,
        (names, lists): (&[String], &[String]),
        can_expand: bool,
        span: Span,
        walk: &mut Turn<'_, 'w, 'db>,
    ) -> Walk<bool> {
        let carries = |name: &String| match self.local(name) {
            Some(Binding::Value(value)) => is_carried_tuple(value) || self.is_carriable(name),
            _ => false,
        };
        if !names.iter().all(carries) {
            return Ok(false);
        }
        let (values, before) = self.carried_leaves(names, span)?;
        let filled = self.list_values(lists);
        let start = self.to_tensor(Value::dim(counted.start.clone()), Some(&DType::Int64.into()), span)?;
        let stop = self.to_tensor(Value::dim(counted.stop.clone()), Some(&DType::Int64.into()), span)?;
        let mut params = vec![TensorType::scalar(DType::Int64)];
        params.extend(before.iter().map(|t| t.ty.clone()));
        let refs = self.world.open(&params);
        let turn = before.iter().zip(&refs[1..]);
        let turn = turn.map(|(tensor, value)| TensorValue { ty: tensor.ty.clone(), value: *value });
        self.assign_leaves(names, &values, turn);
        for name in lists {
            self.assign_local(name, Value::List(List::Growing { before: None, added: vec![] }));
        }
        let outcome = self
            .in_range((&counted.index, &counted.start, &counted.stop), can_expand, |inner| walk(inner))
            .and_then(|()| self.carried_leaves(names, span));
        let place = self.place(span);
        let (shapes, after) = match outcome {
            Ok(after) => after,
            Err(abort) => {
                self.world.close(&[], place);
                return Err(abort);
            }
        };
        let added = self.added(lists, &counted.index);
        let collected = added.clone().unwrap_or_default();
        let yields: Vec<_> = after.iter().chain(&collected).map(|t| t.value).collect();
        self.world.close(&yields, place);
        let extends = filled.iter().zip(&collected).all(|(list, tensor)| self.extends(list, &tensor.ty));
        let same = added.is_some()
            && extends
            && values.iter().zip(&shapes).all(|(a, b)| same_nesting(a, b))
            && before
                .iter()
                .zip(&after)
                .all(|(a, b)| a.ty.elem == b.ty.elem && a.ty.shape.compare(&b.ty.shape, &self.facts) == Verdict::Equal);
        if !same {
            return Ok(false);
        }
        let mut operands = vec![start.value, stop.value];
        operands.extend(before.iter().map(|t| t.value));
        let mut types: Vec<_> = before.iter().map(|t| t.ty.clone()).collect();
        for tensor in &collected {
            types.push(self.stacked_type(counted, &tensor.ty, span)?);
        }
        let kind = Structured::For { index: counted.index.clone() };
        let results = self.world.structured(kind, &operands, &types, place);
        let results = types.into_iter().zip(results).map(|(ty, value)| TensorValue { ty, value });
        let mut results: Vec<TensorValue> = results.collect();
        let stacks = results.split_off(before.len());
        self.assign_leaves(names, &values, results.into_iter());
        for ((name, list), stack) in lists.iter().zip(&filled).zip(stacks) {
            self.world.name(stack.value, name);
            let list = self.extended(list, stack, span)?;
            self.assign_local(name, list);
        }
        Ok(true)
    }

    /// Walks with an index in scope that something may ask to expand.
    fn with_index<T>(&mut self, index: &Symbol, expandable: bool, walk: impl FnOnce(&mut Self) -> Walk<T>) -> Walk<T> {
        if expandable {
            self.expandable.push(index.clone());
        }
        let tentative = std::mem::replace(&mut self.tentative, true);
        let result = walk(self);
        self.tentative = tentative;
        if expandable {
            self.expandable.retain(|symbol| symbol != index);
        }
        result
    }

    /// The iterable as a counted loop.
    pub fn counted(&mut self, iterable: &Value<'db>, hint: &str) -> Option<Counted<'db>> {
        match &self.opened(iterable.clone()) {
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

    /// A list of ints that has no value yet, as its length many elements.
    pub fn opened(&mut self, iterable: Value<'db>) -> Value<'db> {
        match iterable {
            Value::Opaque(Opaque { name, kind: OpaqueKind::Ints }) => {
                let index = self.fresh_index("i");
                let position = Dim::symbol(index.as_str());
                let element = Box::new(Value::dim(Dim::atom(Atom::Element(Symbol::new(&name), position))));
                Value::List(List::Repeat { index, count: length_of(&name), element })
            }
            other => other,
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
        if let Some(count) = count {
            match self.known_int(&count)? {
                None => return Ok(None),
                Some(turns) if turns > MAX_EXPANDED => {
                    let message = format!("{turns} turns are too many to expand at compile time");
                    let place = self.place(span);
                    let report = crate::analysis::db::Report::new(code::E0404, message)
                        .at(place, format!("at most {MAX_EXPANDED} turns can be expanded"))
                        .note("a loop stays a loop if what it assigns keeps its type and nothing in it needs the index at compile time");
                    return Err(self.fail(report));
                }
                Some(_) => {}
            }
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
}

/// The length of a list that has no value yet.
pub fn length_of(list: &str) -> Dim {
    Dim::symbol(&format!("len({list})"))
}

/// An instance that has parameters, or a tuple of what can go from turn to turn.
fn is_carried_tuple(value: &Value<'_>) -> bool {
    let carried = |item: &Value<'_>| matches!(item, Value::Tensor(_) | Value::Number(_)) || is_carried_tuple(item);
    match value {
        Value::Tuple(items) => items.iter().all(carried),
        Value::Instance(instance) => instance.path.is_some(),
        _ => false,
    }
}

pub(super) fn same_nesting(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Tuple(a), Value::Tuple(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_nesting(a, b)),
        (Value::Instance(a), Value::Instance(b)) => a.is_like(b),
        (Value::Tuple(_) | Value::Instance(_), _) | (_, Value::Tuple(_) | Value::Instance(_)) => false,
        _ => true,
    }
}

/// The value with other tensors in it.
fn with_leaves<'db>(value: &Value<'db>, tensors: &mut impl Iterator<Item = TensorValue>) -> Value<'db> {
    match value {
        Value::Tuple(items) => Value::Tuple(items.iter().map(|item| with_leaves(item, tensors)).collect()),
        Value::Instance(instance) => {
            let names = instance.values.iter().flatten().map(|(name, _)| name.clone());
            Value::Instance(Box::new(instance.with_values(names.zip(tensors).collect())))
        }
        _ => tensors.next().map_or(Value::Error, Value::Tensor),
    }
}
