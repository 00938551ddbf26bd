//! Programs in IR text, run.

use super::*;
use crate::ir::reader::read;
use crate::ir::{FuncId, Module, Part, Verified, verify};
use crate::types::{DType, Tensor};

fn module(text: &str) -> Verified {
    let module: Module = read(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    verify(module).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn func(module: &Verified, name: &str) -> FuncId {
    module.function_named(name).unwrap()
}

fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_f32(shape.to_vec(), values.to_vec())
}

const NET: &str = r#"files "net.tri"
entry net = Net(dim = 4, depth = 2, other = 8)

layer Scale(width: int, by: float) {
  require width >= 2 : E0310 "width must be at least 2"
  param weight : float32[width] = constant(by)
  state calls : int64
  method @Scale.forward
}

layer Net(dim: int, depth: int, other: int = 2 * dim) {
  require dim % 2 == 0 : "dim must be even"
  buffer table : float32[2, 2] = values float32[2, 2] [1.0, 2.0, 3.0, 4.0]
  constant ones : float32[dim] = @Net.ones
  let blocks = repeat i < depth : [Scale(width = dim, by = (i) + (0.5)), fn relu]
  param copy : float32[dim] = @Net.copy
  method @Net.forward
}

func @Scale.forward(%x: float32[B, width]) -> float32[B, width] {
  symbols B: int
  %w = param "weight" : float32[width]
  %0 = param "calls" : int64
  %1 = const int64 [1] : int64
  %2 = add %0, %1 : int64
  set_state "calls" %2
  %y = mul %x, %w : float32[B, width]
  return %y
}

func @Net.ones() -> float32[dim] {
  %0 = ones {shape = [dim], dtype = float32} : float32[dim]
  return %0
}

func @Net.copy() -> float32[dim] {
  %0 = param "ones" : float32[dim]
  %1 = add %0, %0 : float32[dim]
  return %1
}

func @Net.forward(%x: float32[B, dim], %up: bool) -> float32[B, dim] {
  symbols B: int
  require B >= 2 : "B must be at least 2"  # net.tri:9
  %0 = const int64 [0] : int64
  %1 = host depth : int64
  %y = for i (%i: int64, %h: float32[B, dim]) in %0, %1, %x {
    %h2 = call @Scale.forward(%h) at self.blocks[i][0] {B = B} : float32[B, dim]
    yield %h2
  } : float32[B, dim]
  %z = if %up {
    %2 = call @twice(%y) {n = B, m = dim} : float32[B, dim]
    yield %2
  } else {
    yield %y
  } : float32[B, dim]
  print "z =", %z
  return %z
}

func @twice(%x: float32[n, m]) -> float32[n, m] {
  symbols n: int, m: int
  %0 = add %x, %x : float32[n, m]
  return %0
}

func @halve(%x: float32[n]) -> (float32[n], int64) {
  symbols n: int
  %one = const float32 [1.0] : float32
  %two = const float32 [2.0] : float32
  %zero = const int64 [0] : int64
  %step = const int64 [1] : int64
  %y, %count = while (%a: float32[n], %c: int64) in %x, %zero {
    %0 = max %a {axis = none, keepdim = false} : float32
    %1 = gt %0, %one : bool
    yield %1
  } do (%b: float32[n], %d: int64) {
    %2 = div %b, %two : float32[n]
    %3 = add %d, %step : int64
    yield %2, %3
  } : float32[n], int64
  return %y, %count
}
"#;

#[test]
fn a_network_runs() {
    let module = module(NET);
    let mut net = Instance::entry(&module, 1).unwrap();
    let paths: Vec<String> = net.parameters().into_iter().map(|parameter| parameter.path).collect();
    let wanted = ["table", "blocks.0.0.weight", "blocks.0.0.calls", "blocks.1.0.weight", "blocks.1.0.calls", "copy"];
    assert_eq!(paths, wanted);
    assert_eq!(net.get("copy", Part::Value).unwrap(), floats(&[4], &[2.0; 4]));
    net.set("blocks.1.0.weight", Part::Value, floats(&[4], &[1.0, 2.0, 3.0, 4.0])).unwrap();

    let forward = func(&module, "Net.forward");
    let x = floats(&[2, 4], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let up = Tensor::from_i64(DType::Bool, vec![], vec![1]);
    let mut output = vec![];
    let options = RunOptions { seed: 1, record: true };
    let mut machine = Machine::new(&module, options).with_output(&mut output);
    let result = machine.run(&mut net, forward, &[x.clone(), up]).unwrap();
    // x * 0.5 * (1, 2, 3, 4) * 2
    let wanted = floats(&[2, 4], &[1.0, 4.0, 9.0, 16.0, 5.0, 12.0, 21.0, 32.0]);
    assert_eq!(result, [wanted]);
    let names: Vec<&str> = machine.recorded.iter().map(|(name, _)| name.as_str()).collect();
    let wanted = ["blocks.0.0.w", "blocks.0.0.y", "h2", "blocks.1.0.w", "blocks.1.0.y", "h2#2", "y", "z"];
    assert_eq!(names, wanted);
    drop(machine);
    assert_eq!(String::from_utf8(output).unwrap(), "z = [[ 1.  4.  9. 16.]\n [ 5. 12. 21. 32.]]\n");
    assert_eq!(net.get("blocks.1.0.calls", Part::Value).unwrap(), Tensor::scalar_i64(1));

    let down = Tensor::from_i64(DType::Bool, vec![], vec![0]);
    let result = Machine::new(&module, RunOptions::default()).run(&mut net, forward, &[x, down]).unwrap();
    assert_eq!(result[0].as_f32().unwrap()[..2], [0.5, 2.0]);
    assert_eq!(net.get("blocks.1.0.calls", Part::Value).unwrap(), Tensor::scalar_i64(2));
}

#[test]
fn free_functions_and_while() {
    let module = module(NET);
    let mut machine = Machine::new(&module, RunOptions::default());
    let result = machine.run_with(None, func(&module, "halve"), &[], &[floats(&[2], &[8.0, 3.0])]).unwrap();
    assert_eq!(result, [floats(&[2], &[1.0, 0.375]), Tensor::scalar_i64(3)]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let module = module(NET);
    let layer = module.entry.as_ref().unwrap().layer;
    let symbol = |name: &str| crate::types::Symbol::new(name);
    let make = |args: &[(&str, i64)]| {
        let args: Vec<_> = args.iter().map(|(name, value)| (symbol(name), HostValue::Int(*value))).collect();
        Instance::new(&module, layer, &args, 0).unwrap_err().to_string()
    };
    assert_eq!(make(&[("dim", 3), ("depth", 1)]), "E0403: `Net`: dim must be even (with dim = 3)");
    assert_eq!(make(&[("dim", 4)]), "E0402: `Net` needs a value for `depth`");
    assert_eq!(
        make(&[("dim", 0), ("depth", 1)]),
        "E0310: `Scale` at `blocks.0.0`: width must be at least 2 (with width = 0)"
    );
    assert_eq!(make(&[("dim", 2), ("depth", -1)]), "E0310: `blocks` cannot have depth elements");

    let mut net = Instance::entry(&module, 0).unwrap();
    let refused = net.set("copy", Part::Value, floats(&[3], &[0.0; 3])).unwrap_err();
    assert_eq!(refused.to_string(), "E0701: `copy` is float32[3], not float32[4]");
    let refused = net.set("blocks.2.0.weight", Part::Value, floats(&[4], &[0.0; 4])).unwrap_err();
    assert_eq!(refused.to_string(), "E0701: the model has no `blocks.2.0.weight`");

    let forward = func(&module, "Net.forward");
    let up = Tensor::from_i64(DType::Bool, vec![], vec![1]);
    let mut run =
        |inputs: &[Tensor]| Machine::new(&module, RunOptions::default()).run(&mut net, forward, inputs).unwrap_err();
    assert_eq!(run(&[]).to_string(), "E0804: `forward` takes 2 inputs, not 0");
    let wrong = run(&[floats(&[2, 3], &[0.0; 6]), up.clone()]);
    assert_eq!(wrong.to_string(), "E0804: `x` is float32[2, 3], but `forward` takes float32[B, dim] (with dim = 4)");
    let wrong = run(&[floats(&[4], &[0.0; 4]), up.clone()]);
    assert_eq!(wrong.to_string(), "E0804: `x` is float32[4], but `forward` takes float32[B, dim]");
    let wrong = run(&[floats(&[1, 4], &[0.0; 4]), up]);
    assert_eq!(wrong.to_string(), "E0403: `forward`: B must be at least 2 (with B = 1)");
    assert_eq!(wrong.loc.map(|loc| loc.line), Some(9));
}

#[test]
fn symbols_are_bound_through_linear_dims() {
    let module = module(
        "func @f(%a: float32[2 * S - 1, T], %b: float32[S + T], %c: float32[S // 2]) -> int64 {
  symbols S: int, T: int, k: int
  %0 = host S * 100 + T * 10 + k : int64
  return %0
}
",
    );
    let run = |a: [usize; 2], b: usize, c: usize| {
        let inputs = [
            Tensor::filled(DType::Float32, a.to_vec(), 0.0),
            Tensor::filled(DType::Float32, vec![b], 0.0),
            Tensor::filled(DType::Float32, vec![c], 0.0),
        ];
        let k = (crate::types::Symbol::new("k"), HostValue::Int(7));
        Machine::new(&module, RunOptions::default()).run_with(None, FuncId(0), &[k], &inputs)
    };
    assert_eq!(run([7, 3], 7, 2).unwrap(), [Tensor::scalar_i64(437)]);
    assert!(run([6, 3], 7, 2).unwrap_err().message.contains("`a` is float32[6, 3]"));
    assert!(run([7, 3], 8, 2).unwrap_err().message.contains("(with S = 4, T = 3)"));
    assert!(run([7, 3], 7, 1).unwrap_err().message.contains("`c` is float32[1]"));
    assert!(run([7, 0], 4, 2).is_err());
}

#[test]
fn asserts_and_index_errors_have_their_place() {
    let module = module(
        r#"files "a.tri"
func @check(%c: bool) {
  assert "must hold" %c  # a.tri:4
  return
}
func @pick(%x: float32[n], %i: int64[1]) -> float32[1] {
  symbols n: int
  %0 = take %x, %i {axis = 0} : float32[1]  # a.tri:8
  return %0
}
"#,
    );
    let mut machine = Machine::new(&module, RunOptions::default());
    let no = Tensor::from_i64(DType::Bool, vec![], vec![0]);
    let error = machine.run_with(None, FuncId(0), &[], &[no]).unwrap_err();
    assert_eq!((error.to_string(), error.loc.unwrap().line), ("E0408: must hold".to_string(), 4));
    let index = Tensor::from_i64(DType::Int64, vec![1], vec![5]);
    let error = machine.run_with(None, FuncId(1), &[], &[floats(&[3], &[0.0; 3]), index]).unwrap_err();
    assert_eq!((error.code.as_str(), error.loc.unwrap().line), ("E0409", 8));
}

const RANDOM: &str = r#"entry net = Net()

layer Part() {
  param weight : float32[64, 16]
  param bias : float32[64]
  param unit : float32[1000] = normal(2, 0.5)
  param ends : float32[1000] = uniform(-1, 3)
  param glorot : float32[64, 16] = xavier_uniform(1.0)
  param trits : trit[300] = random_ternary()
  method @Part.noise
}

layer Net() {
  let parts = repeat i < 2 : Part()
  method @Net.noise
}

func @Part.noise() -> int64 {
  %0 = rng 3 : int64
  return %0
}

func @Net.noise() -> (int64, int64, int64, int64) {
  %0 = call @Part.noise() at self.parts[0] : int64
  %1 = call @Part.noise() at self.parts[1] : int64
  %2 = call @Part.noise() at self.parts[0] : int64
  %3 = rng 4 : int64
  return %0, %1, %2, %3
}
"#;

#[test]
fn initial_values_are_drawn_per_path() {
    let module = module(RANDOM);
    let mut net = Instance::entry(&module, 5).unwrap();
    let mut values = |path: &str| net.get(path, Part::Value).unwrap().to_f64();
    let within = |values: &[f64], low: f64, high: f64| values.iter().all(|v| (low..=high).contains(v));
    let weight = values("parts.0.weight");
    assert!(within(&weight, -0.25, 0.25) && weight.iter().any(|v| v.abs() > 0.2));
    assert!(values("parts.0.bias").iter().all(|v| *v == 0.0));
    let unit = values("parts.0.unit");
    let mean = unit.iter().sum::<f64>() / 1000.0;
    assert!((mean - 2.0).abs() < 0.1, "{mean}");
    let ends = values("parts.0.ends");
    assert!(within(&ends, -1.0, 3.0) && ends.iter().any(|v| *v > 2.5) && ends.iter().any(|v| *v < -0.5));
    let bound = (6.0_f64 / 80.0).sqrt();
    assert!(within(&values("parts.0.glorot"), -bound, bound));
    let trits = values("parts.0.trits");
    assert!([-1.0, 0.0, 1.0].iter().all(|t| trits.contains(t)));
    assert_ne!(values("parts.1.weight"), weight);
    let mut again = Instance::entry(&module, 5).unwrap();
    assert_eq!(again.get("parts.0.weight", Part::Value).unwrap().to_f64(), weight);
    let mut other = Instance::entry(&module, 6).unwrap();
    assert_ne!(other.get("parts.0.weight", Part::Value).unwrap().to_f64(), weight);
}

#[test]
fn random_sites_differ_by_site_instance_and_turn() {
    let module = module(RANDOM);
    let mut net = Instance::entry(&module, 5).unwrap();
    let run = |net: &mut Instance, seed: u64, turns: usize| {
        let mut machine = Machine::new(&module, RunOptions { seed, record: false });
        let runs = (0..turns).flat_map(|_| machine.run(net, FuncId(1), &[]).unwrap());
        runs.map(|seed| seed.as_i64().unwrap()[0]).collect::<Vec<i64>>()
    };
    let mut seeds = run(&mut net, 9, 2);
    assert_eq!(seeds, run(&mut net, 9, 2));
    assert_ne!(seeds, run(&mut net, 10, 2));
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), 8);
}

