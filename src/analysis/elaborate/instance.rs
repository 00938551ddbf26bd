//! Making instances: hyperparameters bound and checked, `where` facts, type arguments.

use crate::analysis::db::Report;
use crate::analysis::elaborate::arguments::CallArg;
use crate::analysis::elaborate::loops::length_of;
use crate::analysis::elaborate::names::full_layer;
use crate::analysis::elaborate::types::TypeSpec;
use crate::analysis::elaborate::{Binding, Elaborator};
use crate::analysis::value::{Cond, Instance, LayerRef, List, Opaque, OpaqueKind, Step, Value};
use crate::analysis::world::{Abort, Walk};
use crate::base::{Span, code};
use crate::syntax::ast::{self, ExprId};
use crate::types::{DType, Dim, Elem, HostExpr, Symbol};

impl<'db> Elaborator<'_, 'db> {
    /// Calls a layer: an instance with these hyperparameters.
    pub fn make_instance(
        &mut self,
        layer: LayerRef<'db>,
        elems: Vec<Elem>,
        args: Vec<CallArg<'db>>,
        passes_hypers: bool,
        span: Span,
    ) -> Walk<Value<'db>> {
        let name = &layer.decl.name.name;
        if !self.makes_layers {
            let place = self.place(span);
            let report = Report::new(code::E0401, format!("an instance of `{name}` cannot be made here"))
                .at(place, "inside code that runs with each call")
                .note("make it in a `let` of the layer, so that its parameters belong to it");
            return Err(self.fail(report));
        }
        let mut bound = self.bind_arguments(name, &layer.decl.params, args)?;
        if passes_hypers && let Some(own) = self.instance.clone() {
            for (slot, param) in bound.iter_mut().zip(&layer.decl.params) {
                if slot.is_none()
                    && let Some(value) = own.hyper(&param.name.name)
                {
                    *slot = Some(CallArg::positional(value.clone(), span));
                }
            }
        }
        let elems = self.layer_elems(layer, elems, span)?;
        let reports = self.reports.len();
        let caller = (self.item, span);
        let result = self.nested(layer.item, layer.ast, span, |inner| {
            inner.bind_layer_elems(layer, &elems);
            inner.makes_layers = true;
            let mut hypers = vec![];
            for (param, arg) in layer.decl.params.iter().zip(bound) {
                let value = inner.hyper_value(layer, param, arg, caller)?;
                inner.bind(&param.name.name, value.clone());
                hypers.push((param.name.name.clone(), value));
            }
            inner.check_wheres(layer, caller)?;
            Ok(hypers)
        });
        let hypers = result.inspect_err(|_| self.blame_call(reports, span))?;
        let instance = Instance { layer, elems, hypers, path: None, values: None };
        if self.adopts && self.depth == 0 {
            self.made.push((instance.clone(), span));
        }
        Ok(Value::Instance(Box::new(instance)))
    }

    /// Reports that came out of a callee's signature point at the call. What is wrong with the signature whoever
    /// calls is told where it stands.
    pub fn blame_call(&mut self, from: usize, span: Span) {
        let place = self.place(span);
        let inherent = |report: &Report<'_>| {
            matches!(report.code, code::E0101 | code::E0208 | code::E0307)
                && report.labels.iter().any(|label| label.primary && label.place.item != place.item)
        };
        let told: Vec<_> = self.reports.split_off(from).into_iter().filter(|report| !inherent(report)).collect();
        self.reports.extend(told);
        for report in &mut self.reports[from..] {
            // Interfaces have no spans of their own: whatever points into one is shown at the call.
            let mut here = false;
            report.labels.retain(|label| label.place.item == place.item || label.place.span != Span::default());
            for label in &report.labels {
                here |= label.primary;
            }
            if !here {
                report.labels.push(crate::analysis::db::ReportLabel { place, text: String::new(), primary: true });
            }
        }
    }

    /// Shows what was found in the body of a callee, from report `from` on, at the call: only the call can be
    /// changed by who reads it.
    pub fn blame_caller(&mut self, from: usize, callee: &str, span: Span) {
        let place = self.place(span);
        for report in &mut self.reports[from..] {
            report.labels.retain(|label| label.place.item == place.item && !label.primary);
            report.fixes.clear();
            let text = format!("in this call of `{callee}`");
            report.labels.push(crate::analysis::db::ReportLabel { place, text, primary: true });
        }
    }

    fn layer_elems(&mut self, layer: LayerRef<'db>, given: Vec<Elem>, span: Span) -> Walk<Vec<Elem>> {
        let params = &layer.decl.type_params;
        if given.len() > params.len() {
            let message = format!("`{}` takes {} type arguments", layer.decl.name.name, params.len());
            let mut report = Report::new(code::E0203, message).at(
                self.place(span),
                match given.len() {
                    1 => "1 is given".to_string(),
                    count => format!("{count} are given"),
                },
            );
            if params.is_empty() {
                let name = &layer.decl.name.name;
                report =
                    report.note(format!("a layer with a type variable begins as in `layer {name}[F: float](...)`"));
            }
            return Err(self.fail(report));
        }
        let mut elems = given;
        while elems.len() < params.len() {
            elems.push(Elem::Known(DType::Float32));
        }
        for (elem, param) in elems.iter().zip(params) {
            let bound = param.bound.as_ref().and_then(|b| crate::types::Bound::parse(&b.name));
            let bound = bound.unwrap_or(crate::types::Bound::Any);
            let fits = match elem {
                Elem::Known(dtype) => bound.admits(*dtype),
                Elem::Var(_, own) => bound.includes(*own),
            };
            if !fits {
                let message =
                    format!("`{}` of `{}` must be {bound}, not {elem}", param.name.name, layer.decl.name.name);
                return Err(self.error(code::E0201, message, span, ""));
            }
        }
        Ok(elems)
    }

    pub fn bind_layer_elems(&mut self, layer: LayerRef<'db>, elems: &[Elem]) {
        for (param, elem) in layer.decl.type_params.iter().zip(elems) {
            self.elems.insert(param.name.name.clone(), elem.clone());
        }
    }

    fn hyper_value(
        &mut self,
        layer: LayerRef<'db>,
        param: &'db ast::Param,
        arg: Option<CallArg<'db>>,
        caller: (crate::analysis::db::Item<'db>, Span),
    ) -> Walk<Value<'db>> {
        let name = &param.name.name;
        let spec = match param.ty {
            Some(ty) => self.resolve_type(ty)?,
            None => TypeSpec::Any,
        };
        let Some(arg) = arg else {
            return match param.default {
                Some(default) => self.expr_as(default, &spec),
                None => {
                    let place = crate::analysis::db::Place { item: caller.0, span: caller.1 };
                    let message = format!("`{}` needs `{name}`", layer.decl.name.name);
                    let report = Report::new(code::E0402, message).at(place, format!("`{name}` is missing"));
                    Err(self.fail(report))
                }
            };
        };
        let spec = match (&spec, param.default) {
            // Without a type it takes its default's.
            (TypeSpec::Any, Some(default)) => spec_like(&self.expr(default)?),
            _ => spec,
        };
        let place = crate::analysis::db::Place { item: caller.0, span: arg.span };
        if !fits_host(&spec, &arg.value) {
            let message = format!(
                "`{name}` of `{}` must be {}, not {}",
                layer.decl.name.name,
                spec.describe(),
                arg.value.describe()
            );
            let report = Report::new(code::E0201, message).at(place, format!("this is {}", arg.value.describe()));
            return Err(self.fail(report));
        }
        self.conform(arg.value, &spec, arg.span)
    }

    /// `where` facts of a layer at a call: proved, refused, or left for when sizes are known.
    fn check_wheres(&mut self, layer: LayerRef<'db>, caller: (crate::analysis::db::Item<'db>, Span)) -> Walk<()> {
        for (index, expr) in layer.decl.wheres.iter().enumerate() {
            let Value::Bool(cond) = self.expr(*expr)? else { continue };
            let place = crate::analysis::db::Place { item: caller.0, span: caller.1 };
            let name = &layer.decl.name.name;
            let reports = self.reports.len();
            let checked = self.check_where(name, &cond, place, |db| {
                let full = full_layer(db, layer);
                source_of(db, full.item, full.ast, full.decl.wheres.get(index).copied())
            });
            if checked.is_err() {
                let mut named = vec![];
                names_in(layer.ast, *expr, &mut named);
                let values: Vec<String> = named.iter().filter_map(|name| self.known_value(name)).collect();
                for report in &mut self.reports[reports..] {
                    report.notes.push(format!("here {}", values.join(", ")));
                }
            }
            checked?;
        }
        Ok(())
    }

    /// `dim = 64`, for a name that stands for a number.
    fn known_value(&self, name: &str) -> Option<String> {
        match self.local(name)? {
            Binding::Value(Value::Number(number)) => Some(format!("{name} = {number}")),
            _ => None,
        }
    }

    /// One `where` fact at a call; `text` gives it as it is written.
    pub fn check_where(
        &mut self,
        callee: &str,
        cond: &Cond,
        place: crate::analysis::db::Place<'db>,
        text: impl FnOnce(&'db dyn salsa::Database) -> String,
    ) -> Walk<()> {
        match self.truth(cond) {
            Some(true) => Ok(()),
            Some(false) => {
                let message = format!("`{callee}` needs `{}`, which does not hold here", text(self.db));
                let report = Report::new(code::E0403, message).at(place, "required by this call");
                Err(self.fail(report))
            }
            None => {
                let message = format!("`{callee}` needs {cond}");
                if let Some(obligation) = super::function::obligation_of(cond, message) {
                    self.obligations.push((obligation, place));
                }
                Ok(())
            }
        }
    }

    /// A hyperparameter of a definition that is walked on its own: a symbol, or something opaque.
    pub fn open_hyper(&mut self, param: &'db ast::Param) -> Walk<Value<'db>> {
        let name = &param.name.name;
        let spec = match param.ty {
            Some(ty) => self.resolve_type(ty)?,
            None => TypeSpec::Any,
        };
        let spec = match (spec, param.default) {
            (TypeSpec::Any, Some(default)) => {
                let value = self.expr(default)?;
                if value == Value::None {
                    let message = format!("`{name}` needs a type: its default `None` does not tell one");
                    let report = Report::new(code::E0208, message)
                        .at(self.place(param.name.span), "nothing says what it is when it is given")
                        .note(format!("write the type before the default, as in `{name}: float32[B, N] = None`"));
                    return Err(self.fail(report));
                }
                match spec_like(&value) {
                    // A callable: any of its signature fits, so its default speaks for all.
                    TypeSpec::Any => return Ok(value),
                    spec => spec,
                }
            }
            (TypeSpec::Any, None) => {
                let message = format!("`{name}` needs a type or a default");
                return Err(self.error(code::E0208, message, param.name.span, "nothing says what it is"));
            }
            (spec, Some(default)) => {
                self.default_value(default, &spec)?;
                spec
            }
            (spec, None) => spec,
        };
        if let Some(default) = param.default
            && !matches!(spec, TypeSpec::Any | TypeSpec::Scheme)
        {
            self.expr_as(default, &spec)?;
        }
        let place = self.place(param.name.span);
        let opaque = |kind| Value::Opaque(Opaque { name: name.clone(), kind });
        Ok(match spec {
            TypeSpec::Int => {
                let symbol = Symbol::new(name);
                self.origins.set(symbol, place);
                Value::dim(Dim::symbol(name))
            }
            TypeSpec::Float => Value::Number(HostExpr::FloatSymbol(Symbol::new(name))),
            TypeSpec::Bool => Value::Bool(Cond::Opaque(name.clone())),
            TypeSpec::Str => opaque(OpaqueKind::Str),
            TypeSpec::DType => Value::DType(Elem::Var(Symbol::new(name), crate::types::Bound::Any)),
            TypeSpec::Scheme => match param.default {
                Some(default) => self.expr(default)?,
                None => opaque(OpaqueKind::Scheme),
            },
            TypeSpec::Init => opaque(OpaqueKind::Init),
            TypeSpec::List(inner) if matches!(*inner, TypeSpec::Int) => opaque(OpaqueKind::Ints),
            TypeSpec::List(_) | TypeSpec::Tuple(_) => match self.open_parts(&spec, name) {
                value if value.has_instance() => value,
                _ => opaque(OpaqueKind::List),
            },
            TypeSpec::Layer(layer) => unknown_instance(layer),
            TypeSpec::Tensor(ty) => {
                let message = format!("a hyperparameter is a host value, not a tensor {ty}");
                return Err(self.error(code::E0201, message, param.name.span, "a tensor type"));
            }
            TypeSpec::Any => Value::Error,
        })
    }

    /// In a method an instance is a member, or part of one: one that is a hyperparameter and nothing else has no place
    /// in the layer, and nobody holds its parameters.
    pub fn refuse_unheld(&mut self, instance: Option<&Instance<'db>>, span: Span) -> Walk<()> {
        let (Some(owner), Some(instance)) = (self.layer, instance) else { return Ok(()) };
        if instance.path.is_some() || self.makes_layers {
            return Ok(());
        }
        let (layer, owner) = (&instance.layer.decl.name.name, &owner.decl.name.name);
        let message = format!("this instance of `{layer}` is no member of `{owner}`");
        if self.reports.iter().any(|known| known.message == message) {
            return Err(Abort::Reported);
        }
        let report = Report::new(code::E0401, message).at(self.place(span), "used here").note(
            "a hyperparameter gives it, but nothing holds its parameters: make it a member, as in `let own = given`, \
             and use that",
        );
        Err(self.fail(report))
    }

    /// A list or tuple that has no value yet, as far as its parts are instances of known layers.
    fn open_parts(&mut self, spec: &TypeSpec<'db>, name: &str) -> Value<'db> {
        match spec {
            TypeSpec::Layer(layer) => unknown_instance(*layer),
            TypeSpec::List(inner) => {
                let index = self.fresh_index("i");
                let element = Box::new(self.open_parts(inner, &format!("{name}[{index}]")));
                Value::List(List::Repeat { index, count: length_of(name), element })
            }
            TypeSpec::Tuple(items) => {
                let part = |(position, item)| self.open_parts(item, &format!("{name}[{position}]"));
                Value::Tuple(items.iter().enumerate().map(part).collect())
            }
            _ => Value::Error,
        }
    }

    /// An instance given from outside, such as `cell: Cell`. Its hyperparameters are symbols of their own, which
    /// signatures can name: `cell.inputs`.
    pub fn open_instance(&mut self, layer: LayerRef<'db>, param: &'db ast::Param) -> Walk<Value<'db>> {
        let owner = &param.name.name;
        let place = self.place(param.name.span);
        let hypers = self.nested(layer.item, layer.ast, param.name.span, |inner| {
            inner.scopes.push(Default::default());
            let mut hypers = vec![];
            for param in &layer.decl.params {
                let value = inner.open_hyper(param)?;
                inner.bind(&param.name.name, value.clone());
                hypers.push((param.name.name.clone(), value));
            }
            Ok(hypers)
        })?;
        let mut owned = vec![];
        for (name, value) in hypers {
            let full = format!("{owner}.{name}");
            self.origins.set(Symbol::new(&full), place);
            owned.push((name.clone(), renamed(value, &name, &full)));
        }
        let elems = vec![Elem::Known(DType::Float32); layer.decl.type_params.len()];
        let path = Some(vec![Step::Field(owner.clone())]);
        Ok(Value::Instance(Box::new(Instance { layer, elems, hypers: owned, path, values: None })))
    }
}

/// An instance given from outside: its own hyperparameters are not known here.
fn unknown_instance<'db>(layer: LayerRef<'db>) -> Value<'db> {
    let hypers = layer.decl.params.iter().map(|p| (p.name.name.clone(), Value::Error)).collect();
    let elems = vec![Elem::Known(DType::Float32); layer.decl.type_params.len()];
    Value::Instance(Box::new(Instance { layer, elems, hypers, path: None, values: None }))
}

