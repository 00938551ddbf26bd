//! Where in an item a remedy may be applied: the expressions that an error points at, what is inside
//! them, the variables they read, the members they call.

use crate::analysis::db::{Item, interface};
use crate::analysis::modules::{self, Named};
use crate::base::Span;
use crate::ops;
use crate::syntax::ast::*;

/// Variables are followed back through this many assignments.
const HOPS: usize = 3;

pub struct Sites<'db> {
    db: &'db dyn salsa::Database,
    item: Item<'db>,
    pub ast: &'db Ast,
    pub text: &'db str,
    pub at: Span,
    /// What the error points at.
    pub focus: Vec<ExprId>,
    /// The calls and operators around it, innermost first.
    pub around: Vec<ExprId>,
    /// `focus` with everything inside it, and what the variables in it were assigned.
    pub inside: Vec<ExprId>,
}

/// A call as seen from its callee: the parameters' names, and whether a receiver takes the first.
pub struct Callee {
    pub params: Vec<String>,
    pub has_receiver: bool,
}

impl<'db> Sites<'db> {
    pub fn new(db: &'db dyn salsa::Database, item: Item<'db>, ast: &'db Ast, at: Span) -> Sites<'db> {
        let mut sites = Sites { db, item, ast, text: item.text(db), at, focus: vec![], around: vec![], inside: vec![] };
        sites.focus = sites.exprs().filter(|id| ast[*id].span == at).collect();
        // A named argument is marked with its name.
        for expr in &ast.exprs {
            if let ExprKind::Call { args, .. } = &expr.kind {
                sites.focus.extend(args.iter().filter(|arg| arg.span == at).map(|arg| arg.value));
            }
        }
        // `x += e` is marked whole.
        if sites.focus.is_empty() {
            let mut values = vec![];
            for block in sites.blocks() {
                visit_statements(block, &mut |stmt| match &stmt.kind {
                    StmtKind::Assign { value, .. } if stmt.span == at => values.push(*value),
                    _ => {}
                });
            }
            sites.focus = values;
        }
        sites.focus.dedup();
        if let Some(first) = sites.focus.first() {
            let mut current = *first;
            while let Some(parent) = sites.exprs().find(|id| ast.children(*id).contains(&current)) {
                sites.around.push(parent);
                current = parent;
            }
        }
        for id in sites.focus.clone() {
            sites.gather(id, HOPS);
        }
        sites
    }

    fn exprs(&self) -> impl Iterator<Item = ExprId> + use<> {
        (0..self.ast.exprs.len() as u32).map(ExprId)
    }

    fn gather(&mut self, id: ExprId, hops: usize) {
        if self.inside.contains(&id) {
            return;
        }
        self.inside.push(id);
        for child in self.ast.children(id) {
            self.gather(child, hops);
        }
        if let ExprKind::Name(name) = &self.ast[id].kind
            && hops > 0
            && let Some(init) = self.assigned(name, self.ast[id].span.start)
        {
            self.gather(init, hops - 1);
        }
    }

    /// What a variable was last given before a place.
    fn assigned(&self, name: &str, before: u32) -> Option<ExprId> {
        let mut last = None;
        let mut visit = |stmt: &Stmt| {
            let found = match &stmt.kind {
                StmtKind::Let(Let { pattern: Pattern::Name(own), init: Some(init), .. }) if own.name == name => {
                    Some(*init)
                }
                // What is gone through is found near what its turns hold.
                StmtKind::For { pattern, iter, .. } if binds(pattern, name) => Some(*iter),
                StmtKind::Assign { target, value, .. } => match &self.ast[*target].kind {
                    ExprKind::Name(own) if own == name => Some(*value),
                    _ => None,
                },
                _ => None,
            };
            if let Some(init) = found.filter(|init| self.ast[*init].span.end <= before) {
                last = Some(init);
            }
        };
        for block in self.blocks() {
            visit_statements(block, &mut visit);
        }
        last
    }

    fn blocks(&self) -> Vec<&'db Block> {
        match &self.ast.item.kind {
            ItemKind::Test { body, .. } => vec![body],
            _ => self.functions().into_iter().filter_map(|decl| body(decl)).collect(),
        }
    }

