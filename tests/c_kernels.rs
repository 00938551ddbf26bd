//! Kernels of the target `c`, executed: each is compiled with the sanitizers, run, and compared with the registry's own
//! evaluation.
//!
//! Cases are the uses of `tests/operations.txt`, in each element type that the operation takes, and the fused regions of
//! `tests/c_kernels.txt`. Many are in one file of C, so that the compiler starts seldom. Where an evaluation fails, the
//! kernel must give an error.

mod support;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use support::executors::tools_required;
use support::with_deep_stack;
use tritonc::ir::{self, Function, Inst, InstId, InstKind, Region, Value, ValueId};
use tritonc::ops::{self, Attr, Default, EvalCx, Obligation, ObligationKind, OpId, RuleCx};
use tritonc::quant::pack::{Format, pack};
use tritonc::targets::Templates;
use tritonc::targets::c::kernel::{Context, Held, Kernel, Packing, kernel};
use tritonc::targets::table::Table;
use tritonc::types::{DType, Dim, Facts, HostExpr, HostValue, Symbol, Tensor, TensorType};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// What sizes are that only a run tells.
const SIZES: [(&str, i64); 4] = [("B", 3), ("L", 37), ("T", 5), ("Z", 0)];
const FLAGS: [&str; 7] =
    ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsanitize=address,undefined"];
const HEAD: &str = "#include <math.h>\n#include <stdbool.h>\n#include <stdint.h>\n#include <stdio.h>\n\
                    #include <stdlib.h>\n#include <string.h>\n\n#define TEST_OK 0\n#define TEST_ERROR_INDEX -1\n\
                    #define TEST_ERROR_VALUE -2\n\n";

/// A function with one instruction.
struct Case {
    text: String,
    function: Function,
    kernel: Kernel,
    runs: Vec<Run>,
}

/// What a kernel is run with.
struct Run {
    inputs: Vec<Tensor>,
    /// What comes out, or why nothing does.
    outputs: Result<Vec<Tensor>, String>,
}

/// Which numbers a case is run with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Numbers {
    Usual,
    Extreme,
}

