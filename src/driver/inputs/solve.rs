//! Values of dim variables from concrete shapes.

use crate::types::{Dim, Pack, Shape, Symbol};
use std::collections::BTreeMap;

/// Sizes for dims that nothing binds: small, and no two alike.
const DEFAULTS: [i64; 10] = [2, 3, 5, 7, 4, 6, 11, 13, 9, 8];
/// A dim like `S // 2` is inverted by trying sizes up to this.
const MAX_TRIED: i64 = 1 << 16;

/// `dim == size`, at an axis of an input.
struct Equation {
    input: String,
    axis: usize,
    dim: Dim,
    size: i64,
    /// The whole types, for messages.
    expected: String,
    found: Vec<usize>,
}

pub struct Solver {
    dims: BTreeMap<Symbol, i64>,
    packs: BTreeMap<Symbol, Vec<usize>>,
    /// Which input (or option) gave a symbol its value.
    origins: BTreeMap<Symbol, String>,
    equations: Vec<Equation>,
}

impl Solver {
    pub fn new(known: &BTreeMap<Symbol, i64>) -> Solver {
        Solver { dims: known.clone(), packs: BTreeMap::new(), origins: BTreeMap::new(), equations: vec![] }
    }

    /// Fixes a dim variable by its name.
    pub fn set(&mut self, name: &str, size: usize) {
        let symbol = Symbol::new(name);
        self.origins.insert(symbol.clone(), "--shape".to_string());
        self.dims.insert(symbol, size as i64);
    }

    pub fn dims(&self) -> BTreeMap<Symbol, i64> {
        self.dims.clone()
    }

    pub fn packs(&self) -> BTreeMap<Symbol, Vec<usize>> {
        self.packs.clone()
    }

    /// States that an input of symbolic shape `expected` has shape `found`.
    pub fn constrain(&mut self, input: &str, expected: &Shape, found: &[usize]) -> Result<(), String> {
        let (head, tail) = match &expected.pack {
            None => (expected.dims.len(), 0),
            Some((at, _)) => (*at, expected.dims.len() - at),
        };
        let fits = if expected.pack.is_some() { found.len() >= head + tail } else { found.len() == head };
        if !fits {
            let least = if expected.pack.is_some() { "at least " } else { "" };
            let dims = head + tail;
            return Err(format!(
                "input `{input}` has shape {found:?} with {} dims, expected [{expected}] with {least}{dims}",
                found.len()
            ));
        }
        if let Some((_, Pack::Named(name))) = &expected.pack {
            let middle = &found[head..found.len() - tail];
            let bound = self.packs.entry(name.clone()).or_insert_with(|| middle.to_vec());
            if bound.as_slice() != middle {
                return Err(format!(
                    "input `{input}` has shape {found:?}: its leading dims are {middle:?}, elsewhere {bound:?}"
                ));
            }
        }
        let axes = (0..head).chain(found.len() - tail..found.len());
        for (dim, axis) in expected.dims.iter().zip(axes) {
            self.equations.push(Equation {
                input: input.to_string(),
                axis,
                dim: dim.clone(),
                size: found[axis] as i64,
                expected: expected.to_string(),
                found: found.to_vec(),
            });
        }
        Ok(())
    }

    /// Binds every symbol that the equations determine; gives the equations that cannot hold.
    pub fn solve(&mut self) -> Vec<String> {
        let mut errors = vec![];
        let mut open = std::mem::take(&mut self.equations);
        loop {
            let before = open.len();
            open.retain(|equation| match self.step(equation) {
                Step::Open => true,
                Step::Solved => false,
                Step::Wrong(message) => {
                    errors.push(message);
                    false
                }
            });
            if open.len() == before {
                // What is left has several unknowns; it is checked once defaults are chosen.
                self.equations = open;
                return errors;
            }
        }
    }

