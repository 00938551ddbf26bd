//! What lowering keeps symbolic, what it fixes, and how instances are shared.

use crate::analysis::Project;
use crate::analysis::project::NoFiles;
use crate::base::{Code, Source, code};
use crate::ir::{self, InstKind, MemberKind, Module, Part, Sub};
use crate::lower::{self, EntryRequest};
use crate::types::{Dim, HostExpr};

fn project(text: &str) -> (Project, crate::base::FileId) {
    let mut project = Project::new();
    let (file, refused) = project.open("main", Source::new("main.tri", text), &mut NoFiles);
    assert!(refused.is_empty());
    let diagnostics = project.check(file);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    (project, file)
}

/// The verified module of an entry.
fn lowered(text: &str, entry: &str, training: bool) -> Module {
    let (mut project, file) = project(text);
    let request = EntryRequest { expr: Some(entry.into()), training, ..EntryRequest::default() };
    let module = lower::entry(&mut project, file, &request).unwrap_or_else(|errors| panic!("{errors:?}"));
    ir::verify(module).unwrap_or_else(|errors| panic!("{errors:?}")).into_inner()
}

fn layer_names(module: &Module) -> Vec<&str> {
    module.layers.iter().map(|layer| layer.name.as_str()).collect()
}

fn hypers(module: &Module, layer: &str) -> Vec<String> {
    let layer = module.layers.iter().find(|l| l.name == layer).unwrap();
    layer.hypers.iter().map(|hyper| hyper.name.to_string()).collect()
}

const MLP: &str = "
layer Dense(n_in: int, n_out: int, bias: bool = true) {
    param weight: float32[n_out, n_in]
    param offset: float32[n_out] if bias
    fn forward(x: float32[..., n_in]) -> float32[..., n_out] {
        if bias { return x @ weight.T + offset }
        return x @ weight.T
    }
}
layer Net(dim: int, depth: int = 2, act = relu) {
    let blocks = [[Dense(dim, 4 * dim), act, Dense(4 * dim, dim)] for _ in 0..depth]
    fn forward(x: float32[B, dim]) -> float32[B, dim] {
        for block in blocks { x += block(x) }
        return x
    }
}
";

#[test]
fn numbers_stay_symbols_and_loops_stay_loops() {
    let module = lowered(MLP, "Net(dim=8, depth=3)", false);
    assert_eq!(layer_names(&module), ["Net", "Dense"]);
    assert_eq!(hypers(&module, "Net"), ["dim", "depth"]);
    assert_eq!(hypers(&module, "Dense"), ["n_in", "n_out"]);
    let blocks = module.layers[0].member("blocks").unwrap();
    let MemberKind::Sub(Sub::Repeat { count, element, .. }) = &blocks.kind else { panic!("{blocks:?}") };
    assert_eq!(*count, Dim::symbol("depth"));
    let Sub::List(parts) = &**element else { panic!("{element:?}") };
    assert!(matches!(&parts[1], Sub::Function { name } if name == "relu"));
    let forward = module.functions.iter().find(|f| f.name == "Net.forward").unwrap();
    let loops = forward.insts.iter().filter(|inst| matches!(inst.kind, InstKind::For { .. })).count();
    assert_eq!(loops, 1);
    // One function serves both Dense layers: their sizes are its symbols.
    assert_eq!(module.functions.iter().filter(|f| f.source_name == "forward").count(), 2);
}

#[test]
fn choices_make_layers_of_their_own() {
    let text = format!(
        "{MLP}layer Two {{\n    let a = Dense(2, 3)\n    let b = Dense(3, 4, bias=false)\n    fn forward(x: float32[B, 2]) = b(a(x))\n}}\n"
    );
    let module = lowered(&text, "Two()", false);
    assert_eq!(layer_names(&module), ["Two", "Dense", "Dense_2"]);
    assert_eq!(module.layers[2].choices, [("bias".to_string(), "false".to_string())]);
    assert!(module.layers[1].member("offset").is_some() && module.layers[2].member("offset").is_none());
}