#[test]
fn quantised_storage_reads_the_same_from_all_its_forms() {
    let module = module(
        r#"entry q = Q()
layer Q() {
  param weight : float32[2, 5] quantize ternary(axis=0) = values float32[2, 5] [0.5, -1.0, 0.01, 2.0, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0]
  method @Q.train
  method @Q.infer
}
func @Q.train() -> float32[2, 5] {
  %w = param "weight" : float32[2, 5]
  %q, %s = quantize %w {scheme = ternary(axis=0)} : trit[2, 5], float32[2]
  %0 = dequantize %q, %s {scheme = ternary(axis=0), dtype = float32} : float32[2, 5]
  return %0
}
func @Q.infer() -> float32[2, 5] {
  %q = param "weight" codes : trit[2, 5]
  %s = param "weight" scale : float32[2]
  %0 = dequantize %q, %s {scheme = ternary(axis=0), dtype = float32} : float32[2, 5]
  return %0
}
"#,
    );
    let mut q = Instance::entry(&module, 0).unwrap();
    let mut machine = Machine::new(&module, RunOptions::default());
    let train = machine.run(&mut q, FuncId(0), &[]).unwrap();
    assert_eq!(machine.run(&mut q, FuncId(1), &[]).unwrap(), train);
    let (codes, scale) = (q.get("weight", Part::Codes).unwrap(), q.get("weight", Part::Scale).unwrap());
    assert_eq!(codes.as_i64().unwrap(), [1, -1, 0, 1, 0, 0, 0, 0, 0, 0]);

    // Codes and scales as they are, then codes packed in bytes.
    let mut other = Instance::entry(&module, 0).unwrap();
    other.set("weight", Part::Codes, codes).unwrap();
    assert!(other.get("weight", Part::Value).is_err());
    other.set("weight", Part::Scale, scale).unwrap();
    assert_eq!(machine.run(&mut other, FuncId(1), &[]).unwrap(), train);
    let packed =
        Tensor::from_i64(DType::UInt8, vec![2, 2], vec![0b10_01_00_10, 0b01_01_01_01, 0b01_01_01_01, 0b01_01_01_01]);
    other.set("weight", Part::Codes, packed).unwrap();
    assert_eq!(machine.run(&mut other, FuncId(1), &[]).unwrap(), train);
    let wrong = Tensor::from_i64(DType::Trit, vec![2, 4], vec![0; 8]);
    assert!(other.set("weight", Part::Codes, wrong).is_err());
}

