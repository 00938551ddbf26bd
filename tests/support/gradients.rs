//! Gradients of an emitted module by `torch.autograd`, beside those of the interpreter.

use super::compare;
use super::python::{self, Trouble};
use super::trials::{Case, Scene, io, rendered, session};
use std::collections::BTreeMap;
use tritonc::base::philox;
use tritonc::driver::{Mode, RunRequest};
use tritonc::passes::OptLevel;
use tritonc::types::Tensor;
use tritonc::weights;

/// Compares all gradients of a run in training, from random ones of its float results.
pub fn check(case: &Case, index: usize) -> Result<(), Trouble> {
    let scene = Scene::new(case, index, Mode::Train, OptLevel::default())?;
    let mut request = RunRequest { grad: true, ..scene.request.clone() };
    let mut given = vec![];
    for (position, output) in scene.wanted.outputs.iter().enumerate() {
        if !output.dtype().is_float() {
            given.push(None);
            continue;
        }
        let values = philox::normals(70 + position as i64).take(output.len());
        let gradient = Tensor::from_f64(output.dtype(), output.shape().to_vec(), values);
        let path = scene.folder.path().join(format!("output_grad_{position}.npy"));
        io(&path, std::fs::write(&path, weights::npy::write(&gradient)))?;
        request.output_grads.push((position, path.clone()));
        given.push(Some((path, output.dtype())));
    }
    let mut session = session();
    let wanted = session.run(&case.source(), &request, &mut std::io::sink());
    let wanted = rendered(&session, wanted)?.gradients;
    let found = python::gradients(&scene.execution(), &given)?;
    let names = scene.names.iter().cloned();
    let inputs = names.zip(found.inputs).filter_map(|(name, gradient)| Some((name, gradient?)));
    let mut have: BTreeMap<String, Tensor> = found.parameters;
    for (name, gradient) in inputs {
        let name = if have.contains_key(&name) { format!("input.{name}") } else { name };
        have.insert(name, gradient);
    }
    let missing: Vec<&String> = have.keys().filter(|name| !wanted.contains_key(*name)).collect();
    let more: Vec<&String> = wanted.keys().filter(|name| !have.contains_key(*name)).collect();
    if !missing.is_empty() || !more.is_empty() {
        let message = format!("the interpreter has no gradients of {missing:?}, PyTorch none of {more:?}");
        return Err(Trouble::Failed(message));
    }
    for (name, want) in &wanted {
        if let Some(have) = have.get(name) {
            compare::compare_gradients(&format!("the gradient of `{name}`"), have, want).map_err(Trouble::Failed)?;
        }
    }
    Ok(())
}
