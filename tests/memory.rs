//! How memory is laid out: near the least that is possible for every model of the library, and told by the real program.

#[path = "support/stack.rs"]
mod stack;

use expect_test::expect;
use serde_json::Value;
use stack::with_deep_stack;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use tritonc::driver::memory::{Layout, MethodMemory, program};
use tritonc::driver::options::{MemoryRequest, PassRequest, Strategy, parse_shapes};
use tritonc::driver::{EntryRequest, Session, SessionOptions};

/// A module of `models`, an instance, a method, and the sizes of what it is given.
type Model = (&'static str, &'static str, &'static str, &'static [&'static str]);

/// Small ones, as the cases of models have them, and some as they are published.
const MODELS: &[Model] = &[
    ("bert", "Bert(vocab=11, max_positions=8, dim=12, heads=3, depth=2)", "forward", &["tokens=2,5"]),
    ("bert", "Bert(vocab=30522, max_positions=512, dim=768, heads=12, depth=12)", "forward", &["tokens=1,128"]),
    ("dcgan", "Generator()", "forward", &["z=1,100,1,1"]),
    ("dcgan", "Discriminator()", "forward", &["x=1,3,64,64"]),
    ("densenet", "DenseNet()", "forward", &["x=1,3,224,224"]),
    ("dlrm", "DLRM(tables=[5, 7, 6], bottom=[4, 8, 3], top=[9, 4])", "forward", &["numbers=3,4", "index=3,3"]),
    ("gpt2", "GPT2(vocab=11, max_positions=8, dim=12, heads=3, depth=2)", "forward", &["tokens=2,5"]),
    ("gpt2", "GPT2()", "forward", &["tokens=1,64"]),
    ("llama", "Llama(vocab=13, dim=16, heads=4, kv_heads=2, hidden=24, depth=2)", "forward", &["tokens=2,5"]),
    (
        "llama",
        "Llama(vocab=13, dim=32, heads=4, kv_heads=1, hidden=64, depth=1, linear=Int4Linear)",
        "forward",
        &["tokens=2,5"],
    ),
    (
        "llama",
        "Llama(vocab=32000, dim=2048, heads=32, kv_heads=4, hidden=5632, depth=22, linear=BitLinear)",
        "forward",
        &["tokens=1,64"],
    ),
    (
        "llama",
        "Llama(vocab=13, dim=16, heads=4, kv_heads=2, hidden=24, depth=2, batch=2, max_positions=8)",
        "prefill",
        &["tokens=2,5"],
    ),
    (
        "llama",
        "Llama(vocab=13, dim=16, heads=4, kv_heads=2, hidden=24, depth=2, batch=2, max_positions=8)",
        "decode",
        &["token=2", "position=7"],
    ),
    (
        "mixtral",
        "Mixtral(vocab=13, dim=16, heads=4, kv_heads=2, hidden=12, expert_count=5, chosen=2, depth=2)",
        "forward",
        &["tokens=2,5"],
    ),
    ("mobilenet", "MobileNetV2()", "forward", &["x=1,3,224,224"]),
    ("resnet", "ResNet([1, 2, 1, 1], bottleneck=false, num_classes=5, width=4)", "forward", &["x=2,3,37,30"]),
    ("resnet", "resnet50()", "forward", &["x=1,3,224,224"]),
    (
        "sam",
        "ImageEncoder(image_size=20, patch_size=4, dim=8, heads=2, depth=3, out_channels=6, window=3)",
        "forward",
        &["x=2,3,20,20"],
    ),
    ("squeezenet", "SqueezeNet()", "forward", &["x=1,3,224,224"]),
    (
        "t5",
        "T5Encoder(vocab=11, dim=10, heads=3, head_dim=4, hidden=14, depth=2, buckets=8, max_distance=6)",
        "forward",
        &["tokens=2,12"],
    ),
    ("tacotron2", "Decoder(4, 6, 5, 8, 4, 3, 5, 0.1, 0.0)", "forward", &["frames=2,7,4", "memory=2,5,6", "seen=2,5"]),
    ("tacotron2", "Tacotron2()", "forward", &["text=1,50", "lengths=1", "target=1,80,100"]),
    ("unet", "UNet(3, 2, width=2)", "forward", &["x=1,3,16,32"]),
    ("unet", "UNet(3, 2)", "forward", &["x=1,3,256,256"]),
    (
        "vit",
        "VisionTransformer(image_size=12, patch_size=4, classes=5, dim=8, heads=2, depth=2)",
        "forward",
        &["x=2,3,12,12"],
    ),
    ("wavernn", "WaveRNN()", "forward", &["x=1,2000", "mels=1,80,14"]),
];

fn layout((module, model, method, shapes): &Model, strategy: Strategy) -> Layout {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.tri");
    let layer = model.split('(').next().unwrap();
    std::fs::write(
        &path,
        format!("use models.{module}.{{{layer}}}\nuse nn.{{BitLinear, Int4Linear}}\n\nlet net = {model}\n"),
    )
    .unwrap();
    let shapes: Vec<String> = shapes.iter().map(ToString::to_string).collect();
    let entry = EntryRequest { shapes: parse_shapes(&shapes).unwrap(), ..EntryRequest::default() };
    let wanted = MethodMemory { method: Some(method), memory: MemoryRequest { strategy, maximum: None } };
    let mut session = Session::new(SessionOptions::default());
    let found = program(&mut session, path.to_str().unwrap(), &entry, &PassRequest::default(), wanted);
    found.unwrap_or_else(|_| panic!("{module}: {model}\n{}", session.render()))
}

/// How much more than the least, in per cent.
fn above(layout: &Layout) -> f64 {
    100.0 * (layout.total as f64 / layout.lower_bound as f64 - 1.0)
}

#[test]
fn models_take_hardly_more_than_they_must() {
    with_deep_stack(|| {
        for model in MODELS {
            let found = layout(model, Strategy::Greedy);
            let (module, _, method, _) = model;
            let Layout { total, lower_bound, unshared, .. } = found;
            println!("{module}.{method}: {total} of {lower_bound}, {:.1} % above, {unshared} unshared", above(&found));
            assert!(found.lower_bound > 0 && above(&found) <= 10.0, "{model:?}: {:.1} %", above(&found));
            assert!(found.unshared > found.total, "{model:?}");
        }
    });
}

#[test]
fn every_model_is_measured() {
    let measured: BTreeSet<String> = MODELS.iter().map(|(module, ..)| format!("{module}.tri")).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib/models");
    let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.collect::<BTreeSet<String>>(), measured);
}

const NET: &str = "use nn.{Linear}

layer Net(dim: int = 32) {
    let up = Linear(dim, 4 * dim)
    let down = Linear(4 * dim, dim)

    fn forward(x: float32[B, dim], times: int) -> float32[times, B, dim] where times >= 1 {
        let parts = []
        for i in 0..times {
            x = x + down(relu(up(x)))
            parts += [x]
        }
        return stack(parts)
    }
}
";

/// Exit status, standard output and standard error of a command line in a folder with the program.
fn tritonc(arguments: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("net.tri"), NET).unwrap();
    let program = Command::new(env!("CARGO_BIN_EXE_tritonc")).args(arguments).current_dir(folder.path()).output();
    let output = program.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

const INSPECT: [&str; 7] = ["inspect", "net.tri", "--memory", "--shape", "x=8,32", "--shape", "times=4"];

#[test]
fn a_plan_is_told_as_a_table_and_as_json() {
    let (status, table, errors) = tritonc(&INSPECT);
    assert_eq!((status, errors.as_str()), (0, ""));
    expect![[r#"
        value  type     shape       bytes     place  from             to
        x.1    float32  [8, 32]      1024      4096  net.tri:9        net.tri:9
        parts  float32  [4, 8, 32]   4096  output 0  net.tri:9        net.tri:13
        x.2    float32  [8, 32]      1024      4096  net.tri:9        <std>/nn.tri:22
        5      float32  [8, 128]     4096         0  <std>/nn.tri:22  <std>/nn.tri:22
        x.4    float32  [8, 32]      1024      4096  <std>/nn.tri:22  net.tri:9
        `forward` needs 5.0 KiB of memory, 6.0 KiB without sharing
        live at one time: 5.0 KiB (<std>/nn.tri:22)
    "#]]
    .assert_eq(&table);
    let (_, told, _) = tritonc(&[&INSPECT[..], &["--json"]].concat());
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["method"], "forward");
    let values = told["values"].as_array().unwrap();
    assert_eq!(values.len(), table.lines().count() - 3);
    let end = |value: &Value| Some(value["offset"].as_u64()? + value["bytes"].as_u64()?);
    let ends = values.iter().filter_map(end).max();
    assert_eq!(ends, told["total"].as_u64());
    let (_, unshared, _) = tritonc(&[&INSPECT[..], &["--json", "--memory-plan", "none"]].concat());
    let unshared: Value = serde_json::from_str(&unshared).unwrap();
    assert_eq!(unshared["total"], told["without_sharing"]);
}

#[test]
fn more_than_is_allowed_is_refused() {
    let allowed = |size: &str| tritonc(&[&INSPECT[..], &["--max-memory", size]].concat());
    assert_eq!(allowed("1MiB").0, 0);
    let (status, out, errors) = allowed("1.5KiB");
    assert_eq!((status, out.as_str()), (1, ""));
    expect![[r#"
        error[E0610]: `forward` needs 5.0 KiB of memory, and 1.5 KiB are allowed
           ┌─ <std>/nn.tri:22:17
           │
        22 │         let y = x @ weight.T
           │                 ^^^^^^^^^^^^
           │
           = note: most is live at <std>/nn.tri:22: 5.0 KiB
           = note: 4.0 KiB for float32[8, 128] (<std>/nn.tri:22)
                   1.0 KiB for `x`, float32[8, 32] (net.tri:9)
           = help: smaller inputs (`--shape`) or a smaller element type (`--precision float16`) need less

    "#]]
    .assert_eq(&errors);
    let (status, _, errors) = allowed("1KB");
    assert_eq!(status, 2, "{errors}");
    assert!(errors.contains("`1KB` is not a size"), "{errors}");
}

#[test]
fn options_about_memory_are_refused_where_they_mean_nothing() {
    let (status, _, errors) = tritonc(&["build", "net.tri", "--max-memory", "1KiB"]);
    assert_eq!(status, 1);
    assert!(
        errors.contains("error[E0407]: `--max-memory` is for targets that lay out memory: pytorch does not"),
        "{errors}"
    );
    let (status, _, errors) = tritonc(&["build", "net.tri", "--target", "numpy", "--memory-plan", "linear"]);
    assert_eq!(status, 1);
    assert!(errors.contains("`--memory-plan` is for targets that lay out memory: numpy does not"), "{errors}");
    let (status, _, errors) = tritonc(&["inspect", "net.tri", "--max-memory", "1KiB"]);
    assert_eq!((status, errors.as_str()), (2, "error: `--memory-plan` and `--max-memory` need `--memory`\n"));
    let (status, _, errors) = tritonc(&["inspect", "w.safetensors", "--memory"]);
    assert_eq!((status, errors.as_str()), (2, "error: `--memory` is for a source file\n"));
}

#[test]
fn sizes_that_are_not_known_are_named() {
    let (status, _, errors) = tritonc(&INSPECT[..5]);
    assert_eq!(status, 1);
    expect![[r#"
        error[E0804]: how much memory `Net.forward` needs is not known: `parts` is float32[times, 8, 32]
         = help: give `times` a size, as in `--shape times=4`

    "#]]
    .assert_eq(&errors);
}