#[test]
fn calls_nest_so_deep_and_no_deeper() {
    let chain = |depth: usize| {
        let mut text = String::new();
        for index in 0..depth {
            text += &format!("func @f{index}(%x: int64) -> int64 {{\n");
            if index + 1 < depth {
                // Regions around the call need stack as well.
                let next = index + 1;
                text += &format!(
                    "  %c = const bool [1] : bool
  %y = if %c {{
    %a = const int64 [0] : int64
    %b = const int64 [1] : int64
    %z = for i (%i: int64, %h: int64) in %a, %b, %x {{
      %0 = call @f{next}(%h) : int64
      yield %0
    }} : int64
    yield %z
  }} else {{
    yield %x
  }} : int64
  return %y
}}
"
                );
            } else {
                text += "  return %x\n}\n";
            }
        }
        let module = module(&text);
        Machine::new(&module, RunOptions::default()).run_with(None, FuncId(0), &[], &[Tensor::scalar_i64(3)])
    };
    assert_eq!(chain(1000).unwrap(), [Tensor::scalar_i64(3)]);
    assert!(chain(1001).unwrap_err().message.contains("deeper than 1000"));
}

/// Halves until little is left, in a function of its own, whose caller wants two turns at least.
const HALVES: &str = r#"files "a.tri"
func @main(%x: float32[n]) -> (float32[t, n], int64) {
  symbols n: int
  fresh t
  %ys = call @halves(%x) {m = n} binds t : float32[t, n]
  ensure t >= 2 : "two at least"  # a.tri:4
  %count = host t + 10 : int64
  return %ys, %count
}

