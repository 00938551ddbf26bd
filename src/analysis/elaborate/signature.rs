//! Signatures at a call: parameters bound to arguments, type variables inferred, arguments checked.
//!
//! A signature is read in the callee's scope with its dim variables as unknowns, which
//! [`crate::analysis::elaborate::solve`] then solves.

use crate::analysis::db::Report;
use crate::analysis::elaborate::arguments::CallArg;
use crate::analysis::elaborate::function_call::callee_name;
use crate::analysis::elaborate::types::TypeSpec;
use crate::analysis::elaborate::{DeclareAs, Declared, Declaring, Elaborator};
use crate::analysis::value::{Cond, FnRef, Instance, List, Value};
use crate::analysis::world::Walk;
use crate::base::{Span, code};
use crate::syntax::ast::{ExprId, ExprKind, Param, TypeKind};
use crate::types::{Bound, DType, Elem, TensorType, Verdict};

/// What calling a signature with given arguments comes to.
pub(super) struct Applied<'db> {
    /// By parameter; over the caller's symbols and the unknowns.
    pub(super) params: Vec<(TypeSpec<'db>, Value<'db>, Span)>,
    pub(super) result: Option<TypeSpec<'db>>,
    pub(super) declared: Vec<Declared>,
    pub(super) elems: Vec<(String, Elem)>,
    /// With their positions among the facts of the signature.
    pub(super) wheres: Vec<(usize, Cond)>,
}

/// The parameter that an argument is for.
pub(super) struct Receiver<'a, 'db> {
    /// The name of the function, for messages.
    pub(super) callee: &'a str,
    pub(super) function: FnRef<'db>,
    pub(super) instance: Option<&'a Instance<'db>>,
    pub(super) param: &'db Param,
}

impl<'db> Receiver<'_, 'db> {
    /// The type variable of the layer that is the declared element type.
    fn layer_variable(&self) -> Option<&'db str> {
        let elem = match &self.function.ast[self.param.ty?].kind {
            TypeKind::Tensor { elem, .. } => elem,
            TypeKind::Name(path) => path.first()?,
            _ => return None,
        };
        let of_function = self.function.decl.type_params.iter().any(|param| param.name.name == elem.name);
        let of_layer = self.function.layer?.decl.type_params.iter().any(|param| param.name.name == elem.name);
        (of_layer && !of_function).then_some(&elem.name)
    }
}

