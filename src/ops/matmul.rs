//! Matrix products: `matmul` and `routed_matmul`.

use crate::base::code;
use crate::ops::cost::Cost;
use crate::ops::gemm::{Matrix, Number, Pair, finish, product_dtype, product_elem};
use crate::ops::precision::Precision;
use crate::ops::simplify;
use crate::ops::storage::{Element, for_each_offset, position, signed_strides};
use crate::ops::traits::{Product, Role, Traits};
use crate::ops::{Default, EvalCx, EvalError, Gradient, Hint, Op, OpError, Param, ParamKind, RuleCx, Stop, gradient};
use crate::types::tensor::Data;
use crate::types::{DType, Dim, Elem, Pack, Shape, Tensor, TensorType, Verdict};

/// Sums are float32 whatever the operands are, and rounded once.
pub(super) const PRODUCT: Traits =
    Traits { role: Role::Product, cost: Cost::Product, precision: Precision::Low, ..Traits::CAUTIOUS };

pub static OPS: &[Op] = &[
    Op {
        name: "matmul",
        params: &[
            Param::tensor("a"),
            Param::tensor("b"),
            Param::with(TRANSPOSE[0], ParamKind::Bool, Default::Off),
            Param::with(TRANSPOSE[1], ParamKind::Bool, Default::Off),
        ],
        rule: matmul_rule,
        eval: matmul_eval,
        gradient: Gradient::Rule(gradient::matmul::matmul),
        traits: Traits { product: Some(Product::Matrix), laws: &[simplify::transposed_operand], ..PRODUCT },
        doc: "The matrix product of the last two axes, written `a @ b`.\n\n\
              `[..., M, K] @ [..., K, N]` gives `[..., M, N]`; the leading axes broadcast. A rank-1 operand is a \
              row on the left, a column on the right, and its axis vanishes from the result.\n\n\
              `transpose_a` and `transpose_b` exchange the last two axes of that operand first: \
              `matmul(x, w, transpose_b=true)` is `x @ w.T` for a matrix `w`.\n\n\
              Floats multiply with their own type or with `trit`, `int4` and `int8`, giving the float; quantised \
              types among themselves give `int32`; other integers wrap. Inner dims must be provably equal (E0301).",
    },
    Op {
        name: "routed_matmul",
        params: &[Param::tensor("x"), Param::tensor("w"), Param::indices("index")],
        rule: routed_rule,
        eval: routed_eval,
        gradient: Gradient::Rule(gradient::matmul::routed),
        traits: Traits { product: Some(Product::Routed), ..PRODUCT },
        doc: "Multiplies each row by the matrix that an index picks: row n is `x[n] @ w[index[n]].T`.\n\n\
              `x: [..., K]`, `w: [E, N, K]` and `index: [...]` of integers give `[..., N]`. Negative indices count \
              from the end; one out of range is an error. Mixture-of-experts layers use it.",
    },
];

/// The flags of `matmul` that exchange the last two axes of an operand, in the order of the operands.
pub const TRANSPOSE: [&str; 2] = ["transpose_a", "transpose_b"];

/// The element type of a product of two operands.
pub fn require_product(cx: &RuleCx<'_>, left: usize, right: usize) -> Result<Elem, Stop> {
    let (a, b) = (&cx.operand(left).elem, &cx.operand(right).elem);
    if let Some(elem) = product_elem(a, b) {
        return Ok(elem);
    }
    if a != b {
        cx.same_elem(left, right)?;
    }
    let message = format!("`{}` takes numbers, not {a}", cx.op.name);
    Err(OpError::new(code::E0209, message).label(left, cx.operand(left).to_string()).into())
}

/// An operand seen as a stack of matrices.
struct Stack {
    batch: Shape,
    /// `None` for a rank-1 operand: it has no axis beside the inner one.
    outer: Option<Dim>,
    inner: Dim,
}

