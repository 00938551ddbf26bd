//! Well-formed programs and their trees.

use super::{CORPUS, trees};
use crate::base::Span;
use crate::syntax::{RawKind, parse_item, print, split};
use expect_test::{expect, expect_file};

/// The tree of one expression.
fn expression(text: &str) -> String {
    let tree = trees(&format!("let _ = {text}"));
    tree.trim().strip_prefix("(let _ = ").and_then(|rest| rest.strip_suffix(')')).unwrap_or(&tree).to_string()
}

/// The tree of a type.
fn type_tree(text: &str) -> String {
    let tree = trees(&format!("type T = {text}"));
    tree.trim().strip_prefix("(type T = ").and_then(|rest| rest.strip_suffix(')')).unwrap_or(&tree).to_string()
}

#[test]
fn the_corpus_prints_as_blessed() {
    expect_file!["corpus.ast"].assert_eq(&trees(CORPUS));
}

#[test]
fn precedence() {
    let cases = [
        ("a |> f or b", "(|> a (or f b))"),
        ("a or b and c", "(or a (and b c))"),
        ("not a == b", "(not (== a b))"),
        ("not a and b", "(and (not a) b)"),
        ("a < b + c", "(< a (+ b c))"),
        ("a - b - c", "(- (- a b) c)"),
        ("a + b * c", "(+ a (* b c))"),
        ("a * b @ c", "(@ (* a b) c)"),
        ("a // b % c", "(% (// a b) c)"),
        ("-a * b", "(* (- a) b)"),
        ("-a ** b", "(- (** a b))"),
        ("a ** b ** c", "(** a (** b c))"),
        ("a ** -b ** c", "(** a (- (** b c)))"),
        ("-x.f(1)[0]", "(- (index (call (. x f) 1) 0))"),
        ("(a < b) == c", "(== (< a b) c)"),
        ("a |> f(_, k=2) |> g", "(|> (|> a (call f _ k=2)) g)"),
        ("x @ w.T + b", "(+ (@ x (. w T)) b)"),
    ];
    for (text, tree) in cases {
        assert_eq!(expression(text), tree, "{text}");
    }
}

#[test]
fn atoms_and_brackets() {
    let cases = [
        ("1_000", "1000"),
        ("0xFF", "255"),
        ("2e-5", "2e-5"),
        ("1.", "1.0"),
        ("\"\\u{41}\\t\"", "\"A\\t\""),
        ("()", "(tuple)"),
        ("(a)", "a"),
        ("(a,)", "(tuple a)"),
        ("(a, b,)", "(tuple a b)"),
        ("[]", "(list)"),
        ("[a, [b], ]", "(list a (list b))"),
        ("[...S, n]", "(list ...S n)"),
        ("[i for i in a..b if i]", "(list i for i in (.. a b) if i)"),
        ("[[j, i] for (i, j) in xs]", "(list (list j i) for (tuple i j) in xs)"),
        ("x[:]", "(index x :)"),
        ("x[::-1, 1:, :n]", "(index x ::(- 1) 1: :n)"),
        ("x[..., None]", "(index x ... None)"),
        ("f(..., a=1)", "(call f ... a=1)"),
        ("Linear[bfloat16](4, 8)", "(call (index Linear bfloat16) 4 8)"),
        ("f(if a { b } else { c }, d)", "(call f (if a\n    b\n   else\n    c) d)"),
        ("zeros([2], dtype=int8)", "(call zeros (list 2) dtype=int8)"),
        ("where(mask, a, b)", "(call where mask a b)"),
        ("x.layer.type.param", "(. (. (. x layer) type) param)"),
        ("test + state * buffer", "(+ test (* state buffer))"),
        ("value_and_grad(f)(a)", "(call (call value_and_grad f) a)"),
    ];
    for (text, tree) in cases {
        assert_eq!(expression(text), tree, "{text}");
    }
}

#[test]
fn types() {
    let cases = [
        ("int", "int"),
        ("nn.Linear", "nn.Linear"),
        ("float32[]", "(tensor float32)"),
        ("float32[B, 2 * T - 1, n // 2]", "(tensor float32 B (- (* 2 T) 1) (// n 2))"),
        ("F[..., K]", "(tensor F ... K)"),
        ("F[B, ...S, ?]", "(tensor F B ...S ?)"),
        ("(A, [B], (C,))", "(tuple A (list B) (tuple C))"),
        ("(A)", "A"),
        ("Tensor", "(legacy float32 ...)"),
        ("TernaryTensor", "(legacy trit ...)"),
        ("Tensor[float16]", "(legacy float16 ...)"),
        ("Tensor[F]", "(legacy F ...)"),
        ("Tensor[4, n]", "(legacy float32 4 n)"),
        ("tensor<float32, [4, ..., 4]>", "(legacy float32 4 ... 4)"),
        ("Tensor<F, [M, K]>", "(legacy F M K)"),
        ("TernaryTensor[128, 256]", "(legacy trit 128 256)"),
        ("TernaryTensor<[128, 256]>", "(legacy trit 128 256)"),
    ];
    for (text, tree) in cases {
        assert_eq!(type_tree(text), tree, "{text}");
    }
}

