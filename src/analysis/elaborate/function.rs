//! Bodies on their own: definitions being checked, and callees that become functions.

use crate::analysis::elaborate::names::{full_fn, full_layer, with_path};
use crate::analysis::elaborate::types::TypeSpec;
use crate::analysis::elaborate::{DeclareAs, Declaring, Elaborator};
use crate::analysis::value::{Comparison, Cond, FnRef, Instance, List, Step, TensorValue, Value, ValueRef};
use crate::analysis::world::Walk;
use crate::base::code;
use crate::ops::{Obligation, ObligationKind};
use crate::syntax::ast::{ExprKind, Param, TypeKind};
use crate::types::{Dim, Elem, HostExpr, Shape, Symbol, TensorType};
use std::collections::VecDeque;

/// A callee as lowering gives it a function: everything over the callee's own symbols.
pub struct Callee<'db> {
    pub function: FnRef<'db>,
    pub instance: Option<Instance<'db>>,
    pub elems: Vec<(String, Elem)>,
    /// Dim variables and packs, in the order the signature introduces them.
    pub declared: Vec<(Option<String>, Shape)>,
    /// By parameter; the tensors in them, in order, become the function's parameters.
    pub arguments: Vec<(String, Value<'db>)>,
    /// Dims that are at least 1.
    pub positive: Vec<Symbol>,
}

impl Callee<'_> {
    /// Whether it is a method whose parameters of the instance come with the call.
    pub fn takes_parameters(&self) -> bool {
        self.instance.as_ref().is_some_and(|instance| instance.values.is_some())
    }
}