enum Seen {
    Stack(Stack),
    /// Only the last dim is known; whether there is another depends on the pack.
    Last(Dim),
    Nothing,
}

/// `inner_last` for the left operand and for a transposed right one: the inner dim is the last.
fn see(shape: &Shape, inner_last: bool, transposed: bool) -> Seen {
    let tail = shape.tail();
    match (tail, &shape.pack) {
        ([], _) => Seen::Nothing,
        ([_], _) if transposed => Seen::Nothing,
        ([only], None) => Seen::Stack(Stack { batch: Shape::scalar(), outer: None, inner: only.clone() }),
        ([only], Some(_)) => Seen::Last(only.clone()),
        ([.., row, column], _) => {
            let batch = shape.without_dim(shape.dims.len() - 1);
            let batch = batch.without_dim(batch.dims.len() - 1);
            let (outer, inner) = if inner_last { (row, column) } else { (column, row) };
            Seen::Stack(Stack { batch, outer: Some(outer.clone()), inner: inner.clone() })
        }
    }
}

fn matmul_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let elem = require_product(cx, 0, 1)?;
    cx.expect(vec![TensorType::new(elem.clone(), Shape::unknown())]);
    for operand in 0..2 {
        if cx.operand(operand).shape.rank() == Some(0) {
            let message = "`matmul` takes tensors with at least one axis, but this is a scalar";
            return Err(OpError::new(code::E0304, message).label(operand, "a scalar").note("use `*`").into());
        }
    }
    let transposed = require_transposable(cx)?;
    let left = see(&cx.operand(0).shape, !transposed[0], transposed[0]);
    let right = see(&cx.operand(1).shape, transposed[1], transposed[1]);
    let shape = match (left, right) {
        (Seen::Stack(a), Seen::Stack(b)) => {
            check_inner(cx, &a.inner, &b.inner, transposed)?;
            let mut shape = broadcast_batch(cx, &a.batch, &b.batch)?;
            shape = append(shape, a.outer);
            append(shape, b.outer)
        }
        // The left operand is one row or many: with a single matrix on the right its head stays as it is.
        (Seen::Last(inner), Seen::Stack(b)) => {
            check_inner(cx, &inner, &b.inner, transposed)?;
            if b.batch != Shape::scalar() {
                let open = Shape::with_pack(vec![], Pack::Unknown, b.outer.into_iter().collect());
                return Err(Stop::Unknown(vec![TensorType::new(elem, open)]));
            }
            let head = cx.operand(0).shape.without_dim(cx.operand(0).shape.dims.len() - 1);
            append(head, b.outer)
        }
        (Seen::Stack(_) | Seen::Last(_) | Seen::Nothing, _) => return Err(cx.unknown()),
    };
    Ok(vec![TensorType::new(elem, shape)])
}

fn append(shape: Shape, dim: Option<Dim>) -> Shape {
    match (dim, shape.pack) {
        (None, pack) => Shape { dims: shape.dims, pack },
        (Some(dim), pack) => Shape { dims: shape.dims.into_iter().chain([dim]).collect(), pack },
    }
}

fn broadcast_batch(cx: &mut RuleCx<'_>, a: &Shape, b: &Shape) -> Result<Shape, Stop> {
    let (left, right) = (&cx.operand(0).shape, &cx.operand(1).shape);
    cx.broadcast_shapes(a, 0, b, 1).map_err(|stop| match stop {
        Stop::Error(mut error) => {
            let clash = match error.dims.as_slice() {
                [x, y] => format!(": {x} and {y} differ"),
                _ => String::new(),
            };
            error.message = format!("cannot multiply [{left}] by [{right}]: the leading axes do not broadcast{clash}");
            error.labels = vec![(0, format!("[{left}]")), (1, format!("[{right}]"))];
            Stop::Error(error)
        }
        other => other,
    })
}

