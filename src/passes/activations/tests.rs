//! IR text in and out.

use super::*;
use crate::ir::printer::print;
use crate::ir::reader::read;
use crate::passes::testkit::module;
use expect_test::expect;

const NET: &str = r#"entry net = Net()

layer Net() {
  param weight : float32[4, 3] quantize int8(axis=0) ACTIVATIONS = ones() saved ["kernel"]
  method @Net.forward
}

func @Net.forward(%x: float32[B, 3]) -> float32[B, 4] {
  symbols B: int
  %w = param "weight" codes : int8[4, 3]
  %s = param "weight" scale : float32[4]
  %v = dequantize %w, %s {scheme = int8(axis=0), dtype = float32} : float32[4, 3]
  %t = permute %v {axes = (1, 0)} : float32[3, 4]
  %y = matmul %x, %t : float32[B, 4]
  %z = matmul %x, %t : float32[B, 4]
  %e = add %y, %z : float32[B, 4]
  return %e
}
"#;

fn net(activations: &str) -> String {
    NET.replace("ACTIVATIONS", activations)
}

#[test]
fn a_static_scale_is_a_buffer_beside_the_weight() {
    let text = net("activations int8(symmetric=false)");
    let after = insert(module(&text)).unwrap();
    let text = print(&after);
    expect![[r#"
        entry net = Net()

        layer Net() {
          param weight : float32[4, 3] quantize int8(axis=0) activations int8(symmetric=false) = ones() saved ["kernel"]
          buffer weight_activation_scale : float32 = constant(NaN) saved ["kernel", "_activation_scale"]
          buffer weight_activation_zero_point : int8 = zeros() saved ["kernel", "_activation_zero_point"]
          method @Net.forward
        }

        func @Net.forward(%x: float32[B, 3]) -> float32[B, 4] {
          symbols B: int
          %w = param "weight" codes : int8[4, 3]
          %s = param "weight" scale : float32[4]
          %v = dequantize %w, %s {scheme = int8(axis=0), dtype = float32} : float32[4, 3]
          %t = permute %v {axes = (1, 0)} : float32[3, 4]
          %0 = param "weight_activation_scale" : float32
          %1 = param "weight_activation_zero_point" : int8
          %2 = quantize_with %x, %0, %1 {scheme = int8(symmetric=false)} : int8[B, 3]
          %3 = dequantize %2, %0, %1 {scheme = int8(symmetric=false), dtype = float32} : float32[B, 3]
          %y = matmul %3, %t : float32[B, 4]
          %z = matmul %3, %t : float32[B, 4]
          %e = add %y, %z : float32[B, 4]
          return %e
        }
    "#]]
    .assert_eq(&text);
    assert_eq!(print(&verify(read(&text).unwrap()).unwrap()), text, "the text is read back");
}

#[test]
fn without_a_product_there_is_nothing_to_quantise() {
    let text = net("activations int8(dynamic=true)").replace("matmul %x, %t", "add %y0, %y0");
    let text = text.replace("  %y = ", "  %y0 = matmul %x, %q : float32[B, 4]\n  %y = ");
    let text = text.replace("  %t = ", "  %q = zeros {shape = [3, 4], dtype = float32} : float32[3, 4]\n  %t = ");
    let error = insert(module(&text)).unwrap_err();
    assert_eq!(
        error.message,
        "the product that `weight` of `Net` goes into is not found, so its activations cannot be quantised"
    );
}

#[test]
fn the_buffers_name_must_be_free() {
    let own = "= ones() saved [\"kernel\"]\n  buffer weight_activation_scale : float32[2] = ones()";
    let text = net("activations int8()").replace("= ones() saved [\"kernel\"]", own);
    let error = insert(module(&text)).unwrap_err();
    assert!(error.message.starts_with("`weight_activation_scale` is the name of what"), "{}", error.message);
}

#[test]
fn nothing_is_done_without_schemes_of_activations() {
    let text = net("").replace("  = ones()", " = ones()");
    assert_eq!(print(&insert(module(&text)).unwrap()), text);
}
