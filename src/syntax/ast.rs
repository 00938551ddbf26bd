//! The syntax tree of one top-level item.
//!
//! Expressions live in an arena (`Ast::exprs`), so deep chains neither recurse in `Drop` nor box every
//! node; statements and declarations own their parts. All spans count from the item's first byte, so
//! that a tree stays equal when text above the item changes.
//!
//! Trees are most of what a large file costs in memory: what is large and rare is boxed.
//!
//! `let y = x @ w.T` becomes `Stmt::Let { pattern: Name(y), init: Some(e3) }` with
//! `e0 = Name(x)`, `e1 = Name(w)`, `e2 = Field(e1, T)`, `e3 = Binary(MatMul, e0, e2)`.

use crate::base::{F64, Span};
use std::ops::Index;

/// Index of an expression in its item's [`Ast`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExprId(pub u32);

/// Index of a type expression in its item's [`Ast`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u32);

/// One parsed item with its arenas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ast {
    pub exprs: Vec<Expr>,
    pub types: Vec<Type>,
    pub item: Item,
}

impl Index<ExprId> for Ast {
    type Output = Expr;
    fn index(&self, id: ExprId) -> &Expr {
        &self.exprs[id.0 as usize]
    }
}
impl Index<TypeId> for Ast {
    type Output = Type;
    fn index(&self, id: TypeId) -> &Type {
        &self.types[id.0 as usize]
    }
}

impl Ast {
    /// The expressions directly inside one; blocks of an `if` are not looked into.
    pub fn children(&self, id: ExprId) -> Vec<ExprId> {
        match &self[id].kind {
            ExprKind::Tuple(items) | ExprKind::List(items) => items.clone(),
            ExprKind::Comprehension { elem, iter, cond, .. } => [*elem, *iter].into_iter().chain(*cond).collect(),
            ExprKind::Unary { operand, .. } => vec![*operand],
            ExprKind::Binary { lhs, rhs, .. } => vec![*lhs, *rhs],
            ExprKind::Range { start, stop } => vec![*start, *stop],
            ExprKind::Call { callee, args } => {
                std::iter::once(*callee).chain(args.iter().map(|arg| arg.value)).collect()
            }
            ExprKind::Index { base, items } => {
                let parts = items.iter().flat_map(|item| match item {
                    IndexItem::Expr(expr) => vec![*expr],
                    IndexItem::Slice { start, stop, step, .. } => {
                        [*start, *stop, *step].into_iter().flatten().collect()
                    }
                });
                std::iter::once(*base).chain(parts).collect()
            }
            ExprKind::Field { base, .. } => vec![*base],
            ExprKind::Pipe { value, function } => vec![*value, *function],
            ExprKind::If(branches) => branches.branches.iter().map(|(cond, _)| *cond).collect(),
            ExprKind::Error
            | ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Str(_)
            | ExprKind::Bool(_)
            | ExprKind::None
            | ExprKind::Name(_)
            | ExprKind::Placeholder
            | ExprKind::Ellipsis
            | ExprKind::Pack(_)
            | ExprKind::Type(_) => vec![],
        }
    }
}

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ident {
    pub name: String,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub attributes: Vec<Attribute>,
    /// The `##` lines above, joined by newlines, markers removed.
    pub doc: Option<String>,
    pub kind: ItemKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemKind {
    Use(Use),
    Const {
        name: Ident,
        ty: Option<TypeId>,
        value: ExprId,
    },
    /// A top-level `let`; one that makes an instance is a build entry.
    Let(Let),
    TypeAlias {
        name: Ident,
        ty: TypeId,
    },
    Fn(FnDecl),
    Layer(LayerDecl),
    Test {
        name: String,
        name_span: Span,
        body: Block,
    },
    /// A script statement.
    Stmt(Stmt),
    /// Could not be parsed; its errors were reported.
    Error,
}

/// `use nn.{Linear, Conv2d}`, `use nn`, `use models.llama as llama`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    pub path: Vec<Ident>,
    pub names: Option<Vec<Ident>>,
    pub alias: Option<Ident>,
}

/// `@name` or `@name(args)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub name: Ident,
    pub args: Vec<Arg>,
    pub span: Span,
}

