//! Hostile input through the public API: it ends in errors, soon, without a panic or an overflow.
//!
//! The stages have such tests of their own; here whole texts and files go in at the door.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use support::with_deep_stack;
use tritonc::driver::{BuildRequest, Session, SessionOptions};
use tritonc::ir;
use tritonc::types::{DType, Tensor};
use tritonc::weights::{self, FileFormat, WeightSet};

/// Far above what any of these takes, even in an unoptimised build on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// Mutants of each sample. Enough to reach every check of the readers, few enough to stay quick.
const MUTANTS: usize = 2000;

/// A generator of numbers that gives the same ones each time (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    /// The bytes with a few of them changed, removed, repeated or cut off.
    fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut mutant = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(mutant.len());
            match self.below(5) {
                0 if !mutant.is_empty() => mutant[at] = self.below(256) as u8,
                1 if !mutant.is_empty() => mutant[at] ^= 1 << self.below(8),
                2 if !mutant.is_empty() => {
                    mutant.remove(at);
                }
                3 => mutant.truncate(at),
                _ => {
                    let end = (at + self.below(40)).min(mutant.len());
                    let part = mutant[at..end].to_vec();
                    let to = self.below(mutant.len() + 1);
                    mutant.splice(to..to, part);
                }
            }
        }
        mutant
    }
}

/// Runs within the time limit; a panic is reported with the input that caused it.
fn bounded<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(work));
    let elapsed = start.elapsed();
    assert!(elapsed < LIMIT, "{what}: {elapsed:?}");
    result.unwrap_or_else(|_| panic!("panicked on {what}"))
}

/// The codes that checking a text gives; the messages must render, too. What does not end within the time
/// limit fails, and its thread ends with the process.
fn codes(name: &str, text: &str) -> Vec<String> {
    let (send, receive) = channel();
    let (thread_name, thread_text) = (name.to_string(), text.to_string());
    std::thread::spawn(move || {
        let found = with_deep_stack(|| check_and_compile(&thread_name, &thread_text));
        let _ = send.send(found);
    });
    match receive.recv_timeout(LIMIT) {
        Ok(found) => found,
        Err(RecvTimeoutError::Timeout) => panic!("no end within {LIMIT:?}: {name}"),
        Err(RecvTimeoutError::Disconnected) => panic!("panicked on {name}"),
    }
}

fn check_and_compile(name: &str, text: &str) -> Vec<String> {
    let mut session = Session::new(SessionOptions::default());
    let found = session.check_text("hostile.tri", text);
    let rendered = session.render();
    // A message may repeat the line it is about, not more.
    assert!(rendered.len() < (1 << 20) + 2 * text.len(), "{name}: {} bytes of messages", rendered.len());
    assert_eq!(found.is_empty(), rendered.is_empty(), "{name}");
    if !session.has_errors() {
        compile(name, text);
    }
    found.iter().map(|diagnostic| diagnostic.code.to_string()).collect()
}

/// What passes the check is compiled: that ends, too, in a module or in an error that is the program's.
fn compile(name: &str, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.tri");
    std::fs::write(&path, text).unwrap();
    let mut session = Session::new(SessionOptions::default());
    let request = BuildRequest { targets: vec!["pytorch".to_string()], ..BuildRequest::default() };
    let _ = session.build(&path.to_string_lossy(), &request);
    let rendered = session.render();
    assert!(!rendered.contains("internal error"), "{name}: {rendered}");
}

/// Texts that are wrong, and soon found to be.
fn refused(name: &str, text: &str) {
    assert!(!codes(name, text).is_empty(), "{name} is accepted");
}

#[test]
fn odd_bytes_are_errors() {
    refused("NUL bytes", &"\0".repeat(1000));
    refused("a NUL byte in a program", "let a = 1\0\n");
    refused("control bytes", &"\u{1b}[31m".repeat(100));
    refused("right-to-left marks", "let \u{202e}a = 1\n");
    refused("a lone carriage return", "fn f( {\r\r\r");
    assert_eq!(codes("an empty file", ""), [""; 0]);
    assert_eq!(codes("a byte order mark alone", "\n\n# only a comment"), [""; 0]);
}

