//! Variables of a body: where each is declared, and whether anything reads it.
//!
//! Names resolve by blocks, as they do when a body is walked: a `let` is known from its end to the end of its
//! block, and a second `let` of the name hides the first. `x += e` and `x[i] = e` read `x`; `x = e` does not.
//! A name after a dot counts as read, since `x.f()` may call a local `f`.
//!
//! ```text
//! let y = a        # never read: hidden by the next line, which reads `a`
//! let y = a + 1
//! return y
//! ```

use crate::base::{Span, deep};
use crate::syntax::ast::*;
use std::collections::BTreeMap;

/// A variable that a `let` of its own declares.
pub struct Local<'a> {
    pub name: &'a Ident,
    pub binding: &'a Let,
    /// The statement, and up to where it goes: the next one's start where that stands beside it.
    pub span: Span,
    pub next: Option<u32>,
    /// Where it is assigned later.
    pub writes: Vec<Span>,
    pub is_read: bool,
}

/// The variables of every body of an item, in order.
pub fn of(ast: &Ast) -> Vec<Local<'_>> {
    let mut walk = Locals { ast, scopes: vec![], found: vec![] };
    match &ast.item.kind {
        ItemKind::Fn(decl) => walk.function(decl),
        ItemKind::Layer(decl) => walk.layer(decl),
        ItemKind::Test { body, .. } => walk.block(body),
        ItemKind::Use(_)
        | ItemKind::Const { .. }
        | ItemKind::Let(_)
        | ItemKind::TypeAlias { .. }
        | ItemKind::Stmt(_)
        | ItemKind::Error => {}
    }
    walk.found
}

struct Locals<'a> {
    ast: &'a Ast,
    /// What each visible name is: an index into `found`, or nothing that is reported.
    scopes: Vec<BTreeMap<&'a str, Option<usize>>>,
    found: Vec<Local<'a>>,
}

impl<'a> Locals<'a> {
    fn layer(&mut self, decl: &'a LayerDecl) {
        for member in &decl.members {
            match &member.kind {
                MemberKind::Fn(function) => self.function(function),
                MemberKind::Layer(inner) => self.layer(inner),
                MemberKind::Storage(_)
                | MemberKind::Let(_)
                | MemberKind::Const { .. }
                | MemberKind::TypeAlias { .. }
                | MemberKind::Stmt(_)
                | MemberKind::Error => {}
            }
        }
    }

    fn function(&mut self, decl: &'a FnDecl) {
        if let FnBody::Block(block) = &decl.body {
            self.block(block);
        }
    }

    fn block(&mut self, block: &'a Block) {
        self.scopes.push(BTreeMap::new());
        self.statements(block);
        self.scopes.pop();
    }

    fn statements(&mut self, block: &'a Block) {
        for (index, stmt) in block.stmts.iter().enumerate() {
            let next = block.stmts.get(index + 1).map(|next| next.span.start);
            self.statement(stmt, next);
        }
    }

    fn statement(&mut self, stmt: &'a Stmt, next: Option<u32>) {
        match &stmt.kind {
            StmtKind::Let(binding) => {
                self.types(binding.ty);
                self.exprs(binding.cond.into_iter().chain(binding.init));
                match &binding.pattern {
                    Pattern::Name(name) => {
                        self.declare(&name.name, Some(self.found.len()));
                        let (span, writes) = (stmt.span, vec![]);
                        self.found.push(Local { name, binding, span, next, writes, is_read: false });
                    }
                    // Of a tuple some part is often not wanted.
                    pattern => self.pattern(pattern),
                }
            }
            StmtKind::Assign { target, op, value } => {
                self.expr(*value);
                self.target(*target, op.is_some());
            }
            StmtKind::Expr(expr) => self.expr(*expr),
            StmtKind::Return(value) => self.exprs(*value),
            StmtKind::If(branches) => self.branches(branches),
            StmtKind::For { pattern, iter, body } => {
                self.expr(*iter);
                self.scopes.push(BTreeMap::new());
                self.pattern(pattern);
                self.block(body);
                self.scopes.pop();
            }
            StmtKind::While { cond, body } => {
                self.expr(*cond);
                self.block(body);
            }
            StmtKind::Assert { cond, message } => self.exprs(Some(*cond).into_iter().chain(*message)),
            StmtKind::Error => {}
        }
    }