/// An open hyperparameter under another name.
fn renamed<'db>(value: Value<'db>, name: &str, full: &str) -> Value<'db> {
    match value {
        Value::Bool(Cond::Opaque(_)) => Value::Bool(Cond::Opaque(full.to_string())),
        Value::Opaque(Opaque { kind, .. }) => Value::Opaque(Opaque { name: full.to_string(), kind }),
        Value::Number(HostExpr::FloatSymbol(_)) => Value::Number(HostExpr::FloatSymbol(Symbol::new(full))),
        value => value.substitute(&|symbol| (symbol.as_str() == name).then(|| HostExpr::Int(Dim::symbol(full)))),
    }
}

/// The names in a fact, each once.
fn names_in<'a>(ast: &'a ast::Ast, expr: ExprId, names: &mut Vec<&'a str>) {
    if let ast::ExprKind::Name(name) = &ast[expr].kind
        && !names.contains(&name.as_str())
    {
        names.push(name);
    }
    for child in ast.children(expr) {
        names_in(ast, child, names);
    }
}

/// An expression as it is written.
pub fn source_of<'db>(
    db: &'db dyn salsa::Database,
    item: crate::analysis::db::Item<'db>,
    ast: &ast::Ast,
    expr: Option<ExprId>,
) -> String {
    let span = expr.map(|expr| ast[expr].span).unwrap_or_default();
    item.text(db).get(span.start as usize..span.end as usize).unwrap_or("").to_string()
}

