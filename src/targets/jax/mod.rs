//! The JAX target: one file of functions over dictionaries that needs nothing but `jax`.
//!
//! What a program becomes is told in [`functional`]; JAX's ways are in [`dialect`] and [`special`], and in
//! `templates/jax/`.

mod dialect;
mod special;

use crate::passes::Style;
use crate::targets::functional;
use crate::targets::{Capabilities, PythonRunner, Runner, Target, TargetError, Templates, Writer};
use dialect::{DTYPES, JaxArrays};

pub struct Jax;

impl Target for Jax {
    fn name(&self) -> &'static str {
        "jax"
    }

    fn description(&self) -> &'static str {
        "functions over dictionaries of arrays, in one file that needs nothing but jax; `jax.jit` and `jax.vjp` take them"
    }

    fn files(&self) -> &'static str {
        "NAME.py"
    }

    fn packages(&self) -> &'static [&'static str] {
        &["jax"]
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

    fn runner(&self) -> Option<Runner> {
        let modules = &[("functional", include_str!("../functional/runner.py"))];
        Some(Runner::Python(PythonRunner { script: include_str!("runner.py"), modules }))
    }

    fn writer(&self, templates: &Templates) -> Result<Box<dyn Writer>, Vec<TargetError>> {
        functional::writer(&JaxArrays, templates)
    }
}
