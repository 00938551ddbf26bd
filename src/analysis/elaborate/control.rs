//! Branches: resolved where they are known, regions where they depend on tensors.

use crate::analysis::elaborate::loops::same_nesting;
use crate::analysis::elaborate::stmt::{Flow, Rest};
use crate::analysis::elaborate::{Binding, Elaborator};
use crate::analysis::value::{Cond, TensorValue, Value};
use crate::analysis::world::{Abort, Structured, Walk, count_tensors, renumber, visit_tensors};
use crate::base::{Span, code};
use crate::syntax::ast::{Ast, Block, ExprId, ExprKind, If, Stmt, StmtKind};
use crate::types::{DType, Facts, TensorType, Verdict};
use std::collections::BTreeMap;

/// A condition of a branch or loop.
pub enum Condition {
    Static(bool),
    Tensor(TensorValue),
}

/// What must be put back when a walk is undone.
pub struct Snapshot<'db> {
    scopes: Vec<BTreeMap<String, Binding<'db>>>,
    facts: Facts,
    pub reports: usize,
    obligations: usize,
    inferred: usize,
    mark: usize,
}

impl<'db> Elaborator<'_, 'db> {
    pub fn snapshot(&mut self) -> Snapshot<'db> {
        Snapshot {
            scopes: self.scopes.clone(),
            facts: self.facts.clone(),
            reports: self.reports.len(),
            obligations: self.obligations.len(),
            inferred: self.inferred.len(),
            mark: self.world.mark(),
        }
    }

    pub fn restore(&mut self, snapshot: Snapshot<'db>) {
        self.scopes = snapshot.scopes;
        self.facts = snapshot.facts;
        self.reports.truncate(snapshot.reports);
        self.obligations.truncate(snapshot.obligations);
        self.inferred.truncate(snapshot.inferred);
        self.world.rollback(snapshot.mark);
    }

    pub fn condition(&mut self, cond: ExprId) -> Walk<Option<Condition>> {
        match self.condition_value(cond)? {
            Value::Bool(cond) => Ok(Some(Condition::Static(self.decide(&cond)?))),
            Value::Opaque(opaque) => Ok(Some(Condition::Static(self.decide(&Cond::Opaque(opaque.name))?))),
            Value::Tensor(tensor) => Ok(Some(Condition::Tensor(tensor))),
            _ => Ok(None),
        }
    }

    /// What an `if`, a `while` or an `assert` goes by: a bool of the compiler, one of run time, or what is not
    /// known.
    pub fn condition_value(&mut self, cond: ExprId) -> Walk<Value<'db>> {
        let span = self.span(cond);
        let value = match self.expr(cond)? {
            Value::Bool(cond) if self.is_told_by_run(&cond) => Value::Tensor(self.run_time_condition(&cond, span)?),
            value => value,
        };
        match &value {
            Value::Tensor(tensor) if !tensor.ty.elem.is(DType::Bool) => {
                let message = format!("a condition must be bool, not {}", tensor.ty);
                Err(self.error(code::E0201, message, span, "not a bool"))
            }
            Value::Tensor(tensor) if !matches!(tensor.ty.shape.rank(), Some(0) | None) => {
                let message = format!("a condition must be one bool, not {}", tensor.ty);
                let place = self.place(span);
                let report = crate::analysis::db::Report::new(code::E0304, message)
                    .at(place, "more than one value")
                    .note("reduce it with `.all()` or `.any()`, or choose elementwise with `where`");
                Err(self.fail(report))
            }
            Value::Bool(_) | Value::Opaque(_) | Value::Tensor(_) | Value::Error => Ok(value),
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
        let condition = self.condition(*cond)?;
        if let Some(Condition::Static(truth)) = condition
            && matches!(self.ast[*cond].kind, ExprKind::Bool(_))
        {
            self.check_untaken(branches, from, truth, span);
        }
        match condition {
            Some(Condition::Static(true)) => self.block(block, Some(rest)),
            Some(Condition::Static(false)) => self.if_stmt(branches, from + 1, rest, span),
            Some(Condition::Tensor(cond)) => self.tensor_if(cond, branches, from, rest, span),
            None => self.unknown_if(branches, from),
        }
    }

    /// Nothing is known of the condition: each way is looked at for its own mistakes.
    fn unknown_if(&mut self, branches: &'db If, from: usize) -> Walk<Flow<'db>> {
        if self.world.specialises() {
            return Err(Abort::Reported);
        }
        let ways: Vec<&'db Block> =
            branches.branches[from..].iter().map(|(_, block)| block).chain(&branches.otherwise).collect();
        for (cond, _) in &branches.branches[from + 1..] {
            self.aside(|walk| walk.condition_value(*cond).map(|_| ()));
        }
        for block in &ways {
            self.aside(|walk| walk.block(block, None).map(|_| ()));
        }
        for block in &ways {
            self.forget_assigned(block);
        }
        let ends = branches.otherwise.is_some() && ways.iter().all(|block| returns(block));
        if ends { Err(Abort::Reported) } else { Ok(Flow::Next) }
    }

    /// Nothing is known any more of what a block assigns.
    pub fn forget_assigned(&mut self, block: &Block) {
        for name in assigned_names(self.ast, block) {
            if matches!(self.local(&name), Some(Binding::Value(_))) {
                self.assign_local(&name, Value::Error);
            }
        }
    }

    /// Walks for the mistakes in something, and leaves all else as it was. What is not reached at run time is
    /// not asserted, either.
    pub fn aside(&mut self, walk: impl FnOnce(&mut Self) -> Walk<()>) {
        if self.world.specialises() || self.depth > 0 {
            return;
        }
        let snapshot = self.snapshot();
        let tentative = std::mem::replace(&mut self.tentative, true);
        // Mistakes are in the reports; what comes out is not used.
        let _ = walk(self);
        self.tentative = tentative;
        let found = self.reports.split_off(snapshot.reports.min(self.reports.len()));
        self.restore(snapshot);
        self.reports.extend(found.into_iter().filter(|report| report.code != code::E0408));
    }

    /// Checks what `if true` and `if false` leave out, in the definition that says so.
    fn check_untaken(&mut self, branches: &'db If, from: usize, truth: bool, span: Span) {
        let none = Rest { stmts: &[], next: None };
        self.aside(|walk| match truth {
            true => walk.if_stmt(branches, from + 1, &none, span).map(|_| ()),
            false => walk.block(&branches.branches[from].1, Some(&none)).map(|_| ()),
        });
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
        let (values, then) = self.region(&names, span, |walk| match walk.block(block, None)? {
            Flow::Next => Ok(()),
            Flow::Return(..) => Err(Abort::Reported),
        })?;
        self.scopes = before.clone();
        let none = Rest { stmts: &[], next: None };
        let (others, otherwise) =
            self.region(&names, span, |walk| match walk.if_stmt(branches, from + 1, &none, span)? {
                Flow::Next => Ok(()),
                Flow::Return(_, span) => {
                    let message = "a branch that returns must come first: put the returning branch in front";
                    Err(walk.error(code::E0210, message, span, "returns here"))
                }
            })?;
        self.scopes = before;
        let pairs = names.iter().zip(values.iter().zip(&others));
        if let Some((name, (a, b))) = pairs.into_iter().find(|(_, (a, b))| !same_nesting(a, b)) {
            let message = format!("`{name}` is {} after one branch and {} after the other", a.describe(), b.describe());
            return Err(self.error(code::E0303, message, span, "the branches must agree"));
        }
        let mut owners = vec![];
        for (name, value) in names.iter().zip(&values) {
            owners.extend(std::iter::repeat_n(name.clone(), count_tensors(value)));
        }
        let types = self.merge_types(&owners, &then, &otherwise, span)?;
        let place = self.place(span);
        let results = self.world.structured(Structured::If, &[cond.value], &types, place);
        let tensors = types.into_iter().zip(results).map(|(ty, value)| TensorValue { ty, value });
        self.assign_leaves(&names, &values, tensors);
        Ok(Flow::Next)
    }

    /// Walks into a region of its own; gives the names' values at its end, and the types of the tensors in them.
    fn region(
        &mut self,
        names: &[String],
        span: Span,
        walk: impl FnOnce(&mut Self) -> Walk<()>,
    ) -> Walk<(Vec<Value<'db>>, Vec<TensorType>)> {
        self.world.open(&[]);
        let outcome = self.inside(|own| walk(own).and_then(|()| own.carried_leaves(names, span)));
        let place = self.place(span);
        match outcome {
            Ok((values, carried)) => {
                let yields: Vec<_> = carried.iter().map(|t| t.value).collect();
                self.world.close(&yields, place);
                Ok((values, carried.into_iter().map(|t| t.ty).collect()))
            }
            Err(abort) => {
                self.world.close(&[], place);
                Err(abort)
            }
        }
    }

    /// The values of names, as run-time tensors.
    pub fn carried(&mut self, names: &[String], span: Span) -> Walk<Vec<TensorValue>> {
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
                    let place = self.place(span);
                    let mut report =
                        crate::analysis::db::Report::new(code::E0401, message).at(place, "assigned in here");
                    if matches!(other, Value::List(_)) {
                        report = report.note(super::while_loops::FILLING);
                    }
                    return Err(self.fail(report));
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
            let verdict = a.shape.compare(&b.shape, &self.facts);
            let is_open = |ty: &TensorType| ty.shape.dims.iter().any(|dim| self.facts.is_open_dim(dim));
            let differ = verdict == Verdict::Differ || verdict == Verdict::Unknown && (is_open(a) || is_open(b));
            if a.elem != b.elem || differ {
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
        let flow = self.inside(walk);
        let place = self.place(span);
        let flow = match flow {
            Ok(Flow::Return(value, at)) => match self.with_parameters(value, at).and_then(|v| self.as_runtime(v, at)) {
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
pub fn returns(block: &Block) -> bool {
    let mut found = false;
    visit_statements(block, &mut |stmt| found |= matches!(stmt.kind, StmtKind::Return(_)));
    found
}

pub fn visit_statements(block: &Block, visit: &mut dyn FnMut(&Stmt)) {
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
