//! Instances whose parameters are values: what an optimiser step computes with.
//!
//! `value_and_grad(loss)(model, x)` needs the parameters of `model` as tensors, and what it gives for them is an
//! instance again: the same layer at the same place, with a tensor for each parameter in [`Instance::values`], by its
//! path from the instance (`fc1.weight`). A method of such an instance becomes a function that takes these tensors
//! before its own arguments, so to whatever comes after the elaborator they are ordinary values. Sublayers have their
//! share of the values; a list of them is looked at element by element, since each has its own.
//!
//! Buffers and state stay with the instance that the values were taken from, and so does what a method assigns to them.

use crate::analysis::db::Report;
use crate::analysis::elaborate::arguments::CallArg;
use crate::analysis::elaborate::host::element_at;
use crate::analysis::elaborate::layer::{MemberInfoKind, dotted};
use crate::analysis::elaborate::loops::MAX_EXPANDED;
use crate::analysis::elaborate::{Elaborator, StorageMember};
use crate::analysis::value::{Instance, List, Step, TensorValue, Value};
use crate::analysis::world::Walk;
use crate::base::{Span, code};
use crate::ops::OpId;
use crate::syntax::ast::StorageKind;
use crate::types::{Dim, Verdict};

/// A parameter, by its path from the instance.
type Parameter = (String, StorageMember);

