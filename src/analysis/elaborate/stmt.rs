//! Statements.

use crate::analysis::db::Report;
use crate::analysis::elaborate::types::TypeSpec;
use crate::analysis::elaborate::{Binding, Elaborator};
use crate::analysis::value::{TensorValue, Value};
use crate::analysis::world::{Abort, Leaf, Walk};
use crate::base::{Span, code, deep, suggest};
use crate::syntax::ast::{BinaryOp, Block, ExprId, ExprKind, IndexItem, Let, Stmt, StmtKind};
use crate::types::{HostExpr, Shape, TensorType, Verdict};

/// How a run of statements ends.
#[derive(Clone, Debug)]
pub enum Flow<'db> {
    Next,
    Return(Value<'db>, Span),
}

/// Statements that follow a block, for branches that return: innermost first.
pub struct Rest<'r, 'db> {
    pub stmts: &'db [Stmt],
    pub next: Option<&'r Rest<'r, 'db>>,
}

impl<'db> Elaborator<'_, 'db> {
    pub fn block(&mut self, block: &'db Block, rest: Option<&Rest<'_, 'db>>) -> Walk<Flow<'db>> {
        self.scopes.push(Default::default());
        let flow = self.stmts(&block.stmts, rest);
        self.scopes.pop();
        flow
    }

    /// Walks statements; after an error in one goes on with the next, its names unknown.
    pub fn stmts(&mut self, stmts: &'db [Stmt], rest: Option<&Rest<'_, 'db>>) -> Walk<Flow<'db>> {
        let mut failed = false;
        for (index, stmt) in stmts.iter().enumerate() {
            let after = Rest { stmts: &stmts[index + 1..], next: rest };
            match self.stmt(stmt, &after) {
                Ok(Flow::Next) => {}
                Ok(flow) => return if failed { Err(Abort::Reported) } else { Ok(flow) },
                // What else is wrong in a callee is told where it is checked.
                Err(Abort::Reported) if self.depth > 0 && !self.adopts => return Err(Abort::Reported),
                Err(Abort::Reported) => {
                    failed = true;
                    self.poison_stmt(stmt);
                    if let StmtKind::Return(_) = stmt.kind {
                        return Err(Abort::Reported);
                    }
                }
                Err(demand) => return Err(demand),
            }
        }
        if failed { Err(Abort::Reported) } else { Ok(Flow::Next) }
    }

    fn poison_stmt(&mut self, stmt: &'db Stmt) {
        match &stmt.kind {
            StmtKind::Let(binding) => self.poison_pattern(&binding.pattern),
            StmtKind::Assign { target, .. } => {
                if let ExprKind::Name(name) = &self.ast[*target].kind
                    && matches!(self.local(name), Some(Binding::Value(_)))
                {
                    self.assign_local(name, Value::Error);
                }
            }
            StmtKind::If(branches) => {
                let blocks = branches.branches.iter().map(|(_, block)| block).chain(&branches.otherwise);
                for block in blocks {
                    self.poison_assigned(block);
                }
            }
            StmtKind::For { body, .. } | StmtKind::While { body, .. } => self.poison_assigned(body),
            StmtKind::Expr(_) | StmtKind::Return(_) | StmtKind::Assert { .. } | StmtKind::Error => {}
        }
    }

    fn poison_assigned(&mut self, block: &'db Block) {
        for name in super::control::assigned_names(self.ast, block) {
            if matches!(self.local(&name), Some(Binding::Value(_))) {
                self.assign_local(&name, Value::Error);
            }
        }
    }

    fn stmt(&mut self, stmt: &'db Stmt, rest: &Rest<'_, 'db>) -> Walk<Flow<'db>> {
        self.spend(stmt.span)?;
        deep(|| self.stmt_step(stmt, rest)).map_err(|abort| self.refuse_open(abort, stmt.span))
    }

    fn stmt_step(&mut self, stmt: &'db Stmt, rest: &Rest<'_, 'db>) -> Walk<Flow<'db>> {
        match &stmt.kind {
            StmtKind::Let(binding) => self.let_stmt(binding).map(|()| Flow::Next),
            StmtKind::Assign { target, op, value } => self.assign(*target, *op, *value, stmt.span).map(|()| Flow::Next),
            StmtKind::Expr(expr) => {
                self.expr(*expr)?;
                Ok(Flow::Next)
            }
            StmtKind::Return(value) => {
                let (value, span) = match value {
                    Some(expr) => (self.return_value(*expr)?, self.span(*expr)),
                    None => (Value::None, stmt.span),
                };
                self.note_inferred(span, &value);
                Ok(Flow::Return(value, span))
            }
            StmtKind::If(branches) => self.if_stmt(branches, 0, rest, stmt.span),
            StmtKind::For { pattern, iter, body } => self.for_stmt(pattern, *iter, body, stmt.span),
            StmtKind::While { cond, body } => self.while_stmt(*cond, body, stmt.span),
            StmtKind::Assert { cond, message } => self.assert_stmt(*cond, *message, stmt.span).map(|()| Flow::Next),
            StmtKind::Error => Err(Abort::Reported),
        }
    }

    /// A returned expression takes its element types from the declared result.
    fn return_value(&mut self, expr: ExprId) -> Walk<Value<'db>> {
        match self.result.clone() {
            Some(spec @ TypeSpec::Tensor(_)) => self.expr_as(expr, &spec),
            _ => self.expr(expr),
        }
    }

    pub fn let_stmt(&mut self, binding: &'db Let) -> Walk<()> {
        let named = match (binding.ty, binding.init) {
            (Some(ty), Some(_)) => self.new_sizes(ty),
            _ => vec![],
        };
        let spec = match binding.ty {
            Some(ty) => self.resolve_type(ty)?,
            None => TypeSpec::Any,
        };
        let Some(init) = binding.init else {
            // Declared now, assigned later.
            self.poison_pattern(&binding.pattern);
            return Ok(());
        };
        let value = self.expr_as(init, &spec)?;
        self.name_sizes(named, &spec, &value)?;
        self.bind_pattern(&binding.pattern, value)
    }

    fn assign(&mut self, target: ExprId, op: Option<BinaryOp>, value: ExprId, span: Span) -> Walk<()> {
        let value_span = self.span(value);
        let mut new = match (op, self.target_type(target)) {
            (None, Some(ty)) => {
                let outer = self.context.replace(ty.elem);
                let value = self.expr(value);
                self.context = outer;
                value?
            }
            _ => self.expr(value)?,
        };
        if let Some(op) = op {
            let old = self.expr(target)?;
            let target_span = self.span(target);
            new = self.binary_values(op, (old, target_span), (new, value_span), span)?;
        }
        self.note_inferred(value_span, &new);
        self.assign_to(target, new, value_span)
    }

    /// The present type of an assigned name, which gives numbers and creations their element type.
    fn target_type(&self, target: ExprId) -> Option<TensorType> {
        let ExprKind::Name(name) = &self.ast[target].kind else { return None };
        match self.local(name)? {
            Binding::Value(Value::Tensor(tensor)) => Some(tensor.ty.clone()),
            Binding::Storage(member) => Some(member.ty.clone()),
            _ => None,
        }
    }

    fn assign_to(&mut self, target: ExprId, value: Value<'db>, value_span: Span) -> Walk<()> {
        let ast = self.ast;
        let span = ast[target].span;
        match &ast[target].kind {
            ExprKind::Name(name) => self.assign_name(name, value, span, value_span),
            ExprKind::Tuple(targets) | ExprKind::List(targets) => {
                if value == Value::Error {
                    return targets.iter().try_for_each(|own| self.assign_to(*own, Value::Error, value_span));
                }
                let Some(items) = self.as_items(&value) else {
                    let message = format!("{} cannot be taken apart", value.describe());
                    return Err(self.error(code::E0201, message, value_span, ""));
                };
                if items.len() != targets.len() {
                    let message = format!("{} targets for {} values", targets.len(), items.len());
                    return Err(self.error(code::E0203, message, span, "these do not match"));
                }
                for (target, item) in targets.iter().zip(items) {
                    self.assign_to(*target, item, value_span)?;
                }
                Ok(())
            }
            ExprKind::Index { base, items } => self.assign_slice(*base, items, value, value_span, span),
            _ => {
                let message = "only names, tuples of names and slices can be assigned";
                Err(self.error(code::E0211, message, span, "not assignable"))
            }
        }
    }

    fn assign_name(&mut self, name: &str, value: Value<'db>, span: Span, value_span: Span) -> Walk<()> {
        if self.layer.is_some() && !self.scopes.iter().skip(1).any(|scope| scope.contains_key(name)) {
            self.refuse_fixed(name, span)?;
        }
        match self.local(name).cloned() {
            Some(Binding::Value(old)) => {
                // Numbers assigned to a tensor stay tensors of its type.
                let value = match (&old, value) {
                    (Value::Tensor(tensor), value @ (Value::Number(_) | Value::List(_))) => {
                        let elem = tensor.ty.elem.clone();
                        Value::Tensor(self.to_tensor(value, Some(&elem), value_span)?)
                    }
                    (_, value) => value,
                };
                if let Value::Tensor(tensor) = &value {
                    self.world.name(tensor.value, name);
                }
                self.assign_local(name, value);
                Ok(())
            }
            Some(Binding::Storage(member)) if member.assignable => {
                let ty = TypeSpec::Tensor(member.ty.clone());
                let value = self.conform(value, &ty, value_span)?;
                let Value::Tensor(tensor) = value else { return Err(Abort::Reported) };
                let place = self.place(span);
                self.world.leaf(Leaf::SetState { name: member.path.clone() }, &[tensor.value], &[], place);
                Ok(())
            }
            Some(Binding::Storage(_)) => {
                let place = self.place(span);
                let report = Report::new(code::E0211, format!("`{name}` is not a `state` and cannot be assigned"))
                    .at(place, "not assignable")
                    .note("only `state` members change while a program runs");
                Err(self.fail(report))
            }
            Some(Binding::Absent(member)) => {
                let condition = member.condition(self.db);
                let message = format!("`{name}` exists only if {condition}");
                Err(self.error(code::E0403, message, span, ""))
            }
            None => {
                if let Some(refused) = self.refuse_declared(name, span) {
                    // What follows is to be checked as if it were a variable.
                    self.bind(name, Value::Error);
                    return Err(refused);
                }
                let locals: Vec<String> = self.scopes.iter().flat_map(|s| s.keys().cloned()).collect();
                let place = self.place(span);
                let near = suggest::nearest(name, locals.iter().map(String::as_str));
                let mut report = Report::new(code::E0101, format!("unknown name `{name}`"))
                    .at(place, "assigned, but never declared");
                report = match near {
                    Some(near) => self.rename(report, span, name, near),
                    None => report,
                };
                report = self.declare_it(report, name, span, near.is_none());
                // What follows is to be checked as if it were declared.
                self.bind(name, Value::Error);
                Err(self.fail(report))
            }
        }
    }

    /// Rebinds a name in the scope that holds it.
    pub fn assign_local(&mut self, name: &str, value: Value<'db>) {
        for scope in self.scopes.iter_mut().rev() {
            if let Some(slot) = scope.get_mut(name) {
                *slot = Binding::Value(value);
                return;
            }
        }
    }

    fn assign_slice(
        &mut self,
        base: ExprId,
        items: &'db [IndexItem],
        value: Value<'db>,
        value_span: Span,
        span: Span,
    ) -> Walk<()> {
        if let ExprKind::Name(name) = &self.ast[base].kind
            && let Some(Binding::Storage(member)) = self.local(name)
            && member.assignable
        {
            let member = (**member).clone();
            return self.update_state(&member, items, (value, value_span), span);
        }
        let old = self.expr(base)?;
        match old {
            Value::Tensor(tensor) => {
                let updated = self.updated(tensor, items, value, value_span, span)?;
                self.assign_to(base, Value::Tensor(updated), value_span)
            }
            Value::List(_) => {
                let [IndexItem::Expr(position)] = items else {
                    return Err(self.error(code::E0211, "one position of a list can be assigned", span, ""));
                };
                let position = self.int_expr(*position)?;
                let (Some(mut list), Some(at)) = (self.as_items(&old), self.known_int(&position)?) else {
                    return Ok(());
                };
                let len = list.len() as i64;
                let index = if at < 0 { at + len } else { at };
                match usize::try_from(index).ok().and_then(|i| list.get_mut(i)) {
                    Some(slot) => *slot = value,
                    None => {
                        let message = format!("position {at} is outside a list of {len}");
                        return Err(self.error(code::E0309, message, span, "out of range"));
                    }
                }
                self.assign_to(base, Value::list(list), value_span)
            }
            Value::Error => Ok(()),
            other => {
                let message = format!("{} cannot be updated", other.describe());
                Err(self.error(code::E0211, message, span, ""))
            }
        }
    }

    fn assert_stmt(&mut self, cond: ExprId, message: Option<ExprId>, span: Span) -> Walk<()> {
        let text = match message {
            Some(message) => match self.expr(message)? {
                Value::Str(text) => text,
                _ => String::new(),
            },
            None => {
                let source = self.item.text(self.db);
                let cond = self.span(cond);
                source.get(cond.start as usize..cond.end as usize).unwrap_or("").to_string()
            }
        };
        match self.condition_value(cond)? {
            Value::Bool(cond) => match self.truth(&cond) {
                Some(true) => Ok(()),
                Some(false) => {
                    Err(self.error(code::E0408, format!("assertion failed: {text}"), span, "this does not hold"))
                }
                None => {
                    self.assume(&cond, true);
                    Ok(())
                }
            },
            Value::Tensor(tensor) => {
                let place = self.place(span);
                self.world.leaf(Leaf::Assert { message: text }, &[tensor.value], &[], place);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A value where a tensor type is declared.
    pub fn conform_tensor(&mut self, value: Value<'db>, ty: &TensorType, span: Span) -> Walk<Value<'db>> {
        if let Value::Bool(cond) = &value
            && self.truth(cond).is_none()
        {
            return Ok(value);
        }
        let tensor = self.to_tensor(value, Some(&ty.elem), span)?;
        if tensor.ty.elem != ty.elem {
            let (found, wanted) = (&tensor.ty.elem, &ty.elem);
            let place = self.place(span);
            let mut report = Report::new(code::E0202, format!("expected {ty}, found {}", tensor.ty))
                .at(place, format!("this is {found}"));
            report = self.with_cast(report, span, found, wanted);
            return Err(self.fail(report));
        }
        if self.agree(&tensor.ty, ty, span)? == Verdict::Differ {
            return Err(self.shape_mismatch(&tensor.ty, ty, span));
        }
        // What is declared stands for what could not be known.
        let shape = match (ty.shape.known(), tensor.ty.shape.known()) {
            _ if ty.shape.is_determined() => ty.shape.clone(),
            (Some(declared), Some(own)) => {
                let dims = declared.iter().zip(own);
                Shape::new(
                    dims.map(|(declared, own)| if declared.has_unknown() { own } else { declared }.clone()).collect(),
                )
            }
            _ => tensor.ty.shape.clone(),
        };
        Ok(Value::Tensor(TensorValue { ty: TensorType { elem: tensor.ty.elem, shape }, value: tensor.value }))
    }

    /// The number as a scalar tensor, for values that differ between turns or branches.
    pub fn as_runtime(&mut self, value: Value<'db>, span: Span) -> Walk<Value<'db>> {
        match value {
            Value::Number(number) => {
                let elem = if number.is_int() { crate::types::DType::Int64 } else { crate::types::DType::Float32 };
                let number: HostExpr = number;
                Ok(Value::Tensor(self.to_tensor(Value::Number(number), Some(&elem.into()), span)?))
            }
            other => Ok(other),
        }
    }
}