/// The flags of both operands; one that is set needs two axes.
fn require_transposable(cx: &RuleCx<'_>) -> Result<[bool; 2], Stop> {
    let transposed = [cx.flag(TRANSPOSE[0])?, cx.flag(TRANSPOSE[1])?];
    for (operand, flag) in TRANSPOSE.into_iter().enumerate().filter(|(operand, _)| transposed[*operand]) {
        let shape = &cx.operand(operand).shape;
        if shape.rank() == Some(1) {
            let message = format!("`{flag}` exchanges the last two axes, but [{shape}] has only one");
            let error = OpError::new(code::E0304, message).label(operand, format!("shape [{shape}]"));
            return Err(error.note(format!("leave `{flag}` out")).into());
        }
    }
    Ok(transposed)
}

/// E0301, with the transposition that would make it fit.
fn check_inner(cx: &mut RuleCx<'_>, a: &Dim, b: &Dim, transposed: [bool; 2]) -> Result<(), Stop> {
    let (left, right) = (&cx.operand(0).shape, &cx.operand(1).shape);
    let facts = cx.facts;
    cx.require_equal(a, b, || {
        let operands = match transposed {
            [false, false] => format!("[{left}] by [{right}]"),
            [true, false] => format!("[{left}], transposed, by [{right}]"),
            [false, true] => format!("[{left}] by [{right}], transposed"),
            [true, true] => format!("[{left}], transposed, by [{right}], transposed"),
        };
        let message = format!("cannot multiply {operands}: inner dimensions {a} and {b} differ");
        let place = |shape: &Shape, last: bool| match (shape.dims.len(), last) {
            (1, _) => "dim",
            (_, true) => "last dim",
            (_, false) => "next to last dim",
        };
        let left_place = if transposed[0] { place(left, false) } else { "last dim" };
        let error = OpError::new(code::E0301, message)
            .label(0, format!("[{left}], its {left_place} is {a}"))
            .label(1, format!("[{right}], its {} is {b}", place(right, transposed[1])));
        let fits = |shape: &Shape, from_end: usize, wanted: &Dim| {
            let tail = shape.tail();
            tail.len() >= 2 && facts.compare(&tail[tail.len() - from_end], wanted) == Verdict::Equal
        };
        if transposed != [false, false] {
            let other = |operand: usize| [left, right][operand];
            let fitting = (0..2).find(|operand| {
                let from_end = if *operand == 0 { 1 } else { 2 };
                transposed[*operand] && fits(other(*operand), from_end, [b, a][*operand])
            });
            return match fitting {
                Some(operand) => error.note(format!("they fit without `{}`", TRANSPOSE[operand])),
                None => error,
            };
        }
        match (fits(left, 2, b), fits(right, 1, a)) {
            (false, true) => error.note("the right operand fits when it is transposed").hint(Hint::Transpose(1)),
            (true, false) => error.note("the left operand fits when it is transposed").hint(Hint::Transpose(0)),
            // Nothing tells which of them is meant.
            (true, true) => error.note("they fit when either operand is transposed"),
            (false, false) => error,
        }
    })
}

fn matmul_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let (a, b) = (cx.operand(0), cx.operand(1));
    let dtype = result_dtype(cx, a, b)?;
    let transposed = TRANSPOSE.map(|flag| cx.attrs.flag(flag));
    let sizes = Sizes::of(a.shape(), b.shape(), transposed)
        .ok_or_else(|| EvalError(format!("matmul: cannot multiply sizes {:?} and {:?}", a.shape(), b.shape())))?;
    let data = match Pair::of(a, b, dtype) {
        Pair::F32(a, b) => Data::F32(sizes.multiply(&a, &b)),
        Pair::F64(a, b) => Data::F64(sizes.multiply(&a, &b)),
        Pair::I64(a, b) => Data::I64(sizes.multiply(a, b)),
    };
    Ok(vec![finish(dtype, sizes.result, data)])
}

fn result_dtype(cx: &EvalCx<'_>, a: &Tensor, b: &Tensor) -> Result<DType, EvalError> {
    product_dtype(a.dtype(), b.dtype())
        .ok_or_else(|| EvalError(format!("{}: cannot multiply {} by {}", cx.op.name, a.dtype(), b.dtype())))
}

