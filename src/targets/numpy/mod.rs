//! The NumPy target: one file of functions over dictionaries that needs nothing but `numpy`.
//!
//! What a program becomes is told in [`functional`]; NumPy's ways are in [`dialect`] and [`special`], and in
//! `templates/numpy/`.

mod dialect;
mod special;

use crate::passes::Style;
use crate::targets::functional;
use crate::targets::{Capabilities, PythonRunner, Runner, Target, TargetError, Templates, Writer};
use dialect::{DTYPES, NumPyArrays};

pub struct NumPy;

impl Target for NumPy {
    fn name(&self) -> &'static str {
        "numpy"
    }

    fn description(&self) -> &'static str {
        "functions over dictionaries of arrays, in one file that needs nothing but numpy"
    }

    fn files(&self) -> &'static str {
        "NAME.py"
    }

    fn packages(&self) -> &'static [&'static str] {
        &["numpy"]
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            style: Style::Modules,
            dtypes: DTYPES,
            control_flow: true,
            dynamic_dims: true,
            gradients: false,
            state: true,
            fused: false,
        }
    }

    fn runner(&self) -> Option<Runner> {
        let modules = &[("functional", include_str!("../functional/runner.py"))];
        Some(Runner::Python(PythonRunner { script: include_str!("runner.py"), modules }))
    }

    fn writer(&self, templates: &Templates) -> Result<Box<dyn Writer>, Vec<TargetError>> {
        functional::writer(&NumPyArrays, templates)
    }
}