    fn step(&mut self, equation: &Equation) -> Step {
        let dim = equation.dim.substitute_symbols(&|symbol| self.dims.get(symbol).map(|n| Dim::constant(*n)));
        if let Some(value) = dim.as_const() {
            return if value == equation.size { Step::Solved } else { Step::Wrong(self.mismatch(equation, value)) };
        }
        let symbols: Vec<Symbol> = dim.symbols().into_iter().collect();
        let [symbol] = symbols.as_slice() else { return Step::Open };
        if dim.has_unknown() {
            return Step::Open;
        }
        let holds = |n: i64| dim.eval(&|s| (s == symbol).then_some(n)) == Some(equation.size);
        let direct = (dim.as_symbol().is_some()).then_some(equation.size).filter(|n| *n >= 1);
        match direct.or_else(|| (1..=MAX_TRIED).find(|n| holds(*n))) {
            Some(n) => {
                self.dims.insert(symbol.clone(), n);
                self.origins.insert(symbol.clone(), format!("input `{}`", equation.input));
                Step::Solved
            }
            None => {
                let Equation { input, axis, size, found, expected, .. } = equation;
                if dim.as_symbol().is_some() {
                    let start = format!("input `{input}` has shape {found:?}, expected [{expected}]");
                    return Step::Wrong(format!("{start}: `{symbol}` must be at least 1"));
                }
                let no = format!("no size `{symbol}` makes `{}` equal to {size}", equation.dim);
                Step::Wrong(format!("input `{input}` has shape {found:?}, expected [{expected}]: {no} (dim {axis})"))
            }
        }
    }

    fn mismatch(&self, equation: &Equation, value: i64) -> String {
        let Equation { input, axis, dim, size, expected, found } = equation;
        let start = format!("input `{input}` has shape {found:?}, expected [{expected}]");
        if dim.as_const().is_some() {
            return format!("{start}: dim {axis} is {size}, not {value}");
        }
        let origin = dim.symbols().iter().find_map(|symbol| self.origins.get(symbol).cloned());
        let elsewhere = origin.map_or(String::new(), |origin| format!(", as in {origin}"));
        format!("{start}: dim {axis} (`{dim}`) is {size}, not {value}{elsewhere}")
    }

    /// Concrete shapes for all inputs, with defaults for what is still free.
    pub fn choose<'a>(
        &mut self,
        inputs: impl Iterator<Item = (&'a str, &'a Shape)> + Clone,
    ) -> Result<Vec<Vec<usize>>, String> {
        let free: Vec<Symbol> = self.free(inputs.clone());
        // Small sizes first; larger ones where a dim such as `S - 4` would vanish.
        for scale in [1, 2, 4, 8, 16, 64, 256] {
            for (symbol, size) in free.iter().zip(DEFAULTS.iter().cycle()) {
                self.dims.insert(symbol.clone(), size * scale);
            }
            let shapes: Option<Vec<_>> = inputs.clone().map(|(_, shape)| self.concrete(shape)).collect();
            let consistent = self.equations.iter().all(|e| self.value(&e.dim) == Some(e.size));
            if let (Some(shapes), true) = (shapes, consistent) {
                return Ok(shapes);
            }
        }
        let name = inputs.clone().find(|(_, shape)| self.concrete(shape).is_none()).map(|(name, _)| name);
        let name = name.or(inputs.clone().next().map(|(name, _)| name)).unwrap_or("x");
        Err(format!("cannot choose a shape for input `{name}`: give it with --shape {name}=..."))
    }

    /// Symbols without a value, in the order in which they occur. Packs get one dim of their own.
    fn free<'a>(&mut self, inputs: impl Iterator<Item = (&'a str, &'a Shape)>) -> Vec<Symbol> {
        let mut free: Vec<Symbol> = vec![];
        for (_, shape) in inputs {
            if let Some((_, Pack::Named(name))) = &shape.pack {
                self.packs.entry(name.clone()).or_insert_with(|| vec![DEFAULTS[0] as usize]);
            }
            for symbol in shape.dims.iter().flat_map(Dim::symbols) {
                if !self.dims.contains_key(&symbol) && !free.contains(&symbol) {
                    free.push(symbol);
                }
            }
        }
        free
    }

    fn value(&self, dim: &Dim) -> Option<i64> {
        dim.eval(&|symbol| self.dims.get(symbol).copied())
    }

    fn concrete(&self, shape: &Shape) -> Option<Vec<usize>> {
        let size = |dim: &Dim| {
            let value = self.value(dim)?;
            // Only a literal dim may be 0.
            usize::try_from(value).ok().filter(|n| *n > 0 || dim.as_const().is_some())
        };
        let mut sizes: Vec<usize> = shape.dims.iter().map(size).collect::<Option<_>>()?;
        if let Some((at, pack)) = &shape.pack {
            let middle = match pack {
                Pack::Named(name) => self.packs.get(name).cloned().unwrap_or_default(),
                Pack::Unknown => vec![],
            };
            sizes.splice(*at..*at, middle);
        }
        Some(sizes)
    }
}

enum Step {
    Solved,
    Open,
    Wrong(String),
}
