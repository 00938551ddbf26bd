//! Values of a function's dim symbols, from the shapes of its inputs.

use crate::base::code::E0804;
use crate::interp::{Env, RunError, eval_dim};
use crate::ir::{Function, HostKind};
use crate::types::dim::Atom;
use crate::types::{Dim, HostValue, Tensor};

/// Adds the symbols' values to `env`, which has those of the instance. A dim like `2 * S - 1` binds `S`;
/// one that cannot be solved is checked once the others are known.
pub fn bind_shapes(function: &Function, env: &mut Env, inputs: &[Tensor]) -> Result<(), RunError> {
    if inputs.len() != function.params.len() {
        let message =
            format!("`{}` takes {} inputs, not {}", function.source_name, function.params.len(), inputs.len());
        return Err(RunError::new(E0804, message));
    }
    let mut open: Vec<(usize, Dim, usize)> = vec![];
    for (position, (param, input)) in function.params.iter().zip(inputs).enumerate() {
        let dims = function[*param].ty.shape.known().unwrap_or_default();
        if input.dtype() != function.dtype(*param) || input.rank() != dims.len() {
            return Err(mismatch(function, position, input, ""));
        }
        open.extend(dims.iter().zip(input.shape()).map(|(dim, size)| (position, dim.clone(), *size)));
    }
    // Each round solves what the last one made solvable.
    loop {
        let before = open.len();
        let mut rest = vec![];
        for (position, dim, size) in open {
            let known = dim.substitute_symbols(&|symbol| Some(Dim::constant(env.get(symbol)?.as_int()?)));
            match solve(&known, size) {
                Solved::Agrees => {}
                Solved::Binds(symbol, value) if value >= 1 => {
                    env.insert(symbol, HostValue::Int(value));
                }
                Solved::Open => rest.push((position, dim, size)),
                Solved::Binds(..) | Solved::Clashes => {
                    return Err(mismatch(function, position, &inputs[position], &with_values(&dim, env)));
                }
            }
        }
        if rest.len() == before || rest.is_empty() {
            open = rest;
            break;
        }
        open = rest;
    }
    let missing = function.symbols.iter().find(|(symbol, _)| !env.contains_key(symbol));
    match (missing, open.first()) {
        (Some((symbol, HostKind::Int)), _) => {
            Err(RunError::new(E0804, format!("the inputs' shapes do not say what `{symbol}` is")))
        }
        (Some((symbol, HostKind::Float)), _) => Err(RunError::new(E0804, format!("`{symbol}` needs a value"))),
        (None, Some((position, dim, _))) => {
            Err(mismatch(function, *position, &inputs[*position], &with_values(dim, env)))
        }
        (None, None) => Ok(()),
    }
}

enum Solved {
    Agrees,
    Clashes,
    Binds(crate::types::Symbol, i64),
    Open,
}

fn solve(dim: &Dim, size: usize) -> Solved {
    let size = size as i64;
    if let Some(value) = eval_dim(dim, &Env::new()) {
        return if value == size { Solved::Agrees } else { Solved::Clashes };
    }
    let symbols: Vec<_> = dim.symbols().into_iter().collect();
    let [symbol] = symbols.as_slice() else { return Solved::Open };
    let atom = Atom::Sym(symbol.clone());
    match dim.solve(&atom, &Dim::constant(size)).and_then(|value| value.as_const()) {
        Some(value) => Solved::Binds(symbol.clone(), value),
        // `2 * S` cannot be 7; under a `//` another input may bind the symbol.
        None if dim.terms().all(|(monomial, _)| matches!(monomial.as_slice(), [] | [(Atom::Sym(_), 1)])) => {
            Solved::Clashes
        }
        None => Solved::Open,
    }
}

fn with_values(dim: &Dim, env: &Env) -> String {
    let values: Vec<String> =
        dim.symbols().iter().filter_map(|symbol| Some(format!("{symbol} = {}", env.get(symbol)?))).collect();
    if values.is_empty() { String::new() } else { format!(" (with {})", values.join(", ")) }
}

fn mismatch(function: &Function, position: usize, input: &Tensor, note: &str) -> RunError {
    let param = &function[function.params[position]];
    let name = param.name.clone().unwrap_or_else(|| format!("input {}", position + 1));
    let found = format!("{}{:?}", input.dtype(), input.shape());
    RunError::new(E0804, format!("`{name}` is {found}, but `{}` takes {}{note}", function.source_name, param.ty))
}