#[test]
fn a_number_that_is_branched_on_is_fixed_and_others_are_not() {
    let text = "
layer Inner(n: int, times: int) {
    param w: float32[n]
    fn forward(x: float32[B, n]) -> float32[B, n] {
        if times > 2 { return x * w * w }
        return x * w
    }
}
layer Outer(n: int, k: int) {
    let inner = Inner(n, k + 1)
    fn forward(x: float32[B, n]) -> float32[B, n] = inner(x)
}
";
    let module = lowered(text, "Outer(n=4, k=2)", false);
    assert_eq!(hypers(&module, "Inner"), ["n"]);
    assert_eq!(hypers(&module, "Outer"), ["n"]);
    let outer = &module.layers[0];
    assert_eq!(outer.choices, [("k".to_string(), "2".to_string())]);
    let inner = module.layers.iter().find(|layer| layer.name == "Inner").unwrap();
    assert_eq!(inner.choices, [("times".to_string(), "3".to_string())]);
}

#[test]
fn loops_that_change_shapes_are_expanded() {
    let text = "
layer Grow(widths: [int] = [2, 3, 5]) where widths[0] == 2, widths[-1] == 5 {
    param ws: float32[5, 5]
    fn forward(x: float32[B, 2]) -> float32[B, 5] {
        for i in 1..len(widths) { x = x @ ws[:widths[i - 1], :widths[i]] }
        return x
    }
}
";
    let module = lowered(text, "Grow()", false);
    let forward = &module.functions[0];
    assert!(!forward.insts.iter().any(|inst| matches!(inst.kind, InstKind::For { .. })));
    let products =
        forward.insts.iter().filter(|inst| matches!(&inst.kind, InstKind::Op { op, .. } if op.name() == "matmul"));
    assert_eq!(products.count(), 2);
}

#[test]
fn a_body_that_holds_for_some_sizes_is_walked_with_them() {
    let text = "
fn both(x: float32[...], y: float32[...]) = concat([x, y], axis=0).reshape([2, 3])
layer Use {
    fn forward(a: float32[3]) -> float32[2, 3] = both(a, a)
}
";
    let module = lowered(text, "Use()", false);
    let both = module.functions.iter().find(|f| f.source_name == "both").unwrap();
    assert!(both.symbols.is_empty(), "{:?}", both.symbols);
}

#[test]
fn quantised_storage_is_read_as_master_or_as_codes() {
    let text = "
layer Q {
    @quantize(ternary(axis=0))
    param w: float32[4, 3]
    fn forward(x: float32[B, 3]) -> float32[B, 4] = x @ w.T
}
";
    let parts = |training| {
        let module = lowered(text, "Q()", training);
        let insts = module.functions[0].insts.iter();
        insts
            .filter_map(|inst| match &inst.kind {
                InstKind::Param { part, .. } => Some(*part),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(parts(true), [Part::Value]);
    assert_eq!(parts(false), [Part::Codes, Part::Scale]);
}

#[test]
fn float_hyperparameters_reach_the_code_as_symbols() {
    let text = "
layer Norm(dim: int, eps: float = 1e-5) {
    param g: float32[dim] = ones()
    fn forward(x: float32[B, dim]) -> float32[B, dim] = x * rsqrt(mean(x * x, axis=-1, keepdim=true) + eps) * g
}
";
    let module = lowered(text, "Norm(8)", false);
    assert_eq!(hypers(&module, "Norm"), ["dim", "eps"]);
    let is_eps =
        |inst: &ir::Inst| matches!(&inst.kind, InstKind::Host(HostExpr::FloatSymbol(s)) if s.as_str() == "eps");
    assert!(module.functions[0].insts.iter().any(is_eps));
}

#[test]
fn tests_are_methods_of_a_root_that_owns_what_they_make() {
    let text = format!(
        "{MLP}let net = Net(4)\ntest \"global\" {{ assert net(ones([1, 4])).shape == [1, 4] }}\ntest \"local\" {{\n    let d = Dense(2, 3)\n    assert d(ones([5, 2])).shape == [5, 3]\n}}\ntest \"wrong\" {{ assert net(ones([1, 4])).shape == [4, 1] }}\n"
    );
    let mut project = Project::new();
    let (file, _) = project.open("main", Source::new("main.tri", text), &mut NoFiles);
    let (tests, module) = lower::tests(&project, file).unwrap();
    let names: Vec<_> = module.layers[0].members.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["net", "d"]);
    let outcomes: Vec<_> = tests.iter().map(|test| (test.name.as_str(), test.function.is_ok())).collect();
    assert_eq!(outcomes, [("global", true), ("local", true), ("wrong", false)]);
    ir::verify(module).unwrap();
}

/// What must be known to compile a program cannot be the number of turns of a `while`.
#[test]
fn a_size_that_only_a_run_tells_is_no_compile_time_value() {
    let refused = |last: &str| {
        let text = format!(
            "fn halves(x: float32[N]) -> float32[?, N] {{
    let all = []
    while x.sum() > 0.5 {{
        x = x * 0.5
        all += [x]
    }}
    return stack(all)
}}
layer Net {{
    fn forward(x: float32[N]) {{
        let y = halves(x)
        {last}
    }}
}}
"
        );
        let (mut project, file) = project(&text);
        let request = EntryRequest { expr: Some("Net()".into()), ..EntryRequest::default() };
        let errors = lower::entry(&mut project, file, &request).map(|_| ()).unwrap_err();
        (errors[0].code.as_str(), errors[0].message.clone())
    };
    let wanted = ("E0401", "a size is needed at compile time that only a run tells".to_string());
    assert_eq!(refused("return x.sum(axis=y.shape[0])"), wanted);
    assert_eq!(refused("return reverse([x for _ in 0..y.shape[0]])"), wanted);
}

