//! Operations and calls as expressions.

use crate::base::code;
use crate::ir::{FuncId, Function, InstId, InstKind, MemberKind, Part, PathSegment, Sub, ValueId, member_path};
use crate::ops::traits::Quantisation;
use crate::ops::{Attr, Attrs, Op, ParamKind};
use crate::targets::pycode::expression::{self, Filled, Holes};
use crate::targets::pycode::function::Writer;
use crate::targets::pycode::numbers;
use crate::targets::pycode::program::{self, Callee, unsupported};
use crate::targets::pycode::special::{self, Operand, Use};
use crate::targets::pytext::Py;
use crate::targets::{Mode, TargetError};
use crate::types::{DType, Dim, HostExpr, Symbol, TensorType};

impl<'m> Writer<'_, 'm> {
    fn operand(&mut self, value: ValueId) -> Operand {
        let is_weight = self.definitions.get(&value).is_some_and(|inst| {
            matches!(&self.function[*inst].kind, InstKind::Param { name, part: Part::Value } if self.scheme_of(name))
        });
        Operand { value: self.tensor(value), ty: self.function[value].ty.clone(), is_weight }
    }

    pub(super) fn build_op(&mut self, inst: InstId, op: &'static Op, attrs: &Attrs) -> Result<Py, TargetError> {
        let data = &self.function[inst];
        let dialect = self.program.dialect;
        let failed = |message: String| {
            unsupported(format!("{} cannot express `{}`: {message}", dialect.target(), op.name), data.loc)
        };
        self.check_dtypes(inst)?;
        if let Some(stack) = self.moved_stack(inst) {
            return Ok(stack);
        }
        if let Some(quantize) = self.flow.fused(inst) {
            let operands = self.function[quantize].operands.clone();
            let x = self.operand(operands[0]);
            let mut given: Vec<Py> = operands[1..].iter().map(|part| self.tensor(*part)).collect();
            let scheme = attrs.scheme("scheme").ok_or_else(|| failed("its scheme is not known".into()))?;
            let seed = if scheme.is_stochastic() { given.pop() } else { None };
            let scheme = special::drawn(dialect, scheme, seed);
            let own = self.function.dtype(operands[0]);
            return Ok(self.in_type(dialect.fake_quantize(&x, scheme, given), own, attrs));
        }
        if let Some((weight, own)) = self.packed_weight(inst, op) {
            return Ok(self.in_type(weight, own, attrs));
        }
        if let Some(special) = dialect.special(op.name) {
            let operands = data.operands.iter().map(|v| self.operand(*v)).collect();
            let results = data.results.iter().map(|v| self.function[*v].ty.clone()).collect();
            let dtype = data.operands.first().map_or(DType::Float32, |v| self.function.dtype(*v));
            // Both closures reach the writer's symbols, one at a time.
            let writer = std::cell::RefCell::new(&mut *self);
            let mut attr =
                |attr: &Attr| expression::attribute(dialect, attr, None, dtype, &mut |s| writer.borrow_mut().symbol(s));
            let mut dim = |dim: &Dim| numbers::dim(dim, &mut |s| writer.borrow_mut().symbol(s));
            let mut site = Use { dialect, operands, attrs, results, attr: &mut attr, dim: &mut dim };
            if let Some(expression) = special(&mut site).map_err(failed)? {
                return Ok(expression);
            }
        }
        let entry = self.program.table.op(op.name).cloned().ok_or_else(|| failed("it is not in the table".into()))?;
        let operands = self.table_operands(inst, op);
        let widened = self.widened_product(inst, op);
        let operands = match widened {
            Some(dtype) => operands.into_iter().zip(&data.operands).map(|(x, v)| self.widened(x, *v, dtype)).collect(),
            None => operands,
        };
        let mut holes = OpHoles { writer: self, op, attrs, operands, inst };
        let filled = expression::fill(&entry, &mut holes);
        let filled = filled.map_err(|hole| failed(format!("`{{{hole}}}` has no value")))?;
        let filled =
            if op.traits.gives_list && data.results.len() == 1 { filled.index(vec![Py::int(0)]) } else { filled };
        Ok(match data.results.first().map(|v| self.function.dtype(*v)) {
            Some(result) if widened.is_some_and(|dtype| dtype != result) => dialect.convert(filled, result),
            _ => filled,
        })
    }

    /// The type in which the library can compute a product with codes among its factors: that of the floats that they are
    /// multiplied with, or one in which sums of products of codes are exact.
    fn widened_product(&self, inst: InstId, op: &Op) -> Option<DType> {
        let data = &self.function[inst];
        let is_product = op.traits.product.is_some();
        let factors = || data.operands.iter().take(2).map(|v| self.function.dtype(*v));
        let result = self.function.dtype(*data.results.first()?);
        let codes = is_product && factors().any(|dtype| dtype.bits() <= 8 && !dtype.is_float());
        codes.then_some(if result.is_float() { result } else { DType::Float64 })
    }

    /// A factor of such a product; positions stay what they are.
    fn widened(&self, x: Py, value: ValueId, dtype: DType) -> Py {
        let own = self.function.dtype(value);
        let is_index = own.is_int() && own.bits() > 8;
        if own == dtype || is_index { x } else { self.program.dialect.convert(x, dtype) }
    }

    /// Operands for a table entry: plain numbers where the operation takes them.
    fn table_operands(&mut self, inst: InstId, op: &Op) -> Vec<Py> {
        let data = &self.function[inst];
        let takes_numbers = self.program.table.takes_numbers(op.name);
        // One operand at least must say that these are tensors; a condition does not say of what type, unless
        // all are conditions.
        let is_bool = |v: &ValueId| self.function.dtype(*v) == DType::Bool;
        let all_numbers = data.operands.iter().all(|v| self.numbers.contains(v) || is_bool(v));
        let conditions = data.operands.iter().all(is_bool) && !data.operands.iter().all(|v| self.numbers.contains(v));
        let mut wrapped = !all_numbers || conditions || self.compares_numbers(inst, op.name);
        let mut operands = vec![];
        for &value in &data.operands {
            let number = takes_numbers && self.numbers.contains(&value) && wrapped;
            wrapped |= self.numbers.contains(&value);
            operands.push(if number { self.number_or_tensor(value) } else { self.tensor(value) });
        }
        operands
    }

    fn check_dtypes(&self, inst: InstId) -> Result<(), TargetError> {
        let data = &self.function[inst];
        let dialect = self.program.dialect;
        let has = |dtype: &DType| dialect.dtypes().contains(dtype);
        match data.results.iter().map(|v| self.function.dtype(*v)).find(|dtype| !has(dtype)) {
            Some(dtype) => {
                let message = format!("{} has no arithmetic for {dtype}", dialect.target());
                let error = TargetError::new(code::E0603, message).at(data.loc);
                Err(match dtype.is_float() {
                    true => error.note("use float32"),
                    false => error.note("use int64, or uint8 for small values"),
                })
            }
            None => Ok(()),
        }
    }

    /// `self.weight.dequantize()`, for the codes and scale of one member, and the type that this gives.
    pub(super) fn packed_weight(&mut self, inst: InstId, op: &Op) -> Option<(Py, DType)> {
        if op.traits.quantisation != Some(Quantisation::Dequantise) {
            return None;
        }
        let mut members =
            self.function[inst].operands.iter().map(|value| match &self.function[*self.definitions.get(value)?].kind {
                InstKind::Param { name, part } if *part != Part::Value => Some(name),
                _ => None,
            });
        let first = members.next()??;
        let same = members.all(|member| member == Some(first));
        if !same {
            return None;
        }
        let own = self.program.module.stored(self.function.layer?, first)?.ty.dtype()?;
        let weight = self.member(first);
        let (scheme, size) = self.packed(first)?;
        // A file for training has float masters until they are packed.
        let (dialect, is_master) = (self.program.dialect, self.program.evaluates);
        let restored = dialect.restored(weight, scheme, &mut || self.dim(&size), is_master);
        Some((restored, dialect.restored_dtype(own)))
    }

    /// The scheme of a quantised member, and the size of its last axis.
    pub(super) fn packed(&self, member: &str) -> Option<(Py, Dim)> {
        let module = self.program.module;
        let layer = self.function.layer?;
        let storage = module.stored(layer, member)?;
        let scheme = special::scheme(self.program.dialect, storage.scheme.as_ref()?);
        let size = storage.ty.shape.dims.last().cloned().unwrap_or_else(|| Dim::constant(1));
        let (path, _) = member_path(member).unwrap_or((vec![], member));
        let (_, values) = module.instance_at(layer, &path).ok()?;
        Some((scheme, values.dim(&size)))
    }

    /// What `dequantize` gives, in the type that it is asked for; helpers give that of the weight.
    fn in_type(&self, value: Py, own: DType, attrs: &Attrs) -> Py {
        match attrs.get("dtype") {
            Some(Attr::DType(elem)) if !elem.is(own) => match elem.known() {
                Some(dtype) => self.program.dialect.convert(value, dtype),
                None => value,
            },
            _ => value,
        }
    }

    // ---- calls

    pub(super) fn build_call(
        &mut self,
        inst: InstId,
        func: FuncId,
        bindings: &[(Symbol, HostExpr)],
        path: Option<&[PathSegment]>,
    ) -> Result<Py, TargetError> {
        let data = &self.function[inst];
        let callee = &self.program.module[func];
        let unchanged = program::identity(callee).and_then(|at| data.operands.get(at)).filter(|_| path.is_none());
        if let (Some(&operand), Mode::Infer) = (unchanged, self.program.options.mode) {
            return Ok(self.tensor(operand));
        }
        let draws = program::draws_seed(self.function, inst, callee);
        if path.is_none()
            && let Some(entry) = self.program.native(callee, draws)
        {
            let operands = data.operands.iter().map(|v| self.tensor(*v)).collect();
            let attrs = program::bound_arguments(callee, bindings);
            let target = self.program.dialect.target();
            let mut holes = CallHoles { writer: self, callee, attrs, operands };
            return expression::fill(&entry, &mut holes).map_err(|hole| {
                let message =
                    format!("the {target} form of `{}` names `{{{hole}}}`, which it has not", callee.source_name);
                TargetError::new(code::E0604, message).at(callee.loc)
            });
        }
        self.program.check_form(callee).map_err(|message| TargetError::new(code::E0604, message))?;
        if let Some(&operand) = unchanged {
            return Ok(self.tensor(operand));
        }
        let Callee { name, extra } = match self.program.callees.get(&func) {
            Some(callee) => callee.clone(),
            None => Callee { name: self.program.function_name(func), extra: vec![] },
        };
        let mut arguments: Vec<Py> = data.operands.iter().map(|v| self.tensor(*v)).collect();
        for symbol in &extra {
            let bound = bindings.iter().find(|(s, _)| s == symbol).map(|(_, e)| e.clone());
            arguments.push(match bound {
                Some(value) => self.host(&value),
                None => self.symbol(symbol),
            });
        }
        arguments.extend(self.program.generator(func).map(Py::name));
        let Some(path) = path.filter(|_| self.program.takes_instance(func)) else {
            return Ok(Py::name(name).call(arguments));
        };
        let object = self.path(path);
        Ok(self.program.dialect.call_method(object, &name, arguments))
    }

    /// `self.blocks[i].norm`, or the element that the loop runs over.
    pub fn path(&mut self, path: &[PathSegment]) -> Py {
        let mut object = Py::name(self.program.dialect.instance());
        let mut rest = path;
        let mut part = None;
        if let [PathSegment::Field(field), PathSegment::Index(index), tail @ ..] = path
            && let Some(symbol) = index.as_symbol()
            && let Some(element) = self.elements.iter().rev().find(|e| e.field == *field && e.index == *symbol)
        {
            object = Py::name(&element.variable);
            rest = tail;
            part = self.sub_at(&path[..2]);
        }
        let mut layer = self.function.layer;
        for segment in rest {
            match segment {
                PathSegment::Field(name) => {
                    if let Some(Sub::Instance { layer: inner, .. }) = part {
                        layer = Some(*inner);
                    }
                    let attribute = layer.and_then(|id| self.program.classes.get(&id)).map(|names| names.member(name));
                    object = self.program.dialect.field(object, attribute.as_ref().unwrap_or(name));
                    let member = layer.and_then(|id| self.program.module[id].member(name));
                    part = match member.map(|m| &m.kind) {
                        Some(MemberKind::Sub(sub)) => Some(sub),
                        _ => None,
                    };
                }
                PathSegment::Index(index) => {
                    object = object.index(vec![self.dim(index)]);
                    part = element_of(part, index);
                }
            }
        }
        object
    }

    fn sub_at(&self, path: &[PathSegment]) -> Option<&'m Sub> {
        let [PathSegment::Field(name), PathSegment::Index(index)] = path else { return None };
        match &self.layer?.member(name)?.kind {
            MemberKind::Sub(sub) => element_of(Some(sub), index),
            _ => None,
        }
    }
}

