//! Batch norms of the library's image models, folded into convolutions by the passes for kernels: each of them, and with
//! running statistics as training leaves them the results stay as they were within the tolerance of whole models.

use tritonc::base::philox;
use tritonc::driver::verify::compare::compare;
use tritonc::driver::verify::tolerance::{Scope, tolerance};
use tritonc::driver::{EntryRequest, Session, SessionOptions};
use tritonc::interp::{Instance, Machine, RunOptions};
use tritonc::ir::{Part, Verified};
use tritonc::passes::{self, Form, Mode, OptLevel, Pipeline, Selection, Style};
use tritonc::types::{DType, Symbol, Tensor};

/// What a file that builds a model lowers to.
fn lowered(source: &str) -> Verified {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.tri");
    std::fs::write(&path, source).unwrap();
    let mut session = Session::new(SessionOptions::default());
    let module = session.lower(&path.to_string_lossy(), &EntryRequest::default());
    module.unwrap_or_else(|_| panic!("{}", session.render()))
}

/// The module as kernels get it, and how many chains were folded.
fn folded(module: &Verified) -> (Verified, usize) {
    let form = Form { style: Style::Kernels, mode: Mode::Infer };
    let selection = Selection { level: OptLevel::O2, ..Selection::default() };
    let pipeline = Pipeline::select(&selection, form, &[]).unwrap();
    let (module, reports) = passes::run(module.clone(), &pipeline, &mut |_| {}).unwrap();
    let counters = reports.iter().filter(|report| report.pass == "fold-batch-norm").flat_map(|r| &r.counters);
    (module, counters.map(|(_, count)| count).sum())
}

/// How many batch norms the model has.
fn norms(module: &Verified) -> usize {
    let instance = Instance::entry(module, 1).unwrap();
    instance.parameters().iter().filter(|parameter| parameter.path.ends_with(".running_var")).count()
}

fn run(module: &Verified, size: usize) -> Vec<Tensor> {
    let mut instance = Instance::entry(module, 1).unwrap();
    let paths: Vec<(String, usize)> =
        instance.parameters().into_iter().map(|p| (p.path, p.shape.iter().product())).collect();
    for (seed, (path, count)) in paths.into_iter().enumerate() {
        let random = philox::normals(seed as i64).take(count);
        let values: Vec<f64> = match path.rsplit('.').next() {
            Some("running_var") => random.map(|value| 0.5 + value.abs()).collect(),
            Some("running_mean" | "bias") => random.map(|value| 0.1 * value).collect(),
            _ => continue,
        };
        instance.set(&path, Part::Value, Tensor::from_f64(DType::Float32, vec![count], values)).unwrap();
    }
    let image = Tensor::from_f64(DType::Float32, vec![1, 3, size, size], philox::normals(7).take(3 * size * size));
    let forward = module.method(module.entry.as_ref().unwrap().layer, "forward", &|_| false).unwrap();
    let numbers: Vec<(Symbol, _)> = vec![];
    Machine::new(module, RunOptions::default()).run_with(Some(&mut instance), forward, &numbers, &[image]).unwrap()
}

fn check(source: &str, count: usize, size: usize) {
    let before = lowered(source);
    let (after, folded) = folded(&before);
    assert_eq!((norms(&before), folded), (count, count), "{source}");
    for (have, want) in run(&after, size).iter().zip(&run(&before, size)) {
        assert!(want.to_f64().iter().any(|value| value.abs() > 1e-3), "{source}: nothing to compare");
        let difference = compare("the result", have, want, tolerance(DType::Float32, Scope::Model)).unwrap();
        assert!(!difference.fails, "{source}: {difference:?}");
    }
}

#[test]
fn resnet_18_has_no_norm_left() {
    check(
        "use models.resnet.{ResNet}\nlet net = ResNet([2, 2, 2, 2], bottleneck=false, num_classes=5, width=8)\n",
        20,
        40,
    );
}

#[test]
fn mobilenet_v2_has_no_norm_left() {
    check("use models.mobilenet.{MobileNetV2}\nlet net = MobileNetV2(num_classes=5)\n", 52, 32);
}

#[test]
fn norms_before_convolutions_stay() {
    // Of each dense layer the second norm comes after a convolution, and the first stands before one.
    let dense = lowered("use models.densenet.{DenseNet}\nlet net = DenseNet()\n");
    assert_eq!((norms(&dense), folded(&dense).1), (121, 59));
}
