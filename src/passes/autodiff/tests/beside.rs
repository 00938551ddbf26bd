//! What targets are told of the methods for gradients holds after the passes, too.

use super::module;
use crate::passes::autodiff::{Source, beside};
use crate::passes::{self, Form, Mode, OptLevel, Pipeline, Selection, Style};

/// `forward` without and with its optional input, over a list of layers.
const TOWER: &str = "entry Tower = Tower(depth = 2)

layer Tower(depth: int = 2) {
  param scale : float32[3] = ones()
  let blocks = repeat i'1 < depth : Block()
  method @Tower.forward
  method @Tower.forward_with_offset
}

layer Block() {
  param weight : float32[3] = ones()
  method @Block.forward
}

func @Block.forward(%x: float32[3]) -> float32[3] {
  %0 = param \"weight\" : float32[3]
  %1 = mul %x, %0 : float32[3]
  return %1
}

func @Tower.forward(%x: float32[3]) -> (float32[3], int64[3]) {
  exported
  optional offset = absent
  %0 = const int64 [0] : int64
  %1 = host depth : int64
  %y = for i'2 (%2: int64, %y.1: float32[3]) in %0, %1, %x {
    %y.2 = call @Block.forward(%y.1) at self.blocks[i'2] : float32[3]
    yield %y.2
  } : float32[3]
  %3 = cast %y {dtype = int64} : int64[3]
  return %y, %3
}

func @Tower.forward_with_offset(%x: float32[3], %offset: float32[3]) -> (float32[3], int64[3]) {
  source \"forward\"
  exported
  optional offset = given
  %0 = param \"scale\" : float32[3]
  %1 = mul %x, %0 : float32[3]
  %y = add %1, %offset : float32[3]
  %2 = cast %y {dtype = int64} : int64[3]
  return %y, %2
}
";

#[test]
fn each_form_of_forward_has_a_method_beside_it() {
    let (module, backward) = beside(module(TOWER)).unwrap();
    let told = |source: &Source| match source {
        Source::Input(index) => format!("input {index}"),
        Source::Storage(storage) => {
            storage.counts.iter().fold(storage.to_string(), |text, count| format!("{text}, turns {count}"))
        }
    };
    let told: Vec<(&str, Vec<String>)> =
        backward.iter().map(|one| (one.forward.as_str(), one.gradients.iter().map(told).collect())).collect();
    let texts = |list: &[&str]| list.iter().map(|text| text.to_string()).collect::<Vec<_>>();
    let wanted = [
        ("Tower.forward", texts(&["input 0", "blocks.turn'0.weight, turns depth"])),
        ("Tower.forward_with_offset", texts(&["input 0", "input 1", "scale"])),
    ];
    assert_eq!(told, wanted);
    for style in [Style::Modules, Style::Kernels] {
        for level in [OptLevel::O1, OptLevel::O2, OptLevel::O3] {
            let selection = Selection { level, ..Selection::default() };
            let pipeline = Pipeline::select(&selection, Form { style, mode: Mode::Train }, &[]).unwrap();
            let (after, _) = passes::run(module.clone(), &pipeline, &mut |_| {}).unwrap();
            for one in &backward {
                let function = |name: &str| &after[after.function_named(name).unwrap()];
                let (forward, joint) = (function(&one.forward), function(&one.function));
                assert_eq!(joint.params.len(), forward.params.len() + 1, "{level}");
                assert_eq!(joint.results.len(), forward.results.len() + one.gradients.len(), "{level}");
            }
        }
    }
}