fn table() -> Table {
    Table::load(&Templates::builtin(), "c").unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn value_of(symbol: &Symbol) -> Option<i64> {
    SIZES.iter().find(|(name, _)| *name == symbol.as_str()).map(|(_, size)| *size)
}

fn sizes(ty: &TensorType) -> Vec<usize> {
    ty.shape.dims.iter().map(|dim| dim.eval(&value_of).unwrap_or_else(|| panic!("{dim}")) as usize).collect()
}

/// Numbers that look random: halves and quarters keep sums exact, and some are negative.
fn data(ty: &TensorType, seed: usize, numbers: Numbers, name: &str) -> Tensor {
    let shape = sizes(ty);
    let count: usize = shape.iter().product();
    let dtype = ty.dtype().unwrap_or(DType::Float32);
    let number = |i: usize| ((i * 7919 + seed * 104_729 + 13) % 97) as f64;
    if numbers == Numbers::Extreme {
        return extremes(dtype, shape, seed);
    }
    let values = (0..count).map(|i| match dtype {
        DType::Bool => number(i) % 2.0,
        DType::Trit => number(i) % 3.0 - 1.0,
        dtype if dtype.is_float() && name == "s" => number(i) / 32.0 + 0.0625,
        dtype if dtype.is_float() => number(i) / 32.0 - 1.4,
        _ if name == "index" || name == "start" => number(i) % 3.0 - 1.0,
        DType::Int64 | DType::Int32 if seed > 0 => number(i) % 2.0,
        _ if dtype.is_unsigned() => number(i) % 7.0 + 1.0,
        DType::Int4 => number(i) % 9.0 - 4.0,
        _ => number(i) % 9.0 - 4.0,
    });
    Tensor::from_f64(dtype, shape, values)
}

fn extremes(dtype: DType, shape: Vec<usize>, seed: usize) -> Tensor {
    let count: usize = shape.iter().product();
    let pick = |i: usize, length: usize| (i * 7 + seed * 5 + i / 3) % length;
    if dtype.is_float() {
        let all = [
            f64::NAN,
            0.0,
            -0.0,
            1.0,
            f64::INFINITY,
            -1.0,
            f64::NEG_INFINITY,
            0.5,
            -2.5,
            1.5,
            1e-40,
            -3e38,
            3e38,
            1e-8,
            65519.0,
            65520.0,
            2.0,
            1e300,
            -7.0,
            0.1,
        ];
        return Tensor::from_f64(dtype, shape, (0..count).map(|i| all[pick(i, all.len())]));
    }
    let (low, high) = dtype.int_range().unwrap_or((0, 0));
    let all = [low, high, 0, 1, -1, 2, low + 1, high - 1, 7, -3];
    let values = (0..count).map(|i| all[pick(i, all.len())].clamp(low, high) as u64 as i64);
    Tensor::from_i64(dtype, shape, values.collect())
}

fn default(value: Default) -> Attr {
    match value {
        Default::Required | Default::None => Attr::None,
        Default::Int(value) => Attr::int(value),
        Default::Float(value) => Attr::Float(HostExpr::float(value)),
        Default::Bool(value) => Attr::Bool(value),
        Default::Off => Attr::Bool(false),
        Default::Str("int64") => Attr::DType(DType::Int64.into()),
        Default::Str(value) => Attr::Str(value.into()),
    }
}

/// Reads lines such as `%s = sum %a {axis = 1}`, the last of which yields, over operands of these types; attributes and
/// types are filled in. `None` where an operation does not take the types.
fn read(lines: &[&str], types: &[&str]) -> Option<Function> {
    let params: Vec<String> = NAMES.iter().zip(types).map(|(name, ty)| format!("%{name}: {ty}")).collect();
    let mut text =
        format!("func @use({}) -> float32 {{\n  symbols B: int, L: int, T: int, Z: int\n", params.join(", "));
    for line in lines {
        let _ = match line.strip_prefix("yield ") {
            Some(values) => writeln!(text, "  return {values}"),
            None if line.contains(" : ") => writeln!(text, "  {line}"),
            None => {
                let results = line.split('=').next().unwrap_or("").split(',').count();
                writeln!(text, "  {line} : {}", vec!["float32"; results].join(", "))
            }
        };
    }
    text.push_str("}\n");
    let mut module = ir::reader::read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut function = module.functions.remove(0);
    for id in function.body.insts.clone() {
        let mut inst = function[id].clone();
        let InstKind::Op { op, attrs } = &mut inst.kind else { continue };
        for param in op.get().params.iter().filter(|param| !param.is_operand()) {
            if attrs.get(param.name).is_none() {
                attrs.set(param.name, default(param.default));
            }
        }
        let operands: Vec<TensorType> = inst.operands.iter().map(|value| function[*value].ty.clone()).collect();
        let facts = Facts::default();
        let mut fresh = || Dim::unknown(0);
        let mut cx = RuleCx::new(op.get(), &operands, attrs, &facts, &mut fresh);
        let found = (op.get().rule)(&mut cx).ok()?;
        // What a run only tells must hold for the sizes there are, and nothing may broadcast by chance.
        let holds = |obligation: &Obligation| {
            let (a, b) = obligation.sides();
            let sides = a.eval(&value_of).zip(b.eval(&value_of));
            matches!(obligation.kind, ObligationKind::AtLeast(..)) && sides.is_some_and(|(a, b)| a >= b)
        };
        if !cx.obligations.iter().all(holds) {
            return None;
        }
        inst.results.iter().zip(found).for_each(|(value, ty)| function[*value].ty = ty);
        function[id] = inst;
    }
    Some(function)
}

/// Puts a function's instructions into one fused instruction.
fn fused(mut function: Function) -> Function {
    let mut insts = function.body.insts.clone();
    let last = insts.pop().expect("a function ends in a return");
    let yielded = function[last].operands.clone();
    let params = function.params.clone();
    // The function gets parameters of its own; those that there were belong to the region.
    let new = |function: &mut Function, value: ValueId| {
        let value: Value = function[value].clone();
        function.values.push(value);
        ValueId(function.values.len() as u32 - 1)
    };
    let outer: Vec<ValueId> = params.iter().map(|param| new(&mut function, *param)).collect();
    let results: Vec<ValueId> = yielded.iter().map(|value| new(&mut function, *value)).collect();
    let loc = function[last].loc;
    let push = |function: &mut Function, inst: Inst| {
        function.insts.push(inst);
        InstId(function.insts.len() as u32 - 1)
    };
    insts.push(push(&mut function, Inst { kind: InstKind::Yield, operands: yielded, results: vec![], loc }));
    let kind = InstKind::Fused { body: Region { params, insts } };
    let id = push(&mut function, Inst { kind, operands: outer.clone(), results, loc });
    function.params = outer;
    function.body = Region { params: vec![], insts: vec![id] };
    function
}

/// What the function's instructions mean, one after another.
fn evaluate(function: &Function, inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
    let mut values: Vec<Option<Tensor>> = vec![None; function.values.len()];
    let bind = |values: &mut Vec<Option<Tensor>>, ids: &[ValueId], tensors: Vec<Tensor>| {
        ids.iter().zip(tensors).for_each(|(id, tensor)| values[id.0 as usize] = Some(tensor));
    };
    bind(&mut values, &function.params, inputs.to_vec());
    for id in &function.body.insts {
        let inst = &function[*id];
        let operands = inst.operands.iter().map(|value| values[value.0 as usize].clone()).collect::<Option<Vec<_>>>();
        let operands = operands.ok_or("a value is used before it is there")?;
        let results = match &inst.kind {
            InstKind::Op { op, attrs } => {
                let attrs = attrs.map(|attr| attr.resolve(&|symbol| Some(HostValue::Int(value_of(symbol)?))));
                let op = op.get();
                (op.eval)(&EvalCx { op, operands: &operands, attrs: &attrs }).map_err(|error| error.0)?
            }
            InstKind::Const(tensor) => vec![tensor.clone()],
            InstKind::Host(expr) => {
                let value = expr.eval(&|symbol| Some(HostValue::Int(value_of(symbol)?))).ok_or("an open number")?;
                vec![Tensor::filled(function.dtype(inst.results[0]), vec![], value)]
            }
            InstKind::Return => return Ok(operands),
            other => return Err(format!("{other:?}")),
        };
        bind(&mut values, &inst.results, results);
    }
    Err("no return".to_string())
}

/// What a case is of: one operation or a fused region, over tensors in memory, codes in bytes, or weights that can be packed.
#[derive(Clone, Copy, Default)]
struct Form {
    alone: bool,
    packed: Option<Format>,
    weights: bool,
}

/// The case of some lines; `None` where an operation does not take the types. Codes are packed where a format is given.
fn case(table: &Table, lines: &[&str], types: &[&str], numbers: &[Numbers], form: Form) -> Option<Case> {
    let Form { alone, packed, weights } = form;
    let text = format!("{} | {}", lines.join("; "), types.join("; "));
    let function = read(lines, types)?;
    let first = &function[function.body.insts[0]];
    let names: Vec<&str> = match &first.kind {
        InstKind::Op { op, .. } if alone => op.get().params.iter().filter(|p| p.is_operand()).map(|p| p.name).collect(),
        _ => vec![],
    };
    // The first operand that can be packed is.
    let codes = packed.and_then(|format| function.params.iter().position(|value| format.holds(function.dtype(*value))));
    let holds = |value: ValueId| packed.filter(|_| codes.is_some_and(|codes| function.params[codes] == value));
    let run = |numbers: &Numbers| {
        let input = |(index, value): (usize, &ValueId)| {
            let name = names.get(index).copied().unwrap_or("");
            // Positions and seeds stay what they are.
            let numbers = if matches!(name, "index" | "start" | "seed") { Numbers::Usual } else { *numbers };
            data(&function[*value].ty, index, numbers, name)
        };
        let inputs: Vec<Tensor> = function.params.iter().enumerate().map(input).collect();
        let outputs = evaluate(&function, &inputs);
        let pack = |(value, tensor): (&ValueId, Tensor)| match holds(*value) {
            Some(format) => pack(&tensor, format).unwrap_or_else(|error| panic!("{error}")),
            None => tensor,
        };
        Run { inputs: function.params.iter().zip(inputs).map(pack).collect(), outputs }
    };
    let runs = numbers.iter().map(run).collect();
    let whole = if alone { function.clone() } else { fused(function.clone()) };
    let held = |value: ValueId| match packed.filter(|_| codes.is_some_and(|codes| whole.params[codes] == value)) {
        Some(format) => Held::Packed(format),
        None => Held::Plain,
    };
    let is_weight = |_| weights;
    let cx = Context { table, held: &held, is_weight: &is_weight, has_threads: false };
    let kernel = kernel(&cx, &whole, whole.body.insts[0]).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    Some(Case { text, function: whole, kernel, runs })
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    let ints = |size: usize| tensor.as_i64().unwrap_or(&[]).iter().flat_map(move |v| v.to_le_bytes()[..size].to_vec());
    match tensor.dtype() {
        DType::Float32 => tensor.to_f64().iter().flat_map(|v| (*v as f32).to_le_bytes()).collect(),
        DType::Float64 => tensor.to_f64().iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::Float16 => tensor.to_f64().iter().flat_map(|v| half::f16::from_f64(*v).to_le_bytes()).collect(),
        DType::BFloat16 => tensor.to_f64().iter().flat_map(|v| half::bf16::from_f64(*v).to_le_bytes()).collect(),
        dtype => ints(dtype.bits().div_ceil(8) as usize).collect(),
    }
}

fn width(dtype: DType) -> usize {
    dtype.bits().div_ceil(8) as usize
}

fn tensor(dtype: DType, shape: Vec<usize>, bytes: &[u8]) -> Tensor {
    let parts = bytes.chunks_exact(width(dtype));
    let float = |part: &[u8]| match part {
        &[a, b] if dtype == DType::Float16 => half::f16::from_le_bytes([a, b]).to_f64(),
        &[a, b] => half::bf16::from_le_bytes([a, b]).to_f64(),
        &[a, b, c, d] => f64::from(f32::from_le_bytes([a, b, c, d])),
        other => f64::from_le_bytes(other.try_into().expect("eight bytes")),
    };
    let int = |part: &[u8]| {
        let low = part.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let shift = 64 - 8 * part.len() as u32;
        let signed = !dtype.is_unsigned() && dtype != DType::Bool;
        if signed { (low << shift) as i64 >> shift } else { low as i64 }
    };
    if dtype.is_float() {
        Tensor::from_f64(dtype, shape, parts.map(float))
    } else {
        Tensor::from_i64(dtype, shape, parts.map(int).collect())
    }
}

fn c_type(dtype: DType) -> &'static str {
    tritonc::targets::c::text::memory(dtype)
}

