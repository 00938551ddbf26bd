//! What the grammar's actions call: the arenas of a tree in the making, and its depth.
//!
//! *Depth* is counted while nodes are made, since a chain such as `a + a + ...` nests to the left
//! without a bracket; a node past the limit becomes an error node, so no later walk can overflow.

use crate::base::{F64, Span, code};
use crate::syntax::ast::*;
use crate::syntax::error::SyntaxError;
use crate::syntax::literal::{float_value, int_value, unescape};
use crate::syntax::token::Doc;
use std::collections::HashMap;

/// Depth of a tree past which it is refused.
pub const MAX_DEPTH: u32 = 1000;

/// Names of element types, as far as the legacy spellings need them.
const ELEMENT_TYPES: [&str; 15] = [
    "bool", "trit", "int4", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
    "bfloat16", "float32", "float64",
];

/// Anything that the grammar takes for an item, member or statement.
#[derive(Clone, Debug)]
pub enum Any {
    Use(Use),
    Const { name: Ident, ty: Option<TypeId>, value: ExprId },
    TypeAlias { name: Ident, ty: TypeId },
    Fn(FnDecl),
    Layer(LayerDecl),
    Test { name: String, name_span: Span, body: Block },
    Storage(Storage),
    Let(Let),
    Stmt(StmtKind),
    Failed,
}

/// [`Any`] with what stands around it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub attributes: Vec<Attribute>,
    pub any: Any,
    /// Where the entry starts behind its attributes.
    pub start: u32,
    pub span: Span,
}

/// The tree in the making.
pub struct Builder<'t> {
    text: &'t str,
    docs: &'t [Doc],
    exprs: Vec<Expr>,
    expr_depths: Vec<u32>,
    types: Vec<Type>,
    type_depths: Vec<u32>,
    /// Depth of a block by the offset of its brace.
    block_depths: HashMap<u32, u32>,
    too_deep: bool,
    pub errors: Vec<SyntaxError>,
}

impl<'t> Builder<'t> {
    pub fn new(text: &'t str, docs: &'t [Doc]) -> Self {
        Builder {
            text,
            docs,
            exprs: vec![],
            expr_depths: vec![],
            types: vec![],
            type_depths: vec![],
            block_depths: HashMap::new(),
            too_deep: false,
            errors: vec![],
        }
    }

    /// The finished tree and what was wrong with it.
    pub fn finish(self, item: Item) -> (Ast, Vec<SyntaxError>) {
        (Ast { exprs: self.exprs, types: self.types, item }, self.errors)
    }