/// `T: float` in square brackets after a declared name; no bound means `any`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeParam {
    pub name: Ident,
    pub bound: Option<Ident>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    pub attributes: Vec<Attribute>,
    pub doc: Option<String>,
    pub name: Ident,
    pub ty: Option<TypeId>,
    pub default: Option<ExprId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FnDecl {
    pub name: Ident,
    pub type_params: Vec<TypeParam>,
    pub params: Vec<Param>,
    pub result: Option<TypeId>,
    pub wheres: Vec<ExprId>,
    pub body: FnBody,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FnBody {
    Block(Block),
    /// `fn f(x) = e`
    Expr(ExprId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerDecl {
    pub name: Ident,
    pub type_params: Vec<TypeParam>,
    pub params: Vec<Param>,
    /// Present on the functional form: `layer Dense(w: ..., x: ...) -> T { return x @ w }`.
    pub result: Option<TypeId>,
    pub wheres: Vec<ExprId>,
    pub members: Vec<Member>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub attributes: Vec<Attribute>,
    pub doc: Option<String>,
    pub kind: MemberKind,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StorageKind {
    Param,
    Buffer,
    State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberKind {
    Storage(Storage),
    Let(Let),
    Const {
        name: Ident,
        ty: Option<TypeId>,
        value: ExprId,
    },
    TypeAlias {
        name: Ident,
        ty: TypeId,
    },
    Fn(Box<FnDecl>),
    Layer(Box<LayerDecl>),
    /// A statement of the functional form; elsewhere the checker reports it.
    Stmt(Box<Stmt>),
    Error,
}

/// `param name: type [if cond] [= init]`, and the same for `buffer` and `state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    pub kind: StorageKind,
    pub name: Ident,
    pub ty: TypeId,
    pub cond: Option<ExprId>,
    /// `= ...` leaves the value open: an `ExprKind::Ellipsis`.
    pub init: Option<ExprId>,
}

/// `let pattern [: type] [if cond] [= e]`; `cond` only on a layer's member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Let {
    pub pattern: Pattern,
    pub ty: Option<TypeId>,
    pub cond: Option<ExprId>,
    pub init: Option<ExprId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    Name(Ident),
    /// `_`
    Ignore(Span),
    Tuple(Vec<Pattern>, Span),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub stmts: Vec<Stmt>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stmt {
    pub attributes: Vec<Attribute>,
    pub kind: StmtKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StmtKind {
    Let(Let),
    /// `target = value` or `target op= value`; a target is a name, a tuple of targets, a field or an index.
    Assign {
        target: ExprId,
        op: Option<BinaryOp>,
        value: ExprId,
    },
    /// In a block that is a value (`if c { a } else { b }`), the last one is the block's value.
    Expr(ExprId),
    /// `return a, b` holds a tuple.
    Return(Option<ExprId>),
    If(If),
    For {
        pattern: Pattern,
        iter: ExprId,
        body: Block,
    },
    While {
        cond: ExprId,
        body: Block,
    },
    Assert {
        cond: ExprId,
        message: Option<ExprId>,
    },
    Error,
}

/// `if c {..} else if d {..} else {..}`: flat, so that long chains do not nest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct If {
    pub branches: Vec<(ExprId, Block)>,
    pub otherwise: Option<Block>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExprKind {
    Error,
    Int(i64),
    Float(F64),
    Str(String),
    Bool(bool),
    None,
    Name(String),
    /// `_` in `f(_, k=2)`.
    Placeholder,
    /// `...`
    Ellipsis,
    /// `...S` in a shape list.
    Pack(Ident),
    Tuple(Vec<ExprId>),
    List(Vec<ExprId>),
    /// `[elem for pattern in iter if cond]`
    Comprehension {
        elem: ExprId,
        pattern: Box<Pattern>,
        iter: ExprId,
        cond: Option<ExprId>,
    },
    Unary {
        op: UnaryOp,
        operand: ExprId,
    },
    Binary {
        op: BinaryOp,
        lhs: ExprId,
        rhs: ExprId,
    },
    /// `a..b`, only after `in`.
    Range {
        start: ExprId,
        stop: ExprId,
    },
    Call {
        callee: ExprId,
        args: Vec<Arg>,
    },
    /// `x[...]`; also type arguments (`Linear[bfloat16]`), told apart by what `base` names.
    Index {
        base: ExprId,
        items: Vec<IndexItem>,
    },
    Field {
        base: ExprId,
        name: Ident,
    },
    /// `value |> function`
    Pipe {
        value: ExprId,
        function: ExprId,
    },
    /// `if c { a } else { b }` as a value.
    If(Box<If>),
    /// A type in value position: the legacy literal `TernaryTensor<[2, 2]>(1, 0, -1, 1)` is a call of one,
    /// and `int8`, `float32[...]` may be arguments.
    Type(TypeId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    Neg,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
    MatMul,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// `name=`
    pub name: Option<Box<Ident>>,
    /// `ExprKind::Ellipsis` passes on the enclosing hyperparameters of the same names.
    pub value: ExprId,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexItem {
    Expr(ExprId),
    /// `start:stop:step`, each optional.
    Slice {
        start: Option<ExprId>,
        stop: Option<ExprId>,
        step: Option<ExprId>,
        span: Span,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    pub kind: TypeKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeKind {
    /// `int`, `float32` (a rank-0 tensor), `F`, `Linear`, an alias, `module.Name`.
    Name(Vec<Ident>),
    /// `float32[B, T, dim]`. Legacy spellings (`Tensor<float32, [4, 4]>`) come out the same, with
    /// `legacy` set so that the formatter rewrites them; bare `Tensor` is `float32[...]`.
    Tensor {
        elem: Ident,
        dims: Vec<DimItem>,
        legacy: bool,
    },
    Tuple(Vec<TypeId>),
    List(TypeId),
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DimItem {
    Expr(ExprId),
    /// `...`
    Any(Span),
    /// `...S`
    Pack(Box<Ident>),
    /// `?`
    Unknown(Span),
}
