//! Directives: what a case asks to be done with it.
//!
//! ```text
//! #@ test: check, run            stages; every case is checked, whatever it asks
//! #@ test: messages, remedy      the whole text of the diagnostics; each fix in them, applied
//! #@ test: fix                   what `tritonc fix` makes of it, which has no more to say
//! #@ target: pytorch             text and validity of what the target writes; execution on every target
//! #@ without: numpy  # reason    a target that it is not executed on
//! #@ golden: none                that text is not kept; for whole models, whose text follows the library's
//! #@ grad: none                 no comparison of gradients; the comment says why
//! #@ mode: infer                 the modes that are executed; both, if this is left out
//! #@ quantize: *=ternary(axis=0) a rule of `--quantize`; may be repeated
//! #@ precision: bfloat16         mixed precision; results are also compared with those of float32
//! #@ passes: cse, dce            passes that must not change what is computed
//! #@ passes-near: quantise-fusion  the same for passes that round otherwise: results agree within the tolerances
//! #@ opt-level: 3               what level 3 writes for the targets is executed, too
//! #@ run: Net(dim=8)(x=normal(seed=7, [2, 8])) ~= interp
//! #@ run: Net(dim=8).decode(x=normal(seed=7, [8]), position=2) ~= interp
//! let y = a @ b     #~ E0301 "inner dimensions"
//! ```
//! A directive that is not in this list is an error, so that a misspelt one cannot pass for a test.

use super::generate::{self, Generator};
use tritonc::base::F64;
use tritonc::driver::Mode;
use tritonc::targets;
use tritonc::types::{DType, HostValue};

/// What one case asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directives {
    pub tests: Vec<Stage>,
    pub targets: Vec<String>,
    /// Targets on which the case is not executed.
    pub without: Vec<String>,
    /// Whether the target's text is left out of the golden files.
    pub without_text: bool,
    /// Whether gradients are not compared with the target's.
    pub without_gradients: bool,
    /// Empty for both.
    pub modes: Vec<Mode>,
    pub rules: Vec<String>,
    /// The low type of mixed precision.
    pub precision: Option<DType>,
    pub passes: Vec<String>,
    /// Whether results after the passes may be rounded otherwise.
    pub passes_round: bool,
    /// The emitted code is also executed as level 3 writes it.
    pub highest_level: bool,
    pub runs: Vec<Run>,
    pub announced: Vec<Announced>,
}

/// A stage of the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The diagnostics are the announced ones.
    Check,
    /// The IR of the entry is the golden one and survives being read back.
    Ir,
    /// The file's `test` blocks hold.
    Run,
    /// The formatter keeps the meaning and changes nothing the second time.
    Fmt,
    /// The whole text of the diagnostics is the golden one.
    Messages,
    /// With any fix of the only diagnostic applied the program has no more to say.
    Remedy,
    /// `tritonc fix` makes the golden text of it, and that is clean.
    Fix,
}

/// A `#@ run:` line: an instance, a method, and its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub entry: String,
    /// An exported one; `forward` if `None`.
    pub method: Option<String>,
    pub inputs: Vec<(String, Generator)>,
    /// Values of `int` and `float` parameters.
    pub numbers: Vec<(String, HostValue)>,
}

/// A `#~` remark: a diagnostic that this line must give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// From 1.
    pub line: usize,
    pub code: String,
    /// Part of what the diagnostic says.
    pub part: String,
}

/// Reads the directives of a case, or says what is wrong with them, with the line.
pub fn parse(text: &str) -> Result<Directives, String> {
    let mut found = Directives::default();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if let Some(directive) = line.trim_start().strip_prefix("#@") {
            read_directive(directive, &mut found).map_err(|problem| format!("line {number}: {problem}"))?;
        }
        for remark in line.split("#~").skip(1) {
            let announced = read_announced(number, remark).map_err(|problem| format!("line {number}: {problem}"))?;
            found.announced.push(announced);
        }
    }
    if found.tests.is_empty() {
        return Err("a case needs a line `#@ test: ...`".to_string());
    }
    if !found.targets.is_empty() && found.runs.is_empty() {
        return Err("a case with a target needs a line `#@ run: ...`".to_string());
    }
    if found.precision.is_some() && found.runs.is_empty() {
        return Err("a case with `precision` needs a line `#@ run: ...`".to_string());
    }
    let of_targets =
        found.rules.is_empty() && found.modes.is_empty() && found.without.is_empty() && !found.without_text;
    if found.targets.is_empty() && !of_targets {
        return Err("`quantize`, `mode`, `golden` and `without` mean something only beside `target`".to_string());
    }
    if let Some(both) = found.without.iter().find(|name| found.targets.contains(name)) {
        return Err(format!("`{both}` is asked for and left out"));
    }
    Ok(found)
}