#[test]
fn deep_nesting_is_an_error() {
    for (open, close) in [("(", ")"), ("[", "]"), ("{", "}")] {
        refused(open, &format!("let x = {}", open.repeat(50_000)));
        refused(close, &close.repeat(50_000));
        refused("both", &format!("let x = {}1{}", open.repeat(50_000), close.repeat(50_000)));
    }
    for (name, text) in [
        ("minus", format!("let x = {}1", "-".repeat(50_000))),
        ("sum", format!("let x = 1{}", " + 1".repeat(50_000))),
        ("call", format!("let x = f{}", "()".repeat(50_000))),
        ("pipe", format!("let x = 1{}", " |> relu".repeat(50_000))),
        ("blocks", format!("fn f() {}", "{ if true ".repeat(50_000))),
        ("types", format!("type T = {}int", "list[".repeat(50_000))),
    ] {
        refused(name, &text);
    }
}

#[test]
fn nesting_within_the_limits_is_walked() {
    // What the parser lets through must not overflow the checker's stack.
    let sum = format!("const x = 1{}\n", " + 1".repeat(900));
    assert_eq!(codes("sum", &sum), [""; 0]);
    let brackets = format!("const x = {}1{}\n", "(".repeat(250), ")".repeat(250));
    assert_eq!(codes("brackets", &brackets), [""; 0]);
    codes("lists", &format!("let x = {}1{}\n", "[".repeat(250), "]".repeat(250)));
    codes("pipes", &format!("fn f(x: float32[N]) -> float32[N] = x{}\n", " |> relu".repeat(900)));
    codes(
        "ifs",
        &format!("fn f(x: float32[N], b: bool) {{ {}return x{} }}\n", "if b { ".repeat(200), " }".repeat(200)),
    );
}

#[test]
fn huge_tokens_are_bounded() {
    let long = 1 << 20;
    refused("a long name", &format!("let a = {}\n", "n".repeat(long)));
    refused("a long number", &format!("const a = {}\n", "9".repeat(long)));
    refused("a long string without an end", &format!("let a = \"{}", "s".repeat(long)));
    assert_eq!(codes("a long comment", &format!("# {}\n", "c".repeat(long))), [""; 0]);
    codes("many lines", &"\n".repeat(long));
    codes("a huge exponent", "const a = 1e999999999\n");
}

#[test]
fn overflow_of_constants_is_an_error() {
    refused("a huge power", "const a = 9 ** 9 ** 9 ** 9\n");
}

#[test]
fn a_layer_in_itself_is_an_error() {
    refused("a layer in itself", "layer A {\n    let a = A()\n    fn forward(x: float32[N]) -> float32[N] = a(x)\n}\n");
}

#[test]
fn constants_in_a_circle_are_an_error() {
    refused("constants in a circle", "const a = b\nconst b = a\n");
}

#[test]
fn repetition_and_recursion_end() {
    let many: String = (0..2000).map(|n| format!("const c{n} = {n}\n")).collect();
    assert_eq!(codes("many items", &many), [""; 0]);
    codes("constants in a circle", "const a = b\nconst b = a\nprint(a)\n");
    codes(
        "functions in a circle",
        "fn f(x: float32[N]) -> float32[N] = g(x)\nfn g(x: float32[N]) -> float32[N] = f(x)\n",
    );
    codes("functions without types in a circle", "fn f(x) = g(x)\nfn g(x) = f(x)\n");
    codes("a type in itself", "type T = list[T]\nfn f(x: T) -> T = x\n");
    codes("a list of lists", "let a = [[[0 for _ in 0..1000000] for _ in 0..1000000] for _ in 0..1000000]\n");
    let branches = "    if b { x = x * 2.0 }\n".repeat(40);
    codes(
        "many open conditions",
        &format!("fn f(x: float32[N], b: bool) -> float32[N] {{\n{branches}    return x\n}}\n"),
    );
}

#[test]
fn many_errors_stay_readable() {
    let text = "fn f(x: float32[N]) -> float32[N] = nowhere(x)\n".repeat(300);
    refused("the same error in many items", &text);
}

