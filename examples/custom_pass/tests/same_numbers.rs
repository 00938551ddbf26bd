//! The pass changes what it should, and no result.

use custom_pass::DivisionsByPowersOfTwo;
use tritonc::driver::{BuildRequest, Emit, Session};
use tritonc::interp::{Instance, Machine, RunOptions};
use tritonc::ir::{self, Verified};
use tritonc::types::{DType, Tensor};

const PROGRAM: &str = "layer Net(n: int = 5) {
    fn forward(x: float32[n]) -> float32[n] {
        let y = x / 8
        if sum(y) / 4 > 0.5 {
            return y / 3
        }
        return y / -0.5
    }
}
";

fn build(session: &mut Session) -> String {
    let request = BuildRequest { emit: Some(Emit::Ir), ..BuildRequest::default() };
    let artifacts = session.build_text("net.tri", PROGRAM, &request);
    let artifacts = artifacts.unwrap_or_else(|_| panic!("{}", session.render()));
    String::from_utf8(artifacts[0].bytes.clone()).unwrap()
}

fn execute(text: &str, x: &[f64]) -> Vec<Tensor> {
    let module: Verified = ir::verify(ir::reader::read(text).unwrap()).unwrap();
    let forward = module.method(module.entry.as_ref().unwrap().layer, "forward", &|_| false).unwrap();
    let mut instance = Instance::entry(&module, 0).unwrap();
    let x = Tensor::from_f64(DType::Float32, vec![x.len()], x.iter().copied());
    Machine::new(&module, RunOptions::default()).run(&mut instance, forward, &[x]).unwrap()
}

#[test]
fn divisions_by_powers_of_two_are_gone() {
    let before = build(&mut Session::default());
    let mut session = Session::default();
    session.add_pass(DivisionsByPowersOfTwo);
    let after = build(&mut session);
    let divisions = |text: &str| text.matches("= div ").count();
    assert_eq!((divisions(&before), divisions(&after)), (4, 1), "{before}\n{after}");
    let report = session.pass_reports()[0].passes.last().unwrap();
    assert_eq!(
        (report.pass.as_str(), report.counters.as_slice()),
        ("divisions-by-powers-of-two", &[("divisions", 3)][..])
    );
    for x in [[1.0, -2.5, 0.1, 7e-40, 3e38], [9.0, 1e-3, 0.7, 5.5, 12.0], [f64::NAN, 0.0, -0.0, 1.0, f64::INFINITY]] {
        let (wanted, found) = (execute(&before, &x), execute(&after, &x));
        let bits = |tensors: &[Tensor]| -> Vec<u64> { tensors[0].to_f64().iter().map(|v| v.to_bits()).collect() };
        assert_eq!(bits(&wanted), bits(&found), "{x:?}");
    }
}
