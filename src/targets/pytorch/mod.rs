//! The PyTorch target: one file of plain modules that need nothing but `torch`.
//!
//! | in the IR | in Python |
//! | --- | --- |
//! | layer | a subclass of `nn.Module`; hyperparameters are constructor arguments |
//! | method | a method; `forward` for the layer's own |
//! | free function | a native form from the table, else a function of the file |
//! | value | a name from the source, or a part of the expression that uses it |
//! | symbol of a shape | a local bound from `x.shape`, where it is used |
//! | `quantize`, `dequantize` of one weight | `quantized(self.weight, Ternary(axis=0))`, straight through |
//! | codes and scale of a weight (`--mode infer`) | `self.weight.dequantize()` of a `PackedWeight` |
//!
//! The way: `pycode` writes bodies, with PyTorch's ways in [`dialect`] and [`special`]; [`layer`] writes classes with
//! the names that are [`saved`], [`module`] the file.

mod dialect;
mod layer;
mod module;
mod saved;
mod special;

use crate::ir::{Function, Verified};
use crate::ops::OpId;
use crate::passes::{self, Style};
use crate::targets::pycode::helpers::Library;
use crate::targets::table::Table;
use crate::targets::templates::Skeletons;
use crate::targets::{
    Artifact, Capabilities, EmitOptions, PythonRunner, Runner, Support, Target, TargetError, Templates, Writer,
};
use dialect::{DTYPES, Torch};
use std::borrow::Cow;

pub struct PyTorch;

impl Target for PyTorch {
    fn name(&self) -> &'static str {
        "pytorch"
    }

    fn description(&self) -> &'static str {
        "PyTorch modules, one class per layer, in one file that needs nothing but torch"
    }

    fn files(&self) -> &'static str {
        "NAME.py"
    }

    fn packages(&self) -> &'static [&'static str] {
        &["torch"]
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            style: Style::Modules,
            dtypes: DTYPES,
            control_flow: true,
            dynamic_dims: true,
            gradients: true,
            state: true,
            fused: false,
        }
    }

    fn joins_modes(&self) -> bool {
        true
    }

    fn runner(&self) -> Option<Runner> {
        Some(Runner::Python(PythonRunner { script: include_str!("runner.py"), modules: &[] }))
    }

    fn writer(&self, templates: &Templates) -> Result<Box<dyn Writer>, Vec<TargetError>> {
        let table = Table::load(templates, self.name())?;
        let skeletons = templates.skeletons(&["pytorch/"])?;
        Ok(Box::new(PyTorchWriter { table, helpers: Library::default(), skeletons }))
    }
}

struct PyTorchWriter {
    table: Table,
    skeletons: Skeletons,
    helpers: Library,
}

impl Writer for PyTorchWriter {
    fn write(&self, module: &Verified, options: &EmitOptions) -> Result<Vec<Artifact>, Vec<TargetError>> {
        // This target has no kernels of its own.
        let module = &*passes::unfused(module);
        let expanded = options.evaluation.as_ref().map(passes::unfused);
        let options = &match expanded {
            Some(Cow::Owned(evaluation)) => Cow::Owned(EmitOptions { evaluation: Some(evaluation), ..options.clone() }),
            Some(Cow::Borrowed(_)) | None => Cow::Borrowed(options),
        };
        let helpers = self.helpers.of(&Torch, &self.skeletons, module, options)?;
        module::write(module, options, &self.skeletons, &self.table, &helpers).map(|file| vec![file])
    }

    fn operation(&self, op: OpId) -> Support {
        self.table.support(op, special::find(op.name()).is_some())
    }

    fn composite(&self, path: &str) -> Support {
        self.table.support_of_composite(path)
    }

    fn has_form(&self, function: &Function) -> bool {
        let in_table = function.std_path.as_deref().is_some_and(|path| self.composite(path) == Support::Native);
        in_table || function.maps.contains_key("pytorch")
    }
}

#[cfg(test)]
mod table_tests {
    use super::special;
    use crate::ops;
    use crate::targets::Templates;
    use crate::targets::table::Table;

    #[test]
    fn every_operation_has_a_form() {
        let table = Table::load(&Templates::builtin(), "pytorch").unwrap();
        let missing: Vec<&str> =
            ops::all().map(|op| op.name()).filter(|op| table.op(op).is_none() && special::find(op).is_none()).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }

    #[test]
    fn the_table_names_operations_and_their_parameters() {
        let own = Templates::builtin();
        let text = own.get("pytorch/ops.toml").unwrap().text.clone();
        let checked = Templates::builtin().with_text("pytorch/ops.toml", "ops.toml", &text);
        let problems = Table::load(&checked, "pytorch").err().unwrap_or_default();
        assert_eq!(problems.iter().map(|e| e.message.as_str()).collect::<Vec<_>>(), Vec::<&str>::new());
    }

    #[test]
    fn a_broken_user_table_is_reported_with_its_line() {
        let error = |text: &str| {
            let templates = Templates::builtin().with_text("pytorch/ops.toml", "mine/pytorch/ops.toml", text);
            Table::load(&templates, "pytorch").err().map(|errors| errors[0].message.clone()).unwrap_or_default()
        };
        assert_eq!(error("[ops]\nexp = \"torch.exp({x})\"\n"), "");
        assert!(
            error("[ops]\n\nexp = \"torch.exp({x}\"\n").starts_with("mine/pytorch/ops.toml:3: `exp`: expected `)`")
        );
        assert!(error("[ops]\nexp = \"torch.exp({y})\"\n").ends_with("the operation has no parameter `y`"));
        assert!(error("[ops]\nexpp = \"{x}\"\n").ends_with("there is no such operation"));
        assert!(error("[ops\n").starts_with("mine/pytorch/ops.toml:1: "));
        assert!(error("[opps]\n").contains("unknown field `opps`"));
    }
}
