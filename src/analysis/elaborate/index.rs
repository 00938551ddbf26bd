//! Subscripts: of tensors as NumPy's, of lists and shapes, and type arguments of layers.

use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::host::element_at;
use crate::analysis::elaborate::loops::length_of;
use crate::analysis::value::{List, Opaque, OpaqueKind, TensorValue, Value};
use crate::analysis::world::{Abort, Walk};
use crate::base::{Span, code};
use crate::ops::{Attr, Attrs, Obligation, ObligationKind};
use crate::syntax::ast::{ExprId, ExprKind, IndexItem};
use crate::types::dim::Atom;
use crate::types::{Dim, Elem, HostExpr, Shape, Symbol, TensorType};

/// A subscript item, evaluated.
pub enum Subscript {
    /// `:` on this axis.
    All,
    Slice {
        start: Option<Dim>,
        stop: Option<Dim>,
        step: i64,
        span: Span,
    },
    /// A host int: the axis goes.
    Position(Dim, Span),
    /// A run-time scalar or an array of positions.
    Tensor(TensorValue, Span),
    NewAxis,
    Ellipsis,
}

impl<'db> Elaborator<'_, 'db> {
    pub fn index_expr(&mut self, base: ExprId, items: &'db [IndexItem], span: Span) -> Walk<Value<'db>> {
        let value = self.expr(base)?;
        let base_span = self.span(base);
        match value {
            Value::Error => Ok(Value::Error),
            Value::Tensor(tensor) => {
                let subscripts = self.subscripts(items)?;
                self.index_tensor(tensor, subscripts, base_span, span)
            }
            Value::Layer(layer, _) => {
                let elems = self.type_arguments(items)?;
                Ok(Value::Layer(layer, elems))
            }
            Value::DType(elem) => {
                // `TernaryTensor[2, 2]`, `float32[4]`: a tensor type in value position.
                let mut dims = vec![];
                for item in items {
                    if let IndexItem::Expr(expr) = item {
                        dims.push(self.int_expr(*expr)?);
                    }
                }
                Ok(Value::TensorType(TensorType::new(elem, Shape::new(dims))))
            }
            list => self.index_list(list, items, span),
        }
    }

    fn type_arguments(&mut self, items: &'db [IndexItem]) -> Walk<Vec<Elem>> {
        let mut elems = vec![];
        for item in items {
            let IndexItem::Expr(expr) = item else { continue };
            let span = self.span(*expr);
            match self.expr(*expr)? {
                Value::DType(elem) => elems.push(elem),
                other => {
                    let message = format!("a type argument must be an element type, not {}", other.describe());
                    return Err(self.error(code::E0208, message, span, "not an element type"));
                }
            }
        }
        Ok(elems)
    }

    fn index_list(&mut self, list: Value<'db>, items: &'db [IndexItem], span: Span) -> Walk<Value<'db>> {
        let [item] = items else {
            return Err(self.error(code::E0304, "a list takes one subscript", span, "more than one here"));
        };
        match item {
            IndexItem::Expr(expr) => {
                let position = self.int_expr(*expr)?;
                self.element(list, &position, span)
            }
            IndexItem::Slice { start, stop, step: None, .. } => {
                let start = start.map(|e| self.int_expr(e)).transpose()?;
                let stop = stop.map(|e| self.int_expr(e)).transpose()?;
                self.slice_list(list, start, stop, span)
            }
            IndexItem::Slice { span, .. } => {
                Err(self.error(code::E0201, "a slice of a list takes no step", *span, "a step here"))
            }
        }
    }

    /// `list[position]`; negative positions count from the end.
    fn element(&mut self, list: Value<'db>, position: &Dim, span: Span) -> Walk<Value<'db>> {
        match &list {
            Value::List(List::Repeat { index, count, element }) => {
                let from_end = self.facts.normal(position).as_const().is_some_and(|p| p < 0);
                let position = if from_end { count.add(position) } else { position.clone() };
                let message = format!("position {position} is outside a list of {count}");
                let last = count.sub(&Dim::constant(1));
                let kind = ObligationKind::AtLeast(last, position.clone());
                // An index of the very loop over this list is inside by construction.
                if !position.symbols().iter().any(|s| s.as_str().contains('\'')) {
                    self.require(Obligation { kind, code: code::E0309, message }, span)?;
                }
                Ok(element_at(index, element, &position))
            }
            Value::Shape(shape) if shape.pack.is_some() => match self.known_int(position)? {
                Some(position) => match shape.axis(position) {
                    Ok(axis) => Ok(Value::dim(shape.dims[axis].clone())),
                    Err(_) => Ok(Value::dim(self.fresh_dim())),
                },
                None => Ok(Value::dim(self.fresh_dim())),
            },
            Value::List(List::Joined(parts)) => match self.known_int(position)? {
                Some(position) => Ok(self.joined_element(parts, position)),
                None => Ok(Value::Error),
            },
            Value::Opaque(Opaque { name, kind: OpaqueKind::Ints }) => {
                let from_end = self.facts.normal(position).as_const().is_some_and(|p| p < 0);
                let position = if from_end { length_of(name).add(position) } else { position.clone() };
                Ok(Value::dim(Dim::atom(Atom::Element(Symbol::new(name), position))))
            }
            Value::Opaque(Opaque { kind: OpaqueKind::List, .. }) => Ok(Value::Error),
            Value::Opaque(_) => Ok(Value::dim(self.fresh_dim())),
            Value::List(List::Stacked(_) | List::Growing { .. }) => {
                self.know_length(&list)?;
                let message = format!("{} has no elements to pick here", list.describe());
                Err(self.error(code::E0201, message, span, ""))
            }
            Value::List(_) | Value::Tuple(_) | Value::Shape(_) => {
                let items = self.as_items(&list).unwrap_or_default();
                let Some(known) = self.known_int(position)? else { return Ok(Value::Error) };
                let len = items.len() as i64;
                let index = if known < 0 { known + len } else { known };
                match usize::try_from(index).ok().and_then(|i| items.get(i)) {
                    Some(item) => Ok(item.clone()),
                    None => {
                        let message = format!("position {known} is outside a list of {len}");
                        Err(self.error(code::E0309, message, span, "out of range"))
                    }
                }
            }
            Value::Error => Ok(Value::Error),
            other => {
                let message = format!("{} cannot be subscripted", other.describe());
                Err(self.error(code::E0201, message, span, ""))
            }
        }
    }

    /// An element of lists one after the other, where the lengths on the way to it are known, and that of its own
    /// list suffices.
    fn joined_element(&self, parts: &[Value<'db>], position: i64) -> Value<'db> {
        let mut left = if position < 0 { -1 - position } else { position };
        let mut parts: Vec<&Value<'db>> = parts.iter().collect();
        if position < 0 {
            parts.reverse();
        }
        for part in parts {
            if let Value::List(List::Repeat { index, count, element }) = part {
                if self.facts.at_least(count, &Dim::constant(left + 1)) != Some(true) {
                    break;
                }
                let position = if position < 0 { count.sub(&Dim::constant(left + 1)) } else { Dim::constant(left) };
                return element_at(index, element, &position);
            }
            let Some(items) = self.as_items(part) else { break };
            let length = items.len() as i64;
            if left < length {
                let index = if position < 0 { length - 1 - left } else { left };
                return items.into_iter().nth(index as usize).unwrap_or(Value::Error);
            }
            left -= length;
        }
        Value::Error
    }

    fn slice_list(&mut self, list: Value<'db>, start: Option<Dim>, stop: Option<Dim>, span: Span) -> Walk<Value<'db>> {
        if let Value::Shape(shape) = &list
            && let Some((at, pack)) = &shape.pack
        {
            return self.slice_pack(shape, *at, pack.clone(), start, stop);
        }
        let list = self.opened(list);
        self.know_length(&list)?;
        let Some(items) = self.as_items(&list) else {
            return match list {
                Value::List(List::Repeat { index, count, element }) => {
                    Ok(slice_repeat(&index, &count, &element, start, stop))
                }
                Value::List(List::Joined(parts)) => Ok(slice_joined(parts, start, stop).unwrap_or(Value::Error)),
                Value::Opaque(_) | Value::Error | Value::List(_) => Ok(Value::Error),
                other => {
                    let message = format!("{} cannot be sliced", other.describe());
                    Err(self.error(code::E0201, message, span, ""))
                }
            };
        };
        let len = items.len() as i64;
        let bound = |dim: Option<Dim>, default: i64| -> Walk<Option<i64>> {
            let Some(dim) = dim else { return Ok(Some(default)) };
            Ok(self.known_int(&dim)?.map(|v| if v < 0 { v + len } else { v }.clamp(0, len)))
        };
        let (Some(start), Some(stop)) = (bound(start, 0)?, bound(stop, len)?) else { return Ok(Value::Error) };
        Ok(Value::list(items[start as usize..stop.max(start) as usize].to_vec()))
    }

    /// `x.shape[:-1]` where the shape has a pack.
    fn slice_pack(
        &mut self,
        shape: &Shape,
        at: usize,
        pack: crate::types::Pack,
        start: Option<Dim>,
        stop: Option<Dim>,
    ) -> Walk<Value<'db>> {
        let start = match start {
            None => Some(0),
            Some(dim) => self.known_int(&dim)?,
        };
        let stop = match stop {
            None => Some(0),
            Some(dim) => self.known_int(&dim)?.filter(|s| *s < 0),
        };
        let tail = shape.dims.len() - at;
        if let (Some(start), Some(stop)) = (start, stop)
            && (0..=at as i64).contains(&start)
            && -stop <= tail as i64
        {
            let head = shape.dims[start as usize..at].to_vec();
            let end = shape.dims.len() - (-stop) as usize;
            return Ok(Value::Shape(Shape::with_pack(head, pack, shape.dims[at..end].to_vec())));
        }
        if let Some(start) = start
            && start < 0
            && -start <= tail as i64
            && stop == Some(0)
        {
            let from = shape.dims.len() - (-start) as usize;
            return Ok(Value::Shape(Shape::new(shape.dims[from..].to_vec())));
        }
        Ok(Value::Shape(Shape::unknown()))
    }

    pub fn subscripts(&mut self, items: &'db [IndexItem]) -> Walk<Vec<Subscript>> {
        let ast = self.ast;
        let mut subscripts = vec![];
        for item in items {
            let subscript = match item {
                IndexItem::Slice { start: None, stop: None, step: None, .. } => Subscript::All,
                IndexItem::Slice { start, stop, step, span } => {
                    let step = match step {
                        None => 1,
                        Some(step) => {
                            let step = self.int_expr(*step)?;
                            self.known_int(&step)?.unwrap_or(1)
                        }
                    };
                    let start = start.map(|e| self.int_expr(e)).transpose()?;
                    let stop = stop.map(|e| self.int_expr(e)).transpose()?;
                    Subscript::Slice { start, stop, step, span: *span }
                }
                IndexItem::Expr(expr) => {
                    let span = ast[*expr].span;
                    match &ast[*expr].kind {
                        ExprKind::None => Subscript::NewAxis,
                        ExprKind::Ellipsis => Subscript::Ellipsis,
                        _ => match self.expr(*expr)? {
                            Value::Number(HostExpr::Int(dim)) => Subscript::Position(dim, span),
                            Value::Tensor(tensor) => Subscript::Tensor(tensor, span),
                            Value::None => Subscript::NewAxis,
                            list @ Value::List(_) => {
                                let elem = Elem::Known(crate::types::DType::Int64);
                                Subscript::Tensor(self.to_tensor(list, Some(&elem), span)?, span)
                            }
                            Value::Error => return Err(Abort::Reported),
                            other => {
                                let message = format!("{} is not a subscript", other.describe());
                                return Err(self.error(code::E0201, message, span, ""));
                            }
                        },
                    }
                }
            };
            subscripts.push(subscript);
        }
        Ok(subscripts)
    }

    fn index_tensor(
        &mut self,
        tensor: TensorValue,
        subscripts: Vec<Subscript>,
        base_span: Span,
        span: Span,
    ) -> Walk<Value<'db>> {
        let consumes = |s: &Subscript| !matches!(s, Subscript::NewAxis | Subscript::Ellipsis);
        let used = subscripts.iter().filter(|s| consumes(s)).count();
        let after = match subscripts.iter().position(|s| matches!(s, Subscript::Ellipsis)) {
            Some(at) => subscripts[at..].iter().filter(|s| consumes(s)).count() as i64,
            None => 0,
        };
        if let Some(rank) = tensor.ty.shape.rank()
            && used > rank
        {
            let message = format!("{used} subscripts for a tensor of rank {rank}");
            return Err(self.error(code::E0304, message, span, format!("this is {}", tensor.ty)));
        }
        // Walk the axes from the left, then, behind `...`, from the right; `axis` names the place in the
        // tensor as it is after the subscripts done so far.
        let mut current = tensor;
        let mut axis: i64 = 0;
        let mut behind = false;
        for subscript in subscripts {
            match subscript {
                Subscript::Ellipsis => {
                    behind = true;
                    axis = -after;
                }
                Subscript::All => axis += 1,
                Subscript::NewAxis => {
                    let at = if behind { axis - 1 } else { axis };
                    let attrs = Attrs::new().with("axis", Attr::int(at));
                    current = self.one("unsqueeze", vec![current], attrs, &[base_span], span)?;
                    if !behind {
                        axis += 1;
                    }
                }
                Subscript::Slice { start, stop, step, span: item_span } => {
                    current = self.slice_axis(current, axis, start, stop, step, item_span)?;
                    axis += 1;
                }
                Subscript::Position(position, item_span) => {
                    let next = position.add(&Dim::constant(1));
                    let stop = if position.as_const() == Some(-1) { None } else { Some(next) };
                    current = self.slice_axis(current, axis, Some(position), stop, 1, item_span)?;
                    let attrs = Attrs::new().with("axis", Attr::int(axis));
                    current = self.one("squeeze", vec![current], attrs, &[base_span], span)?;
                    if behind {
                        axis += 1;
                    }
                }
                Subscript::Tensor(index, item_span) => {
                    let rank = index.ty.shape.rank();
                    let attrs = Attrs::new().with("axis", Attr::int(axis));
                    current = self.one("take", vec![current, index], attrs, &[base_span, item_span], span)?;
                    axis += if behind { 1 } else { rank.unwrap_or(1) as i64 };
                }
            }
        }
        Ok(Value::Tensor(current))
    }

    pub fn one(
        &mut self,
        op: &str,
        operands: Vec<TensorValue>,
        attrs: Attrs,
        spans: &[Span],
        span: Span,
    ) -> Walk<TensorValue> {
        match self.emit_one(op, operands, attrs, spans, span)? {
            Value::Tensor(tensor) => Ok(tensor),
            _ => Err(Abort::Reported),
        }
    }

    /// `start:stop:step` on one axis. Constant negative bounds, and `-e`, count from the end; `::-1` flips.
    pub fn slice_axis(
        &mut self,
        tensor: TensorValue,
        axis: i64,
        start: Option<Dim>,
        stop: Option<Dim>,
        step: i64,
        span: Span,
    ) -> Walk<TensorValue> {
        if step == -1 && start.is_none() && stop.is_none() {
            let attrs = Attrs::new().with("axes", Attr::ints(&[axis]));
            return self.one("flip", vec![tensor], attrs, &[span], span);
        }
        if step < 1 {
            let message = "a slice's step must be positive; `::-1` alone flips an axis";
            return Err(self.error(code::E0310, message, span, format!("the step is {step}")));
        }
        let size = match tensor.ty.shape.axis(axis) {
            Ok(index) => tensor.ty.shape.dims[index].clone(),
            Err(None) => self.fresh_dim(),
            Err(Some(rank)) => {
                let message = format!("axis {axis} is out of range for rank {rank}");
                return Err(self.error(code::E0304, message, span, format!("this is {}", tensor.ty)));
            }
        };
        let resolve = |dim: Dim| if is_from_end(&dim) { size.add(&dim) } else { dim };
        let start = resolve(start.unwrap_or_default());
        let stop = stop.map_or(size.clone(), resolve);
        let attrs = Attrs::new()
            .with("axis", Attr::int(axis))
            .with("start", Attr::Int(start))
            .with("stop", Attr::Int(stop))
            .with("step", Attr::int(step));
        self.one("slice", vec![tensor], attrs, &[span], span)
    }
}

/// `-1`, `-n`: a position from the end.
pub fn is_from_end(dim: &Dim) -> bool {
    let mut any = false;
    for (_, coefficient) in dim.terms() {
        if coefficient > 0 {
            return false;
        }
        any = true;
    }
    any
}

/// A slice of a list of open length: from a position that counts from the start to one that counts from the end.
fn slice_repeat<'db>(
    index: &Symbol,
    count: &Dim,
    element: &Value<'db>,
    start: Option<Dim>,
    stop: Option<Dim>,
) -> Value<'db> {
    let Some((front, back)) = left_out(start, stop) else { return Value::Error };
    let front = Dim::constant(front);
    let element = element_at(index, element, &front.add(&Dim::symbol(index.as_str())));
    let count = count.sub(&front).sub(&Dim::constant(back));
    Value::List(List::Repeat { index: index.clone(), count, element: Box::new(element) })
}

/// A slice of lists one after the other, where what it leaves out is written element by element.
fn slice_joined<'db>(mut parts: Vec<Value<'db>>, start: Option<Dim>, stop: Option<Dim>) -> Option<Value<'db>> {
    let (front, back) = left_out(start, stop)?;
    if front > 0 {
        let Some(Value::List(List::Items(items))) = parts.first_mut() else { return None };
        items.drain(..usize::try_from(front).ok().filter(|front| *front <= items.len())?);
    }
    if back > 0 {
        let Some(Value::List(List::Items(items))) = parts.last_mut() else { return None };
        items.truncate(items.len().checked_sub(usize::try_from(back).ok()?)?);
    }
    Some(Value::joined(parts))
}

/// How many elements a slice leaves out at the front and at the back, if both are plain numbers.
fn left_out(start: Option<Dim>, stop: Option<Dim>) -> Option<(i64, i64)> {
    let front = start.map_or(Some(0), |start| start.as_const().filter(|start| *start >= 0))?;
    let back = stop.map_or(Some(0), |stop| stop.as_const().filter(|stop| *stop < 0))?;
    Some((front, -back))
}
