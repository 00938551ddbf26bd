//! A pass that is wrong on purpose, by which this test is tested: what it does must be found, and shrunk to little.

use tritonc::ir::{InstKind, Module};
use tritonc::ops::builtin;
use tritonc::passes::{Pass, PassCx, PassError};

/// The larger of two becomes the smaller.
pub struct MaximumIsMinimum;

impl Pass for MaximumIsMinimum {
    fn name(&self) -> &str {
        "maximum-is-minimum"
    }

    fn summary(&self) -> &str {
        "Compute the wrong extreme."
    }

    fn run(&self, module: &mut Module, cx: &mut PassCx) -> Result<(), PassError> {
        for function in &mut module.functions {
            for inst in &mut function.insts {
                if let InstKind::Op { op, .. } = &mut inst.kind
                    && *op == builtin("maximum")
                {
                    *op = builtin("minimum");
                    cx.count("spoilt", 1);
                }
            }
        }
        Ok(())
    }
}
