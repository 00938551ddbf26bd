//! The target `python`: functions over dictionaries that need nothing but Python's standard library.
//!
//! Tensors are an `Array` of its own (`templates/python/helpers/array.py`): shape, element type and a flat list of
//! numbers that were rounded to the type. Operators are methods of it, all other operations functions.

mod dialect;

use crate::passes::Style;
use crate::targets::{Capabilities, PythonRunner, Runner, Target, TargetError, Templates, Writer, functional};
use crate::types::DType;
use dialect::PurePython;

pub struct Python;

impl Target for Python {
    fn name(&self) -> &'static str {
        "python"
    }

    fn description(&self) -> &'static str {
        "functions over dictionaries in plain Python, without any dependency"
    }

    fn files(&self) -> &'static str {
        "NAME.py"
    }

    fn packages(&self) -> &'static [&'static str] {
        &[]
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            style: Style::Modules,
            dtypes: &DType::ALL,
            control_flow: true,
            dynamic_dims: true,
            gradients: false,
            state: true,
            fused: false,
        }
    }

    fn runner(&self) -> Option<Runner> {
        const MODULES: &[(&str, &str)] = &[("functional", include_str!("../functional/runner.py"))];
        Some(Runner::Python(PythonRunner { script: include_str!("runner.py"), modules: MODULES }))
    }

    fn writer(&self, templates: &Templates) -> Result<Box<dyn Writer>, Vec<TargetError>> {
        functional::writer(&PurePython, templates)
    }
}

#[cfg(test)]
mod tests {
    use super::dialect::PurePython;
    use crate::ops;
    use crate::targets::Templates;
    use crate::targets::pycode::Dialect;
    use crate::targets::table::Table;

    #[test]
    fn every_operation_has_a_form() {
        let table = Table::load(&Templates::builtin(), "python").unwrap();
        let missing = |op: &&str| table.op(op).is_none() && PurePython.special(op).is_none();
        assert_eq!(ops::all().map(|op| op.name()).filter(missing).collect::<Vec<_>>(), Vec::<&str>::new());
    }
}