/// A function that reads the operands of a case, calls its kernel, and writes a code and the results; then again with each
/// result in the place of an operand whose memory it may take, which must change nothing.
fn caller(case: &Case, index: usize) -> String {
    let inst = &case.function[case.function.body.insts[0]];
    let (mut before, mut after) = (String::new(), String::new());
    let (mut operands, mut results) = (vec![], vec![]);
    for (number, input) in case.runs[0].inputs.iter().enumerate() {
        let (ty, size) = (c_type(input.dtype()), input.len() * width(input.dtype()));
        let _ = writeln!(before, "    {ty} *in{number} = get({size});");
        let _ = writeln!(after, "    free(in{number});");
        operands.push(if input.rank() == 0 { format!("*in{number}") } else { format!("in{number}") });
    }
    let mut bytes = vec![];
    for (number, result) in inst.results.iter().enumerate() {
        let ty = &case.function[*result].ty;
        let dtype = ty.dtype().unwrap_or(DType::Float32);
        let size = sizes(ty).iter().product::<usize>() * width(dtype);
        let _ = writeln!(before, "    {} *out{number} = calloc({}, 1);", c_type(dtype), size.max(1));
        let _ = writeln!(after, "    put(out{number}, {size});");
        results.push(format!("out{number}"));
        bytes.push(size);
    }
    pack_weights(case, &mut before, &mut after, &mut operands);
    let scratch = case.kernel.scratch.eval(&value_of).unwrap_or_default();
    if scratch > 0 {
        let _ = writeln!(before, "    uint8_t *scratch = aligned_alloc(64, {scratch});");
        after.push_str("    free(scratch);\n");
    }
    let work = || (scratch > 0).then(|| "scratch".to_string());
    let numbers = || case.kernel.sizes.iter().map(|symbol| value_of(symbol).unwrap_or_default().to_string());
    let call = |operands: &[String], results: &[String]| {
        let passed = case.kernel.operands.iter().map(|position| operands[*position].clone());
        let arguments: Vec<String> = passed.chain(results.iter().cloned()).chain(work()).chain(numbers()).collect();
        format!("kernel_{index}({});", arguments.join(", "))
    };
    let assigned = if case.kernel.can_fail { "code = " } else { "" };
    let mut body = format!("    {assigned}{}\n", call(&operands, &results));
    for (result, operand) in &case.kernel.in_place {
        let (mut own, mut others) = (operands.clone(), results.clone());
        own[*operand] = "shared".into();
        others[*result] = "shared".into();
        let ty = c_type(case.runs[0].inputs[*operand].dtype());
        let size = bytes[*result];
        let _ = writeln!(
            body,
            "    if (code == 0) {{\n        {ty} *shared = copy(in{operand}, {size});\n        {}\n        if \
             (memcmp(shared, out{result}, {size}) != 0) exit(8);\n        free(shared);\n    }}",
            call(&own, &others)
        );
    }
    format!(
        "static void run_{index}(void)\n{{\n    int code = 0;\n{before}{body}    if (fwrite(&code, sizeof code, 1, stdout) \
         != 1) exit(9);\n{after}}}\n\n"
    )
}