#[test]
fn the_entry_is_found_or_asked_for() {
    let find = |text: &str, request: EntryRequest| {
        let (mut project, file) = project(text);
        lower::entry(&mut project, file, &request)
            .map(|module| module.entry.unwrap().name)
            .map_err(|errors| errors[0].code.as_str())
    };
    let any = EntryRequest::default();
    let only = "layer A(n: int = 2) {\n    fn forward(x: float32[N, n]) = x\n}\n";
    assert_eq!(find(only, any.clone()), Ok("A".to_string()));
    assert_eq!(find(&format!("{only}let model = A(3)\n"), any.clone()), Ok("model".to_string()));
    let open = "layer A(n: int) {\n    fn forward(x: float32[N, n]) = x\n}\n";
    assert_eq!(find(open, any.clone()), Err("E0402"));
    let set = EntryRequest { sets: vec![("n".into(), "5".into())], ..any.clone() };
    assert_eq!(find(open, set), Ok("A".to_string()));
    assert_eq!(find(&format!("{only}layer B {{\n    fn forward(x: float32[N]) = x\n}}\n"), any.clone()), Err("E0406"));
    assert_eq!(find("const n = 3\n", any.clone()), Err("E0405"));
    let text = EntryRequest { expr: Some("1 + 1".into()), ..any };
    assert_eq!(find(only, text), Err("E0407"));
}

/// What is left to be checked has the code of the error that it would be.
#[test]
fn conditions_have_the_codes_of_what_they_state() {
    let module = lowered(
        "layer Net(n: int) where n >= 2 {
    let parts = [relu for i in 0..n]
    fn forward(x: float32[B, T]) -> float32[B, n] {
        let y = ones([n - 3])
        return parts[2](x[:, :n]) + y.sum()
    }
}
",
        "Net(n=3)",
        false,
    );
    let conditions: Vec<(Code, &str)> = (module.layers.iter().flat_map(|layer| &layer.obligations))
        .chain(module.functions.iter().flat_map(|function| function.obligations.iter().map(|(own, _)| own)))
        .map(|own| (own.code, own.message.as_str()))
        .collect();
    assert_eq!(
        conditions,
        [
            (code::E0403, "`Net` needs n >= 2"),
            (code::E0403, "n >= 2 must hold"),
            (code::E0310, "`ones` takes sizes of at least 0, not n - 3"),
            (code::E0309, "position 2 is outside a list of n"),
            (code::E0309, "slice 0:n ends after the axis of size T"),
        ]
    );
}

