//! Inputs of a run, by generator: `normal(seed=7, [2, 8])`, `uniform(seed=1, low=-1, high=1, [4])`,
//! `ints(seed=3, low=0, high=10, [2, 5])`; a number alone is the value of an `int` or `float`. Equal texts give equal tensors on every machine.

use super::directives::split_commas;
use tritonc::base::philox;
use tritonc::types::{DType, Tensor};

/// How a tensor is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Generator {
    kind: Kind,
    seed: i64,
    low: f64,
    high: f64,
    shape: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Mean 0 and variance 1.
    Normal,
    /// From `low` (0) to `high` (1).
    Uniform,
    /// Whole numbers from `low` (0) up to, not including, `high` (10).
    Ints,
}

/// Reads a generator.
pub fn parse(text: &str) -> Result<Generator, String> {
    let form = || format!("`{text}` is not a generator such as `normal(seed=7, [2, 8])`");
    let (name, arguments) = text.strip_suffix(')').and_then(|text| text.split_once('(')).ok_or_else(form)?;
    let (kind, high) = match name.trim() {
        "normal" => (Kind::Normal, 1.0),
        "uniform" => (Kind::Uniform, 1.0),
        "ints" => (Kind::Ints, 10.0),
        _ => return Err(form()),
    };
    let mut generator = Generator { kind, seed: 0, low: 0.0, high, shape: vec![] };
    let mut has_shape = false;
    for argument in split_commas(arguments) {
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| form());
        match argument.split_once('=') {
            Some(("seed", seed)) => generator.seed = seed.trim().parse().map_err(|_| form())?,
            Some(("low", low)) if kind != Kind::Normal => generator.low = number(low)?,
            Some(("high", high)) if kind != Kind::Normal => generator.high = number(high)?,
            None => {
                let sizes = argument.strip_prefix('[').and_then(|text| text.strip_suffix(']')).ok_or_else(form)?;
                let sizes = split_commas(sizes);
                let sizes = sizes.iter().map(|size| size.parse().map_err(|_| form()));
                generator.shape = sizes.collect::<Result<_, String>>()?;
                has_shape = true;
            }
            Some(_) => return Err(form()),
        }
    }
    if !has_shape || generator.low >= generator.high {
        return Err(form());
    }
    Ok(generator)
}

impl Generator {
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The tensor, as values of an element type.
    pub fn tensor(&self, dtype: DType) -> Tensor {
        let count: usize = self.shape.iter().product();
        let range = self.high - self.low;
        let uniform = || philox::words(self.seed).map(philox::uniform);
        let values: Vec<f64> = match self.kind {
            Kind::Normal => philox::normals(self.seed).take(count).collect(),
            Kind::Uniform => uniform().map(|u| self.low + u * range).take(count).collect(),
            Kind::Ints => uniform().map(|u| self.low + (u * range).floor()).take(count).collect(),
        };
        Tensor::from_f64(dtype, self.shape.clone(), values)
    }
}
