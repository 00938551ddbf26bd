//! Sorting and the k largest: values with NaN as the largest, equal ones in the order of their positions.

use super::access::offset;
use super::maker::{Maker, Outcome, Use};
use super::moves::axis;
use crate::targets::c::text::C;
use crate::types::{DType, Dim};

/// A lane of the operand along an axis.
struct Lane {
    at: Vec<Dim>,
    axis: usize,
    size: Dim,
    descending: bool,
}

impl Lane {
    fn place(&self, index: Dim) -> Vec<Dim> {
        let mut place = self.at.clone();
        place[self.axis] = index;
        place
    }

    /// Whether an element of the lane comes before another one; both are positions that have a name.
    fn is_before<'a>(&self, maker: &mut Maker<'a>, using: Use<'a>, first: &str, second: &str) -> Outcome<C> {
        let operand = using.inst.operands[0];
        let a = maker.element(operand, &self.place(Dim::symbol(first)))?;
        let b = maker.element(operand, &self.place(Dim::symbol(second)))?;
        maker.helper("order");
        let ty = match maker.dtype(operand) {
            dtype if dtype.is_float() => "double",
            DType::UInt64 => "uint64",
            _ => "int64",
        };
        let arguments = vec![a, C::atom(first), b, C::atom(second), C::truth(self.descending)];
        Ok(C::call(&format!("comes_before_{ty}"), arguments))
    }

    /// Where a position is kept, in the second result.
    fn kept(&self, maker: &mut Maker<'_>, index: &Dim) -> String {
        let result = maker.results[1].clone();
        let index = maker.index(&offset(&self.place(index.clone()), &result.shape)).text();
        format!("{}[{index}]", result.name)
    }
}

/// All positions, sorted as a heap in the memory of the second result; then the values in their order.
pub(super) fn sort<'a>(maker: &mut Maker<'a>, using: Use<'a>) -> Outcome<()> {
    let shape = maker.shape_of(using.inst.operands[0])?;
    let axis = axis(maker, using, "axis", shape.len())?;
    let size = shape[axis].clone();
    let mut outer = shape.clone();
    outer[axis] = Dim::constant(1);
    let loops = maker.separate_loops(&outer);
    let descending = using.attrs.bool("descending") == Some(true);
    let lane = Lane { at: loops.at.clone(), axis, size, descending };
    let each = maker.open_loop(&lane.size);
    let each = Dim::symbol(each.as_str());
    let (target, value) = (lane.kept(maker, &each), maker.index(&each));
    maker.statement(format!("{target} = "), value);
    maker.close();
    heap(maker, using, &lane)?;
    let each = maker.open_loop(&lane.size);
    let each = Dim::symbol(each.as_str());
    let source = lane.kept(maker, &each);
    let from = maker.index_variable("from", C::Atom(source), &lane.size);
    let element = maker.element(using.inst.operands[0], &lane.place(from))?;
    maker.store(0, &lane.place(each), element);
    maker.close();
    maker.close_loops(loops);
    Ok(())
}

/// First the heap grows from the end, then its root, which comes last, goes behind it, again and again.
fn heap<'a>(maker: &mut Maker<'a>, using: Use<'a>, lane: &Lane) -> Outcome<()> {
    let size = maker.index(&lane.size).text();
    let size_halved = format!("{size} / 2");
    let size_halved = if size.contains(' ') { format!("({size}) / 2") } else { size_halved };
    maker.open("");
    let (start, end) = (maker.name("start"), maker.name("end"));
    maker.take_head(format!("for (int64_t {start} = {size_halved}, {end} = {size}; {end} > 1;)"));
    let dim = |name: &str| Dim::symbol(name);
    maker.open(format!("if ({start} > 0)"));
    maker.line(format!("{start}--;"));
    maker.close();
    maker.open("else");
    maker.line(format!("{end}--;"));
    let (root, last) = (lane.kept(maker, &Dim::zero()), lane.kept(maker, &dim(&end)));
    swap(maker, &root, &last);
    maker.close();
    let root = maker.variable("int64_t", "root", C::atom(&start));
    maker.open("");
    let child = maker.name("child");
    maker.take_head(format!("for (int64_t {child} = 2 * {root} + 1; {child} < {end}; {child} = 2 * {root} + 1)"));
    maker.open(format!("if ({child} + 1 < {end})"));
    let next = dim(&child).add(&Dim::constant(1));
    let (this, other) = (lane.kept(maker, &dim(&child)), lane.kept(maker, &next));
    let (this, other) = (named(maker, "left", this), named(maker, "right", other));
    let before = lane.is_before(maker, using, &this, &other)?;
    maker.line(format!("if ({}) {child}++;", before.text()));
    maker.close();
    let (above, below) = (lane.kept(maker, &dim(&root)), lane.kept(maker, &dim(&child)));
    let (upper, lower) = (named(maker, "upper", above.clone()), named(maker, "lower", below.clone()));
    let before = lane.is_before(maker, using, &upper, &lower)?;
    maker.line(format!("if (!{}) break;", before.text()));
    maker.line(format!("{above} = {lower};"));
    maker.line(format!("{below} = {upper};"));
    maker.line(format!("{root} = {child};"));
    maker.close();
    maker.close();
    Ok(())
}

fn named(maker: &mut Maker<'_>, wish: &str, value: String) -> String {
    maker.constant("int64_t", wish, C::Atom(value)).text()
}

fn swap(maker: &mut Maker<'_>, a: &str, b: &str) {
    let kept = maker.constant("int64_t", "kept", C::atom(a)).text();
    maker.line(format!("{a} = {b};"));
    maker.line(format!("{b} = {kept};"));
}

/// The best position that comes after the last one, as often as asked for.
pub(super) fn topk<'a>(maker: &mut Maker<'a>, using: Use<'a>) -> Outcome<()> {
    let operand = using.inst.operands[0];
    let shape = maker.shape_of(operand)?;
    let axis = axis(maker, using, "axis", shape.len())?;
    let wanted = maker.shape_of(using.inst.results[0])?[axis].clone();
    let size = shape[axis].clone();
    let mut outer = shape.clone();
    outer[axis] = Dim::constant(1);
    if wanted.is_const(0) {
        return Ok(());
    }
    let loops = maker.separate_loops(&outer);
    let descending = using.attrs.bool("largest") == Some(true);
    let lane = Lane { at: loops.at.clone(), axis, size, descending };
    let last = maker.variable("int64_t", "last", C::unary("-", C::atom("1")));
    let rank = maker.open_loop(&wanted);
    let rank = Dim::symbol(rank.as_str());
    let best = maker.variable("int64_t", "best", C::unary("-", C::atom("1")));
    let each = maker.open_loop(&lane.size).as_str().to_string();
    let after = lane.is_before(maker, using, &last, &each)?;
    maker.line(format!("if ({last} >= 0 && !{}) continue;", after.text()));
    let before = lane.is_before(maker, using, &each, &best)?;
    maker.line(format!("if ({best} < 0 || {}) {best} = {each};", before.text()));
    maker.close();
    maker.line(format!("if ({best} < 0) break;"));
    let element = maker.element(operand, &lane.place(Dim::symbol(&best)))?;
    maker.store(0, &lane.place(rank.clone()), element);
    let kept = lane.kept(maker, &rank);
    maker.line(format!("{kept} = {best};"));
    maker.line(format!("{last} = {best};"));
    maker.close();
    maker.close_loops(loops);
    Ok(())
}