#[test]
fn damaged_programs_do_no_harm() {
    let mut random = Random(0x5eed_0001);
    let root = support::root();
    let mut samples = support::files_below(&root.join("examples"), ".tri").unwrap();
    samples.extend(support::files_below(&root.join("stdlib"), ".tri").unwrap());
    // A session reads the standard library anew, so there are fewer of these.
    for sample in &samples {
        let text = std::fs::read_to_string(sample).unwrap();
        for _ in 0..3 {
            let mutant = String::from_utf8_lossy(&random.mutate(text.as_bytes())).into_owned();
            codes(&format!("a mutant of {}:\n{mutant}", sample.display()), &mutant);
        }
    }
}

const MODULE: &str = "\
files \"mlp.tri\", \"nn.tri\"
entry net = Linear(in_features = 4, out_features = 3)

layer Linear(in_features: int, out_features: int = 4 * in_features doc \"Outputs.\") {   # nn.tri:4
  choice bias = \"true\"
  require in_features % 2 == 0 : \"in_features must be even\"
  param weight : float32[out_features, in_features] quantize ternary(axis=0) = kaiming_uniform()
  method @Linear.forward
}

func @Linear.forward(%x: float32[d0, in_features]) -> float32[d0, out_features] {
  symbols d0: int
  require d0 >= 2 : \"too few rows\"
  %0 = param \"weight\" : float32[out_features, in_features]   # nn.tri:6
  %1 = permute %0 {axes = (1, 0)} : float32[in_features, out_features]
  %2 = matmul %x, %1 : float32[d0, out_features]
  return %2
}
";

#[test]
fn damaged_ir_is_an_error_or_a_module() {
    let whole = ir::reader::read(MODULE).unwrap_or_else(|error| panic!("the sample does not read: {error}"));
    assert_eq!(whole.functions.len(), 1);
    let mut random = Random(0x5eed_0002);
    for _ in 0..MUTANTS {
        let mutant = String::from_utf8_lossy(&random.mutate(MODULE.as_bytes())).into_owned();
        bounded(&mutant, || {
            // What still reads may break the verifier's rules, and what it accepts is printed.
            if let Ok(module) = ir::reader::read(&mutant)
                && let Ok(module) = ir::verify(module)
            {
                let printed = ir::printer::print(&module);
                let again = ir::reader::read(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
                assert_eq!(ir::printer::print(&again), printed);
            }
        });
    }
    for (name, text) in [
        ("brackets", format!("func @f() -> () {{\n  %0 = const {}", "(".repeat(50_000))),
        ("regions", format!("func @f() -> () {{\n{}", "if %0 {\n".repeat(50_000))),
        ("a long token", "f".repeat(1 << 20)),
        ("NUL bytes", "\0".repeat(1000)),
    ] {
        assert!(bounded(name, || ir::reader::read(&text)).is_err(), "{name}");
    }
}

#[test]
fn damaged_weights_are_an_error_or_tensors() {
    let mut random = Random(0x5eed_0003);
    let tensors = [
        ("up.0.weight".to_string(), Tensor::from_f32(vec![3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
        ("up.0.codes".to_string(), Tensor::from_i64(DType::UInt8, vec![3], vec![0, 127, 255])),
    ];
    let set = WeightSet { tensors: tensors.clone().into(), metadata: Default::default() };
    let single = WeightSet { tensors: [tensors[0].clone()].into(), metadata: Default::default() };
    for (format, name, set) in [
        (FileFormat::Npy, "a.npy", &single),
        (FileFormat::Npz, "a.npz", &set),
        (FileFormat::Safetensors, "a.safetensors", &set),
    ] {
        let bytes = weights::encode(std::path::Path::new(name), set).unwrap();
        let whole = weights::decode(format, &bytes).unwrap();
        assert_eq!(whole.tensors.len(), set.tensors.len());
        for _ in 0..MUTANTS {
            let mutant = random.mutate(&bytes);
            let read = bounded(&format!("{name}: {mutant:?}"), || weights::decode(format, &mutant));
            // No tensor is larger than what the bytes can hold.
            let elements: usize = read.iter().flat_map(|set| set.tensors.values()).map(Tensor::len).sum();
            assert!(elements <= mutant.len(), "{name}: {elements} elements from {} bytes", mutant.len());
        }
    }
}
