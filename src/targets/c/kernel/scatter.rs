//! Writing to places that only a run tells.

use super::access::offset;
use super::maker::{Maker, Outcome, Use};
use super::moves::axis;
use crate::targets::c::text::{C, carrier};
use crate::targets::pytext;

/// A copy of `x`, then each update where its index says.
pub(super) fn scatter<'a>(maker: &mut Maker<'a>, using: Use<'a>) -> Outcome<()> {
    let [x, index, updates] = using.inst.operands[..] else { return Err(maker.refuse("has not three operands")) };
    let (shape, indices) = (maker.shape_of(x)?, maker.shape_of(index)?);
    let dtype = maker.dtype(x);
    let axis = axis(maker, using, "axis", shape.len())?;
    let loops = maker.loops(&shape);
    let element = maker.element(x, &loops.at)?;
    maker.store(0, &loops.at, element);
    maker.close_loops(loops);
    let loops = maker.loops(&indices);
    let row = maker.position(index, &loops.at, &shape[axis])?;
    let new = maker.element(updates, &loops.at)?;
    let mut place = loops.at.clone();
    place[axis] = row;
    let value = match using.attrs.str("reduce") {
        None => new,
        Some(reduce) => {
            let entry = match (reduce, dtype.is_float()) {
                ("add", _) => "{a} + {b}",
                ("mul", _) => "{a} * {b}",
                ("max", true) => "maximum({a}, {b})",
                (_, true) => "minimum({a}, {b})",
                ("max", false) => "{a} if {a} > {b} else {b}",
                (_, false) => "{a} if {a} < {b} else {b}",
            };
            let result = maker.results[0].clone();
            let target = maker.index(&offset(&place, &result.shape));
            let old = maker.widened(dtype, C::index(&result.name, target));
            let old = if old.is_place() { old } else { maker.constant(carrier(dtype), "old", old) };
            let new = if new.is_place() { new } else { maker.constant(carrier(dtype), "update", new) };
            let entry = pytext::parse(entry).map_err(|message| maker.refuse(&message))?;
            let holes = |name: &str| Some(if name == "a" { old.clone() } else { new.clone() });
            let value = maker.expand(&entry, dtype, &holes)?;
            if Maker::is_inexact(&entry) { maker.rounded(dtype, value) } else { value }
        }
    };
    maker.store(0, &place, value);
    maker.close_loops(loops);
    Ok(())
}