/// Brings weights into the layouts that a kernel takes, as `NAME_weights_init` does.
fn pack_weights(case: &Case, before: &mut String, after: &mut String, operands: &mut [String]) {
    for (position, packing) in &case.kernel.packs {
        let (place, own) = (format!("packed{position}"), operands[*position].clone());
        let (element, bytes) = (packing.element(), packing.bytes());
        let _ = writeln!(before, "    {element} *{place} = aligned_alloc(64, {});", (bytes + 63) / 64 * 64);
        let is_codes = !matches!(packing, Packing::Floats { .. } | Packing::FloatColumns { .. });
        let weight = if is_codes { format!("weight{position}") } else { own.clone() };
        if is_codes {
            // Scales and zero points follow the codes in all cases.
            let part = |next: usize, ty: &str| match operands.get(position + next) {
                Some(operand) if case.runs[0].inputs[position + next].rank() > 0 => format!("(const {ty} *){operand}"),
                _ => "NULL".to_string(),
            };
            let _ = writeln!(
                before,
                "    const struct {{ const void *codes; const float *scale; const uint8_t *zero_point; }} {weight} = {{{own}, \
                 {}, {}}};\n    (void){weight};",
                part(1, "float"),
                part(2, "uint8_t")
            );
        }
        let (call, checks) = packing.call(&weight, &place);
        let _ = writeln!(
            before,
            "    {}{call}{};",
            if checks { "if (!" } else { "" },
            if checks { ") exit(7)" } else { "" }
        );
        let _ = writeln!(after, "    free({place});");
        operands[*position] = place;
    }
}