/// The sizes of one batched product.
struct Sizes {
    rows: usize,
    inner: usize,
    columns: usize,
    /// Whether the matrices of an operand lie with rows and columns exchanged.
    transposed: [bool; 2],
    batch: Vec<usize>,
    /// Strides of the operands over `batch`, in matrices; 0 where an operand repeats.
    left_strides: Vec<isize>,
    right_strides: Vec<isize>,
    result: Vec<usize>,
}

impl Sizes {
    fn of(a: &[usize], b: &[usize], transposed: [bool; 2]) -> Option<Sizes> {
        let (left_batch, rows, inner) = match a {
            [batch @ .., inner, rows] if transposed[0] => (batch, *rows, *inner),
            [batch @ .., rows, inner] => (batch, *rows, *inner),
            [inner] if !transposed[0] => (&[][..], 1, *inner),
            _ => return None,
        };
        let (right_batch, right_inner, columns) = match b {
            [batch @ .., columns, inner] if transposed[1] => (batch, *inner, *columns),
            [batch @ .., inner, columns] => (batch, *inner, *columns),
            [inner] if !transposed[1] => (&[][..], *inner, 1),
            _ => return None,
        };
        if inner != right_inner {
            return None;
        }
        let batch = broadcast_sizes(left_batch, right_batch)?;
        let mut result = batch.clone();
        result.extend((a.len() > 1).then_some(rows));
        result.extend((b.len() > 1).then_some(columns));
        let left_strides = broadcast_strides(left_batch, batch.len());
        let right_strides = broadcast_strides(right_batch, batch.len());
        Some(Sizes { rows, inner, columns, transposed, batch, left_strides, right_strides, result })
    }

    fn multiply<T: Number>(&self, a: &[T], b: &[T]) -> Vec<T> {
        let count: usize = self.batch.iter().product();
        let (left, right) = (self.rows * self.inner, self.inner * self.columns);
        let size = self.rows * self.columns;
        let mut out = vec![T::default(); count * size];
        if out.is_empty() {
            return out;
        }
        if b.len() == right && a.len() == left * count && !self.transposed[0] {
            // One matrix on the right: all rows on the left are one matrix.
            T::multiply(Matrix::new(a, self.rows * count, self.inner), self.right(b), &mut out);
            return out;
        }
        let mut starts = Vec::with_capacity(count);
        for_each_offset(&self.batch, &self.left_strides, 0, |matrix| starts.push((matrix * left, 0)));
        let mut index = 0;
        for_each_offset(&self.batch, &self.right_strides, 0, |matrix| {
            starts[index].1 = matrix * right;
            index += 1;
        });
        for ((a_start, b_start), out) in starts.into_iter().zip(out.chunks_mut(size)) {
            T::multiply(self.left(&a[a_start..a_start + left]), self.right(&b[b_start..b_start + right]), out);
        }
        out
    }

    fn left<'a, T>(&self, data: &'a [T]) -> Matrix<'a, T> {
        Matrix::lying(data, self.rows, self.inner, self.transposed[0])
    }

    fn right<'a, T>(&self, data: &'a [T]) -> Matrix<'a, T> {
        Matrix::lying(data, self.inner, self.columns, self.transposed[1])
    }
}

fn broadcast_sizes(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |sizes: &[usize], axis: usize| (axis + sizes.len()).checked_sub(rank).map_or(1, |i| sizes[i]);
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (x, y) if x == y || y == 1 => Some(x),
            (1, y) => Some(y),
            _ => None,
        })
        .collect()
}

fn broadcast_strides(sizes: &[usize], rank: usize) -> Vec<isize> {
    let own = signed_strides(sizes);
    let strides = sizes.iter().zip(own).map(|(&size, stride)| if size == 1 { 0 } else { stride });
    std::iter::repeat_n(0, rank - sizes.len()).chain(strides).collect()
}

