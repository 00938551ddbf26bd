//! Assignment to parts of a tensor: `x[i, a:b] = value` gives `x` a new value. A part of a `state` is assigned
//! in place.

use crate::analysis::db::Report;
use crate::analysis::elaborate::index::{Subscript, is_from_end};
use crate::analysis::elaborate::{Elaborator, StorageMember};
use crate::analysis::value::{TensorValue, Value};
use crate::analysis::world::{Leaf, Walk};
use crate::base::{Span, code};
use crate::ops::{Attr, Attrs};
use crate::syntax::ast::IndexItem;
use crate::types::{DType, Dim, Elem, Shape};

/// What is replaced along one axis.
struct Window {
    axis: i64,
    start: Start,
    size: Dim,
    span: Span,
    /// The axis is absent from the value: a position, not a slice.
    is_position: bool,
}

enum Start {
    Host(Dim),
    Tensor(TensorValue),
}

impl<'db> Elaborator<'_, 'db> {
    /// `x[...] = value`: a functional update. Gives the new tensor.
    pub fn updated(
        &mut self,
        tensor: TensorValue,
        items: &'db [IndexItem],
        value: Value<'db>,
        value_span: Span,
        span: Span,
    ) -> Walk<TensorValue> {
        let subscripts = self.subscripts(items)?;
        let windows = self.windows(&tensor, subscripts, span)?;
        let selected = selection(&tensor.ty.shape, &windows);
        let update = self.to_tensor(value, Some(&tensor.ty.elem.clone()), value_span)?;
        let update = self.fitted(update, &selected, &windows, value_span)?;
        let update = self.with_positions(update, &selected, &windows, value_span, span)?;
        self.replaced(tensor, &windows, update, value_span, span)
    }

    /// `cache[:, pos:pos + T] = value` of a `state`: in place, without a new tensor of its size.
    pub fn update_state(
        &mut self,
        member: &StorageMember,
        items: &'db [IndexItem],
        (value, value_span): (Value<'db>, Span),
        span: Span,
    ) -> Walk<()> {
        let subscripts = self.subscripts(items)?;
        let update = self.to_tensor(value, Some(&member.ty.elem.clone()), value_span)?;
        if update.ty.elem != member.ty.elem {
            let (found, wanted) = (&update.ty.elem, &member.ty.elem);
            let message = format!("`{}` holds {wanted}, but this is {found}", member.path);
            let report = Report::new(code::E0202, message)
                .at(self.place(value_span), format!("this is {found}"))
                .note(format!("convert it with `.to({wanted})`"));
            return Err(self.fail(report));
        }
        // The old value is looked at for its type alone.
        let mark = self.world.mark();
        let windows = match self.read_storage(member, span)? {
            Value::Tensor(tensor) => self.windows(&tensor, subscripts, span)?,
            _ => return Ok(()),
        };
        self.world.rollback(mark);
        let selected = selection(&member.ty.shape, &windows);
        let update = self.fitted(update, &selected, &windows, value_span)?;
        let place = self.place(span);
        if windows.is_empty() {
            self.world.leaf(Leaf::SetState { name: member.path.clone() }, &[update.value], &[], place);
            return Ok(());
        }
        let mut sorted = vec![];
        for window in windows {
            let Ok(axis) = member.ty.shape.axis(window.axis) else { return Ok(()) };
            let start = self.start(&window, span)?;
            sorted.push((axis, (!window.is_position).then_some(window.size), start.value));
        }
        sorted.sort_by_key(|(axis, ..)| *axis);
        let mut operands = vec![update.value];
        operands.extend(sorted.iter().map(|(_, _, start)| *start));
        let windows = sorted.into_iter().map(|(axis, size, _)| (axis, size)).collect();
        self.world.leaf(Leaf::SetSlice { name: member.path.clone(), windows }, &operands, &[], place);
        Ok(())
    }

    /// The windows that subscripts select; whole axes are left out.
    fn windows(&mut self, tensor: &TensorValue, subscripts: Vec<Subscript>, span: Span) -> Walk<Vec<Window>> {
        let mark = self.world.mark();
        let windows = self.windows_of(tensor, subscripts, span);
        // Slices were made to check their bounds.
        self.world.rollback(mark);
        windows
    }

    fn windows_of(&mut self, tensor: &TensorValue, subscripts: Vec<Subscript>, span: Span) -> Walk<Vec<Window>> {
        let count = subscripts.len() as i64;
        let mut windows = vec![];
        let mut behind = false;
        for (index, subscript) in subscripts.into_iter().enumerate() {
            let axis = if behind { index as i64 - count } else { index as i64 };
            let (start, size, item_span, is_position) = match subscript {
                Subscript::All => continue,
                Subscript::Ellipsis => {
                    behind = true;
                    continue;
                }
                Subscript::Slice { start, stop, step: 1, span } => {
                    let part = self.slice_axis(tensor.clone(), axis, start.clone(), stop, 1, span)?;
                    (
                        self.counted_from_front(tensor, axis, start.unwrap_or_default()),
                        self.size_of(&part, axis),
                        span,
                        false,
                    )
                }
                Subscript::Position(position, span) => {
                    let stop = (position.as_const() != Some(-1)).then(|| position.add(&Dim::constant(1)));
                    self.slice_axis(tensor.clone(), axis, Some(position.clone()), stop, 1, span)?;
                    (self.counted_from_front(tensor, axis, position), Dim::constant(1), span, true)
                }
                Subscript::Tensor(index, span) if index.ty.shape.rank() == Some(0) => {
                    (Start::Tensor(index), Dim::constant(1), span, true)
                }
                _ => {
                    let message = "an update takes positions and slices with step 1; for others use `scatter`";
                    return Err(self.error(code::E0211, message, span, "not a plain slice"));
                }
            };
            windows.push(Window { axis, start, size, span: item_span, is_position });
        }
        Ok(windows)
    }

    fn size_of(&mut self, tensor: &TensorValue, axis: i64) -> Dim {
        match tensor.ty.shape.axis(axis) {
            Ok(index) => tensor.ty.shape.dims[index].clone(),
            Err(_) => self.fresh_dim(),
        }
    }

    fn counted_from_front(&mut self, tensor: &TensorValue, axis: i64, start: Dim) -> Start {
        match is_from_end(&start) {
            true => Start::Host(self.size_of(tensor, axis).add(&start)),
            false => Start::Host(start),
        }
    }

    /// The value with the shape of what it replaces, without axes of positions.
    fn fitted(&mut self, update: TensorValue, selected: &Shape, windows: &[Window], span: Span) -> Walk<TensorValue> {
        let mut positions: Vec<usize> = vec![];
        for window in windows.iter().filter(|window| window.is_position) {
            match selected.axis(window.axis) {
                Ok(index) => positions.push(index),
                Err(_) => return Ok(update),
            }
        }
        positions.sort_unstable();
        let value_shape = positions.iter().rev().fold(selected.clone(), |shape, index| shape.without_dim(*index));
        let mut fitted = update;
        if fitted.ty.shape != value_shape {
            let attrs = Attrs::new().with("shape", Attr::Shape(value_shape));
            fitted = self.one("broadcast_to", vec![fitted], attrs, &[span], span)?;
        }
        Ok(fitted)
    }

    /// The value with an axis of size 1 for each position.
    fn with_positions(
        &mut self,
        update: TensorValue,
        selected: &Shape,
        windows: &[Window],
        value_span: Span,
        span: Span,
    ) -> Walk<TensorValue> {
        let positions = windows.iter().filter(|window| window.is_position);
        let mut positions: Vec<usize> = positions.filter_map(|window| selected.axis(window.axis).ok()).collect();
        positions.sort_unstable();
        let mut fitted = update;
        for index in positions {
            let behind = selected.pack.as_ref().is_some_and(|(at, _)| index >= *at);
            let axis = if behind { index as i64 - selected.dims.len() as i64 } else { index as i64 };
            let attrs = Attrs::new().with("axis", Attr::int(axis));
            fitted = self.one("unsqueeze", vec![fitted], attrs, &[value_span], span)?;
        }
        Ok(fitted)
    }

    /// Where a window begins, as a run-time scalar.
    fn start(&mut self, window: &Window, span: Span) -> Walk<TensorValue> {
        match &window.start {
            Start::Host(start) => {
                let elem = Elem::Known(DType::Int64);
                self.to_tensor(Value::dim(start.clone()), Some(&elem), span)
            }
            Start::Tensor(index) if index.ty.elem.is(DType::Int64) => Ok(index.clone()),
            Start::Tensor(index) => {
                let attrs = Attrs::new().with("dtype", Attr::DType(DType::Int64.into()));
                self.one("cast", vec![index.clone()], attrs, &[window.span], window.span)
            }
        }
    }

    /// Writes along the first window's axis what the other windows make of that part.
    fn replaced(
        &mut self,
        tensor: TensorValue,
        windows: &[Window],
        update: TensorValue,
        value_span: Span,
        span: Span,
    ) -> Walk<TensorValue> {
        let Some((window, rest)) = windows.split_first() else { return Ok(update) };
        let index = self.start(window, span)?;
        let mut part = update;
        if !rest.is_empty() {
            let attrs = Attrs::new().with("axis", Attr::int(window.axis));
            let old = match &window.start {
                Start::Host(start) => {
                    let attrs = attrs
                        .with("start", Attr::Int(start.clone()))
                        .with("stop", Attr::Int(start.add(&window.size)))
                        .with("step", Attr::int(1));
                    self.one("slice", vec![tensor.clone()], attrs, &[span], window.span)?
                }
                Start::Tensor(_) => {
                    let attrs = attrs.with("size", Attr::Int(window.size.clone()));
                    self.one("dynamic_slice", vec![tensor.clone(), index.clone()], attrs, &[span, window.span], span)?
                }
            };
            part = self.replaced(old, rest, part, value_span, span)?;
        }
        let attrs = Attrs::new().with("axis", Attr::int(window.axis));
        let spans = [span, value_span, window.span];
        self.one("dynamic_update", vec![tensor, part, index], attrs, &spans, span)
    }
}

/// The shape of the selected part, each axis of a position with size 1.
fn selection(shape: &Shape, windows: &[Window]) -> Shape {
    let mut selected = shape.clone();
    for window in windows {
        match selected.axis(window.axis) {
            Ok(index) => selected = selected.with_dim(index, window.size.clone()),
            Err(_) => selected = Shape::unknown(),
        }
    }
    selected
}