/// The tiles that cases need, in the order in which they are written with each other.
fn tiles(cases: &[Case]) -> String {
    let order = [
        "activations",
        "ternary2",
        "ternary5",
        "int4",
        "int8",
        "restore",
        "f32",
        "conv",
        "depthwise",
        "f32_math",
        "f32_rows",
    ];
    let templates = Templates::builtin();
    let all: BTreeSet<&str> = cases.iter().flat_map(|case| case.kernel.tiles.iter().copied()).collect();
    let needs = |name: &str| match name {
        "ternary2" => all.contains("ternary5"),
        "f32" => all.contains("conv") || all.contains("depthwise"),
        "f32_math" => all.contains("f32_rows"),
        _ => false,
    };
    let wanted = order.into_iter().filter(|name| all.contains(name) || needs(name));
    let texts = wanted.map(|name| {
        let file = templates.get(&format!("c/kernels/{name}.h"));
        file.unwrap_or_else(|error| panic!("{error:?}")).text.clone()
    });
    ["#define SIMD_PLAIN\n#define F32_PLAIN\n".to_string()].into_iter().chain(texts).collect()
}

/// The program that runs all cases: reads operands, calls, and writes a code and the results.
fn program(cases: &[Case]) -> String {
    let templates = Templates::builtin();
    let mut text = HEAD.to_string();
    let helpers: BTreeSet<&str> = cases.iter().flat_map(|case| case.kernel.helpers.iter().copied()).collect();
    for helper in helpers {
        let file = templates.get(&format!("c/helpers/{helper}.h")).unwrap_or_else(|error| panic!("{error:?}"));
        text.push_str(&file.text);
        text.push('\n');
    }
    text.push_str(&tiles(cases));
    text.push_str(
        "static void *get(size_t bytes)\n{\n    void *data = malloc(bytes ? bytes : 1);\n    if (!data || fread(data, 1, \
         bytes, stdin) != bytes) exit(9);\n    return data;\n}\n\nstatic void put(void *data, size_t bytes)\n{\n    if \
         (fwrite(data, 1, bytes, stdout) != bytes) exit(9);\n    free(data);\n}\n\nstatic inline void *copy(const void \
         *data, size_t bytes)\n{\n    void *own = malloc(bytes ? bytes : 1);\n    if (!own) exit(9);\n    return \
         memcpy(own, data, bytes);\n}\n\n",
    );
    let mut calls = String::new();
    for (index, case) in cases.iter().enumerate() {
        let definition =
            case.kernel.definition.replace("{{name}}", &format!("kernel_{index}")).replace("{{NAME}}", "TEST");
        let _ = writeln!(text, "/* {} */\n{definition}", case.text.replace("*/", ""));
        text.push_str(&caller(case, index));
        calls.push_str(&format!("    run_{index}();\n").repeat(case.runs.len()));
    }
    text + &format!("int main(void)\n{{\n{calls}    return 0;\n}}\n")
}

/// Compiles and runs; `None` where there is no compiler.
fn execute(name: &str, cases: &[Case]) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, binary) = (folder.path().join("kernels.c"), folder.path().join("kernels"));
    std::fs::write(&source, program(cases)).expect("a file");
    if let Ok(kept) = std::env::var("TRITONC_KEEP_C") {
        std::fs::copy(&source, Path::new(&kept).join(format!("{name}.c"))).expect("a copy");
    }
    let compiled = Command::new("cc").args(FLAGS).arg(&source).arg("-o").arg(&binary).arg("-lm").output();
    let compiled = match compiled {
        Ok(output) => output,
        Err(error) if !tools_required() => {
            eprintln!("ignored: there is no `cc`: {error}");
            return None;
        }
        Err(error) => panic!("there is no `cc`: {error}"),
    };
    let errors = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{}", errors.chars().take(8000).collect::<String>());
    let input: Vec<u8> =
        cases.iter().flat_map(|case| &case.runs).flat_map(|run| run.inputs.iter().flat_map(bytes)).collect();
    let file = folder.path().join("input");
    std::fs::write(&file, input).expect("a file");
    let run = Command::new(&binary).stdin(std::fs::File::open(&file).expect("the file")).output().expect("a run");
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && errors.is_empty(), "{}", errors.chars().take(8000).collect::<String>());
    Some(run.stdout)
}

/// Relative and absolute tolerance.
fn tolerance(dtype: DType) -> (f64, f64) {
    match dtype {
        DType::Float64 => (1e-12, 1e-12),
        DType::Float32 => (1e-5, 2e-6),
        DType::Float16 => (2e-3, 1e-3),
        DType::BFloat16 => (2e-2, 1e-2),
        _ => (0.0, 0.0),
    }
}

fn agrees(found: &Tensor, wanted: &Tensor) -> Result<(), String> {
    let (relative, absolute) = tolerance(wanted.dtype());
    if !wanted.dtype().is_float() {
        let (a, b) = (found.as_i64().unwrap_or(&[]), wanted.as_i64().unwrap_or(&[]));
        return if a == b { Ok(()) } else { Err(format!("found {a:?}, wanted {b:?}")) };
    }
    let (a, b) = (found.to_f64(), wanted.to_f64());
    let close = |x: f64, y: f64| x == y || x.is_nan() && y.is_nan() || (x - y).abs() <= absolute + relative * y.abs();
    if a.iter().zip(&b).all(|(x, y)| close(*x, *y)) { Ok(()) } else { Err(format!("found {a:?}, wanted {b:?}")) }
}