#[test]
fn lines_end_statements_by_the_rules() {
    let body = |text: &str| trees(&format!("fn f() {{\n{text}\n}}"));
    let same = |left: &str, right: &str| assert_eq!(body(left), body(right), "{left:?} and {right:?}");
    same("a = b\nc = d", "a = b; c = d");
    same("a = b\n\n;;\nc = d;", "a = b; c = d");
    same("a = b +\n c", "a = b + c");
    for operator in ["+", "*", "/", "//", "%", "**", "==", "!=", "<", ">", "<=", ">=", "and", "or", "|>"] {
        same(&format!("a = b\n {operator} c"), &format!("a = b {operator} c"));
    }
    same("a = b\n  .c()\n  .d", "a = b.c().d");
    same("a = (b\n\n - c\n @ d)", "a = (b - c @ d)");
    same("a = f(b,\n  c\n)", "a = f(b, c)");
    same("if a\n{\n f()\n}\nelse if b\n{ g() }\nelse { h() }", "if a { f() } else if b { g() } else { h() }");
    same("a = b let c = d return c", "a = b\nlet c = d\nreturn c");
    same("if a { b() } if c { d() }", "if a { b() }\nif c { d() }");
    same("let x = [a\n for a in b\n if a]", "let x = [a for a in b if a]");
    same("return\nf()", "return; f()");
    same("let layer = state\nparam = type", "let layer = state; param = type");
    same("# one\na = b # two\n# three\nc = d", "a = b\nc = d");
    assert_eq!(
        trees("fn f(x)\n    -> F[n]\n    where n > 0,\n      n < 9\n{ g() }"),
        trees("fn f(x) -> F[n] where n > 0, n < 9 { g() }")
    );
    assert_eq!(trees("@a\n@b(1)\n\nlet x = 1"), trees("@a @b(1) let x = 1"));
    assert_eq!(trees("fn f() {\r\n    g()\r\n}\r\n"), trees("fn f() { g() }"));
    assert_eq!(trees("\u{FEFF}f()"), trees("f()"));
}

#[test]
fn attributes_do_not_swallow_what_follows() {
    expect![[r#"
        (fn f
          (@checkpoint) (= (tuple a b) (call g x))
          (@device "cpu") (let y = a)
          (return y))
    "#]]
    .assert_eq(&trees("fn f() {\n@checkpoint\n(a, b) = g(x)\n@device(\"cpu\")\nlet y = a\nreturn y }"));
}

#[test]
fn documentation_belongs_to_what_stands_below() {
    let text = "## lost, for a blank line follows\n\n## first\n##   second\n@export\nfn f(\n  ## about x\n  x: int, ## no documentation\n  y: int) = x\n";
    expect![[r#"
        ## first
        ##   second
        (@export) (fn f
          ## about x
          (arg x: int)
          (arg y: int)
          = x)
    "#]]
    .assert_eq(&trees(text));
    assert!(split(text)[0].span == Span::new(35, text.len() as u32 - 1));
}

#[test]
fn items_know_their_kind_name_and_place() {
    let text = "use nn\n\n@a(b)\nlayer A() { }\ntest \"t\" { f() }\nlet (a, b) = c\nlet m = A(); print(m)\nconst k = 1\nfn f(x) = x\ntype T = int\n";
    let items: Vec<String> = split(text)
        .iter()
        .map(|item| {
            let part = &text[item.span.start as usize..item.span.end as usize];
            format!("{:?} {} {part:?}", item.kind, item.name.as_deref().unwrap_or("-"))
        })
        .collect();
    let wanted = [
        r#"Use - "use nn""#,
        r#"Layer A "@a(b)\nlayer A() { }""#,
        r#"Test t "test \"t\" { f() }""#,
        r#"Let - "let (a, b) = c""#,
        r#"Let m "let m = A()""#,
        r#"Stmt - "print(m)""#,
        r#"Const k "const k = 1""#,
        r#"Fn f "fn f(x) = x""#,
        r#"Type T "type T = int""#,
    ];
    assert_eq!(items, wanted);
    let name = split(text)[1].name_span;
    assert_eq!(name.map(|span| &text[span.start as usize..span.end as usize]), Some("A"));
}

#[test]
fn a_missing_brace_spoils_one_item() {
    let text = "fn a() { f() }\nfn b() {\n    if x {\n}\nfn c() { g() }\nlayer D() {\n}";
    let kinds: Vec<(RawKind, Option<String>)> = split(text).into_iter().map(|item| (item.kind, item.name)).collect();
    let named = |kind, name: &str| (kind, Some(name.to_string()));
    let wanted = [(RawKind::Fn, "a"), (RawKind::Fn, "b"), (RawKind::Fn, "c"), (RawKind::Layer, "D")];
    assert_eq!(kinds, wanted.map(|(kind, name)| named(kind, name)));
}

#[test]
fn spans_count_from_the_item() {
    let text = "\n\nlet y = (a + b).c\n";
    let item = &split(text)[0];
    let part = &text[item.span.start as usize..item.span.end as usize];
    let ast = parse_item(part).ast;
    let spans: Vec<&str> = ast.exprs.iter().map(|e| &part[e.span.start as usize..e.span.end as usize]).collect();
    assert_eq!(spans, ["a", "b", "(a + b)", "(a + b).c"]);
    assert_eq!(ast.item.span, Span::new(0, part.len() as u32));
}

#[test]
fn tokens_print_one_a_line() {
    expect![[r#"
        If if
        Name c
        LeftBrace {
        Name a
        Assign =
        Int 1
        Terminator
        RightBrace }
        Terminator
    "#]]
    .assert_eq(&print::tokens("if c { a = 1 }"));
}

#[test]
fn failed_statements_stay_in_the_tree() {
    let parsed = parse_item("fn f() {\n    let x = = 1\n    return 2\n}");
    assert_eq!(parsed.errors.len(), 1);
    assert_eq!(print::ast(&parsed.ast), "(fn f\n  (error)\n  (return 2))\n");
}