fn read_directive(text: &str, found: &mut Directives) -> Result<(), String> {
    let (name, rest) = text.split_once(':').ok_or("a directive has the form `#@ NAME: ...`")?;
    let rest = rest.trim();
    let words = || split_commas(rest);
    match name.trim() {
        "test" => words().iter().try_for_each(|word| {
            found.tests.push(match word.as_str() {
                "check" => Stage::Check,
                "ir" => Stage::Ir,
                "run" => Stage::Run,
                "fmt" => Stage::Fmt,
                "messages" => Stage::Messages,
                "remedy" => Stage::Remedy,
                "fix" => Stage::Fix,
                _ => return Err(format!("there is no stage `{word}`")),
            });
            Ok(())
        }),
        "mode" => words().iter().try_for_each(|word| {
            found.modes.push(match word.as_str() {
                "train" => Mode::Train,
                "infer" => Mode::Infer,
                _ => return Err(format!("there is no mode `{word}`")),
            });
            Ok(())
        }),
        "target" => {
            found.targets.extend(known_targets(rest)?);
            Ok(())
        }
        "without" => {
            let form = "a target is left out by `#@ without: NAME  # why`";
            let (names, why) = rest.split_once('#').ok_or(form)?;
            if why.trim().is_empty() {
                return Err(form.to_string());
            }
            found.without.extend(known_targets(names)?);
            Ok(())
        }
        "golden" if rest == "none" => {
            found.without_text = true;
            Ok(())
        }
        "grad" if rest == "none" => {
            found.without_gradients = true;
            Ok(())
        }
        "quantize" => {
            found.rules.push(rest.to_string());
            Ok(())
        }
        "precision" => {
            let low = DType::parse(rest).filter(|low| matches!(low, DType::Float16 | DType::BFloat16));
            found.precision = Some(low.ok_or("the low type is float16 or bfloat16")?);
            Ok(())
        }
        "opt-level" if rest == "3" => {
            found.highest_level = true;
            Ok(())
        }
        "passes" | "passes-near" => {
            found.passes.extend(words());
            found.passes_round |= name.trim() == "passes-near";
            Ok(())
        }
        "run" => {
            found.runs.push(read_run(rest)?);
            Ok(())
        }
        other => Err(format!("there is no directive `{other}`")),
    }
}

/// Names of targets, separated by commas.
fn known_targets(text: &str) -> Result<Vec<String>, String> {
    let names = split_commas(text);
    match names.iter().find(|name| targets::find(name).is_none()) {
        Some(unknown) => Err(format!("there is no target `{unknown}`")),
        None => Ok(names),
    }
}

/// `ENTRY(NAME=GENERATOR, ...) ~= interp`, or `ENTRY.METHOD(...) ~= interp`
fn read_run(text: &str) -> Result<Run, String> {
    let form = "a run has the form `ENTRY(INPUT=GENERATOR, ...) ~= interp` or `ENTRY.METHOD(...) ~= interp`";
    let call = text.strip_suffix("~= interp").ok_or(form)?.trim_end();
    let inner = call.strip_suffix(')').ok_or(form)?;
    let open = last_open(inner).ok_or(form)?;
    let entry = inner[..open].trim();
    if entry.is_empty() {
        return Err(form.to_string());
    }
    let (mut inputs, mut numbers) = (vec![], vec![]);
    for argument in split_commas(&inner[open + 1..]) {
        let (name, generator) = argument.split_once('=').ok_or(form)?;
        let (name, generator) = (name.trim().to_string(), generator.trim());
        match (generator.parse::<i64>(), generator.parse::<f64>()) {
            (Ok(int), _) => numbers.push((name, HostValue::Int(int))),
            (_, Ok(float)) => numbers.push((name, HostValue::Float(F64(float)))),
            _ => inputs.push((name, generate::parse(generator)?)),
        }
    }
    let is_name = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_');
    let (entry, method) = match entry.rsplit_once('.') {
        Some((entry, method)) if is_name(method) => (entry, Some(method.to_string())),
        _ => (entry, None),
    };
    Ok(Run { entry: entry.to_string(), method, inputs, numbers })
}

/// The bracket that is still open at the end of a text.
fn last_open(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, symbol) in text.char_indices().rev() {
        match symbol {
            ')' | ']' => depth += 1,
            '(' | '[' if depth == 0 => return (symbol == '(').then_some(at),
            '(' | '[' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The parts between commas that stand in no bracket.
pub fn split_commas(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0i32;
    for symbol in text.chars() {
        match symbol {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        match parts.last_mut() {
            Some(last) if symbol != ',' || depth != 0 => last.push(symbol),
            _ => parts.push(String::new()),
        }
    }
    parts.into_iter().map(|part| part.trim().to_string()).filter(|part| !part.is_empty()).collect()
}

/// `CODE "part of the message"`
fn read_announced(line: usize, text: &str) -> Result<Announced, String> {
    let form = "a remark has the form `#~ CODE \"part of the message\"`";
    let (code, rest) = text.trim().split_once(' ').ok_or(form)?;
    let part = rest.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(form)?;
    if tritonc::base::Code::parse(code).is_none() {
        return Err(format!("there is no code `{code}`"));
    }
    Ok(Announced { line, code: code.to_string(), part: part.to_string() })
}
