//! The value of an element.

use super::maker::{Maker, Outcome, Use};
use super::table::{Form, form};
use crate::ir::{InstKind, ValueId};
use crate::ops::Attr;
use crate::targets::c::text::{C, carrier, integer, memory, number};
use crate::targets::pytext::Py;
use crate::types::tensor::Data;
use crate::types::{DType, Dim, HostExpr, Tensor};

/// An expression with more parts gets a name.
const LONG: usize = 26;

impl<'a> Maker<'a> {
    /// The element of a value at an index.
    pub fn element(&mut self, value: ValueId, at: &[Dim]) -> Outcome<C> {
        if let Some(known) = self.known(value, at) {
            return Ok(known);
        }
        if let Some(loaded) = self.load(value, at) {
            return Ok(loaded);
        }
        let Some((inst, result)) = self.makers.get(&value).copied() else {
            return Err(self.refuse("uses a value from outside of its region"));
        };
        match &inst.kind {
            InstKind::Const(tensor) => self.literal(value, tensor, at),
            InstKind::Host(expr) => self.host(value, expr),
            InstKind::Op { op, attrs } => {
                let using = Use { op: *op, attrs, inst };
                let depth = self.depth_of(at);
                let is_outer = depth < self.depth();
                // What does not change in the loops inside is computed before them.
                self.at_depth(depth, |maker| {
                    let found = maker.computed(using, at, result)?;
                    Ok(maker.shared(value, at, found, is_outer))
                })
            }
            _ => Err(self.refuse("is no operation")),
        }
    }

    /// The element of an operation's result, worked out here.
    fn computed(&mut self, using: Use<'a>, at: &[Dim], result: usize) -> Outcome<C> {
        let inst = using.inst;
        match form(self.cx.table, using.op, self.dtype(inst.operands.first().copied().unwrap_or(inst.results[0]))) {
            Some(Form::Entry(entry)) => self.apply(using, entry, at),
            Some(Form::Fold(parts)) => self.fold(using, parts, at),
            Some(Form::Scan(parts)) => self.scan_at(using, parts, at),
            Some(Form::Element(write)) => write(self, using, at, result),
            Some(Form::Whole(_)) => Err(self.refuse("is computed as a whole, and stands in a fused region")),
            None => Err(self.refuse("has no form there")),
        }
    }

    /// What is used several times or long gets a name; so does what is computed before a loop.
    fn shared(&mut self, value: ValueId, at: &[Dim], found: C, is_outer: bool) -> C {
        let is_reused = (self.uses(value) > 1 || is_outer) && !found.is_place();
        let named = match is_reused || found.size() > LONG {
            false => found,
            true => {
                let wish = self.function[value].name.clone().unwrap_or_else(|| "t".to_string());
                let ty = self.carrier_of(value);
                self.constant(ty, &wish, found)
            }
        };
        if self.uses(value) > 1 || is_reused {
            self.note(value, at, named.clone());
        }
        named
    }