fn element_of<'m>(sub: Option<&'m Sub>, index: &Dim) -> Option<&'m Sub> {
    match sub? {
        Sub::List(elements) => elements.get(usize::try_from(index.as_const()?).ok()?),
        Sub::Repeat { element, .. } => Some(element),
        Sub::Instance { .. } | Sub::Function { .. } => None,
    }
}

/// Placeholders of a primitive operation.
struct OpHoles<'w, 'p, 'm> {
    writer: &'w mut Writer<'p, 'm>,
    op: &'static Op,
    attrs: &'w Attrs,
    operands: Vec<Py>,
    inst: InstId,
}

impl Holes for OpHoles<'_, '_, '_> {
    fn value(&mut self, name: &str) -> Option<Filled> {
        let data = &self.writer.function[self.inst];
        let result = data.results.first().map_or(DType::Float32, |v| self.writer.function.dtype(*v));
        if let Some(at) = self.op.params.iter().position(|p| p.name == name) {
            let param = &self.op.params[at];
            if !param.is_operand() {
                let attr = self.attrs.get(name).cloned().unwrap_or(Attr::None);
                let dtype = data.operands.first().map_or(result, |v| self.writer.function.dtype(*v));
                let writer = &mut *self.writer;
                let dialect = writer.program.dialect;
                let value = expression::attribute(dialect, &attr, Some(param.kind), dtype, &mut |s| writer.symbol(s));
                return Some(Filled { value, is_default: expression::is_default(dialect, self.op, param, self.attrs) });
            }
            let before = self.op.params[..at].iter().filter(|p| p.is_operand()).count();
            return Some(match param.kind {
                ParamKind::Tensors => Filled::of(Py::List(self.operands.clone())),
                _ => self.operands.get(before).cloned().map_or_else(Filled::omitted, Filled::of),
            });
        }
        match name {
            "device" => Some(self.writer.device.clone().map_or_else(Filled::omitted, Filled::of)),
            "dtype" => Some(Filled::of(self.writer.program.dialect.dtype(result))),
            // Libraries sum narrow integers in int64.
            "accumulate" if result.is_float() || result == DType::Int64 => Some(Filled::omitted()),
            "accumulate" => Some(Filled::of(self.writer.program.dialect.dtype(result))),
            _ => None,
        }
    }
}