fn routed_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let elem = require_product(cx, 0, 1)?;
    cx.require_elem(2, Elem::is_int, "integers as `index`")?;
    let (x, w, index) = (&cx.operand(0).shape, &cx.operand(1).shape, &cx.operand(2).shape);
    cx.expect(vec![TensorType::new(elem.clone(), Shape::unknown())]);
    cx.require_rank(1, 3, "a stack of matrices [E, N, K]")?;
    let (outputs, inner) = (&w.dims[1], &w.dims[2]);
    let fallback = index.dims.iter().cloned().chain([outputs.clone()]).collect();
    let expected = Shape { dims: fallback, pack: index.pack.clone() };
    cx.expect(vec![TensorType::new(elem.clone(), expected.clone())]);
    let last = cx.axis_of(-1, x, 0)?;
    let own = &x.dims[last];
    cx.require_equal(own, inner, || {
        let message = format!("cannot multiply rows of [{x}] by matrices [{w}]: {own} and {inner} differ");
        OpError::new(code::E0301, message).label(0, format!("[{x}]")).label(1, format!("[{w}]"))
    })?;
    let rows = x.without_dim(last);
    match rows.compare(index, cx.facts) {
        Verdict::Equal => Ok(vec![TensorType::new(elem, expected)]),
        Verdict::Unknown => {
            for (a, b) in rows.dims.iter().zip(&index.dims).filter(|_| rows.pack == index.pack) {
                cx.require_equal(a, b, || rows_differ(x, index))?;
            }
            Ok(vec![TensorType::new(elem, expected)])
        }
        Verdict::Differ => Err(rows_differ(x, index).into()),
    }
}

fn rows_differ(x: &Shape, index: &Shape) -> OpError {
    OpError::new(
        code::E0303,
        format!("`routed_matmul` needs one index for each row of [{x}], but `index` is [{index}]"),
    )
    .label(0, format!("[{x}]"))
    .label(2, format!("[{index}]"))
}

fn routed_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let (x, w) = (cx.operand(0), cx.operand(1));
    let dtype = result_dtype(cx, x, w)?;
    let &[experts, outputs, inner] = w.shape() else {
        return Err(EvalError::new("routed_matmul: `w` must have rank 3"));
    };
    let index = i64::slice(cx.operand(2).data());
    let picks = index.iter().map(|&i| position(cx.op.name, i, experts)).collect::<Result<Vec<usize>, _>>()?;
    if x.shape().last() != Some(&inner) || picks.len() * inner != x.len() {
        return Err(EvalError::new("routed_matmul: sizes of `x`, `w` and `index` do not fit"));
    }
    let mut shape = cx.operand(2).shape().to_vec();
    shape.push(outputs);
    let data = match Pair::of(x, w, dtype) {
        Pair::F32(x, w) => Data::F32(routed(&x, &w, &picks, outputs, inner)),
        Pair::F64(x, w) => Data::F64(routed(&x, &w, &picks, outputs, inner)),
        Pair::I64(x, w) => Data::I64(routed(x, w, &picks, outputs, inner)),
    };
    Ok(vec![finish(dtype, shape, data)])
}

