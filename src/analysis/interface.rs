//! What other items can see of an item: its tree without function bodies, initial values,
//! documentation and spans.

use crate::base::{Span, deep, without_spare};
use crate::syntax::ast::*;

/// Copies the visible part of a tree.
pub fn of(ast: &Ast) -> Ast {
    let mut copy = Copy { from: ast, exprs: vec![], types: vec![] };
    let item = copy.item(&ast.item);
    Ast { exprs: without_spare(copy.exprs), types: without_spare(copy.types), item }
}

struct Copy<'a> {
    from: &'a Ast,
    exprs: Vec<Expr>,
    types: Vec<Type>,
}

const NOWHERE: Span = Span { start: 0, end: 0 };

fn ident(ident: &Ident) -> Ident {
    Ident { name: ident.name.clone(), span: NOWHERE }
}

fn no_block() -> Block {
    Block { stmts: vec![], span: NOWHERE }
}

impl Copy<'_> {
    fn item(&mut self, item: &Item) -> Item {
        let kind = match &item.kind {
            ItemKind::Use(import) => ItemKind::Use(Use {
                path: import.path.iter().map(ident).collect(),
                names: import.names.as_ref().map(|names| names.iter().map(ident).collect()),
                alias: import.alias.as_ref().map(ident),
            }),
            ItemKind::Const { name, ty, value } => {
                ItemKind::Const { name: ident(name), ty: self.opt_ty(*ty), value: self.expr(*value) }
            }
            ItemKind::Let(binding) => ItemKind::Let(self.binding(binding)),
            ItemKind::TypeAlias { name, ty } => ItemKind::TypeAlias { name: ident(name), ty: self.ty(*ty) },
            ItemKind::Fn(decl) => ItemKind::Fn(self.function(decl)),
            ItemKind::Layer(decl) => ItemKind::Layer(self.layer(decl)),
            ItemKind::Test { name, .. } => ItemKind::Test { name: name.clone(), name_span: NOWHERE, body: no_block() },
            ItemKind::Stmt(_) | ItemKind::Error => ItemKind::Error,
        };
        let attributes = self.attributes(&item.attributes);
        Item { attributes, doc: None, kind, span: NOWHERE }
    }

    fn attributes(&mut self, attributes: &[Attribute]) -> Vec<Attribute> {
        attributes.iter().map(|a| Attribute { name: ident(&a.name), args: self.args(&a.args), span: NOWHERE }).collect()
    }

    fn args(&mut self, args: &[Arg]) -> Vec<Arg> {
        args.iter()
            .map(|arg| Arg {
                name: arg.name.as_deref().map(|name| Box::new(ident(name))),
                value: self.expr(arg.value),
                span: NOWHERE,
            })
            .collect()
    }

    fn type_params(&mut self, params: &[TypeParam]) -> Vec<TypeParam> {
        params.iter().map(|p| TypeParam { name: ident(&p.name), bound: p.bound.as_ref().map(ident) }).collect()
    }

    fn params(&mut self, params: &[Param]) -> Vec<Param> {
        params
            .iter()
            .map(|param| Param {
                attributes: self.attributes(&param.attributes),
                doc: None,
                name: ident(&param.name),
                ty: self.opt_ty(param.ty),
                default: self.opt_expr(param.default),
            })
            .collect()
    }

    fn function(&mut self, decl: &FnDecl) -> FnDecl {
        FnDecl {
            name: ident(&decl.name),
            type_params: self.type_params(&decl.type_params),
            params: self.params(&decl.params),
            result: self.opt_ty(decl.result),
            wheres: self.exprs(&decl.wheres),
            body: FnBody::Block(no_block()),
        }
    }

    fn layer(&mut self, decl: &LayerDecl) -> LayerDecl {
        LayerDecl {
            name: ident(&decl.name),
            type_params: self.type_params(&decl.type_params),
            params: self.params(&decl.params),
            result: self.opt_ty(decl.result),
            wheres: self.exprs(&decl.wheres),
            members: decl.members.iter().map(|member| self.member(member)).collect(),
        }
    }

    fn member(&mut self, member: &Member) -> Member {
        let kind = match &member.kind {
            MemberKind::Storage(storage) => MemberKind::Storage(Storage {
                kind: storage.kind,
                name: ident(&storage.name),
                ty: self.ty(storage.ty),
                cond: self.opt_expr(storage.cond),
                init: None,
            }),
            MemberKind::Let(binding) => MemberKind::Let(self.binding(binding)),
            MemberKind::Const { name, ty, value } => {
                MemberKind::Const { name: ident(name), ty: self.opt_ty(*ty), value: self.expr(*value) }
            }
            MemberKind::TypeAlias { name, ty } => MemberKind::TypeAlias { name: ident(name), ty: self.ty(*ty) },
            MemberKind::Fn(decl) => MemberKind::Fn(Box::new(self.function(decl))),
            MemberKind::Layer(decl) => MemberKind::Layer(Box::new(self.layer(decl))),
            MemberKind::Stmt(_) | MemberKind::Error => MemberKind::Error,
        };
        let attributes = self.attributes(&member.attributes);
        Member { attributes, doc: None, kind, span: NOWHERE }
    }

    fn binding(&mut self, binding: &Let) -> Let {
        Let {
            pattern: pattern(&binding.pattern),
            ty: self.opt_ty(binding.ty),
            cond: self.opt_expr(binding.cond),
            init: self.opt_expr(binding.init),
        }
    }

    fn opt_ty(&mut self, ty: Option<TypeId>) -> Option<TypeId> {
        ty.map(|ty| self.ty(ty))
    }

    fn ty(&mut self, id: TypeId) -> TypeId {
        let from = self.from;
        let kind = match &from[id].kind {
            TypeKind::Name(path) => TypeKind::Name(path.iter().map(ident).collect()),
            TypeKind::Tensor { elem, dims, legacy } => {
                let dims = dims
                    .iter()
                    .map(|dim| match dim {
                        DimItem::Expr(expr) => DimItem::Expr(self.expr(*expr)),
                        DimItem::Any(_) => DimItem::Any(NOWHERE),
                        DimItem::Pack(name) => DimItem::Pack(Box::new(ident(name))),
                        DimItem::Unknown(_) => DimItem::Unknown(NOWHERE),
                    })
                    .collect();
                TypeKind::Tensor { elem: ident(elem), dims, legacy: *legacy }
            }
            TypeKind::Tuple(items) => TypeKind::Tuple(items.iter().map(|item| self.ty(*item)).collect()),
            TypeKind::List(item) => TypeKind::List(self.ty(*item)),
            TypeKind::Error => TypeKind::Error,
        };
        self.types.push(Type { kind, span: NOWHERE });
        TypeId(self.types.len() as u32 - 1)
    }

    fn opt_expr(&mut self, expr: Option<ExprId>) -> Option<ExprId> {
        expr.map(|expr| self.expr(expr))
    }

    fn exprs(&mut self, exprs: &[ExprId]) -> Vec<ExprId> {
        exprs.iter().map(|expr| self.expr(*expr)).collect()
    }

    fn expr(&mut self, id: ExprId) -> ExprId {
        deep(|| self.expr_step(id))
    }

    fn expr_step(&mut self, id: ExprId) -> ExprId {
        let from = self.from;
        let kind = match &from[id].kind {
            ExprKind::Error => ExprKind::Error,
            ExprKind::Int(value) => ExprKind::Int(*value),
            ExprKind::Float(value) => ExprKind::Float(*value),
            ExprKind::Str(text) => ExprKind::Str(text.clone()),
            ExprKind::Bool(value) => ExprKind::Bool(*value),
            ExprKind::None => ExprKind::None,
            ExprKind::Name(name) => ExprKind::Name(name.clone()),
            ExprKind::Placeholder => ExprKind::Placeholder,
            ExprKind::Ellipsis => ExprKind::Ellipsis,
            ExprKind::Pack(name) => ExprKind::Pack(ident(name)),
            ExprKind::Tuple(items) => ExprKind::Tuple(self.exprs(items)),
            ExprKind::List(items) => ExprKind::List(self.exprs(items)),
            ExprKind::Comprehension { elem, pattern: names, iter, cond } => ExprKind::Comprehension {
                elem: self.expr(*elem),
                pattern: Box::new(pattern(names)),
                iter: self.expr(*iter),
                cond: self.opt_expr(*cond),
            },
            ExprKind::Unary { op, operand } => ExprKind::Unary { op: *op, operand: self.expr(*operand) },
            ExprKind::Binary { op, lhs, rhs } => {
                ExprKind::Binary { op: *op, lhs: self.expr(*lhs), rhs: self.expr(*rhs) }
            }
            ExprKind::Range { start, stop } => ExprKind::Range { start: self.expr(*start), stop: self.expr(*stop) },
            ExprKind::Call { callee, args } => ExprKind::Call { callee: self.expr(*callee), args: self.args(args) },
            ExprKind::Index { base, items } => {
                let items = items
                    .iter()
                    .map(|item| match item {
                        IndexItem::Expr(expr) => IndexItem::Expr(self.expr(*expr)),
                        IndexItem::Slice { start, stop, step, .. } => IndexItem::Slice {
                            start: self.opt_expr(*start),
                            stop: self.opt_expr(*stop),
                            step: self.opt_expr(*step),
                            span: NOWHERE,
                        },
                    })
                    .collect();
                ExprKind::Index { base: self.expr(*base), items }
            }
            ExprKind::Field { base, name } => ExprKind::Field { base: self.expr(*base), name: ident(name) },
            ExprKind::Pipe { value, function } => {
                ExprKind::Pipe { value: self.expr(*value), function: self.expr(*function) }
            }
            ExprKind::If(branches) => ExprKind::If(Box::new(self.branches(branches))),
            ExprKind::Type(ty) => ExprKind::Type(self.ty(*ty)),
        };
        self.exprs.push(Expr { kind, span: NOWHERE });
        ExprId(self.exprs.len() as u32 - 1)
    }

    fn branches(&mut self, branches: &If) -> If {
        let arms = branches.branches.iter().map(|(cond, block)| (self.expr(*cond), self.block(block))).collect();
        If { branches: arms, otherwise: branches.otherwise.as_ref().map(|block| self.block(block)) }
    }

    /// Blocks occur in visible positions only as values of an `if`: expressions matter, nothing else does.
    fn block(&mut self, block: &Block) -> Block {
        let stmts = block
            .stmts
            .iter()
            .map(|stmt| {
                let kind = match &stmt.kind {
                    StmtKind::Expr(expr) => StmtKind::Expr(self.expr(*expr)),
                    StmtKind::Let(binding) => StmtKind::Let(self.binding(binding)),
                    StmtKind::If(branches) => StmtKind::If(self.branches(branches)),
                    _ => StmtKind::Error,
                };
                Stmt { attributes: vec![], kind, span: NOWHERE }
            })
            .collect();
        Block { stmts, span: NOWHERE }
    }
}

fn pattern(names: &Pattern) -> Pattern {
    match names {
        Pattern::Name(name) => Pattern::Name(ident(name)),
        Pattern::Ignore(_) => Pattern::Ignore(NOWHERE),
        Pattern::Tuple(parts, _) => Pattern::Tuple(parts.iter().map(pattern).collect(), NOWHERE),
    }
}