    /// An entry of the table, of elements at the same place.
    fn apply(&mut self, using: Use<'a>, entry: &Py, at: &[Dim]) -> Outcome<C> {
        let result = using.inst.results[0];
        let shape = self.shape_of(result)?;
        let mut parts: Vec<(&'static str, C)> = vec![];
        let mut class = None;
        let params = using.op.get().params.iter().filter(|param| param.is_operand());
        for (param, operand) in params.zip(using.inst.operands.clone()) {
            let place = self.broadcast(operand, at, &shape)?;
            let mut element = self.element(operand, &place)?;
            let dtype = self.dtype(operand);
            let mut times = 0;
            entry.visit_holes(&mut |hole| times += usize::from(hole.name == param.name));
            if (times > 1 || Maker::may_repeat(entry)) && !element.is_place() {
                let wish = self.function[operand].name.clone().unwrap_or_else(|| "t".to_string());
                element = self.constant(carrier(dtype), &wish, element);
            }
            if dtype != DType::Bool || class.is_none() {
                class = Some(dtype);
            }
            parts.push((param.name, element));
        }
        let class = class.unwrap_or_else(|| self.dtype(result));
        let holes = |name: &str| parts.iter().find(|(own, _)| *own == name).map(|(_, c)| c.clone());
        if let Some(check) = self.cx.table.check(using.op.name()).filter(|_| !class.is_float()) {
            let holds = self.expand(check, class, &holes)?;
            if let C::Binary(left, "!=", right) = holds {
                self.fail_if(C::Binary(left, "==", right), "VALUE");
            } else if let C::Binary(left, ">=", right) = holds {
                self.fail_if(C::Binary(left, "<", right), "VALUE");
            } else if holds.as_bool() != Some(true) {
                self.fail_if(C::unary("!", holds), "VALUE");
            }
        }
        let value = self.expand(entry, class, &holes)?;
        let value = if class.is_float() { value } else { self.decide(value) };
        let dtype = self.dtype(result);
        Ok(if Maker::is_inexact(entry) { self.rounded(dtype, value) } else { value })
    }

    /// What is no comparison of a number with itself. The number may be that of a loop, which nothing else uses then.
    fn decide(&mut self, value: C) -> C {
        if let C::Binary(left, "==" | "!=" | "<" | "<=" | ">" | ">=", right) = &value
            && left == right
            && let C::Atom(name) = &**left
        {
            self.line(format!("(void){name};"));
        }
        decided(value)
    }

    /// An element of a constant that belongs to the kernel.
    fn literal(&mut self, value: ValueId, tensor: &Tensor, at: &[Dim]) -> Outcome<C> {
        let numbers: Vec<C> = (0..tensor.len()).map(|index| literal(tensor, index)).collect();
        let Some(first) = numbers.first() else { return Ok(number(tensor.dtype(), 0.0)) };
        if numbers.iter().all(|number| number == first) {
            return Ok(first.clone());
        }
        let shape = self.shape_of(value)?;
        let offset = super::access::offset(at, &shape);
        if let Some(place) = offset.as_const().and_then(|place| usize::try_from(place).ok()) {
            return Ok(numbers.get(place).unwrap_or(first).clone());
        }
        let table = match self.known(value, &[]) {
            Some(C::Atom(table)) => table,
            _ => {
                let wish = self.function[value].name.clone().unwrap_or_else(|| "table".to_string());
                let texts: Vec<String> = numbers.iter().map(C::text).collect();
                // The numbers of half floats, not their bits.
                let ty = if tensor.dtype().is_float() { carrier(tensor.dtype()) } else { memory(tensor.dtype()) };
                self.at_top(|maker| {
                    let name = maker.name(&wish);
                    maker.line(format!("static const {ty} {name}[{}] = {{{}}};", texts.len(), texts.join(", ")));
                    maker.note(value, &[], C::atom(name.clone()));
                    Ok(name)
                })?
            }
        };
        let index = self.index(&offset);
        Ok(C::index(&table, index))
    }

    /// A number of the host.
    fn host(&mut self, value: ValueId, expr: &HostExpr) -> Outcome<C> {
        let dtype = self.dtype(value);
        if let Some(constant) = expr.as_const() {
            return Ok(match expr {
                HostExpr::Int(dim) if !dtype.is_float() => {
                    let own = i128::from(dim.as_const().unwrap_or_default());
                    integer(dtype, i128::from(crate::types::tensor::wrap(dtype, own as i64)))
                }
                _ => literal(&Tensor::filled(dtype, vec![], constant), 0),
            });
        }
        match expr {
            HostExpr::Int(dim) => {
                let index = self.index(dim);
                self.converted(index, DType::Int64, dtype)
            }
            _ => {
                let number = self.argument(expr)?;
                self.converted(number, DType::Float64, dtype)
            }
        }
    }

    /// A number that an attribute holds, in the type of elements.
    pub fn attribute(&mut self, using: Use<'_>, name: &str, dtype: DType) -> Outcome<C> {
        match using.attrs.const_float(name) {
            Some(value) => Ok(literal(&Tensor::filled(dtype, vec![], value), 0)),
            None => {
                let number = self.real(using, name)?;
                self.converted(number, DType::Float64, dtype)
            }
        }
    }

    /// The same in double precision.
    pub fn real(&mut self, using: Use<'_>, name: &str) -> Outcome<C> {
        if let Some(value) = using.attrs.const_float(name) {
            return Ok(double(value));
        }
        match using.attrs.get(name) {
            Some(Attr::Int(dim) | Attr::Float(HostExpr::Int(dim))) => {
                let index = self.index(dim);
                Ok(C::cast("double", index))
            }
            Some(Attr::Float(expr)) => self.argument(expr),
            _ => Err(self.refuse(&format!("has no number for `{name}`"))),
        }
    }
}

/// What a comparison of a number that is no float with itself gives: compilers warn of it.
fn decided(value: C) -> C {
    match value {
        C::Binary(left, "==" | "<=" | ">=", right) if left == right => C::truth(true),
        C::Binary(left, "!=" | "<" | ">", right) if left == right => C::truth(false),
        C::Conditional(condition, value, other) => match decided(*condition) {
            condition if condition.as_bool() == Some(true) => decided(*value),
            condition if condition.as_bool() == Some(false) => decided(*other),
            condition => C::conditional(condition, *value, *other),
        },
        value => value,
    }
}

/// A number in double precision.
pub(super) fn double(value: f64) -> C {
    literal(&Tensor::filled(DType::Float64, vec![], value), 0)
}

/// An element of a tensor as a literal.
pub(super) fn literal(tensor: &Tensor, index: usize) -> C {
    match tensor.data() {
        Data::I64(values) => match tensor.dtype() {
            DType::Bool => C::truth(values[index] != 0),
            DType::UInt64 => integer(DType::UInt64, i128::from(values[index] as u64)),
            dtype => integer(dtype, i128::from(values[index])),
        },
        _ => number(tensor.dtype(), tensor.get_f64(index)),
    }
}