impl<'db> Elaborator<'_, 'db> {
    /// Walks a callee's body; the elaborator was made for the callee's item.
    pub fn callee(&mut self, callee: &Callee<'db>) -> Walk<Value<'db>> {
        let full = full_fn(self.db, callee.function);
        for symbol in &callee.positive {
            self.facts.assume_positive(symbol);
        }
        if let (Some(layer), Some(instance)) = (full.layer, &callee.instance) {
            let layer = full_layer(self.db, layer);
            let instance = match instance.values {
                Some(_) => self.receive_parameters(instance, full.decl.name.span)?,
                None => instance.clone(),
            };
            self.enter_layer(layer, instance);
            self.assume_wheres(&layer.decl.wheres)?;
            self.members(layer, &[])?;
            // What the constructor requires was required there.
            self.obligations.clear();
        }
        for (name, elem) in &callee.elems {
            self.elems.insert(name.clone(), elem.clone());
        }
        self.scopes.push(Default::default());
        let given: VecDeque<Shape> = callee.declared.iter().map(|(_, shape)| shape.clone()).collect();
        self.declaring = Some(Declaring::new(DeclareAs::Given(given)));
        for (param, (_, value)) in full.decl.params.iter().zip(&callee.arguments) {
            self.bind_early(param, Some(value));
        }
        for (param, (name, value)) in full.decl.params.iter().zip(&callee.arguments) {
            let spec = match param.ty {
                Some(ty) => self.resolve_type(ty)?,
                None => TypeSpec::Any,
            };
            let value = self.receive(value.clone(), &spec, name);
            self.bind(name, value);
        }
        self.declaring = None;
        self.assume_wheres(&full.decl.wheres)?;
        self.function_result(full)
    }

    /// Makes the tensors of an argument parameters of the function. The declared type stands where it
    /// tells all; its dims are the callee's own names.
    fn receive(&mut self, value: Value<'db>, spec: &TypeSpec<'db>, name: &str) -> Value<'db> {
        match (value, spec) {
            (Value::Tensor(tensor), spec) => {
                let ty = match spec {
                    TypeSpec::Tensor(ty) if ty.shape.is_determined() => tensor.ty.with_shape(ty.shape.clone()),
                    _ => tensor.ty,
                };
                let value = self.world.parameter(&ty, name);
                Value::Tensor(TensorValue { ty, value })
            }
            (Value::Tuple(items), TypeSpec::Tuple(specs)) if items.len() == specs.len() => {
                let items = items.into_iter().zip(specs);
                Value::Tuple(items.map(|(item, spec)| self.receive(item, spec, name)).collect())
            }
            (Value::Tuple(items), _) => {
                Value::Tuple(items.into_iter().map(|item| self.receive(item, &TypeSpec::Any, name)).collect())
            }
            (Value::List(List::Items(items)), spec) => {
                let inner = match spec {
                    TypeSpec::List(inner) => inner,
                    _ => &TypeSpec::Any,
                };
                Value::list(items.into_iter().map(|item| self.receive(item, inner, name)).collect())
            }
            (other, _) => other,
        }
    }

    /// Takes `where` facts for granted.
    pub fn assume_wheres(&mut self, wheres: &'db [crate::syntax::ast::ExprId]) -> Walk<()> {
        for expr in wheres {
            if let Value::Bool(cond) = self.expr(*expr)? {
                self.assume(&cond, true);
                if self.truth(&cond) != Some(true) || matches!(cond, Cond::Compare(..)) {
                    self.assumed.extend(obligation_of(&cond, format!("{cond} must hold")));
                }
            }
        }
        Ok(())
    }

    /// The tensors that a function returns: numbers become run-time scalars.
    pub fn results(&mut self, value: Value<'db>, span: crate::base::Span) -> Walk<Value<'db>> {
        match value {
            Value::Number(_) => self.as_runtime(value, span),
            Value::Bool(_) => Ok(Value::Tensor(self.to_tensor(value, None, span)?)),
            Value::Tuple(items) => {
                let items: Walk<Vec<_>> = items.into_iter().map(|item| self.results(item, span)).collect();
                Ok(Value::Tuple(items?))
            }
            Value::List(List::Items(items)) => {
                let items: Walk<Vec<_>> = items.into_iter().map(|item| self.results(item, span)).collect();
                Ok(Value::list(items?))
            }
            Value::Instance(instance) if instance.path.is_some() => {
                Ok(Value::Instance(Box::new(self.valued(*instance, span)?)))
            }
            other => Ok(other),
        }
    }

    /// Walks a function of a definition that is checked on its own: its parameters are whatever the
    /// signature says.
    pub fn definition(&mut self, function: FnRef<'db>) -> Walk<Value<'db>> {
        self.defining = Some(self.place(function.decl.name.span));
        self.declare_type_params(&function.decl.type_params)?;
        self.scopes.push(Default::default());
        self.declaring = Some(Declaring::new(DeclareAs::Own));
        for param in &function.decl.params {
            let open = Value::dim(crate::types::Dim::symbol(&param.name.name));
            self.bind_early(param, Some(&open));
        }
        for param in &function.decl.params {
            let value = self.open_parameter(param)?;
            self.bind(&param.name.name, value);
        }
        self.declaring = None;
        let takes_tensors = function.decl.params.iter().any(|param| match self.local(&param.name.name) {
            Some(super::Binding::Value(value)) => {
                value.has_tensor() || matches!(value, Value::Error | Value::Instance(_))
            }
            _ => false,
        });
        self.compile_time = function.layer.is_none() && !takes_tensors && !function.decl.params.is_empty();
        // Without parameters either may be meant; a call that runs with each call refuses to make layers.
        self.makes_layers |= function.layer.is_none() && !takes_tensors;
        self.assume_wheres(&function.decl.wheres)?;
        self.function_result(function)
    }

    /// Types may name `int` parameters that stand after them: `x: float32[B, n], n: int`.
    pub fn bind_early(&mut self, param: &Param, value: Option<&Value<'db>>) {
        let name = &param.name.name;
        let is_int = param.ty.is_some_and(|ty| match &self.ast[ty].kind {
            TypeKind::Name(path) => matches!(path.as_slice(), [only] if only.name == "int"),
            _ => false,
        });
        let default = param.default.map(|default| &self.ast[default].kind);
        let value = match (value, default) {
            (None, Some(ExprKind::Int(default))) => Some(Value::int(*default)),
            (value, _) => value.cloned(),
        };
        if is_int
            && self.local(name).is_none()
            && let Some(value @ Value::Number(HostExpr::Int(_))) = value
        {
            self.bind(name, value);
        }
    }

    fn open_parameter(&mut self, param: &'db Param) -> Walk<Value<'db>> {
        let Some(ty) = param.ty else {
            return match param.default {
                Some(_) => self.open_hyper(param),
                None if param.name.name == "self" => Err(self.refuse_self(param)),
                // Any tensor: what it is used for is checked at the call.
                None => Ok(Value::Error),
            };
        };
        let spec = self.resolve_type(ty)?;
        let optional = param.default.is_some_and(|d| matches!(self.ast[d].kind, crate::syntax::ast::ExprKind::None));
        if let Some(default) = param.default.filter(|_| !optional) {
            self.default_value(default, &spec)?;
        }
        if optional && !self.decide(&Cond::Opaque(format!("{} != None", param.name.name)))? {
            return Ok(Value::None);
        }
        self.open_value(&spec, param)
    }

    fn open_value(&mut self, spec: &TypeSpec<'db>, param: &'db Param) -> Walk<Value<'db>> {
        match spec {
            TypeSpec::Tensor(ty) => Ok(tensor(ty.clone())),
            TypeSpec::Tuple(items) => {
                let items: Walk<Vec<_>> = items.iter().map(|item| self.open_value(item, param)).collect();
                Ok(Value::Tuple(items?))
            }
            TypeSpec::Layer(layer) => self.open_instance(*layer, param),
            TypeSpec::Any => Ok(Value::Error),
            _ => {
                let place = [Step::Field(param.name.name.clone())];
                Ok(with_path(self.open_hyper(param)?, &place))
            }
        }
    }
}

fn tensor<'db>(ty: TensorType) -> Value<'db> {
    Value::Tensor(TensorValue { ty, value: ValueRef(u32::MAX) })
}

/// A fact over sizes that is stated, as something to check when they are known.
pub fn obligation_of(cond: &Cond, message: String) -> Option<Obligation> {
    let Cond::Compare(op, HostExpr::Int(a), HostExpr::Int(b)) = cond else { return None };
    let one = Dim::constant(1);
    let kind = match op {
        Comparison::Eq => ObligationKind::Equal(a.clone(), b.clone()),
        Comparison::Ge => ObligationKind::AtLeast(a.clone(), b.clone()),
        Comparison::Le => ObligationKind::AtLeast(b.clone(), a.clone()),
        Comparison::Gt => ObligationKind::AtLeast(a.clone(), b.add(&one)),
        Comparison::Lt => ObligationKind::AtLeast(b.clone(), a.add(&one)),
        Comparison::Ne => return None,
    };
    Some(Obligation { kind, code: code::E0403, message })
}
