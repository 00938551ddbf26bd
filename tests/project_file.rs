//! `tritonc.toml`: what it gives, what comes before it, and what is said about mistakes in it.

use std::path::Path;
use std::process::Command;

struct Run {
    status: i32,
    out: String,
    err: String,
}

fn tritonc(folder: &Path, arguments: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_tritonc")).args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

const NET: &str = "use nn.{Linear}

layer Net(dim: int = 4, act = relu) {
    let up = Linear(dim, 2 * dim)
    let down = Linear(2 * dim, dim)
    fn forward(x: float32[B, dim]) -> float32[B, dim] = down(act(up(x)))
}

let small = Net(dim=2)
let large = Net(dim=8)
";

/// A folder with a project file, a program in it, and one in a folder below.
fn project(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("nets")).unwrap();
    let files = [
        ("tritonc.toml", text),
        ("net.tri", NET),
        ("nets/other.tri", &NET.replace("Net", "Other")),
        ("script.tri", "print(1 + 1)\n"),
    ];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// The header of the module that a build prints.
fn built(folder: &Path, arguments: &[&str]) -> String {
    let run = tritonc(folder, &[&["build"], arguments].concat());
    assert_eq!(run.status, 0, "{}", run.err);
    let (first, _) = run.out.split_once(" of ").unwrap_or_else(|| panic!("{}", run.out));
    first.trim_start_matches("# ").to_string()
}

#[test]
fn options_that_are_left_out_come_from_it() {
    let folder = project("entry = \"small\"\n[file.\"net.tri\"]\nentry = \"large\"\n");
    assert_eq!(built(folder.path(), &["net.tri"]), "Net(dim=8)");
    assert_eq!(built(folder.path(), &["nets/other.tri"]), "Other(dim=2)");
    // From wherever it is called.
    assert_eq!(built(&folder.path().join("nets"), &["other.tri"]), "Other(dim=2)");
    assert_eq!(built(folder.path(), &["net.tri", "--entry", "Net(dim=3)"]), "Net(dim=3)");
    let run = tritonc(folder.path(), &["build", "net.tri", "--no-project"]);
    assert!(run.status == 1 && run.err.contains("E0406"), "{}", run.err);
    let run = tritonc(folder.path(), &["build", "nets/other.tri", "-v"]);
    assert!(run.err.starts_with("options of tritonc.toml\n"), "{}", run.err);
}

#[test]
fn hyperparameters_are_taken_name_by_name() {
    let folder = project("entry = \"Net\"\n[set]\ndim = 16\nact = \"gelu\"\n");
    let text = |arguments: &[&str]| tritonc(folder.path(), &[&["build", "net.tri"], arguments].concat()).out;
    assert!(text(&[]).starts_with("# Net(dim=16) of ") && text(&[]).contains("F.gelu("));
    assert!(text(&["--set", "dim=3"]).starts_with("# Net(dim=3) of ") && text(&["--set", "dim=3"]).contains("F.gelu("));
    let other = text(&["--entry", "Net(5)"]);
    assert!(other.starts_with("# Net(dim=5) of ") && other.contains("F.relu("), "{other}");
}

#[test]
fn rules_are_added_up_and_the_last_counts() {
    let folder =
        project("entry = \"small\"\nquantize = [\"*=int8()\"]\n[file.\"net.tri\".quantize]\n\"down.*\" = \"int4()\"\n");
    let schemes = |arguments: &[&str]| -> Vec<String> {
        let run = tritonc(folder.path(), &[&["inspect", "net.tri", "--json"], arguments].concat());
        let told: serde_json::Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{}", run.err));
        let weights =
            told["tensors"].as_array().unwrap().iter().filter(|row| row["name"].as_str().unwrap().ends_with("weight"));
        weights.map(|row| row["scheme"].as_str().unwrap_or("none").to_string()).collect()
    };
    assert_eq!(schemes(&[]), ["int8()", "int4()"]);
    assert_eq!(schemes(&["--quantize", "up.*=ternary()"]), ["ternary()", "int4()"]);
    assert_eq!(schemes(&["--quantize", "*=none"]), ["none", "none"]);
    assert_eq!(schemes(&["--no-project", "--entry", "small"]), ["none", "none"]);
}

#[test]
fn paths_are_from_its_folder() {
    let folder = project("entry = \"small\"\noutput = \"built\"\nweights = \"w.safetensors\"\n");
    let nets = folder.path().join("nets");
    let run = tritonc(
        folder.path(),
        &["run", "net.tri", "--no-project", "--entry", "small", "--save-weights", "w.safetensors"],
    );
    assert_eq!(run.status, 0, "{}", run.err);
    let run = tritonc(&nets, &["build", "other.tri"]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(folder.path().join("built/small.py").is_file() && folder.path().join("built/small.safetensors").is_file());
    // The same weights, whatever the seed.
    let run =
        |arguments: &[&str]| tritonc(&nets, &[&["run", "other.tri", "--input", "x=x.npy"], arguments].concat()).out;
    let x = tritonc::types::Tensor::from_f32(vec![1, 2], vec![1.0, -2.0]);
    std::fs::write(nets.join("x.npy"), tritonc::weights::npy::write(&x)).unwrap();
    assert!(!run(&[]).is_empty());
    assert_eq!(run(&["--seed", "1"]), run(&["--seed", "2"]));
    assert_ne!(run(&["--seed", "1", "--no-project", "--entry", "small"]), run(&["--seed", "1"]));
}

#[test]
fn verify_and_passes_take_theirs() {
    let folder = project("entry = \"small\"\ntargets = \"interp-3\"\nseed = 5\nopt-level = 0\n");
    let run = tritonc(folder.path(), &["verify", "net.tri", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&told["seed"], &told["rows"][0]["target"]), (&5.into(), &"interp-3".into()), "{}", run.out);
    assert_eq!(told["rows"].as_array().unwrap().len(), 1);
    let passes = |arguments: &[&str]| {
        let run = tritonc(folder.path(), &[&["build", "net.tri", "--time-passes", "-o", "out"], arguments].concat());
        run.err.lines().filter(|line| line.contains(" -> ")).count()
    };
    assert_eq!(passes(&[]), 0);
    assert!(passes(&["--opt-level", "1"]) >= 3);
    assert_eq!(passes(&["--passes", "dce"]), 1);
}

#[test]
fn scripts_take_none() {
    let folder = project("mode = \"train\"\nweights = \"none.safetensors\"\n");
    let run = tritonc(folder.path(), &["run", "script.tri"]);
    assert_eq!((run.status, run.out.as_str(), run.err.as_str()), (0, "2\n", ""));
}

#[test]
fn mistakes_have_their_place() {
    let told = |text: &str| {
        let folder = project(text);
        let run = tritonc(folder.path(), &["build", "net.tri", "--entry", "small", "--error-format", "short"]);
        assert_eq!((run.status, run.out.as_str()), (1, ""), "{text}");
        run.err
    };
    assert_eq!(
        told("mode = \"infer\"\nentri = \"small\"\n"),
        "tritonc.toml:2:1: error[E0805]: `tritonc.toml` has no key `entri`\n"
    );
    assert_eq!(told("mode = \"fast\"\n"), "tritonc.toml:1:8: error[E0805]: \"train\" or \"infer\" is expected\n");
    assert_eq!(told("[file.\"none.tri\"]\n"), "tritonc.toml:1:7: error[E0805]: `none.tri` does not exist\n");
    assert!(told("mode = infer\n").starts_with("tritonc.toml:1:"), "{}", told("mode = infer\n"));
    let folder = project("entri = \"small\"\n");
    let run = tritonc(folder.path(), &["run", "net.tri"]);
    assert!(run.err.contains("help: did you mean `entry`?"), "{}", run.err);
    // What it asks for is checked as if it was typed.
    let unmatched = told("quantize = [\"nothing.*=int8()\"]\n");
    assert!(unmatched.starts_with("error[E0504]: `nothing.*` matches no tensor"), "{unmatched}");
}

#[test]
fn a_repository_ends_the_search() {
    let folder = project("entry = \"small\"\n");
    std::fs::create_dir(folder.path().join("nets/.git")).unwrap();
    let run = tritonc(folder.path(), &["build", "nets/other.tri"]);
    assert!(run.status == 1 && run.err.contains("E0406"), "{}", run.err);
}

/// `use` looks beside the file, then from where the project file lies.
#[test]
fn modules_are_found_from_its_folder() {
    let folder = project("");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir_all(folder.path().join("shared")).unwrap();
    write("shared/sizes.tri", "use nets.half.{half}\nconst width = half(16)\n");
    write("nets/half.tri", "fn half(n: int) = n // 2\n");
    write("nets/main.tri", "use shared.sizes\nuse half\nprint(sizes.width, half.half(6))\n");
    for (place, path) in [("", "nets/main.tri"), ("nets", "main.tri"), ("shared", "../nets/main.tri")] {
        let run = tritonc(&folder.path().join(place), &["run", path]);
        assert_eq!((run.status, run.out.as_str()), (0, "8 3\n"), "from {place:?}: {}", run.err);
    }
    // Beside the file comes first.
    std::fs::create_dir_all(folder.path().join("nets/shared")).unwrap();
    write("nets/shared/sizes.tri", "const width = 5\n");
    assert_eq!(tritonc(folder.path(), &["run", "nets/main.tri"]).out, "5 3\n");
    write("nets/shared/sizes.tri", "const width = 5 +\n");
    let told = |place: &str, path: &str| {
        let run = tritonc(&folder.path().join(place), &["check", path, "--error-format", "short"]);
        assert_eq!(run.status, 1);
        run.err.split(':').next().unwrap_or_default().to_string()
    };
    assert_eq!(told("", "nets/main.tri"), "nets/shared/sizes.tri");
    assert_eq!(told("nets", "main.tri"), "shared/sizes.tri");
    std::fs::remove_file(folder.path().join("nets/shared/sizes.tri")).unwrap();
    std::fs::remove_file(folder.path().join("tritonc.toml")).unwrap();
    let run = tritonc(folder.path(), &["check", "nets/main.tri"]);
    assert!(run.status == 1 && run.err.contains("E0103") && run.err.contains("shared.sizes"), "{}", run.err);
}

#[test]
fn precision_comes_from_it() {
    let folder = project("entry = \"small\"\nprecision = \"bfloat16\"\n");
    let text =
        |arguments: &[&str]| tritonc(folder.path(), &[&["build", "net.tri", "--emit", "ir"], arguments].concat());
    assert!(text(&[]).out.contains("bfloat16"));
    let other = text(&["--precision", "float16"]).out;
    assert!(other.contains("float16") && !other.contains("bfloat16"), "{other}");
    assert!(!text(&["--no-project", "--entry", "small"]).out.contains("float16"));
    let wrong = project("precision = \"float8\"\n");
    let run = tritonc(wrong.path(), &["build", "net.tri", "--error-format", "short"]);
    assert_eq!(run.err, "tritonc.toml:1:13: error[E0805]: \"float16\" or \"bfloat16\" is expected\n");
}

/// `tritonc quantize` takes what is said of the model and of calibration.
#[test]
fn calibration_comes_from_it() {
    let folder = project(
        "entry = \"small\"\nquantize = [\"*=int8(axis=0), activations=int8()\"]\ncalibrate = \"data.npz\"\n\
         observer = \"percentile(50)\"\nmethod = \"gptq\"\ndamping = 1\nact-order = true\nbatch = 2\n",
    );
    let data = tritonc::types::Tensor::from_f32(vec![4, 2], vec![1.0, -2.0, 3.0, 4.0, 5.0, -6.0, 7.0, 80.0]);
    let set = tritonc::weights::WeightSet { tensors: [("x".to_string(), data)].into(), ..Default::default() };
    let path = folder.path().join("data.npz");
    std::fs::write(&path, tritonc::weights::encode(&path, &set).unwrap()).unwrap();
    let saved = ["run", "net.tri", "--no-project", "--entry", "small", "--save-weights", "w.safetensors"];
    assert_eq!(tritonc(folder.path(), &saved).status, 0);
    let scale = |arguments: &[&str]| {
        let own = ["quantize", "w.safetensors", "--model", "net.tri", "-o", "q.safetensors"];
        let run = tritonc(folder.path(), &[&own, arguments].concat());
        assert_eq!(run.status, 0, "{}", run.err);
        let found = tritonc::weights::load(&folder.path().join("q.safetensors")).unwrap();
        found.tensors["up.weight_activation_scale"].get_f64(0)
    };
    let range = |value: f64| value / 127.0;
    assert!(scale(&[]) < range(7.0));
    assert!((scale(&["--observer", "minmax"]) - range(80.0)).abs() < 1e-6);
    let alone = ["quantize", "w.safetensors", "--model", "net.tri", "-o", "q.safetensors", "--no-project"];
    let run = tritonc(folder.path(), &[&alone[..], &["--entry", "small", "--observer", "mse"]].concat());
    assert_eq!((run.status, run.err.contains("`--observer` needs data")), (2, true), "{}", run.err);
    let wrong = project("observer = \"median\"\ndamping = -1\n");
    let run = tritonc(wrong.path(), &["build", "net.tri", "--error-format", "short"]);
    assert!(
        run.err.contains("1:12: error[E0805]: minmax, moving-average, percentile(P) or mse is expected"),
        "{}",
        run.err
    );
    assert!(run.err.contains("2:11: error[E0805]: a number of at least 0 is expected"), "{}", run.err);
}