impl<'db> Elaborator<'_, 'db> {
    /// Reads the signature in the callee's scope, with its dim variables as unknowns.
    pub(super) fn apply_signature(
        &mut self,
        function: FnRef<'db>,
        instance: Option<&Instance<'db>>,
        args: Vec<CallArg<'db>>,
        span: Span,
    ) -> Walk<Applied<'db>> {
        let name = callee_name(&function);
        let bound = self.bind_arguments(&name, &function.decl.params, args)?;
        let caller = self.place(span);
        self.nested(function.item, function.ast, span, |inner| {
            if let (Some(layer), Some(instance)) = (function.layer, instance) {
                inner.enter_layer(layer, instance.clone());
                inner.members_of_types(layer, instance)?;
            }
            inner.declare_type_params(&function.decl.type_params)?;
            inner.declaring = Some(Declaring::new(DeclareAs::Fresh));
            let mut params = vec![];
            for (param, arg) in function.decl.params.iter().zip(&bound) {
                inner.bind_early(param, arg.as_ref().map(|arg| &arg.value));
            }
            for (param, arg) in function.decl.params.iter().zip(bound) {
                let spec = match param.ty {
                    Some(ty) => inner.resolve_type(ty)?,
                    None => TypeSpec::Any,
                };
                let (value, arg_span) = match arg {
                    Some(arg) => {
                        let place = crate::analysis::db::Place { item: caller.item, span: arg.span };
                        inner.infer_elem(&spec, &arg.value, place)?;
                        (arg.value, arg.span)
                    }
                    None => match param.default {
                        Some(default) => (inner.default_value(default, &spec)?, span),
                        None => {
                            let message = format!("`{name}` needs `{}`", param.name.name);
                            let report = Report::new(code::E0205, message)
                                .at(caller, format!("`{}` is missing", param.name.name));
                            return Err(inner.fail(report));
                        }
                    },
                };
                // Type variables bound by this argument are known from here on.
                let spec = match param.ty {
                    Some(_) => inner.settle_elems(spec),
                    None => spec,
                };
                inner.bind(&param.name.name, value.clone());
                params.push((spec, value, arg_span));
            }
            inner.infer_from_literals(&mut params);
            let declaring = inner.declaring.take();
            let result = match function.decl.result {
                Some(ty) => Some(inner.resolve_type(ty)?),
                None => None,
            };
            let mut wheres = vec![];
            for (index, expr) in function.decl.wheres.iter().enumerate() {
                if let Value::Bool(cond) = inner.expr(*expr)? {
                    wheres.push((index, cond));
                }
            }
            let elems = function.decl.type_params.iter();
            let elems = elems.filter_map(|p| Some((p.name.name.clone(), inner.elems.get(&p.name.name)?.clone())));
            let elems = elems.collect();
            let declared = declaring.map(|d| d.declared).unwrap_or_default();
            Ok(Applied { params, result, declared, elems, wheres })
        })
    }

    /// The default of a parameter; `None` makes it optional whatever its type.
    pub(super) fn default_value(&mut self, default: ExprId, spec: &TypeSpec<'db>) -> Walk<Value<'db>> {
        match &self.ast[default].kind {
            ExprKind::None => Ok(Value::None),
            _ => match spec {
                TypeSpec::Tensor(_) => self.expr(default),
                spec => self.expr_as(default, spec),
            },
        }
    }

    /// A type variable that no tensor has bound is that of the literals given for it.
    fn infer_from_literals(&mut self, params: &mut [(TypeSpec<'db>, Value<'db>, Span)]) {
        let variable = |spec: &TypeSpec<'db>| match spec {
            TypeSpec::Tensor(TensorType { elem: Elem::Var(name, bound), .. }) => Some((name.clone(), *bound)),
            _ => None,
        };
        let bound_by_tensor: Vec<_> = params
            .iter()
            .filter(|(_, value, _)| value.has_tensor())
            .filter_map(|(spec, ..)| variable(spec).map(|(name, _)| name))
            .collect();
        for (spec, value, _) in params.iter() {
            let Some((name, bound)) = variable(spec) else { continue };
            let is_open =
                matches!(self.elems.get(name.as_str()), Some(Elem::Var(..))) && !bound_by_tensor.contains(&name);
            if let Some(elem) = literal_elem(value, bound).filter(|_| is_open) {
                self.elems.insert(name.as_str().to_string(), Elem::Known(elem));
            }
        }
        for (spec, ..) in params.iter_mut() {
            *spec = self.settle_elems(spec.clone());
        }
    }

    /// Binds a type variable from the first tensor that has it.
    fn infer_elem(
        &mut self,
        spec: &TypeSpec<'db>,
        value: &Value<'db>,
        place: crate::analysis::db::Place<'db>,
    ) -> Walk<()> {
        let (TypeSpec::Tensor(ty), Value::Tensor(tensor)) = (spec, value) else { return Ok(()) };
        let Elem::Var(name, bound) = &ty.elem else { return Ok(()) };
        let current = self.elems.get(name.as_str()).cloned();
        if current.as_ref() != Some(&ty.elem) {
            return Ok(());
        }
        let fits = match &tensor.ty.elem {
            Elem::Known(dtype) => bound.admits(*dtype),
            Elem::Var(_, own) => bound.includes(*own),
        };
        if !fits {
            let what = match bound {
                Bound::Float => "a float tensor",
                Bound::Int => "an integer tensor",
                Bound::Num => "a tensor of numbers",
                Bound::Any => "a tensor",
            };
            let message = format!("{what} is needed here, not {}", tensor.ty);
            let report = Report::new(code::E0209, message).at(place, format!("this is {}", tensor.ty.elem));
            return Err(self.fail(report));
        }
        self.elems.insert(name.as_str().to_string(), tensor.ty.elem.clone());
        Ok(())
    }

    /// A type with its variables replaced by what they are known to be.
    fn settle_elems(&self, spec: TypeSpec<'db>) -> TypeSpec<'db> {
        match spec {
            TypeSpec::Tensor(ty) => match &ty.elem {
                Elem::Var(name, _) => {
                    let elem = self.elems.get(name.as_str()).cloned().unwrap_or(ty.elem.clone());
                    TypeSpec::Tensor(TensorType { elem, shape: ty.shape })
                }
                Elem::Known(_) => TypeSpec::Tensor(ty),
            },
            other => other,
        }
    }

    /// Checks an argument against its parameter's type.
    pub(super) fn pass(
        &mut self,
        to: &Receiver<'_, 'db>,
        value: Value<'db>,
        spec: &TypeSpec<'db>,
        shown: &TypeSpec<'db>,
        span: Span,
    ) -> Walk<Value<'db>> {
        if value == Value::None && matches!(spec, TypeSpec::Tensor(_) | TypeSpec::Tuple(_)) {
            return Ok(Value::None);
        }
        if let (TypeSpec::Tensor(ty), Value::Tensor(tensor)) = (spec, &value) {
            let found = &tensor.ty;
            let shapes = self.agree(found, ty, span)?;
            let shown = if let TypeSpec::Tensor(shown) = shown { shown } else { ty };
            if found.elem != ty.elem {
                let (callee, param) = (to.callee, &to.param.name.name);
                let message = format!("`{param}` of `{callee}` must be {shown}, but this is {found}");
                let place = self.place(span);
                let mut report = Report::new(code::E0202, message).at(place, format!("this is {}", found.elem));
                if let Some((instance, variable)) = to.instance.zip(to.layer_variable()) {
                    report = self.made_with(report, (instance, variable), &ty.elem, &found.elem);
                }
                return Err(self.fail(self.with_cast(report, span, &found.elem, &ty.elem)));
            }
            if shapes == Verdict::Differ {
                return Err(self.argument_mismatch((to.callee, &to.param.name.name), found, ty, shown, span));
            }
            return Ok(value);
        }
        self.conform(value, spec, span)
    }
}

/// The element type of a number or of a list of numbers where nothing else says it.
fn literal_elem(value: &Value<'_>, bound: Bound) -> Option<DType> {
    match value {
        Value::Number(number) if number.is_int() && bound != Bound::Float => Some(DType::Int64),
        Value::Number(_) => Some(DType::Float32),
        Value::Bool(_) => Some(DType::Bool),
        Value::List(List::Items(items)) => {
            let elems: Option<Vec<DType>> = items.iter().map(|item| literal_elem(item, bound)).collect();
            elems?.into_iter().reduce(|a, b| if a == b { a } else { DType::Float32 })
        }
        _ => None,
    }
}
