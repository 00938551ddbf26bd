//! Schemes given to single parameters, executed in both forms.

use super::*;
use crate::interp::{Instance, Machine, RunOptions};
use crate::ir::printer::print;
use crate::passes::testkit::module;
use crate::types::{DType, Tensor};
use expect_test::expect;

const NET: &str = r#"entry net = Net(n = 4)

layer Linear(k: int, m: int) {
  param weight : float32[m, k] = kaiming_uniform()
  method @Linear.forward
}

layer Net(n: int) {
  let up = Linear(k = n, m = 2 * n)
  let middle = repeat i < 2 * n - 6 : Linear(k = 2 * n, m = 2 * n)
  let down = Linear(k = 2 * n, m = n)
  param scale : float32[n] = ones()
  method @Net.forward
}

func @Linear.forward(%x: float32[B, k]) -> float32[B, m] {
  symbols B: int
  %w = param "weight" : float32[m, k]
  %t = permute %w {axes = (1, 0)} : float32[k, m]
  %y = matmul %x, %t : float32[B, m]
  return %y
}

func @Net.forward(%x: float32[B, n]) -> float32[B, n] {
  symbols B: int
  %a = call @Linear.forward(%x) at self.up {B = B} : float32[B, 2 * n]
  %b = call @Linear.forward(%a) at self.middle[0] {B = B} : float32[B, 2 * n]
  %c = call @Linear.forward(%b) at self.middle[1] {B = B} : float32[B, 2 * n]
  %d = call @Linear.forward(%c) at self.down {B = B} : float32[B, n]
  %s = param "scale" : float32[n]
  %e = mul %d, %s : float32[B, n]
  return %e
}
"#;

fn schemes(pairs: &[(&str, Option<Scheme>)]) -> Assignments {
    pairs.iter().map(|(path, scheme)| (path.to_string(), scheme.clone().map(Quantization::from))).collect()
}

fn output(module: &Verified) -> Vec<f64> {
    let mut instance = Instance::entry(module, 5).unwrap();
    let x = Tensor::from_f64(DType::Float32, vec![2, 4], (0..8).map(|v| f64::from(v) / 3.0 - 1.0));
    let forward = module.method(module.entry.as_ref().unwrap().layer, "forward", &|_| false).unwrap();
    let options = RunOptions { seed: 1, record: false };
    Machine::new(module, options).run(&mut instance, forward, &[x]).unwrap()[0].to_f64()
}

