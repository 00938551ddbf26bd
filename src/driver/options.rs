//! What the user asked for, as data, and the reading of `name=value` options.

use crate::base::code::{Code, E0407, E0804};
use crate::base::{Diagnostic, F64};
use crate::driver::reading::Reading;
pub use crate::passes::plan_memory::Strategy;
pub use crate::passes::{Mode, OptLevel, Selection};
pub use crate::targets::{Simd, WeightsForm};
use crate::types::{DType, HostValue};
use std::path::PathBuf;

/// The types of mixed precision.
pub const LOW_TYPES: [DType; 2] = [DType::Float16, DType::BFloat16];

/// A stage whose result can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    Tokens,
    Ast,
    Ir,
}

/// Which instance is compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryRequest {
    /// An instance in Tri, or the name of a top-level `let`; else the entry is found.
    pub expr: Option<String>,
    /// Hyperparameters of the entry's layer, values in Tri.
    pub sets: Vec<(String, String)>,
    pub mode: Mode,
    /// Known shapes of inputs: what a `...` in the entry's signature stands for. `run` takes the optional inputs that
    /// have one.
    pub shapes: Vec<(String, Vec<usize>)>,
    /// `PATTERN=SCHEME`: parameters that are quantised in another way than the source says.
    pub quantize: Vec<String>,
    /// Numbers that come with each call although their parameters have defaults.
    pub given: Vec<String>,
    /// The low float type of mixed precision.
    pub precision: Option<DType>,
}

/// What happens between lowering and the targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassRequest {
    pub selection: Selection,
    /// A folder that gets the IR before the first pass and after each, numbered.
    pub dump: Option<PathBuf>,
}

/// How memory is laid out by targets that allocate none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryRequest {
    pub strategy: Strategy,
    /// No more bytes than these.
    pub maximum: Option<u64>,
}

impl MemoryRequest {
    /// The option that asks for something.
    pub fn option(&self) -> Option<&'static str> {
        match (self.maximum, self.strategy == Strategy::default()) {
            (Some(_), _) => Some("--max-memory"),
            (None, false) => Some("--memory-plan"),
            (None, true) => None,
        }
    }
}

/// `tritonc build`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BuildRequest {
    pub entry: EntryRequest,
    pub targets: Vec<String>,
    pub weights: Option<PathBuf>,
    pub reading: Reading,
    pub emit: Option<Emit>,
    /// Gradients of all float inputs and parameters are wanted beside the results.
    pub grad: bool,
    pub passes: PassRequest,
    /// Laid over the built-in templates.
    pub templates: Option<PathBuf>,
    /// What there is to tell of the build is wanted.
    pub metadata: bool,
    pub memory: MemoryRequest,
    /// The source file, as headers of emitted files name it.
    pub source_name: String,
    /// The largest shapes of inputs of any method, and sizes by name, for targets that plan memory. Those of the entry count
    /// as well.
    pub bounds: Vec<(String, Vec<usize>)>,
    /// Of sizes that nothing else bounds, for what compiles programs without their users.
    pub bound: Option<usize>,
    /// How targets that hold weights write them.
    pub weights_form: Option<WeightsForm>,
    /// Of which instruction sets targets with vectors have them; `None` for all.
    pub simd: Option<Simd>,
    /// How many threads a kernel of such a target may take; `None` for one.
    pub threads: Option<usize>,
}

/// `tritonc run`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunRequest {
    pub entry: EntryRequest,
    /// The method to run; `forward` if `None`.
    pub method: Option<String>,
    pub inputs: Vec<(String, PathBuf)>,
    /// Values of `int` and `float` parameters.
    pub numbers: Vec<(String, HostValue)>,
    pub weights: Option<PathBuf>,
    pub reading: Reading,
    pub seed: u64,
    /// Gradients are to be computed.
    pub grad: bool,
    /// Loops over layers are divided into so many parts, each of which is computed again for gradients.
    pub checkpoint_segments: Option<u32>,
    /// Gradients of results, by position; those of others are ones.
    pub output_grads: Vec<(usize, PathBuf)>,
    /// Named intermediate values are to be kept.
    pub keep_intermediates: bool,
    /// Parameters are to be kept.
    pub keep_weights: bool,
    /// Results are to be kept, not shown.
    pub keep_outputs: bool,
    /// State is to be kept as it is after the run.
    pub keep_state: bool,
    /// Calls of sublayers are to be kept.
    pub trace: bool,
}

/// A share of something: a finite number of at least 0.
pub fn parse_share(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|share| share.is_finite() && *share >= 0.0)
}

/// `--set name=value`: E0407.
pub fn parse_sets(texts: &[String]) -> Result<Vec<(String, String)>, Diagnostic> {
    parse_all("--set", E0407, "dim=256", texts, |value| {
        if value.is_empty() { Err("the value is missing".to_string()) } else { Ok(value.to_string()) }
    })
}

/// `--output-grad output=FILE` or `--output-grad output.1=FILE`: the position of a result, and its gradient: E0804.
pub fn parse_output_grads(texts: &[String]) -> Result<Vec<(usize, PathBuf)>, Diagnostic> {
    let mut found: Vec<(usize, PathBuf)> = vec![];
    for text in texts {
        let refuse = |why: &str| {
            Diagnostic::new(E0804, format!("`--output-grad {text}`: {why}"))
                .note("help: write it like `--output-grad output=g.npy`, or `output.1=g.npy` for the second result")
        };
        let (name, file) = text.split_once('=').ok_or_else(|| refuse("there is no `=`"))?;
        let position = match name.trim() {
            "output" => Some(0),
            other => other.strip_prefix("output.").and_then(|position| position.parse().ok()),
        };
        let position = position.ok_or_else(|| refuse("the name of a result is `output` or `output.N`"))?;
        if file.is_empty() || found.iter().any(|(other, _)| *other == position) {
            return Err(refuse(if file.is_empty() { "the file is missing" } else { "it is given twice" }));
        }
        found.push((position, PathBuf::from(file)));
    }
    Ok(found)
}