func @halves(%x: float32[m]) -> float32[turns, m] {
  symbols m: int
  fresh turns
  %half = const float32 [0.5] : float32
  %limit = const int64 [4] : int64
  %last, %all = while turns (%a: float32[m]) in %x {
    %sum = sum %a {axis = none, keepdim = false} : float32
    %large = gt %sum, %half : bool
    %so_far = host turns : int64
    %few = lt %so_far, %limit : bool
    %go = logical_and %large, %few : bool
    yield %go
  } do (%b: float32[m]) {
    %c = mul %b, %half : float32[m]
    yield %c, %c
  } : float32[m], float32[turns, m]
  return %all
}
"#;

#[test]
fn a_while_collects_and_its_turns_are_a_size() {
    let module = module(HALVES);
    let run = |values: &[f32]| {
        let mut machine = Machine::new(&module, RunOptions::default());
        machine.run_with(None, FuncId(0), &[], &[floats(&[values.len()], values)])
    };
    let results = run(&[2.0, 1.0]).unwrap();
    assert_eq!(results[0], floats(&[3, 2], &[1.0, 0.5, 0.5, 0.25, 0.25, 0.125]));
    assert_eq!(results[1], Tensor::scalar_i64(13));
    assert_eq!(run(&[80.0]).unwrap()[0].shape(), [4, 1]);
    let error = run(&[0.75]).unwrap_err();
    assert_eq!((error.code.as_str(), error.loc.unwrap().line), ("E0403", 4));
    assert_eq!(error.message, "two at least (with t = 1)");
    let none = Machine::new(&module, RunOptions::default()).run_with(None, FuncId(1), &[], &[floats(&[2], &[0.0; 2])]);
    assert_eq!(none.unwrap()[0].shape(), [0, 2]);
}