fn routed<T: Number>(x: &[T], w: &[T], picks: &[usize], outputs: usize, inner: usize) -> Vec<T> {
    let mut out = vec![T::default(); picks.len() * outputs];
    if out.is_empty() || inner == 0 {
        return out;
    }
    let size = outputs * inner;
    for ((row, &pick), out) in x.chunks(inner).zip(picks).zip(out.chunks_mut(outputs)) {
        let matrix = Matrix::new(&w[pick * size..(pick + 1) * size], outputs, inner);
        T::multiply(Matrix::new(row, 1, inner), matrix.transposed(), out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::storage::View;
    use crate::ops::testkit::{error, eval, floats, ints, open_rule, random, rule, try_eval};
    use crate::ops::{Attr, Attrs};

    fn product(a: &str, b: &str) -> String {
        rule("matmul", &[a, b], Attrs::new())
    }

    #[test]
    fn symbolic_products() {
        assert_eq!(product("float32[B, K]", "float32[K, N]"), "float32[B, N]");
        assert_eq!(product("float32[B, H, T, K]", "float32[B, 1, K, S]"), "float32[B, H, T, S]");
        assert_eq!(product("float32[K]", "float32[K]"), "float32");
        assert_eq!(product("float32[K]", "float32[B, K, N]"), "float32[B, N]");
        assert_eq!(product("float32[B, M, K]", "float32[K]"), "float32[B, M]");
        assert_eq!(product("F[M, K]", "trit[K, N]"), "F[M, N]");
        assert_eq!(product("int8[M, K]", "int8[K, N]"), "int32[M, N]");
    }

    #[test]
    fn packs_stay_in_front() {
        assert_eq!(product("float32[...S, K]", "float32[K, N]"), "float32[...S, N]");
        assert_eq!(product("float32[B, ...S, K]", "float32[K]"), "float32[B, ...S]");
        assert_eq!(product("float32[...S, T, K]", "float32[...S, K, U]"), "float32[...S, T, U]");
        assert_eq!(product("float32[T, K]", "float32[...S, K, U]"), "float32[...S, T, U]");
        assert_eq!(product("float32[...S, K]", "float32[B, K, N]"), "~float32[..., N]");
        assert_eq!(product("float32[K]", "float32[...S, N]"), "~float32[...]");
        assert_eq!(open_rule("matmul", &["float32[B, ?]", "float32[K, N]"], Attrs::new()), ("float32[B, N]".into(), 1));
    }

    #[test]
    fn inner_dims_must_agree() {
        let e = error("matmul", &["float32[B, in]", "float32[out, in]"], Attrs::new());
        assert_eq!(e.code, code::E0301);
        assert_eq!(e.message, "cannot multiply [B, in] by [out, in]: inner dimensions in and out differ");
        assert_eq!(e.labels[0], (0, "[B, in], its last dim is in".to_string()));
        assert_eq!(e.labels[1], (1, "[out, in], its next to last dim is out".to_string()));
        assert_eq!(e.dims, [Dim::symbol("in"), Dim::symbol("out")]);
        assert_eq!(e.hint, Some(Hint::Transpose(1)));
        let e = error("matmul", &["float32[K, M]", "float32[K, N]"], Attrs::new());
        assert_eq!(e.hint, Some(Hint::Transpose(0)));
        let e = error("matmul", &["float32[B, T]", "float32[B, T]"], Attrs::new());
        assert_eq!((e.hint, e.notes), (None, vec!["they fit when either operand is transposed".to_string()]));
        let e = error("matmul", &["float32[...S, a]", "float32[b, c]"], Attrs::new());
        assert_eq!((e.code, e.hint), (code::E0301, None));
    }

    fn flags(a: bool, b: bool) -> Attrs {
        Attrs::new().with_flag("transpose_a", a).with_flag("transpose_b", b)
    }

    #[test]
    fn flags_exchange_the_last_axes() {
        assert_eq!(rule("matmul", &["F[...S, K]", "F[N, K]"], flags(false, true)), "F[...S, N]");
        assert_eq!(rule("matmul", &["F[B, K, M]", "trit[K, N]"], flags(true, false)), "F[B, M, N]");
        assert_eq!(rule("matmul", &["int8[K, M]", "int8[B, N, K]"], flags(true, true)), "int32[B, M, N]");
        assert_eq!(rule("matmul", &["F[K]", "F[B, N, K]"], flags(false, true)), "F[B, N]");
        assert_eq!(rule("matmul", &["F[...S, K]", "F[K, N]"], flags(true, false)), "~F[...]");
        let none = Attrs::new().with("transpose_b", Attr::Unknown);
        assert_eq!(rule("matmul", &["F[M, K]", "F[K, K]"], none), "~F[...]");
        let e = error("matmul", &["float32[M, K]", "float32[K]"], flags(false, true));
        assert_eq!(
            (e.code, e.message.as_str()),
            (code::E0304, "`transpose_b` exchanges the last two axes, but [K] has only one")
        );
        let e = error("matmul", &["float32[M, K]", "float32[K, N]"], flags(false, true));
        assert_eq!(e.message, "cannot multiply [M, K] by [K, N], transposed: inner dimensions K and N differ");
        assert_eq!(e.labels[1], (1, "[K, N], its last dim is N".to_string()));
        assert_eq!((e.notes, e.hint), (vec!["they fit without `transpose_b`".to_string()], None));
        let e = error("matmul", &["float32[M, K]", "float32[K, N]"], flags(true, false));
        assert_eq!(e.labels[0], (0, "[M, K], its next to last dim is M".to_string()));
        assert_eq!(e.notes, ["they fit without `transpose_a`"]);
    }

    #[test]
    fn flags_are_permutations_before_the_product() {
        let exchanged = |x: &Tensor| {
            let attrs = Attrs::new().with("axis0", Attr::int(-2)).with("axis1", Attr::int(-1));
            eval("transpose", std::slice::from_ref(x), attrs)
        };
        for (seed, (left, right, dtype)) in [
            (&[37, 5][..], &[19, 37][..], DType::Float32),
            (&[2, 37, 5], &[19, 37], DType::Float32),
            (&[2, 1, 8, 5], &[3, 4, 8], DType::Float64),
            (&[8, 5], &[3, 4, 8], DType::Int8),
        ]
        .into_iter()
        .enumerate()
        {
            // Numbers whose sums are not exact: the order of additions must be the same, too.
            let irregular = |x: Tensor| if dtype.is_float() { eval("sin", &[x], Attrs::new()) } else { x };
            let a = irregular(random(seed as u64, dtype, left));
            let b = irregular(random(seed as u64 + 9, dtype, right));
            let want = eval("matmul", &[exchanged(&a), exchanged(&b)], Attrs::new());
            assert_eq!(eval("matmul", &[a.clone(), b.clone()], flags(true, true)), want);
            assert_eq!(eval("matmul", &[exchanged(&a), b.clone()], flags(false, true)), want);
            assert_eq!(eval("matmul", &[a, exchanged(&b)], flags(true, false)), want);
        }
    }

    #[test]
    fn other_errors() {
        let code_of = |a, b| error("matmul", &[a, b], Attrs::new()).code;
        assert_eq!(code_of("float32[A, M, K]", "float32[B, K, N]"), code::E0302);
        assert_eq!(code_of("float32", "float32[K]"), code::E0304);
        assert_eq!(code_of("float32[K]", "float16[K]"), code::E0202);
        assert_eq!(code_of("bool[K]", "bool[K]"), code::E0209);
    }

    #[test]
    fn products_by_hand() {
        let a = floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(eval("matmul", &[a.clone(), a.clone()], Attrs::new()).to_f64(), [7.0, 10.0, 15.0, 22.0]);
        let v = floats(&[2], &[1.0, -1.0]);
        assert_eq!(eval("matmul", &[a.clone(), v.clone()], Attrs::new()).to_f64(), [-1.0, -1.0]);
        assert_eq!(eval("matmul", &[v.clone(), a], Attrs::new()).to_f64(), [-2.0, -2.0]);
        assert_eq!(eval("matmul", &[v.clone(), v], Attrs::new()).to_f64(), [2.0]);
        let big = Tensor::from_i64(DType::Int8, vec![1, 3], vec![-128, -128, 127]);
        let column = Tensor::from_i64(DType::Int8, vec![3, 1], vec![-128, -128, 127]);
        assert_eq!(eval("matmul", &[big, column], Attrs::new()).as_i64(), Some(&[48_897][..]));
        let wide = Tensor::from_i64(DType::UInt8, vec![1], vec![20]);
        assert_eq!(eval("matmul", &[wide.clone(), wide], Attrs::new()).as_i64(), Some(&[144][..]));
    }

    /// Sums in `f64` over broadcast copies.
    fn naive(a: &Tensor, b: &Tensor, batch: &[usize]) -> Vec<f64> {
        let (&[m, k], &[_, n]) = (&a.shape()[a.rank() - 2..], &b.shape()[b.rank() - 2..]) else { return vec![] };
        let spread = |t: &Tensor, tail: &[usize]| {
            let shape: Vec<usize> = batch.iter().chain(tail).copied().collect();
            View::broadcast(t, &shape).map(|view| view.copy(t)).unwrap()
        };
        let (a, b) = (spread(a, &[m, k]), spread(b, &[k, n]));
        let mut out = vec![];
        for matrix in 0..batch.iter().product() {
            for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let at = |c| a.get_f64((matrix * m + i) * k + c) * b.get_f64((matrix * k + c) * n + j);
                out.push((0..k).map(at).sum());
            }
        }
        out
    }

    #[test]
    fn batches_agree_with_naive_loops() {
        use DType::*;
        type Case<'a> = (&'a [usize], &'a [usize], &'a [usize], DType, DType);
        let cases: [Case<'_>; 6] = [
            (&[2, 3, 5], &[5, 7], &[2], Float32, Float32),
            (&[3, 5], &[4, 5, 2], &[4], Float32, Trit),
            (&[2, 1, 3, 5], &[4, 5, 2], &[2, 4], Float64, Float64),
            (&[3, 1, 4], &[3, 4, 1], &[3], Int4, Float32),
            (&[2, 3, 5], &[2, 5, 3], &[2], Int8, Int8),
            (&[1, 2, 3], &[2, 3, 2], &[2], Int32, Int32),
        ];
        for (seed, (a, b, batch, left, right)) in cases.into_iter().enumerate() {
            let (a, b) = (random(seed as u64, left, a), random(seed as u64 + 50, right, b));
            let want = naive(&a, &b, batch);
            assert_eq!(eval("matmul", &[a, b], Attrs::new()).to_f64(), want);
        }
    }

    #[test]
    fn half_floats_round_once() {
        // 2048 + 1 + 1 is 2050 when rounded once, 2048 when rounded after each addition.
        let a = Tensor::from_f64(DType::Float16, vec![3], [2048.0, 1.0, 1.0]);
        let ones = Tensor::filled(DType::Float16, vec![3], 1.0);
        assert_eq!(eval("matmul", &[a, ones], Attrs::new()).to_f64(), [2050.0]);
    }

    #[test]
    fn routed_rows() {
        assert_eq!(
            rule("routed_matmul", &["float32[...S, K]", "float32[E, N, K]", "int64[...S]"], Attrs::new()),
            "float32[...S, N]"
        );
        let call = |operands: &[&str]| error("routed_matmul", operands, Attrs::new()).code;
        assert_eq!(call(&["float32[M, J]", "float32[E, N, K]", "int64[M]"]), code::E0301);
        assert_eq!(call(&["float32[M, K]", "float32[E, N, K]", "int64[L]"]), code::E0303);
        assert_eq!(call(&["float32[M, K]", "float32[E, N, K]", "float32[M]"]), code::E0209);
        let x = floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let w = floats(&[2, 1, 2], &[1.0, 0.0, 0.0, 1.0]);
        let out = eval("routed_matmul", &[x.clone(), w.clone(), ints(&[2], &[-1, 0])], Attrs::new());
        assert_eq!(out.to_f64(), [2.0, 3.0]);
        let wrong = try_eval("routed_matmul", &[x, w, ints(&[2], &[0, 2])], Attrs::new());
        assert_eq!(wrong.unwrap_err().0, "routed_matmul: index 2 is out of range for an axis of size 2");
    }
}