/// Runs the cases and compares.
fn check(name: &str, cases: &[Case]) {
    let Some(out) = execute(name, cases) else { return };
    let (mut rest, mut problems) = (out.as_slice(), vec![]);
    for (case, run) in cases.iter().flat_map(|case| case.runs.iter().map(move |run| (case, run))) {
        let (code, after) = rest.split_at(4);
        let failed = code != [0; 4];
        rest = after;
        let mut found = vec![];
        for result in &case.function[case.function.body.insts[0]].results {
            let ty = &case.function[*result].ty;
            let (dtype, shape) = (ty.dtype().unwrap_or(DType::Float32), sizes(ty));
            let (own, after) = rest.split_at(shape.iter().product::<usize>() * width(dtype));
            found.push(tensor(dtype, shape, own));
            rest = after;
        }
        let problem = match (&run.outputs, failed) {
            (Ok(wanted), false) => found.iter().zip(wanted).find_map(|(a, b)| agrees(a, b).err()),
            (Err(_), true) => None,
            (Ok(_), true) => Some("gives an error".to_string()),
            (Err(why), false) => Some(format!("gives no error: {why}")),
        };
        problems.extend(problem.map(|problem| format!("{}\n{}{problem}\n", case.text, case.kernel.definition)));
    }
    assert!(rest.is_empty(), "{} bytes too many", rest.len());
    let shown: Vec<String> = problems.iter().take(12).cloned().collect();
    assert!(problems.is_empty(), "{} of {}:\n{}", problems.len(), cases.len(), shown.join("\n"));
}

/// Lines of a list, without comments.
fn lines(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(support::root().join("tests").join(file)).expect("the list");
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_string).collect()
}

/// A use of one operation, and the types of its operands.
fn uses() -> Vec<(String, Vec<String>)> {
    let lines = lines("operations.txt").into_iter().filter(|line| !line.trim().is_empty());
    let one = |line: String| {
        let (code, types) =
            line.split_once('|').map(|(a, b)| (a.to_string(), b.to_string())).unwrap_or((line, "".into()));
        let types = types.split(';').map(|ty| ty.trim().to_string()).filter(|ty| !ty.is_empty()).collect();
        (code.trim().to_string(), types)
    };
    lines.map(one).collect()
}

fn one_use(table: &Table, code: &str, types: &[String], numbers: &[Numbers]) -> Option<Case> {
    let results = code.split('=').next().unwrap_or("").trim();
    let types: Vec<&str> = types.iter().map(String::as_str).collect();
    case(table, &[code, &format!("yield {results}")], &types, numbers, Form { alone: true, ..Form::default() })
}

fn operation(code: &str) -> Option<OpId> {
    code.split_whitespace().find_map(ops::find)
}

#[test]
fn every_operation_agrees() {
    with_deep_stack(|| {
        let table = table();
        let mut used = BTreeSet::new();
        let cases = uses().into_iter().map(|(code, types)| {
            used.extend(operation(&code).map(|op| op.name()));
            one_use(&table, &code, &types, &[Numbers::Usual]).unwrap_or_else(|| panic!("{code}"))
        });
        let cases: Vec<Case> = cases.collect();
        let missing: Vec<&str> = ops::all().map(|op| op.name()).filter(|name| !used.contains(name)).collect();
        assert_eq!(missing, Vec::<&str>::new(), "tests/operations.txt has no use");
        check("operations", &cases);
    });
}

/// The first use of each operation, where operands of the first one's type are of any other; and all conversions.
#[test]
fn every_operation_agrees_in_every_type() {
    with_deep_stack(|| {
        let table = table();
        let (mut cases, mut seen) = (vec![], BTreeSet::new());
        for (code, types) in uses() {
            let (Some(first), Some(op)) = (types.first(), operation(&code)) else { continue };
            let own = first.split('[').next().unwrap_or("").to_string();
            for dtype in DType::ALL {
                let change = |ty: &String| match ty.strip_prefix(own.as_str()) {
                    Some(rest) if rest.is_empty() || rest.starts_with('[') => format!("{dtype}{rest}"),
                    _ => ty.clone(),
                };
                let types: Vec<String> = types.iter().map(change).collect();
                // Sums that leave the range depend on their order.
                let is_exact = !dtype.is_float() || !op.is_product();
                let numbers = if is_exact { &[Numbers::Usual, Numbers::Extreme][..] } else { &[Numbers::Usual][..] };
                if seen.insert((op.name(), dtype)) {
                    cases.extend(one_use(&table, &code, &types, numbers));
                }
            }
        }
        for (from, to) in DType::ALL.iter().flat_map(|from| DType::ALL.map(|to| (*from, to))) {
            let (code, types) = (format!("%0 = cast %a {{dtype = {to}}}"), [format!("{from}[31]")]);
            cases.extend(one_use(&table, &code, &types, &[Numbers::Usual, Numbers::Extreme]));
        }
        check("types", &cases);
    });
}

