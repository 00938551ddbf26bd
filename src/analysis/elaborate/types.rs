//! Type expressions.

use crate::analysis::db::Report;
use crate::analysis::elaborate::layer::member_name;
use crate::analysis::elaborate::{Binding, Elaborator};
use crate::analysis::foreign;
use crate::analysis::modules::{self, Named};
use crate::analysis::value::{LayerRef, Value};
use crate::analysis::world::{Abort, Walk};
use crate::base::{Near, Span, code, suggest};
use crate::syntax::ast::{DimItem, ExprId, ExprKind, Ident, ItemKind, MemberKind, TypeId, TypeKind};
use crate::syntax::items::RawKind;
use crate::types::{Bound, DType, Dim, Elem, Shape, Symbol, TensorType};

/// What a type expression says.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeSpec<'db> {
    Tensor(TensorType),
    Int,
    Float,
    Bool,
    Str,
    DType,
    Scheme,
    Init,
    Tuple(Vec<TypeSpec<'db>>),
    List(Box<TypeSpec<'db>>),
    Layer(LayerRef<'db>),
    /// Nothing is said: a hyperparameter without a type, `let x = ...`.
    Any,
}

impl TypeSpec<'_> {
    /// As Tri writes it.
    pub fn describe(&self) -> String {
        match self {
            TypeSpec::Tensor(ty) => ty.to_string(),
            TypeSpec::Int => "int".into(),
            TypeSpec::Float => "float".into(),
            TypeSpec::Bool => "bool".into(),
            TypeSpec::Str => "str".into(),
            TypeSpec::DType => "dtype".into(),
            TypeSpec::Scheme => "scheme".into(),
            TypeSpec::Init => "init".into(),
            TypeSpec::Tuple(items) => {
                let items: Vec<String> = items.iter().map(TypeSpec::describe).collect();
                format!("({})", items.join(", "))
            }
            TypeSpec::List(item) => format!("[{}]", item.describe()),
            TypeSpec::Layer(layer) => layer.decl.name.name.clone(),
            TypeSpec::Any => "any value".into(),
        }
    }
}

/// Aliases of aliases nest this deep at most.
const MAX_TYPE_DEPTH: u32 = 100;

const HOST_TYPES: &[&str] = &["int", "float", "str", "dtype", "scheme", "init"];

impl<'db> Elaborator<'_, 'db> {
    pub fn resolve_type(&mut self, id: TypeId) -> Walk<TypeSpec<'db>> {
        let ast = self.ast;
        let ty = &ast[id];
        match &ty.kind {
            TypeKind::Name(path) => self.named_type(path, ty.span),
            TypeKind::Tensor { elem, dims, .. } => {
                let elem = self.elem_type(elem)?;
                let shape = self.shape_type(dims)?;
                Ok(TypeSpec::Tensor(TensorType { elem, shape }))
            }
            TypeKind::Tuple(items) => {
                let items: Walk<Vec<_>> = items.iter().map(|item| self.resolve_type(*item)).collect();
                Ok(TypeSpec::Tuple(items?))
            }
            TypeKind::List(item) => Ok(TypeSpec::List(Box::new(self.resolve_type(*item)?))),
            TypeKind::Error => Err(Abort::Reported),
        }
    }

    fn named_type(&mut self, path: &[Ident], span: Span) -> Walk<TypeSpec<'db>> {
        let [ident] = path else {
            return self.dotted_type(path, span);
        };
        let name = ident.name.as_str();
        if let Some(elem) = self.elems.get(name) {
            return Ok(TypeSpec::Tensor(TensorType::scalar(elem.clone())));
        }
        match name {
            "int" => return Ok(TypeSpec::Int),
            "float" => return Ok(TypeSpec::Float),
            "str" => return Ok(TypeSpec::Str),
            "dtype" => return Ok(TypeSpec::DType),
            "scheme" => return Ok(TypeSpec::Scheme),
            "init" => return Ok(TypeSpec::Init),
            // The host bool and the element type share a name; which is meant depends on the place.
            "bool" => return Ok(TypeSpec::Bool),
            "Tensor" | "tensor" => return Ok(TypeSpec::Tensor(TensorType::new(DType::Float32, Shape::unknown()))),
            "TernaryTensor" => return Ok(TypeSpec::Tensor(TensorType::new(DType::Trit, Shape::unknown()))),
            _ => {}
        }
        if let Some(dtype) = DType::parse(name) {
            return Ok(TypeSpec::Tensor(TensorType::scalar(dtype)));
        }
        if let Some(spec) = self.own_alias(name) {
            return spec;
        }
        let named = modules::lookup(self.db, self.file, name);
        let named = named.or_else(|| modules::implicit(self.db, name).map(Named::Item));
        if let Some(layer) = self.local(name).and_then(|binding| match binding {
            Binding::Value(Value::Layer(layer, _)) => Some(*layer),
            _ => None,
        }) {
            return Ok(TypeSpec::Layer(layer));
        }
        match named {
            Some(Named::Item(item)) => self.item_type(item, name, span),
            Some(Named::Missing) => Err(Abort::Reported),
            _ => Err(self.unknown_type(name, span, false)),
        }
    }

    /// A `type` declared in the layer being walked; its dim variables are the user's.
    fn own_alias(&mut self, name: &str) -> Option<Walk<TypeSpec<'db>>> {
        let layer = self.layer?;
        let ty = layer.decl.members.iter().find_map(|member| match &member.kind {
            MemberKind::TypeAlias { name: own, ty } if own.name == name => Some(*ty),
            _ => None,
        })?;
        if self.depth >= MAX_TYPE_DEPTH {
            let span = layer.ast[ty].span;
            return Some(Err(self.error(code::E0404, format!("the type `{name}` has no end"), span, "")));
        }
        let outer = std::mem::replace(&mut self.ast, layer.ast);
        self.depth += 1;
        let spec = self.resolve_type(ty);
        self.depth -= 1;
        self.ast = outer;
        Some(spec)
    }

    fn dotted_type(&mut self, path: &[Ident], span: Span) -> Walk<TypeSpec<'db>> {
        let names: Vec<&str> = path.iter().map(|p| p.name.as_str()).collect();
        if let [module, name] = names.as_slice()
            && let Some(Named::Module(file)) = modules::lookup(self.db, self.file, module)
            && let Some(item) = modules::export(self.db, file, name)
        {
            return self.item_type(item, name, span);
        }
        Err(self.unknown_type(&names.join("."), span, false))
    }

    fn item_type(&mut self, item: crate::analysis::db::Item<'db>, name: &str, span: Span) -> Walk<TypeSpec<'db>> {
        let ast = if item == self.item { self.ast } else { &crate::analysis::db::parse_item(self.db, item).ast };
        match &ast.item.kind {
            ItemKind::Layer(decl) => Ok(TypeSpec::Layer(super::names::layer_ref(item, ast, decl))),
            ItemKind::TypeAlias { ty, .. } => {
                let ty = *ty;
                let declaring = self.declaring.take();
                let outer = self.scopes.clone();
                let elems = self.elems.clone();
                let (spec, declared, scope) = self.nested(item, ast, span, |inner| {
                    // Dim variables of an alias are the user's.
                    inner.scopes = outer;
                    inner.elems = elems;
                    inner.declaring = declaring;
                    let spec = inner.resolve_type(ty)?;
                    Ok((spec, inner.declaring.take(), std::mem::take(&mut inner.scopes)))
                })?;
                self.declaring = declared;
                self.scopes = scope;
                Ok(spec)
            }
            _ => Err(self.unknown_type(name, span, false)),
        }
    }

    /// A name that is no type; `is_element` where dims follow it, so that only an element type can stand there.
    fn unknown_type(&mut self, name: &str, span: Span, is_element: bool) -> Abort {
        if self.misspelt_import(name) {
            return Abort::Reported;
        }
        let place = self.place(span);
        let mut report = Report::new(code::E0208, format!("unknown type `{name}`")).at(place, "not a type");
        if let Some(told) = self.outer_name(&report, name) {
            return self.fail(told);
        }
        let mut candidates: Vec<String> = DType::ALL.iter().map(|d| d.name().to_string()).collect();
        candidates.extend(HOST_TYPES.iter().map(|n| n.to_string()));
        candidates.extend(self.elems.keys().cloned());
        let members = self.layer.iter().flat_map(|layer| &layer.decl.members);
        candidates.extend(members.filter_map(|member| match &member.kind {
            MemberKind::TypeAlias { name, .. } => Some(name.name.clone()),
            _ => None,
        }));
        if !is_element {
            let is_type = |named: &Named<'db>| match named {
                Named::Item(item) => matches!(item.kind(self.db), RawKind::Layer | RawKind::Type),
                Named::Module(_) | Named::Missing => false,
            };
            let named = modules::scope(self.db, self.file).iter().filter(|(_, named)| is_type(named));
            candidates.extend(named.map(|(name, _)| name.clone()));
        }
        if let Some(own) = foreign::element_type(name) {
            if HOST_TYPES.contains(&name) {
                report = report.note(format!("`{name}` is the type of a host value; tensors hold element types"));
            }
            report = self.rename(report, span, name, Near { name: own, certain: true });
        } else if let Some(module) = modules::library_module_with(self.db, name) {
            report = self.import_it(report.note("the standard library has it"), module, name, span);
        } else {
            let near = suggest::nearest(name, candidates.iter().map(String::as_str));
            if is_element && near.is_none() && name.starts_with(char::is_uppercase) {
                report = report.note(format!(
                    "a type variable is declared with its layer or function, as in `{}`",
                    self.with_type_variable(name)
                ));
            } else if near.is_none_or(|near| !near.certain) {
                let names: Vec<&str> = DType::ALL.iter().map(|dtype| dtype.name()).collect();
                report = report.note(format!("element types are {}", names.join(", ")));
            }
            if let Some(near) = near {
                report = self.rename(report, span, name, near);
            }
        }
        self.fail(report)
    }

    fn elem_type(&mut self, ident: &Ident) -> Walk<Elem> {
        if let Some(elem) = self.elems.get(&ident.name) {
            return Ok(elem.clone());
        }
        if let Some(Binding::Value(Value::DType(elem))) = self.local(&ident.name) {
            return Ok(elem.clone());
        }
        match DType::parse(&ident.name) {
            Some(dtype) => Ok(Elem::Known(dtype)),
            None => Err(self.unknown_type(&ident.name, ident.span, true)),
        }
    }

    /// The head of the declaration that is walked, with a type variable.
    fn with_type_variable(&self, name: &str) -> String {
        match (&self.layer, &self.ast.item.kind) {
            (Some(layer), _) => format!("layer {}[{name}: float](...)", layer.decl.name.name),
            (None, ItemKind::Layer(decl)) => format!("layer {}[{name}: float](...)", decl.name.name),
            (None, ItemKind::Fn(decl)) => format!("fn {}[{name}: float](...)", decl.name.name),
            (None, _) => format!("fn f[{name}: float](...)"),
        }
    }

    fn shape_type(&mut self, items: &[DimItem]) -> Walk<Shape> {
        let mut shape = Shape::default();
        for item in items {
            let (run, span) = match item {
                DimItem::Expr(expr) => {
                    let dim = self.dim_expr(*expr)?;
                    shape.dims.push(dim);
                    continue;
                }
                DimItem::Unknown(_) => {
                    let dim = self.fresh_dim();
                    shape.dims.push(dim);
                    continue;
                }
                DimItem::Any(span) => (self.anonymous_pack(*span), *span),
                DimItem::Pack(name) => (self.named_pack(name)?, name.span),
            };
            if let Some((at, pack)) = run.pack {
                if shape.pack.is_some() {
                    let message = "a type can have one `...` only";
                    return Err(self.error(code::E0304, message, span, "a second run of any dims"));
                }
                shape.pack = Some((shape.dims.len() + at, pack));
            }
            shape.dims.extend(run.dims);
        }
        Ok(shape)
    }

    /// `...`: in a signature a run of dims of its own, elsewhere anything.
    fn anonymous_pack(&mut self, span: Span) -> Shape {
        match self.declaring.is_some() {
            true => self.declare(None, true, span),
            false => Shape::unknown(),
        }
    }

    fn named_pack(&mut self, name: &Ident) -> Walk<Shape> {
        match self.local(&name.name) {
            Some(Binding::Value(Value::Shape(shape))) => return Ok(shape.clone()),
            Some(_) if self.declaring.is_some() && self.is_no_value(&name.name) => {}
            Some(_) => {
                let message = format!("`{}` is not a run of dims", name.name);
                return Err(self.error(code::E0307, message, name.span, "used as `...` here"));
            }
            None => {}
        }
        match self.declaring.is_some() {
            true => Ok(self.declare(Some(&name.name), true, name.span)),
            false => Err(self.unknown_dim(&name.name, name.span, None)),
        }
    }

    /// A dim of a type: an integer expression; in a signature a capitalised name may introduce one.
    pub fn dim_expr(&mut self, expr: ExprId) -> Walk<Dim> {
        let span = self.span(expr);
        let ast = self.ast;
        self.declare_dims(expr)?;
        if let Some((name, span)) = self.unresolved_dim(ast, expr) {
            return Err(self.unknown_dim(name, span, None));
        }
        let value = self.expr(expr)?;
        match value {
            Value::Number(number) if number.is_int() => Ok(number.as_dim().cloned().unwrap_or_default()),
            Value::Opaque(_) => Ok(self.fresh_dim()),
            Value::Error => Err(Abort::Reported),
            other => {
                let message = format!("a dim must be an int, not {}", other.describe());
                Err(self.error(code::E0201, message, span, "not an int"))
            }
        }
    }

    /// A name in a dim's arithmetic that stands for nothing.
    fn unresolved_dim(&self, ast: &'db crate::syntax::ast::Ast, expr: ExprId) -> Option<(&'db str, Span)> {
        match &ast[expr].kind {
            ExprKind::Name(name) => {
                let known = self.local(name).is_some() || self.is_global(name);
                (!known).then_some((name.as_str(), ast[expr].span))
            }
            ExprKind::Binary { lhs, rhs, .. } => {
                self.unresolved_dim(ast, *lhs).or_else(|| self.unresolved_dim(ast, *rhs))
            }
            ExprKind::Unary { operand, .. } => self.unresolved_dim(ast, *operand),
            _ => None,
        }
    }

    /// Binds the new dim variables of a dim expression.
    fn declare_dims(&mut self, expr: ExprId) -> Walk<()> {
        let ast = self.ast;
        match &ast[expr].kind {
            ExprKind::Name(name) => {
                let capital = name.chars().next().is_some_and(char::is_uppercase);
                let is_known = self.local(name).is_some() || self.is_global(name);
                let is_free = !is_known || self.declaring.is_some() && self.is_no_value(name);
                if !capital || !is_free {
                    return Ok(());
                }
                if self.declaring.is_none() {
                    return Err(self.unknown_dim(name, ast[expr].span, None));
                }
                self.declare(Some(name), false, ast[expr].span);
                Ok(())
            }
            ExprKind::Binary { lhs, rhs, .. } => {
                let (lhs, rhs) = (*lhs, *rhs);
                self.declare_dims(lhs)?;
                self.declare_dims(rhs)
            }
            ExprKind::Unary { operand, .. } => {
                let operand = *operand;
                self.declare_dims(operand)
            }
            _ => Ok(()),
        }
    }

    /// Whether a name is declared as a layer, function, type or module: never an int, so that a signature may use it
    /// for a dim variable, which hides it in there.
    fn is_no_value(&self, name: &str) -> bool {
        if self.local(name).is_some() {
            let is_declared = |kind: &MemberKind| {
                matches!(kind, MemberKind::Fn(_) | MemberKind::Layer(_) | MemberKind::TypeAlias { .. })
            };
            let mut members = self.layer.iter().flat_map(|layer| &layer.decl.members);
            return matches!(self.local(name), Some(Binding::Value(Value::Function(_) | Value::Layer(..))))
                && members.any(|member| is_declared(&member.kind) && member_name(member) == Some(name));
        }
        let named = modules::lookup(self.db, self.file, name);
        match named.or_else(|| modules::implicit(self.db, name).map(Named::Item)) {
            Some(Named::Item(item)) => matches!(item.kind(self.db), RawKind::Layer | RawKind::Fn | RawKind::Type),
            Some(Named::Module(_)) => true,
            Some(Named::Missing) | None => false,
        }
    }

    pub(super) fn is_global(&self, name: &str) -> bool {
        modules::lookup(self.db, self.file, name).is_some() || modules::implicit(self.db, name).is_some()
    }

    /// An error for a dim that stands for nothing, with what is known of the size that is meant.
    pub(super) fn unknown_dim(&mut self, name: &str, span: Span, known: Option<String>) -> Abort {
        let candidates: Vec<String> = self
            .scopes
            .iter()
            .flat_map(|scope| scope.iter())
            .filter(|(_, binding)| matches!(binding, Binding::Value(Value::Number(_) | Value::Shape(_))))
            .map(|(name, _)| name.clone())
            .collect();
        let place = self.place(span);
        let mut report = Report::new(code::E0307, format!("unknown dim `{name}`")).at(place, "not found here");
        match suggest::nearest(name, candidates.iter().map(String::as_str)) {
            Some(near) => report = self.rename(report, span, name, near),
            None => {
                report = match self.outer_name(&report, name) {
                    Some(told) => told,
                    None if known.is_some() => report,
                    None => report.note(
                        "a dim is a hyperparameter, a constant, or a dim variable of the signature; dim variables \
                         begin with a capital letter",
                    ),
                };
            }
        }
        report.notes.extend(known);
        self.fail(report)
    }

    /// Type variables of a declaration, still open.
    pub fn declare_type_params(&mut self, params: &[crate::syntax::ast::TypeParam]) -> Walk<()> {
        for param in params {
            let bound = match &param.bound {
                None => Bound::Any,
                Some(ident) => match Bound::parse(&ident.name) {
                    Some(bound) => bound,
                    None => {
                        let message = format!("unknown bound `{}`", ident.name);
                        let place = self.place(ident.span);
                        let mut report = Report::new(code::E0208, message)
                            .at(place, "not a bound")
                            .note("bounds are any, num, int and float");
                        if let Some(near) = suggest::nearest(&ident.name, ["any", "num", "int", "float"].into_iter()) {
                            report = self.rename(report, ident.span, &ident.name, near);
                        }
                        return Err(self.fail(report));
                    }
                },
            };
            let elem = Elem::Var(Symbol::new(&param.name.name), bound);
            self.elems.entry(param.name.name.clone()).or_insert(elem);
        }
        Ok(())
    }
}