/// Placeholders of a function with a native form.
struct CallHoles<'w, 'p, 'm> {
    writer: &'w mut Writer<'p, 'm>,
    callee: &'m Function,
    attrs: Attrs,
    operands: Vec<Py>,
}

impl Holes for CallHoles<'_, '_, '_> {
    fn value(&mut self, name: &str) -> Option<Filled> {
        let operand = self.callee.params.iter().position(|v| self.callee[*v].name.as_deref() == Some(name));
        if let Some(at) = operand {
            return self.operands.get(at).cloned().map(Filled::of);
        }
        let result: Option<&TensorType> = self.callee.results.first();
        let dtype = result.and_then(TensorType::dtype).unwrap_or(DType::Float32);
        if let Some(attr) = self.attrs.get(name).cloned() {
            let writer = &mut *self.writer;
            let dialect = writer.program.dialect;
            let value = expression::attribute(dialect, &attr, None, DType::Float32, &mut |s| writer.symbol(s));
            // What the library of Tri calls "none" is what others do when nothing is said.
            let is_default = attr == Attr::None || attr == Attr::Str("none".into());
            return Some(Filled { is_default, value });
        }
        match name {
            "device" => Some(self.writer.device.clone().map_or_else(Filled::omitted, Filled::of)),
            "dtype" => Some(Filled::of(self.writer.program.dialect.dtype(dtype))),
            "training" => {
                Some(Filled::of(match (self.writer.program.dialect.training(), self.writer.program.options.mode) {
                    (Some(training), Mode::Train) if self.writer.layer.is_some() => training,
                    (_, Mode::Train) if !self.writer.program.evaluates => Py::name("True"),
                    _ => Py::name("False"),
                }))
            }
            _ => None,
        }
    }
}