impl<'db> Elaborator<'_, 'db> {
    /// The value, with every instance in it as one whose parameters are values.
    pub(super) fn with_parameters(&mut self, value: Value<'db>, span: Span) -> Walk<Value<'db>> {
        Ok(match value {
            Value::Instance(instance) if instance.path.is_some() || self.adopts => {
                Value::Instance(Box::new(self.valued(*instance, span)?))
            }
            Value::Tuple(items) => {
                let items: Walk<Vec<_>> = items.into_iter().map(|item| self.with_parameters(item, span)).collect();
                Value::Tuple(items?)
            }
            Value::List(List::Items(items)) => {
                let items: Walk<Vec<_>> = items.into_iter().map(|item| self.with_parameters(item, span)).collect();
                Value::list(items?)
            }
            other => other,
        })
    }

    /// The instance with its parameters read here.
    pub(super) fn valued(&mut self, instance: Instance<'db>, span: Span) -> Walk<Instance<'db>> {
        if instance.values.is_some() {
            return Ok(instance);
        }
        let instance = self.placed(instance, span)?;
        let mut values = vec![];
        for (name, member) in self.parameters(&instance, span)? {
            self.refuse_packed(&name, &member, span)?;
            // A definition does not know all of them.
            if self.world.specialises()
                && let Value::Tensor(tensor) = self.master(&member, span)
            {
                self.world.name(tensor.value, &member.path.replace('.', "_"));
                values.push((name, tensor));
            }
        }
        Ok(instance.with_values(values))
    }

    /// Parameters that are codes cannot change by a gradient.
    fn refuse_packed(&mut self, name: &str, member: &StorageMember, span: Span) -> Walk<()> {
        let place = self.place(span);
        if !member.ty.elem.is_float() {
            let message = format!("`{name}` is {}: only float parameters can be values", member.ty);
            return Err(self.fail(Report::new(code::E0608, message).at(place, "takes the parameters of this instance")));
        }
        if member.scheme.is_none() || self.world.training() != Some(false) {
            return Ok(());
        }
        let message = format!("`{name}` is packed when a model is not in training, so it has no float value");
        let report = Report::new(code::E0608, message).at(place, "takes the parameters of this instance");
        Err(self.fail(report.note(
            "help: `tritonc run --mode train` has the float values; a module that `build` writes has a form for \
             evaluation, too, in which weights are packed",
        )))
    }

    /// The parameters of an instance and of its sublayers; in a definition, those that it does not leave open.
    fn parameters(&mut self, instance: &Instance<'db>, span: Span) -> Walk<Vec<Parameter>> {
        let mut found = vec![];
        self.parameters_below(instance, "", span, &mut found)?;
        Ok(found)
    }

    fn parameters_below(
        &mut self,
        instance: &Instance<'db>,
        prefix: &str,
        span: Span,
        found: &mut Vec<Parameter>,
    ) -> Walk<()> {
        let bare = Instance { values: None, ..instance.clone() };
        let own = bare.path.clone().unwrap_or_default();
        for info in self.member_infos(&bare, span)? {
            match info.kind {
                MemberInfoKind::Storage { kind: StorageKind::Param, ty, quantization, .. } => {
                    let scheme = quantization.map(|quantization| quantization.weights);
                    let path = dotted(&own, &info.name);
                    let member = StorageMember { path, ty, scheme, assignable: false, value: None };
                    found.push((format!("{prefix}{}", info.name), member));
                }
                MemberInfoKind::Value(value) => {
                    let place = stepped(&own, Step::Field(info.name.clone()));
                    self.parameters_in(&value, &place, &format!("{prefix}{}.", info.name), span, found)?;
                }
                MemberInfoKind::Storage { .. } | MemberInfoKind::Constant { .. } | MemberInfoKind::Absent => {}
            }
        }
        Ok(())
    }

    /// Those of the instances that a member's value holds at `place`; others live elsewhere.
    fn parameters_in(
        &mut self,
        value: &Value<'db>,
        place: &[Step],
        prefix: &str,
        span: Span,
        found: &mut Vec<Parameter>,
    ) -> Walk<()> {
        if !value.has_instance() {
            return Ok(());
        }
        if let Value::Instance(instance) = value {
            return match instance.path.as_deref() == Some(place) {
                true => self.parameters_below(instance, prefix, span, found),
                false => Ok(()),
            };
        }
        for (index, item) in self.each(value)?.iter().flatten().enumerate() {
            let place = stepped(place, Step::Index(Dim::constant(index as i64)));
            self.parameters_in(item, &place, &format!("{prefix}{index}."), span, found)?;
        }
        Ok(())
    }

    /// The elements of a list of sublayers one by one; `None` if their number is open.
    fn each(&mut self, list: &Value<'db>) -> Walk<Option<Vec<Value<'db>>>> {
        Ok(match list {
            Value::List(List::Items(items)) | Value::Tuple(items) => Some(items.clone()),
            Value::List(List::Repeat { index, count, element }) => {
                let count = self.known_int(count)?.filter(|count| *count <= MAX_EXPANDED);
                count.map(|count| (0..count).map(|at| element_at(index, element, &Dim::constant(at))).collect())
            }
            _ => None,
        })
    }

    /// What stands in the place of a parameter of the instance whose members are walked.
    pub(super) fn value_of(&self, name: &str) -> Option<TensorValue> {
        let values = self.instance.as_ref()?.values.as_ref()?;
        values.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone())
    }

    /// A member of the instance whose members are walked: its sublayers have their share of the values.
    pub(super) fn with_own_values(&mut self, value: Value<'db>) -> Walk<Value<'db>> {
        let Some(Instance { values: Some(values), path, .. }) = &self.instance else { return Ok(value) };
        if !value.has_instance() {
            return Ok(value);
        }
        let (values, path) = (values.clone(), path.clone().unwrap_or_default());
        self.share(value, &path, &values)
    }

    fn share(&mut self, value: Value<'db>, owner: &[Step], values: &[(String, TensorValue)]) -> Walk<Value<'db>> {
        Ok(match value {
            Value::Instance(instance) => match instance.path.as_deref().and_then(|path| path.strip_prefix(owner)) {
                Some(place) => {
                    let prefix = dotted(place, "");
                    let below = values
                        .iter()
                        .filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?.to_string(), value.clone())));
                    Value::Instance(Box::new(instance.with_values(below.collect())))
                }
                None => Value::Instance(instance),
            },
            Value::Tuple(items) => {
                let items: Walk<Vec<_>> = items.into_iter().map(|item| self.share(item, owner, values)).collect();
                Value::Tuple(items?)
            }
            list @ Value::List(List::Items(_) | List::Repeat { .. }) => match self.each(&list)? {
                Some(items) => {
                    let items: Walk<Vec<_>> = items.into_iter().map(|item| self.share(item, owner, values)).collect();
                    Value::list(items?)
                }
                None => list,
            },
            other => other,
        })
    }

    /// The instance as a method of its own sees it that takes the parameters: they come before its arguments.
    pub(super) fn receive_parameters(&mut self, instance: &Instance<'db>, span: Span) -> Walk<Instance<'db>> {
        let parameters = self.parameters(instance, span)?;
        let mut values = vec![];
        for (name, member) in parameters {
            let value = self.world.parameter(&member.ty, &name.replace('.', "_"));
            values.push((name, TensorValue { ty: member.ty, value }));
        }
        Ok(instance.with_values(values))
    }

    /// An operation on instances of one layer, parameter by parameter; numbers and scalars go with each.
    pub(super) fn combine(&mut self, op: OpId, bound: Vec<Option<CallArg<'db>>>, span: Span) -> Walk<Value<'db>> {
        let mut args: Vec<CallArg<'db>> = vec![];
        for (param, arg) in op.get().params.iter().zip(bound) {
            let Some(arg) = arg else { continue };
            if arg.value == Value::Error {
                return Ok(Value::Error);
            }
            // By name, since some may be left out.
            let value = self.with_parameters(arg.value, arg.span)?;
            args.push(CallArg { name: Some(param.name.to_string()), value, span: arg.span, gathered: false });
        }
        let first = args.iter().find_map(|arg| match &arg.value {
            Value::Instance(instance) => Some((**instance).clone()),
            _ => None,
        });
        let Some(first) = first else { return Ok(Value::Error) };
        let name = &first.layer.decl.name.name;
        if !op.traits().is_arithmetic {
            let message = format!("`{}` is not defined for an instance of `{name}`", op.name());
            let report = Report::new(code::E0201, message).at(self.place(span), "").note(
                "instances combine with `+ - * / **` and functions of single elements, parameter by parameter; \
                 a parameter alone is a tensor, as in `model.weight`",
            );
            return Err(self.fail(report));
        }
        for arg in &args {
            self.refuse_uncombinable(&first, arg)?;
        }
        let mut values = vec![];
        for (position, (name, own)) in first.values.iter().flatten().enumerate() {
            let alone = |arg: &CallArg<'db>| {
                let value = match &arg.value {
                    Value::Instance(instance) => {
                        let value = instance.values.as_ref().and_then(|values| values.get(position));
                        value.map_or(Value::Error, |(_, value)| Value::Tensor(value.clone()))
                    }
                    other => other.clone(),
                };
                CallArg { value, ..arg.clone() }
            };
            let args = args.iter().map(alone).collect();
            let Value::Tensor(result) = self.call_op(op, args, span)? else { return Ok(Value::Error) };
            debug_assert!(result.ty.shape.compare(&own.ty.shape, &self.facts) != Verdict::Differ);
            values.push((name.clone(), TensorValue { ty: own.ty.clone(), ..result }));
        }
        Ok(Value::Instance(Box::new(first.with_values(values))))
    }

    /// What goes with an instance: a number, a scalar, or an instance like it.
    fn refuse_uncombinable(&mut self, first: &Instance<'db>, arg: &CallArg<'db>) -> Walk<()> {
        let name = &first.layer.decl.name.name;
        let message = match &arg.value {
            Value::Number(_) | Value::Error => return Ok(()),
            Value::Tensor(tensor)
                if tensor.ty.elem.is_float() && tensor.ty.shape.rank().is_none_or(|rank| rank == 0) =>
            {
                return Ok(());
            }
            Value::Instance(other) if other.layer != first.layer => {
                format!("an instance of `{name}` does not combine with one of `{}`", other.layer.decl.name.name)
            }
            // A definition does not know whether two of its parameters are made alike.
            Value::Instance(other) if !self.world.specialises() || other.has_same_parameters(first) => return Ok(()),
            Value::Instance(_) => format!("these instances of `{name}` were made with different hyperparameters"),
            other => format!("an instance of `{name}` does not combine with {}", other.describe()),
        };
        let place = self.place(arg.span);
        let report = Report::new(code::E0201, message).at(place, "this one");
        Err(self.fail(report.note("an instance combines with instances of its layer, numbers and float scalars")))
    }
}

/// What a method returns, seen by who calls it on the instance at `path`: its instances are below that.
pub(super) fn seen_from<'db>(value: Value<'db>, path: &[Step]) -> Value<'db> {
    match value {
        Value::Instance(mut instance) => {
            instance.path = instance.path.map(|own| path.iter().cloned().chain(own).collect());
            Value::Instance(instance)
        }
        Value::Tuple(items) => Value::Tuple(items.into_iter().map(|item| seen_from(item, path)).collect()),
        other => other,
    }
}

fn stepped(path: &[Step], step: Step) -> Vec<Step> {
    path.iter().cloned().chain([step]).collect()
}