/// The blocks of the list: lines, and types of operands.
fn blocks() -> Vec<(Vec<String>, Vec<String>)> {
    let all = lines("c_kernels.txt").join("\n");
    let blocks = all.split("\n\n").map(str::trim).filter(|block| !block.is_empty());
    let one = |block: &str| {
        let (code, types) = block.rsplit_once('|').unwrap_or((block, ""));
        let types = types.split(';').map(str::trim).filter(|ty| !ty.is_empty()).map(str::to_string);
        (code.lines().map(|line| line.trim().to_string()).collect(), types.collect())
    };
    blocks.map(one).collect()
}

#[test]
fn fused_regions_agree() {
    with_deep_stack(|| {
        let table = table();
        let one = |(lines, types): (Vec<String>, Vec<String>)| {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let types: Vec<&str> = types.iter().map(String::as_str).collect();
            // In memory as they are, as weights, and as weights in bytes.
            let format = |ty: &&str| match ty.split('[').next() {
                Some("trit") => &[Format::Ternary2, Format::Ternary5][..],
                Some("int4" | "uint8") => &[Format::Int4],
                _ => &[],
            };
            let packed = types.iter().flat_map(format);
            let packed = packed.map(|format| Form { packed: Some(*format), weights: true, ..Form::default() });
            let forms = [Form::default(), Form { weights: true, ..Form::default() }].into_iter().chain(packed);
            let mut made: Vec<Case> = vec![];
            for form in forms {
                let found = case(&table, &lines, &types, &[Numbers::Usual], form);
                let found = found.unwrap_or_else(|| panic!("{}", lines.join("\n")));
                if made.iter().all(|other| other.kernel != found.kernel) {
                    made.push(found);
                }
            }
            made
        };
        check("fused", &blocks().into_iter().flat_map(one).collect::<Vec<Case>>());
    });
}

/// Totals of rows that are kept in parts, at the ends of what a row can be, with NaN and infinities.
#[test]
fn extremes_of_rows_agree() {
    with_deep_stack(|| {
        let table = table();
        let mut cases = vec![];
        for op in ["max", "min", "any"] {
            for size in ["31", "32", "33", "48", "L", "T", "Z"] {
                let dtype = if op == "any" { "bool" } else { "float32" };
                let line = format!("%t = {op} %a {{axis = -1}}");
                let both = [Numbers::Usual, Numbers::Extreme];
                let ty = format!("{dtype}[B, {size}]");
                cases.extend(case(
                    &table,
                    &[&line, "yield %t"],
                    &[&ty],
                    &both,
                    Form { alone: true, ..Form::default() },
                ));
            }
        }
        assert_eq!(cases.len(), 21);
        check("rows", &cases);
    });
}

/// Packed codes are read where they lie.
#[test]
fn packed_codes_are_read() {
    with_deep_stack(|| {
        let table = table();
        let schemes = [
            ("trit", "ternary(axis=0)", "float32[4]", Format::Ternary2),
            ("trit", "ternary(axis=0)", "float32[4]", Format::Ternary5),
            ("int4", "int4(axis=0)", "float32[4]", Format::Int4),
            ("int8", "int8(axis=0)", "float32[4]", Format::Int8),
            ("uint8", "int4(symmetric=false, group=3)", "float32[4, 3]; uint8[4, 3]", Format::Int4),
        ];
        let mut cases = vec![];
        for (codes, scheme, parts, format) in schemes {
            let types = format!("float32[B, 9]; {codes}[4, 9]; {}", parts.split(';').next().unwrap_or(parts));
            let types: Vec<&str> = types.split(';').map(str::trim).collect();
            let line = format!("%w = dequantize %b, %c {{scheme = {scheme}, dtype = float32}}");
            let lines = [&line, "%y = matmul %a, %w {transpose_b = true}", "yield %y"];
            if !parts.contains(';') {
                cases.extend(case(
                    &table,
                    &lines,
                    &types,
                    &[Numbers::Usual],
                    Form { packed: Some(format), ..Form::default() },
                ));
            }
            let ty = format!("{codes}[3, 4, 9]");
            let lines = ["%p = permute %a {axes = (1, 0, 2)}", "%y = cast %p {dtype = float32}", "yield %y"];
            cases.extend(case(
                &table,
                &lines,
                &[&ty],
                &[Numbers::Usual],
                Form { packed: Some(format), ..Form::default() },
            ));
        }
        assert_eq!(cases.len(), 9);
        check("packed", &cases);
    });
}

