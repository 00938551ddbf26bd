//! Tokens and trees as text, for `--emit tokens`, `--emit ast` and tests.
//!
//! Spans are left out, so that two texts with the same meaning print the same. A tree prints as
//! s-expressions, one line a declaration or statement: `let y = x @ w.T` is `(let y = (@ x (. w T)))`.

use crate::syntax::ast::*;
use crate::syntax::layout::lay_out;
use crate::syntax::token::TokenKind;
use std::fmt::Write;

/// The tokens behind the layout layer, one a line: the kind and, where it has one, the text.
pub fn tokens(text: &str) -> String {
    let mut out = String::new();
    for (start, kind, end) in lay_out(text).tokens {
        let slice = text.get(start as usize..end as usize).unwrap_or("");
        let line = match kind {
            TokenKind::Terminator => "Terminator".to_string(),
            _ if slice.is_empty() => format!("{kind:?}"),
            _ => format!("{kind:?} {slice}"),
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// One item's tree.
pub fn ast(ast: &Ast) -> String {
    let mut printer = Printer { ast, out: String::new(), indent: 0, modern: false };
    printer.item();
    printer.out
}

/// One item's tree, in which the spellings of older programs are those of today.
pub fn meaning(ast: &Ast) -> String {
    let mut printer = Printer { ast, out: String::new(), indent: 0, modern: true };
    printer.item();
    printer.out
}

/// One expression of a tree.
pub fn expr(ast: &Ast, id: ExprId) -> String {
    let mut printer = Printer { ast, out: String::new(), indent: 0, modern: false };
    printer.expr(id);
    printer.out
}

struct Printer<'a> {
    ast: &'a Ast,
    out: String,
    indent: usize,
    /// Old spellings are printed as what they stand for.
    modern: bool,
}

impl Printer<'_> {
    fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn line(&mut self) {
        self.out.push('\n');
        for _ in 0..self.indent {
            self.out.push_str("  ");
        }
    }

    /// Prints a list with a space before each element.
    fn each<T>(&mut self, items: &[T], mut print: impl FnMut(&mut Self, &T)) {
        for item in items {
            self.text(" ");
            print(self, item);
        }
    }

    fn string(&mut self, text: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.out, "{text:?}");
    }

    fn doc(&mut self, doc: &Option<String>) {
        for line in doc.iter().flat_map(|doc| doc.split('\n')) {
            self.text("## ");
            self.text(line);
            self.line();
        }
    }

    fn attributes(&mut self, attributes: &[Attribute]) {
        for attribute in attributes {
            self.text("(@");
            self.text(&attribute.name.name);
            self.each(&attribute.args, Self::arg);
            self.text(") ");
        }
    }

    fn item(&mut self) {
        let item = &self.ast.item;
        self.doc(&item.doc);
        self.attributes(&item.attributes);
        match &item.kind {
            ItemKind::Use(value) => self.use_item(value),
            ItemKind::Const { name, ty, value } => self.constant(name, ty, *value),
            ItemKind::Let(value) => self.binding("let", value),
            ItemKind::TypeAlias { name, ty } => self.alias(name, *ty),
            ItemKind::Fn(decl) => self.function(decl),
            ItemKind::Layer(decl) => self.layer(decl),
            ItemKind::Test { name, body, .. } => {
                self.text("(test ");
                self.string(name);
                self.block(body);
                self.text(")");
            }
            ItemKind::Stmt(stmt) => self.stmt(stmt),
            ItemKind::Error => self.text("(error)"),
        }
        self.text("\n");
    }

    fn use_item(&mut self, value: &Use) {
        self.text("(use ");
        let path: Vec<&str> = value.path.iter().map(|name| name.name.as_str()).collect();
        self.text(&path.join("."));
        if let Some(names) = &value.names {
            self.text(" {");
            let names: Vec<&str> = names.iter().map(|name| name.name.as_str()).collect();
            self.text(&names.join(" "));
            self.text("}");
        }
        if let Some(alias) = &value.alias {
            self.text(" as ");
            self.text(&alias.name);
        }
        self.text(")");
    }

    fn constant(&mut self, name: &Ident, ty: &Option<TypeId>, value: ExprId) {
        self.text("(const ");
        self.text(&name.name);
        self.annotation(*ty);
        self.text(" = ");
        self.expr(value);
        self.text(")");
    }

    fn alias(&mut self, name: &Ident, ty: TypeId) {
        self.text("(type ");
        self.text(&name.name);
        self.text(" = ");
        self.ty(ty);
        self.text(")");
    }

    fn annotation(&mut self, ty: Option<TypeId>) {
        if let Some(ty) = ty {
            self.text(": ");
            self.ty(ty);
        }
    }

    fn labelled(&mut self, label: &str, id: Option<ExprId>) {
        if let Some(id) = id {
            self.text(label);
            self.expr(id);
        }
    }

    fn binding(&mut self, keyword: &str, value: &Let) {
        self.text("(");
        self.text(keyword);
        self.text(" ");
        self.pattern(&value.pattern);
        self.annotation(value.ty);
        self.labelled(" if ", value.cond);
        self.labelled(" = ", value.init);
        self.text(")");
    }

    fn pattern(&mut self, pattern: &Pattern) {
        match pattern {
            Pattern::Name(name) => self.text(&name.name),
            Pattern::Ignore(_) => self.text("_"),
            Pattern::Tuple(items, _) => {
                self.text("(tuple");
                self.each(items, Self::pattern);
                self.text(")");
            }
        }
    }

    /// What `fn` and `layer` have in common.
    fn head(&mut self, name: &Ident, type_params: &[TypeParam], params: &[Param]) {
        self.text(&name.name);
        if !type_params.is_empty() {
            self.text(" [");
            let params = type_params.iter().map(|param| match &param.bound {
                Some(bound) => format!("{}: {}", param.name.name, bound.name),
                None => param.name.name.clone(),
            });
            let params: Vec<String> = params.collect();
            self.text(&params.join(" "));
            self.text("]");
        }
        self.indent += 1;
        for param in params {
            self.line();
            self.doc(&param.doc);
            self.attributes(&param.attributes);
            self.text("(arg ");
            self.text(&param.name.name);
            self.annotation(param.ty);
            self.labelled(" = ", param.default);
            self.text(")");
        }
    }

    fn result(&mut self, result: Option<TypeId>, wheres: &[ExprId]) {
        if let Some(result) = result {
            self.line();
            self.text("-> ");
            self.ty(result);
        }
        for fact in wheres {
            self.line();
            self.text("where ");
            self.expr(*fact);
        }
    }

    fn function(&mut self, decl: &FnDecl) {
        self.text("(fn ");
        self.head(&decl.name, &decl.type_params, &decl.params);
        self.result(decl.result, &decl.wheres);
        self.indent -= 1;
        match &decl.body {
            FnBody::Block(body) => self.block(body),
            FnBody::Expr(id) => {
                self.indent += 1;
                self.line();
                self.text("= ");
                self.expr(*id);
                self.indent -= 1;
            }
        }
        self.text(")");
    }

    fn layer(&mut self, decl: &LayerDecl) {
        self.text("(layer ");
        self.head(&decl.name, &decl.type_params, &decl.params);
        self.result(decl.result, &decl.wheres);
        for member in &decl.members {
            self.line();
            self.member(member);
        }
        self.indent -= 1;
        self.text(")");
    }

    fn member(&mut self, member: &Member) {
        self.doc(&member.doc);
        self.attributes(&member.attributes);
        match &member.kind {
            MemberKind::Storage(storage) => self.storage(storage),
            MemberKind::Let(value) => self.binding("let", value),
            MemberKind::Const { name, ty, value } => self.constant(name, ty, *value),
            MemberKind::TypeAlias { name, ty } => self.alias(name, *ty),
            MemberKind::Fn(decl) => self.function(decl),
            MemberKind::Layer(decl) => self.layer(decl),
            MemberKind::Stmt(stmt) => self.stmt(stmt),
            MemberKind::Error => self.text("(error)"),
        }
    }

    fn storage(&mut self, storage: &Storage) {
        self.text(match storage.kind {
            StorageKind::Param => "(param ",
            StorageKind::Buffer => "(buffer ",
            StorageKind::State => "(state ",
        });
        self.text(&storage.name.name);
        self.annotation(Some(storage.ty));
        self.labelled(" if ", storage.cond);
        self.labelled(" = ", storage.init);
        self.text(")");
    }

    /// The statements, each on a line of its own.
    fn block(&mut self, block: &Block) {
        self.indent += 1;
        for stmt in &block.stmts {
            self.line();
            self.stmt(stmt);
        }
        self.indent -= 1;
    }

    fn stmt(&mut self, stmt: &Stmt) {
        self.attributes(&stmt.attributes);
        match &stmt.kind {
            StmtKind::Let(value) => self.binding("let", value),
            StmtKind::Assign { target, op, value } => {
                self.text("(");
                self.text(op.map_or("", spelling));
                self.text("= ");
                self.expr(*target);
                self.text(" ");
                self.expr(*value);
                self.text(")");
            }
            StmtKind::Expr(id) => self.expr(*id),
            StmtKind::Return(value) => {
                self.text("(return");
                self.labelled(" ", *value);
                self.text(")");
            }
            StmtKind::If(value) => self.branches(value),
            StmtKind::For { pattern, iter, body } => {
                self.text("(for ");
                self.pattern(pattern);
                self.text(" in ");
                self.expr(*iter);
                self.block(body);
                self.text(")");
            }
            StmtKind::While { cond, body } => {
                self.text("(while ");
                self.expr(*cond);
                self.block(body);
                self.text(")");
            }
            StmtKind::Assert { cond, message } => {
                self.text("(assert ");
                self.expr(*cond);
                self.labelled(" ", *message);
                self.text(")");
            }
            StmtKind::Error => self.text("(error)"),
        }
    }

    fn branches(&mut self, value: &If) {
        for (index, (cond, body)) in value.branches.iter().enumerate() {
            if index == 0 {
                self.text("(if ");
            } else {
                self.line();
                self.text(" elif ");
            }
            self.expr(*cond);
            self.block(body);
        }
        if let Some(body) = &value.otherwise {
            self.line();
            self.text(" else");
            self.block(body);
        }
        self.text(")");
    }

    fn arg(&mut self, arg: &Arg) {
        if let Some(name) = &arg.name {
            self.text(&name.name);
            self.text("=");
        }
        self.expr(arg.value);
    }

    fn index_item(&mut self, item: &IndexItem) {
        match item {
            IndexItem::Expr(id) => self.expr(*id),
            IndexItem::Slice { start, stop, step, .. } => {
                self.labelled("", *start);
                self.text(":");
                self.labelled("", *stop);
                self.labelled(":", *step);
            }
        }
    }

    fn list(&mut self, head: &str, items: &[ExprId]) {
        self.text("(");
        self.text(head);
        self.each(items, |printer, id| printer.expr(*id));
        self.text(")");
    }

    fn expr(&mut self, id: ExprId) {
        let ast = self.ast;
        match &ast[id].kind {
            ExprKind::Error => self.text("(error)"),
            ExprKind::Int(value) => self.text(&value.to_string()),
            ExprKind::Float(value) => self.text(&value.to_string()),
            ExprKind::Str(value) => self.string(value),
            ExprKind::Bool(value) => self.text(if *value { "true" } else { "false" }),
            ExprKind::None => self.text("None"),
            ExprKind::Name(name) => self.text(name),
            ExprKind::Placeholder => self.text("_"),
            ExprKind::Ellipsis => self.text("..."),
            ExprKind::Pack(name) => {
                self.text("...");
                self.text(&name.name);
            }
            ExprKind::Tuple(items) => self.list("tuple", items),
            ExprKind::List(items) => self.list("list", items),
            ExprKind::Comprehension { elem, pattern, iter, cond } => {
                self.text("(list ");
                self.expr(*elem);
                self.text(" for ");
                self.pattern(pattern);
                self.text(" in ");
                self.expr(*iter);
                self.labelled(" if ", *cond);
                self.text(")");
            }
            ExprKind::Unary { op: UnaryOp::Neg, operand } => self.list("-", &[*operand]),
            ExprKind::Unary { op: UnaryOp::Not, operand } => self.list("not", &[*operand]),
            ExprKind::Binary { op, lhs, rhs } => self.list(spelling(*op), &[*lhs, *rhs]),
            ExprKind::Range { start, stop } => self.list("..", &[*start, *stop]),
            ExprKind::Call { callee, args } => {
                self.text("(call ");
                self.expr(*callee);
                self.each(args, Self::arg);
                self.text(")");
            }
            ExprKind::Index { base, items } => {
                self.text("(index ");
                match &ast[*base].kind {
                    ExprKind::Name(name) if self.modern && name == "TernaryTensor" => self.text("trit"),
                    _ => self.expr(*base),
                }
                self.each(items, Self::index_item);
                self.text(")");
            }
            ExprKind::Field { base, name } => {
                self.text("(. ");
                self.expr(*base);
                self.text(" ");
                self.text(&name.name);
                self.text(")");
            }
            ExprKind::Pipe { value, function } => self.list("|>", &[*value, *function]),
            ExprKind::If(value) => {
                self.indent += 1;
                self.branches(value);
                self.indent -= 1;
            }
            // In today's spelling a subscript stands there, which names tell from others.
            ExprKind::Type(id) => match &ast[*id].kind {
                TypeKind::Tensor { elem, dims, .. } if self.modern => {
                    self.text("(index ");
                    self.text(&elem.name);
                    self.each(dims, Self::dim);
                    self.text(")");
                }
                _ => self.ty(*id),
            },
        }
    }

    fn ty(&mut self, id: TypeId) {
        let ast = self.ast;
        match &ast[id].kind {
            TypeKind::Name(path) => {
                let path: Vec<&str> = path.iter().map(|name| name.name.as_str()).collect();
                self.text(&path.join("."));
            }
            TypeKind::Tensor { elem, dims, legacy } => {
                self.text(if *legacy && !self.modern { "(legacy " } else { "(tensor " });
                self.text(&elem.name);
                self.each(dims, Self::dim);
                self.text(")");
            }
            TypeKind::Tuple(items) => {
                self.text("(tuple");
                self.each(items, |printer, id| printer.ty(*id));
                self.text(")");
            }
            TypeKind::List(item) => {
                self.text("(list ");
                self.ty(*item);
                self.text(")");
            }
            TypeKind::Error => self.text("(error)"),
        }
    }

    fn dim(&mut self, dim: &DimItem) {
        match dim {
            DimItem::Expr(id) => self.expr(*id),
            DimItem::Any(_) => self.text("..."),
            DimItem::Pack(name) => {
                self.text("...");
                self.text(&name.name);
            }
            DimItem::Unknown(_) => self.text("?"),
        }
    }
}

fn spelling(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::FloorDiv => "//",
        BinaryOp::Mod => "%",
        BinaryOp::Pow => "**",
        BinaryOp::MatMul => "@",
        BinaryOp::Eq => "==",
        BinaryOp::Ne => "!=",
        BinaryOp::Lt => "<",
        BinaryOp::Le => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::Ge => ">=",
        BinaryOp::And => "and",
        BinaryOp::Or => "or",
    }
}