    fn slice(&self, l: u32, r: u32) -> &'t str {
        self.text.get(l as usize..r as usize).unwrap_or("")
    }

    /// A span; an empty rule at the end of the text can see its end before its start.
    pub fn span(&self, l: u32, r: u32) -> Span {
        Span::new(l.min(r), r)
    }

    pub fn ident(&self, l: u32, r: u32) -> Ident {
        Ident { name: self.slice(l, r).to_string(), span: Span::new(l, r) }
    }

    /// The documentation above either offset: the first attribute or the keyword.
    pub fn doc(&self, first: u32, start: u32) -> Option<String> {
        let find = |offset: u32| {
            let at = self.docs.binary_search_by_key(&offset, |doc| doc.token).ok()?;
            Some(self.docs[at].text.clone())
        };
        find(first).or_else(|| find(start))
    }

    // ---- Expressions ------------------------------------------------------------------------------

    pub fn expr(&mut self, kind: ExprKind, l: u32, r: u32) -> ExprId {
        let depth = 1 + self.depth_below(&kind);
        self.push_expr(kind, depth, Span::new(l, r))
    }

    fn push_expr(&mut self, mut kind: ExprKind, mut depth: u32, span: Span) -> ExprId {
        if depth > MAX_DEPTH {
            self.report_depth(span);
            kind = ExprKind::Error;
            depth = 1;
        }
        self.exprs.push(Expr { kind, span });
        self.expr_depths.push(depth);
        ExprId(self.exprs.len() as u32 - 1)
    }

    fn report_depth(&mut self, span: Span) {
        if !self.too_deep {
            self.too_deep = true;
            self.errors.push(
                SyntaxError::new(code::E0008, "this expression is nested too deeply", span)
                    .label(format!("more than {MAX_DEPTH} levels"))
                    .note("name parts of it with `let`, or write it as a loop"),
            );
        }
    }

    pub fn binary(&mut self, op: BinaryOp, lhs: ExprId, rhs: ExprId, l: u32, r: u32) -> ExprId {
        self.expr(ExprKind::Binary { op, lhs, rhs }, l, r)
    }

    pub fn name(&mut self, l: u32, r: u32) -> ExprId {
        let name = self.slice(l, r).to_string();
        self.expr(ExprKind::Name(name), l, r)
    }

    // The lexer has checked the three literals below; an error node stands for what it let through.
    pub fn int(&mut self, l: u32, r: u32) -> ExprId {
        let kind = int_value(self.slice(l, r)).map_or(ExprKind::Error, ExprKind::Int);
        self.expr(kind, l, r)
    }

    pub fn float(&mut self, l: u32, r: u32) -> ExprId {
        let kind = float_value(self.slice(l, r)).map_or(ExprKind::Error, |value| ExprKind::Float(F64(value)));
        self.expr(kind, l, r)
    }

    pub fn string(&mut self, l: u32, r: u32) -> ExprId {
        let kind = unescape(self.slice(l, r)).map_or(ExprKind::Error, ExprKind::Str);
        self.expr(kind, l, r)
    }

    pub fn tuple(&mut self, first: ExprId, mut rest: Vec<ExprId>, l: u32, r: u32) -> ExprId {
        rest.insert(0, first);
        self.expr(ExprKind::Tuple(rest), l, r)
    }

    /// The parentheses belong to the span, so that an edit around it keeps them together.
    pub fn parenthesised(&mut self, inner: ExprId, l: u32, r: u32) -> ExprId {
        self.exprs[inner.0 as usize].span = Span::new(l, r);
        inner
    }

    pub fn if_value(&mut self, value: If, l: u32, r: u32) -> ExprId {
        if value.otherwise.is_none() {
            self.errors.push(
                SyntaxError::new(code::E0004, "an `if` used as a value needs an `else`", Span::new(l, r))
                    .label("no value where the condition is false")
                    .note("write `if condition { a } else { b }`"),
            );
        }
        self.expr(ExprKind::If(Box::new(value)), l, r)
    }

    /// `a < b`; two or more comparisons in a row are one mistake.
    pub fn comparison(&mut self, first: ExprId, rest: Vec<(BinaryOp, ExprId)>, l: u32, r: u32) -> ExprId {
        if let [(op, rhs)] = rest[..] {
            return self.binary(op, first, rhs, l, r);
        }
        let span = Span::new(l, r);
        let mut error = SyntaxError::new(code::E0007, "comparisons cannot be chained", span)
            .label("more than one comparison in a row");
        if let [(BinaryOp::Lt, _), (BinaryOp::Gt, _)] = rest[..] {
            error = error.note("type arguments stand in square brackets: `f[T](x)`");
        } else {
            error = error.note("join them with `and`: `a < b and b < c`");
            let edits = rest[..rest.len() - 1].iter().map(|(_, middle)| {
                let at = self.exprs[middle.0 as usize].span;
                (Span::new(at.end, at.end), format!(" and {}", self.slice(at.start, at.end)))
            });
            error = error.fix("join them with `and`", edits.collect());
        }
        self.errors.push(error);
        self.expr(ExprKind::Error, l, r)
    }

    fn depth(&self, id: ExprId) -> u32 {
        self.expr_depths[id.0 as usize]
    }

    fn block_depth(&self, block: &Block) -> u32 {
        self.block_depths.get(&block.span.start).copied().unwrap_or(0)
    }

    fn depth_below(&self, kind: &ExprKind) -> u32 {
        let deepest = |ids: &[ExprId]| ids.iter().map(|id| self.depth(*id)).max().unwrap_or(0);
        match kind {
            ExprKind::Error
            | ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Str(_)
            | ExprKind::Bool(_)
            | ExprKind::None
            | ExprKind::Name(_)
            | ExprKind::Placeholder
            | ExprKind::Ellipsis
            | ExprKind::Pack(_) => 0,
            ExprKind::Tuple(items) | ExprKind::List(items) => deepest(items),
            ExprKind::Comprehension { elem, iter, cond, .. } => {
                deepest(&[*elem, *iter]).max(cond.map_or(0, |cond| self.depth(cond)))
            }
            ExprKind::Unary { operand, .. } => self.depth(*operand),
            ExprKind::Binary { lhs, rhs, .. } => deepest(&[*lhs, *rhs]),
            ExprKind::Range { start, stop } => deepest(&[*start, *stop]),
            ExprKind::Call { callee, args } => {
                args.iter().map(|arg| self.depth(arg.value)).max().unwrap_or(0).max(self.depth(*callee))
            }
            ExprKind::Index { base, items } => {
                items.iter().map(|item| self.index_depth(item)).max().unwrap_or(0).max(self.depth(*base))
            }
            ExprKind::Field { base, .. } => self.depth(*base),
            ExprKind::Pipe { value, function } => deepest(&[*value, *function]),
            ExprKind::If(value) => self.if_depth(value),
            ExprKind::Type(id) => self.type_depths[id.0 as usize],
        }
    }

    fn index_depth(&self, item: &IndexItem) -> u32 {
        match item {
            IndexItem::Expr(id) => self.depth(*id),
            IndexItem::Slice { start, stop, step, .. } => {
                [start, stop, step].into_iter().flatten().map(|id| self.depth(*id)).max().unwrap_or(0)
            }
        }
    }

    /// An `else if` counts as a level, as if it were nested.
    fn if_depth(&self, value: &If) -> u32 {
        let branches = value.branches.iter().enumerate();
        let deepest = branches.map(|(at, (cond, body))| at as u32 + self.depth(*cond).max(self.block_depth(body)));
        let otherwise = value.otherwise.as_ref().map_or(0, |body| self.block_depth(body));
        deepest.max().unwrap_or(0).max(otherwise)
    }

    // ---- Types ------------------------------------------------------------------------------------

    pub fn ty(&mut self, mut kind: TypeKind, l: u32, r: u32) -> TypeId {
        let below = |id: &TypeId| self.type_depths[id.0 as usize];
        let mut depth = 1 + match &kind {
            TypeKind::Name(_) | TypeKind::Error => 0,
            TypeKind::Tensor { dims, .. } => dims.iter().map(|dim| self.dim_depth(dim)).max().unwrap_or(0),
            TypeKind::Tuple(items) => items.iter().map(below).max().unwrap_or(0),
            TypeKind::List(item) => below(item),
        };
        if depth > MAX_DEPTH {
            self.report_depth(Span::new(l, r));
            (kind, depth) = (TypeKind::Error, 1);
        }
        self.types.push(Type { kind, span: Span::new(l, r) });
        self.type_depths.push(depth);
        TypeId(self.types.len() as u32 - 1)
    }

    fn dim_depth(&self, dim: &DimItem) -> u32 {
        match dim {
            DimItem::Expr(id) => self.depth(*id),
            DimItem::Any(_) | DimItem::Pack(_) | DimItem::Unknown(_) => 0,
        }
    }

    /// A dim as it was parsed: `...` and `...S` are expressions to the grammar.
    pub fn dim(&mut self, id: ExprId) -> DimItem {
        let expr = &self.exprs[id.0 as usize];
        match &expr.kind {
            ExprKind::Ellipsis => DimItem::Any(expr.span),
            ExprKind::Pack(name) => DimItem::Pack(Box::new(name.clone())),
            _ => DimItem::Expr(id),
        }
    }

    pub fn named_type(&mut self, path: Vec<Ident>, l: u32, r: u32) -> TypeId {
        let kind = match (&path[..], legacy_element(&path)) {
            ([name], Some(element)) => {
                let elem = Ident { name: element.to_string(), span: name.span };
                TypeKind::Tensor { elem, dims: vec![DimItem::Any(name.span)], legacy: true }
            }
            _ => TypeKind::Name(path),
        };
        self.ty(kind, l, r)
    }

    pub fn tensor_type(&mut self, mut path: Vec<Ident>, dims: Vec<DimItem>, l: u32, r: u32) -> TypeId {
        if legacy_element(&path).is_some() {
            return self.legacy_type(path.remove(0), dims, l, r);
        }
        if path.len() > 1 {
            self.errors.push(
                SyntaxError::new(code::E0012, "a name from a module takes no `[...]` in a type", Span::new(l, r))
                    .label("two steps at once")
                    .note("bring the name in with `use module.{Name}`, then write `Name[...]`"),
            );
            return self.ty(TypeKind::Error, l, r);
        }
        self.ty(TypeKind::Tensor { elem: path.remove(0), dims, legacy: false }, l, r)
    }

    /// `Tensor[float16]`, `tensor<float32, [4, 4]>`, `TernaryTensor<[2, 2]>`, `TernaryTensor[2, 2]`.
    pub fn legacy_type(&mut self, name: Ident, mut args: Vec<DimItem>, l: u32, r: u32) -> TypeId {
        let default = legacy_element(std::slice::from_ref(&name)).unwrap_or("float32");
        let mut elem = Ident { name: default.to_string(), span: name.span };
        if default != "trit"
            && let Some(named) = self.legacy_element_argument(&args)
        {
            elem = named;
            args.remove(0);
        }
        let mut dims = args;
        if let [DimItem::Expr(id)] = dims[..]
            && let ExprKind::List(items) = self.exprs[id.0 as usize].kind.clone()
        {
            dims = items.into_iter().map(|item| self.dim(item)).collect();
        } else if dims.is_empty() {
            dims = vec![DimItem::Any(name.span)];
        }
        self.ty(TypeKind::Tensor { elem, dims, legacy: true }, l, r)
    }

    /// The first argument where it is an element type: by its name, or because dims in a list follow.
    fn legacy_element_argument(&self, args: &[DimItem]) -> Option<Ident> {
        let DimItem::Expr(first) = args.first()? else { return None };
        let expr = &self.exprs[first.0 as usize];
        let ExprKind::Name(name) = &expr.kind else { return None };
        let list_follows = match args.get(1) {
            Some(DimItem::Expr(id)) => matches!(self.exprs[id.0 as usize].kind, ExprKind::List(_)),
            _ => false,
        };
        let known = ELEMENT_TYPES.contains(&name.as_str());
        (known || args.len() == 1 || list_follows).then(|| Ident { name: name.clone(), span: expr.span })
    }

    // ---- Statements -------------------------------------------------------------------------------

    pub fn assign(&mut self, target: ExprId, op: Option<BinaryOp>, value: ExprId) -> Any {
        if let Some(wrong) = self.not_assignable(target, op.is_none()) {
            let span = self.exprs[wrong.0 as usize].span;
            if self.is_call_of(wrong, "const") {
                self.errors.push(
                    SyntaxError::new(code::E0211, "a `const` has one name", span)
                        .label("not a name")
                        .note("write a `const` for each name, or one for all and `pair[0]` where a part is needed"),
                );
                return Any::Failed;
            }
            let what = match self.exprs[wrong.0 as usize].kind {
                ExprKind::Call { .. } => "the result of a call",
                ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Str(_) | ExprKind::Bool(_) | ExprKind::None => {
                    "a literal"
                }
                _ => "this expression",
            };
            self.errors.push(
                SyntaxError::new(code::E0211, format!("cannot assign to {what}"), span)
                    .label("not a variable")
                    .note("on the left of an assignment stands a name, `name[...]`, `name.field` or `(a, b)`"),
            );
            return Any::Failed;
        }
        Any::Stmt(StmtKind::Assign { target, op, value })
    }

    /// `const (A, B) = ...` reads as an assignment to a call, since `const` is a keyword only before a name.
    fn is_call_of(&self, id: ExprId, name: &str) -> bool {
        match &self.exprs[id.0 as usize].kind {
            ExprKind::Call { callee, .. } => {
                matches!(&self.exprs[callee.0 as usize].kind, ExprKind::Name(own) if own == name)
            }
            _ => false,
        }
    }

    /// The part of a target that cannot be one.
    fn not_assignable(&self, target: ExprId, tuples: bool) -> Option<ExprId> {
        // Depth first by hand: a target can nest as deep as any tree.
        let mut pending = vec![target];
        while let Some(id) = pending.pop() {
            match &self.exprs[id.0 as usize].kind {
                ExprKind::Name(_) | ExprKind::Field { .. } | ExprKind::Index { .. } => {}
                ExprKind::Placeholder | ExprKind::Error => {}
                ExprKind::Tuple(items) if tuples && !items.is_empty() => pending.extend(items),
                _ => return Some(id),
            }
        }
        None
    }

    pub fn return_tuple(&mut self, first: ExprId, rest: Vec<ExprId>, l: u32, r: u32) -> Any {
        let value = self.tuple(first, rest, l, r);
        Any::Stmt(StmtKind::Return(Some(value)))
    }

    pub fn test(&mut self, l: u32, r: u32, body: Block) -> Any {
        let name = unescape(self.slice(l, r)).unwrap_or_default();
        Any::Test { name, name_span: Span::new(l, r), body }
    }

    pub fn block(&mut self, entries: Vec<Entry>, l: u32, r: u32) -> Block {
        let stmts: Vec<Stmt> = entries.into_iter().map(|entry| self.stmt(entry)).collect();
        let depth = 1 + stmts.iter().map(|stmt| self.stmt_depth(stmt)).max().unwrap_or(0);
        if depth > MAX_DEPTH {
            self.report_depth(Span::new(l, r));
            self.block_depths.insert(l, 1);
            return Block { stmts: vec![], span: Span::new(l, r) };
        }
        self.block_depths.insert(l, depth);
        Block { stmts, span: Span::new(l, r) }
    }

    fn stmt_depth(&self, stmt: &Stmt) -> u32 {
        let optional = |id: Option<ExprId>| id.map_or(0, |id| self.depth(id));
        match &stmt.kind {
            StmtKind::Let(Let { ty, cond, init, .. }) => {
                let ty = ty.map_or(0, |ty| self.type_depths[ty.0 as usize]);
                optional(*init).max(optional(*cond)).max(ty)
            }
            StmtKind::Assign { target, value, .. } => self.depth(*target).max(self.depth(*value)),
            StmtKind::Expr(id) => self.depth(*id),
            StmtKind::Return(id) => optional(*id),
            StmtKind::If(value) => self.if_depth(value),
            StmtKind::For { iter, body, .. } => self.depth(*iter).max(self.block_depth(body)),
            StmtKind::While { cond, body } => self.depth(*cond).max(self.block_depth(body)),
            StmtKind::Assert { cond, message } => self.depth(*cond).max(optional(*message)),
            StmtKind::Error => 0,
        }
    }

    /// An `else if` chain at the top level stands in no block that would count it.
    fn limit_chain(&mut self, kind: StmtKind, span: Span) -> StmtKind {
        match &kind {
            StmtKind::If(value) if self.if_depth(value) > MAX_DEPTH => {
                self.report_depth(span);
                StmtKind::Error
            }
            _ => kind,
        }
    }

    fn stmt(&mut self, entry: Entry) -> Stmt {
        let Entry { attributes, any, start, span } = entry;
        let kind = match any {
            Any::Stmt(kind) => self.limit_chain(kind, span),
            Any::Let(value) => {
                self.check_no_condition(&value);
                StmtKind::Let(value)
            }
            Any::Failed => StmtKind::Error,
            other => {
                self.report_misplaced(&other, start, "in a block");
                StmtKind::Error
            }
        };
        Stmt { attributes, kind, span }
    }

    /// `let x if cond = e` makes sense for members only.
    fn check_no_condition(&mut self, value: &Let) {
        if let Some(cond) = value.cond {
            let span = self.exprs[cond.0 as usize].span;
            self.errors.push(
                SyntaxError::new(code::E0012, "only a layer's member can have an `if` before its `=`", span)
                    .label("a condition on a variable")
                    .note("write `let x = if condition { a } else { b }`"),
            );
        }
    }

    pub fn member(&mut self, entry: Entry) -> Member {
        let Entry { attributes, any, start, span } = entry;
        let doc = self.doc(span.start, start);
        let kind = match any {
            Any::Storage(storage) => MemberKind::Storage(storage),
            Any::Let(value) => MemberKind::Let(value),
            Any::Const { name, ty, value } => MemberKind::Const { name, ty, value },
            Any::TypeAlias { name, ty } => MemberKind::TypeAlias { name, ty },
            Any::Fn(decl) => MemberKind::Fn(Box::new(decl)),
            Any::Layer(decl) => MemberKind::Layer(Box::new(decl)),
            Any::Failed => MemberKind::Error,
            Any::Stmt(kind) => match self.limit_chain(kind, span) {
                StmtKind::Error => MemberKind::Error,
                kind => MemberKind::Stmt(Box::new(Stmt { attributes: vec![], kind, span })),
            },
            other @ (Any::Use(_) | Any::Test { .. }) => {
                self.report_misplaced(&other, start, "in a layer");
                MemberKind::Error
            }
        };
        Member { attributes, doc, kind, span }
    }

    pub fn item(&mut self, entry: Entry) -> Item {
        let Entry { attributes, any, start, span } = entry;
        let doc = self.doc(span.start, start);
        let kind = match any {
            Any::Use(value) => ItemKind::Use(value),
            Any::Const { name, ty, value } => ItemKind::Const { name, ty, value },
            Any::TypeAlias { name, ty } => ItemKind::TypeAlias { name, ty },
            Any::Fn(decl) => ItemKind::Fn(decl),
            Any::Layer(decl) => ItemKind::Layer(decl),
            Any::Test { name, name_span, body } => ItemKind::Test { name, name_span, body },
            Any::Let(value) => {
                self.check_no_condition(&value);
                ItemKind::Let(value)
            }
            Any::Failed => ItemKind::Error,
            Any::Stmt(kind) => match self.limit_chain(kind, span) {
                StmtKind::Error => ItemKind::Error,
                kind => ItemKind::Stmt(Stmt { attributes: vec![], kind, span }),
            },
            other @ Any::Storage(_) => {
                self.report_misplaced(&other, start, "at the top level of a file");
                ItemKind::Error
            }
        };
        Item { attributes, doc, kind, span }
    }

    fn report_misplaced(&mut self, any: &Any, start: u32, place: &str) {
        let (keyword, home) = match any {
            Any::Use(_) => ("use", "at the top level of a file"),
            Any::Test { .. } => ("test", "at the top level of a file"),
            Any::Const { .. } => ("const", "at the top level of a file or in a layer"),
            Any::TypeAlias { .. } => ("type", "at the top level of a file or in a layer"),
            Any::Fn(_) => ("fn", "at the top level of a file or in a layer"),
            Any::Layer(_) => ("layer", "at the top level of a file or in a layer"),
            Any::Storage(storage) => match storage.kind {
                StorageKind::Param => ("param", "in the body of a layer"),
                StorageKind::Buffer => ("buffer", "in the body of a layer"),
                StorageKind::State => ("state", "in the body of a layer"),
            },
            Any::Let(_) | Any::Stmt(_) | Any::Failed => return,
        };
        let span = Span::new(start, start + keyword.len() as u32);
        let mut error = SyntaxError::new(code::E0012, format!("`{keyword}` cannot stand {place}"), span)
            .label(format!("belongs {home}"));
        if keyword == "const" {
            error = error.note("inside a function, write `let`");
        }
        self.errors.push(error);
    }
}

/// What the element type of a legacy name is, if the path is one.
fn legacy_element(path: &[Ident]) -> Option<&'static str> {
    match path {
        [name] => match name.name.as_str() {
            "Tensor" | "tensor" => Some("float32"),
            "TernaryTensor" => Some("trit"),
            _ => None,
        },
        _ => None,
    }
}