/// Random numbers for choices.
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// A line that makes `%v{number}` of one value or two of those that there are.
    fn line(&mut self, number: usize, values: &[(String, TensorType)]) -> String {
        let recent = values.len() - 1 - self.below(values.len().min(3));
        let ((x, ty), (y, _)) = (&values[recent], &values[self.below(values.len())]);
        let rank = ty.shape.dims.len();
        let axis = self.below(rank);
        let size = ty.shape.dims.get(axis).cloned().unwrap_or_default();
        let shape: Vec<String> = ty.shape.dims.iter().map(Dim::to_string).collect();
        let code = match self.below(24) {
            0..=3 => format!("{} {x}, {y}", self.of(&["add", "sub", "mul", "maximum", "minimum"])),
            4..=6 => format!("{} {x}", self.of(&["neg", "abs", "tanh", "sign", "floor", "atan"])),
            7 if rank > 1 => format!("transpose {x} {{axis0 = {}, axis1 = {axis}}}", self.below(rank)),
            8 if rank == 3 => format!("permute {x} {{axes = {}}}", self.of(&["(2, 0, 1)", "(1, 2, 0)", "(0, 2, 1)"])),
            9 => format!("flip {x} {{axes = ({axis})}}"),
            10 => {
                format!("reshape {x} {{shape = [{}]}}", self.of(&["-1", "-1, 2", "2, -1", "-1, 1", "3, -1", "B, -1"]))
            }
            11 => format!("unsqueeze {x} {{axis = {axis}}}"),
            12 => format!("slice {x} {{axis = {axis}, start = 1, stop = {size}}}"),
            13 => format!("slice {x} {{axis = {axis}, start = 0, stop = {size}, step = 2}}"),
            14 => format!("concat {x}, {x} {{axis = {axis}}}"),
            15 => format!(
                "pad {x} {{pads = (1, 2), value = 0.5, mode = {:?}}}",
                self.of(&["constant", "edge", "reflect"])
            ),
            16 => format!("broadcast_to {x} {{shape = [2, {}]}}", shape.join(", ")),
            17 => {
                format!("{} {x} {{axis = {axis}, keepdim = {}}}", self.of(&["sum", "max", "mean"]), self.below(2) == 0)
            }
            18 => format!("cumsum {x} {{axis = {axis}}}"),
            19 => format!("matmul {x}, {y} {{transpose_b = {}}}", self.below(2) == 0),
            20 => format!("roll {x} {{shifts = (2), axes = ({axis})}}"),
            21 => format!("repeat_interleave {x} {{n = 2, axis = {axis}}}"),
            22 => format!("stack {x}, {x} {{axis = {axis}}}"),
            _ => format!("clamp {x} {{min = -1.5, max = 1.0}}"),
        };
        format!("%v{number} = {code}")
    }
}

/// A region of operations that fit each other, whatever may be in one kernel.
fn region(choices: &mut Choices) -> (Vec<String>, Vec<String>) {
    const TYPES: [&str; 8] = [
        "float32[B, 4]",
        "float32[4]",
        "float32[2, 3, 4]",
        "float32[B, T]",
        "float32[6]",
        "float32[4, 4]",
        "float32[B, 6]",
        "float32[4, 6]",
    ];
    let types: Vec<String> = (0..2 + choices.below(2)).map(|_| choices.of(&TYPES).to_string()).collect();
    let names: Vec<&str> = types.iter().map(String::as_str).collect();
    let mut lines: Vec<String> = vec![];
    for _ in 0..30 {
        let operands: Vec<String> = NAMES.iter().take(types.len()).map(|name| format!("%{name}")).collect();
        let made = (0..lines.len()).map(|number| format!("%v{number}"));
        let values: Vec<String> = operands.iter().cloned().chain(made).collect();
        let texts: Vec<&str> = lines.iter().map(String::as_str).chain(["yield %a"]).collect();
        let Some(function) = read(&texts, &names) else { break };
        let results = function.body.insts.iter().flat_map(|id| function[*id].results.clone());
        let ids = function.params.iter().copied().chain(results);
        let typed: Vec<_> = values.iter().cloned().zip(ids.map(|id| function[id].ty.clone())).collect();
        let line = choices.line(lines.len(), &typed);
        let yielded = format!("yield %v{}", lines.len());
        let texts: Vec<&str> = lines.iter().chain([&line, &yielded]).map(String::as_str).collect();
        // Small, and right for the sizes that there are.
        let fits = read(&texts, &names).is_some_and(|function| {
            let small = |value: &Value| sizes(&value.ty).iter().product::<usize>() <= 3000;
            let inputs = function.params.iter().map(|value| data(&function[*value].ty, 0, Numbers::Usual, ""));
            let inputs: Vec<Tensor> = inputs.collect();
            function.values.iter().all(small) && evaluate(&function, &inputs).is_ok()
        });
        if fits {
            lines.push(line);
        }
        if lines.len() == 7 {
            break;
        }
    }
    let last = lines.len().saturating_sub(1);
    let also = format!(", %v{}", choices.below(lines.len()));
    lines.push(format!("yield %v{last}{}", if choices.below(3) == 0 { also } else { String::new() }));
    (lines, types)
}

/// Regions that no pass would make, too: any mixture must be right.
#[test]
fn random_regions_agree() {
    with_deep_stack(|| {
        let table = table();
        let mut choices = Choices(std::env::var("TRITONC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1));
        let one = |_| {
            let (lines, types) = region(&mut choices);
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let types: Vec<&str> = types.iter().map(String::as_str).collect();
            let found = case(&table, &lines, &types, &[Numbers::Usual], Form::default());
            found.unwrap_or_else(|| panic!("{}", lines.join("\n")))
        };
        check("random", &(0..150).map(one).collect::<Vec<Case>>());
    });
}
