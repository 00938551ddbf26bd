//! GPTQ for the weights of a model: which matrices a weight holds, and what they meet when data run.

use crate::base::code::E0804;
use crate::driver::calibrate::{Sites, finite};
use crate::interp::RunError;
use crate::interp::watch::{Product, Watch};
use crate::ir::InstKind;
use crate::ops::{EvalCx, factors};
use crate::passes::products::Use;
use crate::quant::gptq::{Hessian, Layout};
use crate::types::{DType, Tensor};
use std::collections::BTreeMap;

/// What one run tells of weights, by path, in the order in which they are used: their matrices, or why GPTQ does not know
/// them.
pub(super) struct Survey<'a> {
    pub sites: &'a Sites,
    /// Of the weights that are asked for.
    pub shapes: &'a BTreeMap<String, Vec<usize>>,
    pub found: Vec<(String, Result<Layout, String>)>,
}

impl Watch for Survey<'_> {
    fn product(&mut self, product: &Product<'_>) -> Result<(), RunError> {
        for (path, found) in self.sites.at(product) {
            let Some(shape) = self.shapes.get(&path) else { continue };
            let layout = matrices(product, found, shape);
            match self.found.iter_mut().find(|(known, _)| *known == path) {
                None => self.found.push((path, layout)),
                Some((_, known)) if *known != layout => {
                    *known = Err("it goes into products in several ways".to_string())
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// The matrices of a weight of this shape, as a product takes them.
fn matrices(product: &Product<'_>, found: &Use, shape: &[usize]) -> Result<Layout, String> {
    let count: usize = shape.iter().product();
    let places = Tensor::from_i64(DType::Int64, shape.to_vec(), (0..count as i64).collect());
    let moved = moved(product, found, places).ok_or("it is not by itself a factor of its product")?;
    let mut layout = factors::layout(product.op, product.attrs, found.position, moved.shape())?;
    let moved = moved.as_i64().unwrap_or_default();
    let own = layout.places.iter().map(|place| moved.get(*place).and_then(|place| usize::try_from(*place).ok()));
    layout.places = own.collect::<Option<_>>().ok_or("its elements cannot be followed")?;
    if layout.is_whole(count) {
        Ok(layout)
    } else {
        Err("only a part of it goes into its product, or some twice".into())
    }
}

/// Where the elements of a weight are once it has come to its product.
fn moved(product: &Product<'_>, found: &Use, mut places: Tensor) -> Option<Tensor> {
    for (inst, result) in &found.moves {
        let inst = &product.function[*inst];
        let (InstKind::Op { op, attrs }, [operand]) = (&inst.kind, inst.operands.as_slice()) else { return None };
        // Another type moves nothing.
        if product.function.dtype(*operand) != product.function.dtype(inst.results[*result]) {
            continue;
        }
        let attrs = product.resolved(attrs);
        let moved = (op.get().eval)(&EvalCx { op: op.get(), operands: &[places], attrs: &attrs }).ok()?;
        places = moved.into_iter().nth(*result)?;
    }
    Some(places)
}

/// Sums up what one weight is multiplied with.
pub(super) struct Inputs<'a> {
    pub sites: &'a Sites,
    pub path: &'a str,
    pub hessians: Vec<Hessian>,
}

impl Watch for Inputs<'_> {
    fn product(&mut self, product: &Product<'_>) -> Result<(), RunError> {
        for (path, found) in self.sites.at(product).filter(|(path, _)| path == self.path) {
            finite(&product.operands[found.other()], &path)?;
            let hessians = &mut self.hessians;
            let mut each = |batch: usize, vector: &[f32]| hessians[batch].add(vector);
            let seen = factors::inputs(product.op, product.attrs, found.position, product.operands, &mut each);
            seen.map_err(|why| RunError::new(E0804, format!("`{path}`: {why}")))?;
        }
        Ok(())
    }
}