    /// The item's function, or the methods of the layer.
    pub fn functions(&self) -> Vec<&'db FnDecl> {
        match &self.ast.item.kind {
            ItemKind::Fn(decl) => vec![decl],
            ItemKind::Layer(decl) => methods(decl),
            _ => vec![],
        }
    }

    /// The function whose body the error is in.
    pub fn function(&self) -> Option<&'db FnDecl> {
        self.functions().into_iter().find(|decl| {
            let span = match &decl.body {
                FnBody::Block(block) => block.span,
                FnBody::Expr(expr) => self.ast[*expr].span,
            };
            span.start <= self.at.start && self.at.end <= span.end
        })
    }

    pub fn layer(&self) -> Option<&'db LayerDecl> {
        match &self.ast.item.kind {
            ItemKind::Layer(decl) => Some(decl),
            _ => None,
        }
    }

    pub fn source(&self, span: Span) -> &'db str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    pub fn text_of(&self, id: ExprId) -> &'db str {
        self.source(self.ast[id].span)
    }

    /// The members of the layer that are named near the error, with the calls that make them.
    pub fn makers(&self) -> Vec<(&'db str, ExprId)> {
        let Some(layer) = self.layer() else { return vec![] };
        let mut near: Vec<ExprId> = self.inside.clone();
        if let Some(first) = self.around.first() {
            near.extend(within(self.ast, *first));
        }
        let mut makers = vec![];
        for member in &layer.members {
            let MemberKind::Let(Let { pattern: Pattern::Name(name), init: Some(init), .. }) = &member.kind else {
                continue;
            };
            let named = near.iter().any(|id| matches!(&self.ast[*id].kind, ExprKind::Name(own) if *own == name.name));
            if named {
                let calls = within(self.ast, *init).into_iter();
                let calls = calls.filter(|id| matches!(self.ast[*id].kind, ExprKind::Call { .. }));
                makers.extend(calls.map(|call| (name.name.as_str(), call)));
            }
        }
        makers
    }

    /// The parameters of what a call calls.
    pub fn callee(&self, call: ExprId) -> Option<Callee> {
        let ExprKind::Call { callee, .. } = &self.ast[call].kind else { return None };
        let (name, has_receiver) = match &self.ast[*callee].kind {
            ExprKind::Name(name) => (name.as_str(), false),
            ExprKind::Field { name, .. } => (name.name.as_str(), true),
            _ => return None,
        };
        let item = match modules::scope(self.db, self.item.file(self.db)).get(name) {
            Some(Named::Item(item)) => Some(*item),
            Some(Named::Module(_) | Named::Missing) => return None,
            None => modules::implicit(self.db, name),
        };
        let declared = |params: &[Param]| params.iter().map(|param| param.name.name.clone()).collect();
        let params = match item {
            Some(item) => match &interface(self.db, item).item.kind {
                ItemKind::Fn(decl) => declared(&decl.params),
                ItemKind::Layer(decl) => declared(&decl.params),
                _ => return None,
            },
            None => ops::find(name)?.get().params.iter().map(|param| param.name.to_string()).collect(),
        };
        Some(Callee { params, has_receiver })
    }

    /// The argument that a call gives for a parameter.
    pub fn argument(&self, call: ExprId, callee: &Callee, param: &str) -> Option<ExprId> {
        let ExprKind::Call { args, .. } = &self.ast[call].kind else { return None };
        let position = callee.params.iter().position(|name| name == param)?;
        let named = args.iter().find(|arg| arg.name.as_ref().is_some_and(|name| name.name == param));
        let by_position = || {
            let index = position.checked_sub(usize::from(callee.has_receiver))?;
            args.get(index).filter(|_| args[..=index].iter().all(|arg| arg.name.is_none()))
        };
        named.or_else(by_position).map(|arg| arg.value)
    }

    /// Where a further argument goes, and what separates it from those before.
    pub fn after_arguments(&self, call: ExprId) -> Option<(u32, &'static str)> {
        let ExprKind::Call { args, .. } = &self.ast[call].kind else { return None };
        match args.last() {
            Some(last) => Some((last.span.end, ", ")),
            None => Some((self.ast[call].span.end.checked_sub(1)?, "")),
        }
    }

    /// The value of an expression of numbers.
    pub fn number(&self, id: ExprId) -> Option<i64> {
        match &self.ast[id].kind {
            ExprKind::Int(value) => Some(*value),
            ExprKind::Unary { op: UnaryOp::Neg, operand } => self.number(*operand)?.checked_neg(),
            ExprKind::Binary { op, lhs, rhs } => {
                let (a, b) = (self.number(*lhs)?, self.number(*rhs)?);
                match op {
                    BinaryOp::Add => a.checked_add(b),
                    BinaryOp::Sub => a.checked_sub(b),
                    BinaryOp::Mul => a.checked_mul(b),
                    BinaryOp::FloorDiv if b > 0 => Some(a.div_euclid(b)),
                    BinaryOp::Pow => a.checked_pow(u32::try_from(b).ok()?),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Whether an expression is that dim, as far as its text tells.
    pub fn is_dim(&self, id: ExprId, dim: &str) -> bool {
        self.text_of(id) == dim || self.number(id).is_some_and(|value| value.to_string() == dim)
    }

    /// The types of parameters and members that an expression names, with the names.
    pub fn declared_types(&self) -> Vec<(&'db str, TypeId)> {
        let names: Vec<&str> = self
            .inside
            .iter()
            .filter_map(|id| match &self.ast[*id].kind {
                ExprKind::Name(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        let members =
            self.layer().into_iter().flat_map(|layer| &layer.members).filter_map(|member| match &member.kind {
                MemberKind::Storage(storage) => Some((storage.name.name.as_str(), storage.ty)),
                _ => None,
            });
        members.filter(|(name, _)| names.contains(name)).collect()
    }
}

fn binds(pattern: &Pattern, name: &str) -> bool {
    match pattern {
        Pattern::Name(own) => own.name == name,
        Pattern::Ignore(_) => false,
        Pattern::Tuple(parts, _) => parts.iter().any(|part| binds(part, name)),
    }
}

/// Every expression below one, itself first.
pub fn within(ast: &Ast, id: ExprId) -> Vec<ExprId> {
    let mut all = vec![id];
    let mut next = 0;
    while next < all.len() {
        all.extend(ast.children(all[next]));
        next += 1;
    }
    all
}

fn methods(layer: &LayerDecl) -> Vec<&FnDecl> {
    let mut found: Vec<&FnDecl> = vec![];
    for member in &layer.members {
        match &member.kind {
            MemberKind::Fn(decl) => found.push(decl),
            MemberKind::Layer(inner) => found.extend(methods(inner)),
            _ => {}
        }
    }
    found
}

fn body(decl: &FnDecl) -> Option<&Block> {
    match &decl.body {
        FnBody::Block(block) => Some(block),
        FnBody::Expr(_) => None,
    }
}

fn visit_statements(block: &Block, visit: &mut dyn FnMut(&Stmt)) {
    for stmt in &block.stmts {
        visit(stmt);
        match &stmt.kind {
            StmtKind::If(branches) => {
                let blocks = branches.branches.iter().map(|(_, block)| block).chain(&branches.otherwise);
                blocks.for_each(|block| visit_statements(block, visit));
            }
            StmtKind::For { body, .. } | StmtKind::While { body, .. } => visit_statements(body, visit),
            _ => {}
        }
    }
}