/// The type that a default gives to an untyped hyperparameter; `Any` for callables.
fn spec_like<'db>(value: &Value<'db>) -> TypeSpec<'db> {
    match value {
        Value::Number(number) if number.is_int() => TypeSpec::Int,
        Value::Number(_) => TypeSpec::Float,
        Value::Bool(_) => TypeSpec::Bool,
        Value::Str(_) => TypeSpec::Str,
        Value::DType(_) => TypeSpec::DType,
        Value::Scheme(_) => TypeSpec::Scheme,
        Value::Init(_) => TypeSpec::Init,
        _ => TypeSpec::Any,
    }
}

/// Whether a host value can be given for a hyperparameter of this type.
/// Whether something whose value is open may stand where this is declared.
pub fn opaque_fits(spec: &TypeSpec<'_>, kind: OpaqueKind) -> bool {
    match spec {
        TypeSpec::Int | TypeSpec::Float | TypeSpec::Bool => false,
        TypeSpec::Str => kind == OpaqueKind::Str,
        TypeSpec::DType => kind == OpaqueKind::DType,
        TypeSpec::Scheme => kind == OpaqueKind::Scheme,
        TypeSpec::Init => kind == OpaqueKind::Init,
        TypeSpec::List(_) | TypeSpec::Tuple(_) | TypeSpec::Layer(_) | TypeSpec::Tensor(_) | TypeSpec::Any => true,
    }
}

fn fits_host(spec: &TypeSpec<'_>, value: &Value<'_>) -> bool {
    match (spec, value) {
        (_, Value::Error) | (TypeSpec::Any, _) => true,
        (spec, Value::Opaque(opaque)) => opaque_fits(spec, opaque.kind),
        (TypeSpec::Int, Value::Number(number)) => number.is_int(),
        (TypeSpec::Float, Value::Number(_))
        | (TypeSpec::Bool, Value::Bool(_))
        | (TypeSpec::Str, Value::Str(_))
        | (TypeSpec::DType, Value::DType(_))
        | (TypeSpec::Scheme, Value::Scheme(_))
        | (TypeSpec::Init, Value::Init(_) | Value::Number(_))
        | (TypeSpec::List(_), Value::List(_) | Value::Shape(_))
        | (TypeSpec::Tuple(_), Value::Tuple(_))
        | (TypeSpec::Layer(_), Value::Instance(_)) => true,
        _ => false,
    }
}