    fn branches(&mut self, branches: &'a If) {
        for (cond, block) in &branches.branches {
            self.expr(*cond);
            self.block(block);
        }
        if let Some(block) = &branches.otherwise {
            self.block(block);
        }
    }

    fn pattern(&mut self, pattern: &'a Pattern) {
        match pattern {
            Pattern::Name(name) => self.declare(&name.name, None),
            Pattern::Ignore(_) => {}
            Pattern::Tuple(parts, _) => parts.iter().for_each(|part| self.pattern(part)),
        }
    }

    fn declare(&mut self, name: &'a str, local: Option<usize>) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name, local);
        }
    }

    fn local(&mut self, name: &str) -> Option<&mut Local<'a>> {
        let index = self.scopes.iter().rev().find_map(|scope| scope.get(name).copied())??;
        self.found.get_mut(index)
    }

    fn read(&mut self, name: &str) {
        if let Some(local) = self.local(name) {
            local.is_read = true;
        }
    }

    fn target(&mut self, target: ExprId, reads: bool) {
        let ast = self.ast;
        match &ast[target].kind {
            ExprKind::Name(name) if !reads => {
                let span = ast[target].span;
                if let Some(local) = self.local(name) {
                    local.writes.push(span);
                }
            }
            ExprKind::Tuple(parts) | ExprKind::List(parts) => parts.iter().for_each(|part| self.target(*part, reads)),
            _ => self.expr(target),
        }
    }

    fn exprs(&mut self, exprs: impl IntoIterator<Item = ExprId>) {
        exprs.into_iter().for_each(|expr| self.expr(expr));
    }

    fn expr(&mut self, expr: ExprId) {
        deep(|| self.expr_step(expr));
    }

    fn expr_step(&mut self, expr: ExprId) {
        let ast = self.ast;
        match &ast[expr].kind {
            ExprKind::Name(name) => self.read(name),
            ExprKind::Pack(name) => self.read(&name.name),
            ExprKind::Tuple(items) | ExprKind::List(items) => self.exprs(items.iter().copied()),
            ExprKind::Comprehension { elem, pattern, iter, cond } => {
                self.expr(*iter);
                self.scopes.push(BTreeMap::new());
                self.pattern(pattern);
                self.exprs(cond.iter().copied().chain([*elem]));
                self.scopes.pop();
            }
            ExprKind::Unary { operand, .. } => self.expr(*operand),
            ExprKind::Binary { lhs, rhs, .. } => self.exprs([*lhs, *rhs]),
            ExprKind::Range { start, stop } => self.exprs([*start, *stop]),
            ExprKind::Call { callee, args } => {
                self.expr(*callee);
                self.exprs(args.iter().map(|arg| arg.value));
            }
            ExprKind::Index { base, items } => {
                self.expr(*base);
                for item in items {
                    match item {
                        IndexItem::Expr(expr) => self.expr(*expr),
                        IndexItem::Slice { start, stop, step, .. } => {
                            self.exprs([start, stop, step].into_iter().filter_map(|part| *part));
                        }
                    }
                }
            }
            ExprKind::Field { base, name } => {
                self.expr(*base);
                self.read(&name.name);
            }
            ExprKind::Pipe { value, function } => self.exprs([*value, *function]),
            ExprKind::If(branches) => self.branches(branches),
            ExprKind::Type(ty) => self.types(Some(*ty)),
            ExprKind::Error
            | ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Str(_)
            | ExprKind::Bool(_)
            | ExprKind::None
            | ExprKind::Placeholder
            | ExprKind::Ellipsis => {}
        }
    }

    fn types(&mut self, ty: Option<TypeId>) {
        let ast = self.ast;
        let Some(ty) = ty else { return };
        match &ast[ty].kind {
            TypeKind::Name(path) => path.iter().for_each(|part| self.read(&part.name)),
            TypeKind::Tensor { elem, dims, .. } => {
                self.read(&elem.name);
                for dim in dims {
                    match dim {
                        DimItem::Expr(expr) => self.expr(*expr),
                        DimItem::Pack(name) => self.read(&name.name),
                        DimItem::Any(_) | DimItem::Unknown(_) => {}
                    }
                }
            }
            TypeKind::Tuple(items) => items.iter().for_each(|item| self.types(Some(*item))),
            TypeKind::List(item) => self.types(Some(*item)),
            TypeKind::Error => {}
        }
    }
}