/// Files and numbers, by the parameter that they are for.
pub type Inputs = (Vec<(String, PathBuf)>, Vec<(String, HostValue)>);

/// `--input name=file` or `--input name=number`: E0804.
pub fn parse_inputs(texts: &[String]) -> Result<Inputs, Diagnostic> {
    let all = parse_all("--input", E0804, "x=a.npy", texts, |value| {
        if value.is_empty() { Err("the file is missing".to_string()) } else { Ok(value.to_string()) }
    })?;
    let (mut files, mut numbers) = (vec![], vec![]);
    for (name, value) in all {
        match (value.parse::<i64>(), value.parse::<f64>()) {
            (Ok(int), _) => numbers.push((name, HostValue::Int(int))),
            (_, Ok(float)) => numbers.push((name, HostValue::Float(F64(float)))),
            _ => files.push((name, PathBuf::from(value))),
        }
    }
    Ok((files, numbers))
}

/// `--shape name=size,size`, nothing after `=` for a scalar: E0804.
pub fn parse_shapes(texts: &[String]) -> Result<Vec<(String, Vec<usize>)>, Diagnostic> {
    parse_all("--shape", E0804, "x=1,784", texts, |value| {
        if value.is_empty() {
            return Ok(vec![]);
        }
        let value = value.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(value);
        value.split(',').map(str::trim).map(parse_size).collect()
    })
}

fn parse_size(text: &str) -> Result<usize, String> {
    let size = text.parse::<usize>().ok().filter(|size| i64::try_from(*size).is_ok());
    size.ok_or_else(|| format!("`{text}` is not a size"))
}

fn parse_all<T>(
    option: &str,
    code: Code,
    example: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<(String, T)>, Diagnostic> {
    let error = |text: &str, why: String| {
        Diagnostic::new(code, format!("`{option} {text}`: {why}"))
            .note(format!("help: write it like `{option} {example}`"))
    };
    let mut pairs: Vec<(String, T)> = vec![];
    for text in texts {
        let (name, value) = text.split_once('=').ok_or_else(|| error(text, "there is no `=`".into()))?;
        let (name, value) = (name.trim(), value.trim());
        if !is_name(name) {
            return Err(error(text, format!("`{name}` is not a name")));
        }
        if pairs.iter().any(|(other, _)| other == name) {
            return Err(error(text, format!("`{name}` is given twice")));
        }
        pairs.push((name.to_string(), parse(value).map_err(|why| error(text, why))?));
    }
    Ok(pairs)
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_') && chars.all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| text.to_string()).collect()
    }

    #[test]
    fn values_are_read() {
        let sets = parse_sets(&texts(&["dim=256", "act = relu", "name=\"a=b\""])).unwrap();
        assert_eq!(sets[1], ("act".to_string(), "relu".to_string()));
        assert_eq!(sets[2].1, "\"a=b\"");
        let shapes = parse_shapes(&texts(&["x=1, 784", "s=", "y=[2,3]"])).unwrap();
        assert_eq!(shapes, [("x".into(), vec![1, 784]), ("s".into(), vec![]), ("y".into(), vec![2, 3])]);
    }

    #[test]
    fn results_are_named_by_position() {
        let parsed = parse_output_grads(&texts(&["output=a.npy", "output.2=b.npy"])).unwrap();
        assert_eq!(parsed, [(0, PathBuf::from("a.npy")), (2, PathBuf::from("b.npy"))]);
        let message = |text: &[&str]| parse_output_grads(&texts(text)).unwrap_err().message;
        assert_eq!(message(&["y=a.npy"]), "`--output-grad y=a.npy`: the name of a result is `output` or `output.N`");
        assert_eq!(message(&["output=a", "output.0=b"]), "`--output-grad output.0=b`: it is given twice");
        assert_eq!(message(&["output="]), "`--output-grad output=`: the file is missing");
    }

    #[test]
    fn mistakes_are_explained() {
        let message = |result: Result<Vec<(String, Vec<usize>)>, Diagnostic>| result.unwrap_err().message;
        assert_eq!(message(parse_shapes(&texts(&["x"]))), "`--shape x`: there is no `=`");
        assert_eq!(message(parse_shapes(&texts(&["x=1,-2"]))), "`--shape x=1,-2`: `-2` is not a size");
        assert_eq!(message(parse_shapes(&texts(&["x=1,,2"]))), "`--shape x=1,,2`: `` is not a size");
        assert_eq!(
            message(parse_shapes(&texts(&["x=99999999999999999999"]))),
            "`--shape x=99999999999999999999`: `99999999999999999999` is not a size"
        );
        assert_eq!(message(parse_shapes(&texts(&["x=1", "x=2"]))), "`--shape x=2`: `x` is given twice");
        assert_eq!(message(parse_shapes(&texts(&["1=1"]))), "`--shape 1=1`: `1` is not a name");
        let error = parse_sets(&texts(&["dim="])).unwrap_err();
        assert_eq!(error.message, "`--set dim=`: the value is missing");
        assert_eq!((error.code, error.notes[0].as_str()), (E0407, "help: write it like `--set dim=256`"));
    }
}