#[test]
fn instances_come_to_differ() {
    let before = module(NET);
    let asked = schemes(&[("down.weight", Some(Scheme::int(8))), ("middle.1.weight", Some(Scheme::ternary()))]);
    let after = assign(before.clone(), &asked, false).unwrap();
    expect![[r#"
        entry net = Net(n = 4)

        layer Linear(k: int, m: int) {
          param weight : float32[m, k] = kaiming_uniform()
          method @Linear.forward
        }

        layer Linear_2(k: int, m: int) {
          source "Linear"
          param weight : float32[m, k] quantize ternary() = kaiming_uniform()
          method @Linear_2.forward
        }

        layer Linear_3(k: int, m: int) {
          source "Linear"
          param weight : float32[m, k] quantize int8() = kaiming_uniform()
          method @Linear_3.forward
        }

        layer Net(n: int) {
          let up = Linear(k = n, m = 2 * n)
          let middle = [Linear(k = 2 * n, m = 2 * n), Linear_2(k = 2 * n, m = 2 * n)]
          let down = Linear_3(k = 2 * n, m = n)
          param scale : float32[n] = ones()
          method @Net.forward
        }

        func @Linear.forward(%x: float32[B, k]) -> float32[B, m] {
          symbols B: int
          %w = param "weight" : float32[m, k]
          %t = permute %w {axes = (1, 0)} : float32[k, m]
          %y = matmul %x, %t : float32[B, m]
          return %y
        }

        func @Linear_2.forward(%x: float32[B, k]) -> float32[B, m] {
          symbols B: int
          %0 = param "weight" codes : trit[m, k]
          %1 = param "weight" scale : float32
          %w = dequantize %0, %1 {scheme = ternary(), dtype = float32} : float32[m, k]
          %t = permute %w {axes = (1, 0)} : float32[k, m]
          %y = matmul %x, %t : float32[B, m]
          return %y
        }

        func @Linear_3.forward(%x: float32[B, k]) -> float32[B, m] {
          symbols B: int
          %0 = param "weight" codes : int8[m, k]
          %1 = param "weight" scale : float32
          %w = dequantize %0, %1 {scheme = int8(), dtype = float32} : float32[m, k]
          %t = permute %w {axes = (1, 0)} : float32[k, m]
          %y = matmul %x, %t : float32[B, m]
          return %y
        }

        func @Net.forward(%x: float32[B, n]) -> float32[B, n] {
          symbols B: int
          %a = call @Linear.forward(%x) at self.up {B = B} : float32[B, 2 * n]
          %b = call @Linear.forward(%a) at self.middle[0] {B = B} : float32[B, 2 * n]
          %c = call @Linear_2.forward(%b) at self.middle[1] {B = B} : float32[B, 2 * n]
          %d = call @Linear_3.forward(%c) at self.down {B = B} : float32[B, n]
          %s = param "scale" : float32[n]
          %e = mul %d, %s : float32[B, n]
          return %e
        }
    "#]]
    .assert_eq(&print(&after));
    let trained = assign(before.clone(), &asked, true).unwrap();
    assert_eq!(output(&after), output(&trained), "codes and fake quantisation are the same numbers");
    assert_ne!(output(&after), output(&before));
    // And back again, from either form.
    let none = schemes(&[("down.weight", None), ("middle.1.weight", None)]);
    for (module, training) in [(after, false), (trained, true)] {
        let back = assign(module, &none, training).unwrap();
        assert_eq!(output(&back), output(&before));
        assert!(!print(&back).contains("quantize"));
    }
}

#[test]
fn equal_instances_share_a_layer() {
    let asked = schemes(&[
        ("middle.0.weight", Some(Scheme::int(8))),
        ("middle.1.weight", Some(Scheme::int(8))),
        ("up.weight", Some(Scheme::int(8))),
    ]);
    let after = assign(module(NET), &asked, false).unwrap();
    assert_eq!(after.layers.len(), 3, "{}", print(&after));
    assert!(print(&after).contains("let middle = repeat i <"), "{}", print(&after));
    let unchanged = assign(module(NET), &schemes(&[("up.weight", None)]), false).unwrap();
    assert_eq!(print(&unchanged), NET);
}

#[test]
fn open_sizes_get_a_condition() {
    let grouped = Scheme { group: Some(4), ..Scheme::int(4) };
    let after = assign(module(NET), &schemes(&[("up.weight", Some(grouped))]), false).unwrap();
    let text = print(&after);
    assert!(text.contains("require k % 4 == 0 : E0502 \"`weight` is quantised in groups of 4"), "{text}");
    assert!(text.contains("%0 = param \"weight\" codes : int4[m, k]"), "{text}");
}

#[test]
fn a_loop_has_one_function_for_all() {
    let text = NET.replace(
        "%b = call @Linear.forward(%a) at self.middle[0] {B = B} : float32[B, 2 * n]
  %c = call @Linear.forward(%b) at self.middle[1] {B = B} : float32[B, 2 * n]",
        "%zero = const int64 [0] : int64
  %two = const int64 [2] : int64
  %c = for j (%j: int64, %v: float32[B, 2 * n]) in %zero, %two, %a {
%l = call @Linear.forward(%v) at self.middle[j] {B = B} : float32[B, 2 * n]
yield %l
  } : float32[B, 2 * n]",
    );
    let one = schemes(&[("middle.1.weight", Some(Scheme::ternary()))]);
    let error = assign(module(&text), &one, false).unwrap_err();
    assert_eq!(error.message, "one loop runs all elements of `middle`, so they must be quantised alike");
    let both = schemes(&[("middle.0.weight", Some(Scheme::ternary())), ("middle.1.weight", Some(Scheme::ternary()))]);
    let (infer, train) = (assign(module(&text), &both, false), assign(module(&text), &both, true));
    assert_eq!(output(&infer.unwrap()), output(&train.unwrap()));
}