#[test]
fn an_entry_is_lowered_for_each_set_of_its_optional_inputs() {
    let text = "
layer Net {
    fn forward(x: float32[N], a: float32[N] = None, b: float32[N] = None, n: int = 2) -> float32[N] {
        if a != None { x = x + a }
        if b != None { x = x * b }
        return x * n
    }
    @export fn twice(x: float32[N]) -> float32[N] = forward(forward(x, b=x), b=x)
}
";
    let module = lowered(text, "Net()", false);
    let name = |id: &crate::ir::FuncId| module[*id].name.as_str();
    let methods: Vec<&str> = module.layers[0].methods.iter().map(name).collect();
    let variants = ["Net.forward", "Net.forward_with_a", "Net.forward_with_b", "Net.forward_with_a_and_b"];
    assert_eq!(methods, [&variants[..], &["Net.forward_2", "Net.twice"]].concat());
    let exported: Vec<&str> = module.functions.iter().filter(|f| f.exported).map(|f| f.name.as_str()).collect();
    assert_eq!(exported, [&variants[..], &["Net.twice"]].concat());
    let params = module.functions.iter().filter(|f| !f.optional.is_empty()).map(|f| f.params.len());
    assert_eq!(params.collect::<Vec<_>>(), [1, 2, 2, 3]);
    assert_eq!(module.functions[2].optional, [("a".to_string(), false), ("b".to_string(), true)]);
}

/// What a `...` of its own stands for, only the shape of the input can tell.
#[test]
fn an_optional_input_of_any_rank_needs_a_shape() {
    let text = "
layer Net {
    fn forward(x: float32[...S], a: float32[...S] = None, b: float32[...] = None) -> float32[...S] {
        if a != None { x = x + a }
        if b != None { x = x + b.sum() }
        return x
    }
}
";
    let sets = |shapes: &[(&str, Vec<usize>)]| {
        let (mut project, file) = project(text);
        let shapes = shapes.iter().map(|(name, sizes)| (name.to_string(), sizes.clone())).collect();
        let module = lower::entry(&mut project, file, &EntryRequest { shapes, ..EntryRequest::default() }).unwrap();
        let given = module.functions.iter().map(|f| f.given().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
        assert!(module.functions.iter().all(|f| f.optional.len() == 2));
        given
    };
    assert_eq!(sets(&[]), ["", "a"]);
    assert_eq!(sets(&[("b", vec![2, 3])]), ["", "a", "b", "a b"]);
}

#[test]
fn too_many_optional_inputs_are_refused() {
    let inputs = |count: usize| (0..count).map(|i| format!(", a{i}: float32[N] = None")).collect::<String>();
    let text = |count: usize| format!("layer Net {{\n    fn forward(x: float32[N]{}) = x\n}}\n", inputs(count));
    let (mut four, file) = project(&text(4));
    assert_eq!(lower::entry(&mut four, file, &EntryRequest::default()).unwrap().functions.len(), 16);
    let (mut five, file) = project(&text(5));
    let errors = lower::entry(&mut five, file, &EntryRequest::default()).unwrap_err();
    assert_eq!((errors.len(), errors[0].code.as_str()), (1, "E0407"));
    assert_eq!(errors[0].message, "`forward` has 5 optional inputs, more than an entry may have");
}

/// How many tensors a list has decides what the program is, so the size of an input cannot say it.
#[test]
fn pieces_are_counted_when_compiling() {
    for cut in ["unbind(x)", "split(x, 3)"] {
        let text = format!("layer Net {{\n    fn forward(x: float32[B, 4]) {{ return {cut} }}\n}}\n");
        let (mut project, file) = project(&text);
        let errors = lower::entry(&mut project, file, &EntryRequest::default()).unwrap_err();
        let told: Vec<_> = errors.iter().map(|error| (error.code.as_str(), error.message.as_str())).collect();
        assert_eq!(told, [("E0401", "the program must know `B` at compile time")], "{cut}");
    }
    // In a function, each call says it.
    let text = "
fn first(x: float32[N, 4]) = unbind(x)[0]
layer Net {
    fn forward(x: float32[B, 4]) where B >= 3 { return first(x[:3, :]) }
}
";
    let (mut project, file) = project(text);
    let module = lower::entry(&mut project, file, &EntryRequest::default()).unwrap();
    assert_eq!(module.functions.iter().filter(|f| f.source_name == "first").count(), 1);
}
