//! Emitted PyTorch files, executed: numbers, formatting, packing, loading, hostile text.
//!
//! Needs a Python with torch: the one that `TRITONC_PYTHON` names, else `python3`; so these tests are ignored
//! unless they are asked for (`cargo test --test pytorch_smoke -- --ignored`, or `./test`).

use std::path::{Path, PathBuf};
use std::process::Command;
use tritonc::ir;
use tritonc::targets::{self, EmitOptions, Mode, Templates};

const MLP: &str = include_str!("pytorch/mlp.ir");

/// The Python to run what is emitted.
///
/// # Panics
/// If it has no torch.
fn python() -> PathBuf {
    let name = std::env::var("TRITONC_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&name).args(["-c", "import torch"]).output().is_ok_and(|o| o.status.success());
    assert!(found, "{name} has no torch: set TRITONC_PYTHON");
    PathBuf::from(name)
}

fn emit(text: &str, mode: Mode) -> String {
    let module = ir::reader::read(text).unwrap_or_else(|e| panic!("{e}"));
    let module = ir::verify(module).unwrap_or_else(|e| panic!("{e:?}"));
    let options =
        EmitOptions { mode, source_name: "mlp.tri".into(), entry_expr: "MLP(dim=6)".into(), ..EmitOptions::default() };
    let target = targets::find("pytorch").expect("the target is registered");
    let files = target.emit(&module, &options, &Templates::builtin()).unwrap_or_else(|e| panic!("{e:?}"));
    files[0].contents.as_text().expect("Python is text").to_string()
}

/// Runs a script beside the emitted `model.py`; what it printed.
fn run(python: &Path, code: &str, script: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("model.py"), code).expect("written");
    let output = Command::new(python).arg("-c").arg(script).current_dir(folder.path()).output().expect("python runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}\n{code}");
    check_format(python, folder.path(), code);
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

/// `ruff check` and `ruff format --check` with their default settings; ruff stands beside Python.
fn check_format(python: &Path, folder: &Path, code: &str) {
    let ruff = python.with_file_name("ruff");
    for arguments in [&["check", "--isolated"][..], &["format", "--isolated", "--diff"]] {
        let output =
            Command::new(&ruff).args(arguments).arg("model.py").current_dir(folder).output().expect("ruff runs");
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{text}\n{code}");
    }
}

#[test]
#[ignore = "needs a Python with torch: ./test runs it"]
fn a_ternary_mlp_computes_what_its_definition_says() {
    let python = python();
    let script = r#"
import torch, model
torch.manual_seed(0)
m = model.Model()
assert [n for n, _ in m.named_parameters()] == [
    "norm.weight",
    "blocks.0.0.weight", "blocks.0.0.offset", "blocks.0.2.weight", "blocks.0.2.offset",
    "blocks.1.0.weight", "blocks.1.0.offset", "blocks.1.2.weight", "blocks.1.2.offset",
]
x = torch.randn(2, 3, 6)
def ternary(w):
    s = w.abs().mean(1).clamp(min=1e-5)[:, None]
    return (w / s).round().clamp(-1, 1) * s
y = x
p = dict(m.named_parameters())
for i in range(2):
    n = y * (y.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * p["norm.weight"]
    h = n @ ternary(p[f"blocks.{i}.0.weight"]).T + p[f"blocks.{i}.0.offset"]
    y = y + h.relu() @ ternary(p[f"blocks.{i}.2.weight"]).T + p[f"blocks.{i}.2.offset"]
out = m(x)
torch.testing.assert_close(out, y)
out.sum().backward()
assert m.blocks[0][0].weight.grad.abs().sum() > 0
w = torch.tensor([[0.5, -3.0, 0.1, 0.4]], requires_grad=True)
model.fake_quantize(w, model.Ternary()).sum().backward()
assert w.grad.tolist() == [[1.0, 1.0, 1.0, 1.0]]
packed = m.pack()
torch.testing.assert_close(packed(x), out, rtol=0, atol=0)
names = set(packed.state_dict())
assert "blocks.1.2.weight.codes" in names and "blocks.1.2.weight.scale" in names and "blocks.1.2.weight" not in names
assert packed.blocks[0][0].weight.codes.shape == (12, 2) and packed.blocks[0][0].weight.codes.dtype == torch.uint8
assert isinstance(m.blocks[0][0].weight, torch.nn.Parameter)
try:
    model.TernaryLinear(3, 4)
    raise SystemExit("an odd size was taken")
except ValueError as error:
    assert str(error) == "in_features must be even"
print("fine")
"#;
    assert_eq!(run(&python, &emit(MLP, Mode::Train), script), "fine");
}

#[test]
#[ignore = "needs a Python with torch: ./test runs it"]
fn both_modes_load_float_and_packed_files() {
    let python = python();
    let script = r#"
import json, struct, torch, model
def save(path, tensors):
    kinds = {torch.float32: "F32", torch.uint8: "U8"}
    header, data = {}, b""
    for name, t in tensors.items():
        raw = t.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": kinds[t.dtype], "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)
torch.manual_seed(1)
m = model.Model()
torch.manual_seed(1)
x = torch.randn(1, 2, 6)
masters = {}
for i in range(2):
    masters[f"blocks.{i}.0.weight"] = torch.randn(12, 6)
    masters[f"blocks.{i}.0.offset"] = torch.randn(12)
    masters[f"blocks.{i}.2.weight"] = torch.randn(6, 12)
    masters[f"blocks.{i}.2.offset"] = torch.randn(6)
masters["norm.weight"] = torch.randn(6)
save("float.safetensors", masters)
a = model.load("float.safetensors")
packed = a.pack() if hasattr(a, "pack") else a
save("packed.safetensors", packed.state_dict())
b = model.load("packed.safetensors")
assert torch.equal(a(x), b(x))
assert "blocks.0.0.weight.codes" in b.state_dict()
broken = dict(packed.state_dict())
broken["blocks.0.0.weight.codes"] = torch.full_like(broken["blocks.0.0.weight.codes"], 3)
save("broken.safetensors", broken)
try:
    model.load("broken.safetensors")
    raise SystemExit("an invalid code was taken")
except ValueError as error:
    assert "blocks.0.0.weight.codes" in str(error)
del masters["norm.weight"]
masters["extra"] = torch.zeros(1)
masters["blocks.0.0.offset"] = torch.zeros(3)
save("bad.safetensors", masters)
try:
    model.load("bad.safetensors")
    raise SystemExit("bad weights were taken")
except ValueError as error:
    text = str(error)
    assert all(s in text for s in ("missing: norm.weight", "unexpected: extra", "blocks.0.0.offset is")), text
print([round(v, 5) for v in a(x).flatten().tolist()])
"#;
    let train = run(&python, &emit(MLP, Mode::Train), script);
    let codes = "%c = param \"weight\" codes : trit[out_features, in_features]";
    let scale = "%s = param \"weight\" scale : float32[out_features]";
    let lines = MLP.lines().map(|line| match line.trim() {
        l if l.starts_with("%w = param") => codes,
        l if l.starts_with("%c, %s = quantize") => scale,
        _ => line,
    });
    let code = emit(&lines.collect::<Vec<_>>().join("\n"), Mode::Infer);
    assert!(code.contains("self.weight.dequantize()"), "{code}");
    assert_eq!(run(&python, &code, script), train);
}

#[test]
#[ignore = "needs a Python with torch: ./test runs it"]
fn hostile_text_stays_text() {
    let python = python();
    let script = r#"
import torch, model
m = model.Model()
y = m(torch.ones(2, 3), torch.ones(3))
assert torch.equal(y, torch.full((2, 3), 12.0)), y
assert "{{ 1 / 0 }}" in model.M.__doc__ and '"""' in model.M.__doc__ and "{{ 7 * 7 }}" in model.M.__doc__
try:
    model.M(0, 1)
    raise SystemExit("no check")
except ValueError as error:
    assert str(error) == "n \"must\" be\n{n} \\ '''"
print("harmless")
"#;
    let printed = run(&python, &emit(include_str!("pytorch/hostile.ir"), Mode::Train), script);
    assert!(printed.ends_with("harmless"), "{printed}");
}

#[test]
#[ignore = "needs a Python with torch: ./test runs it"]
fn branches_loops_and_state() {
    let python = python();
    let script = r#"
import torch, model
m = model.Model()
x = torch.tensor([[1.0, 2.0, 3.0]])
want = ((x * x * 1 + 0) * 2 + 1) * 3 + 2
assert torch.equal(m(x), want * 1.5)
assert torch.equal(m(x), want * 1.5 + 1) and m.count == 2
y = -x
assert torch.equal(m(y), (((y * 1 + 0) * 2 + 1) * 3 + 2) * 1.5 + 2)
assert m.swap(torch.tensor(10)) == (torch.tensor(55), torch.tensor(89))
assert m.grow(torch.tensor(3.0)) == 192.0
assert torch.equal(m.step(x[0], 2), torch.tensor([0.0, 1.0, 2.0]))
assert torch.equal(m.step(x[0], 2), torch.tensor([3.0, 7.0, 11.0]))
assert sorted(m.state_dict()) == ["count", "pair.0.weight", "scales.0.weight", "scales.1.weight", "scales.2.weight", "table"]
assert m.table.tolist() == [1.0, 2.0]
for call in (lambda: m.step(x[0], 0), lambda: m.step(x[0] * 1e9, 1) is None or m.step(x[0], 1)):
    try:
        call()
        raise SystemExit("no check")
    except (ValueError, RuntimeError):
        pass
print("fine")
"#;
    assert_eq!(run(&python, &emit(include_str!("pytorch/control.ir"), Mode::Train), script), "fine");
}

#[test]
#[ignore = "needs a Python with torch: ./test runs it"]
fn functions_of_a_file_are_written_once_and_get_what_shapes_do_not_tell() {
    let python = python();
    let code = emit(include_str!("pytorch/functions.ir"), Mode::Train);
    // Two functions of the IR that differ in their dims only are one in Python.
    assert_eq!(code.matches("def centre").count(), 1, "{code}");
    let script = r#"
import torch, model
m = model.Model()
x = torch.randn(3, 4)
c = x - x.mean(-1, keepdim=True)
want = torch.softmax(c, 0) * 2.5 + torch.arange(6).float()[:4]
torch.testing.assert_close(m(x), want)
print("fine")
"#;
    assert_eq!(run(&python, &code, script), "fine");
}
