//! Deep programs on threads with little stack.

use super::check;

/// Less than any system gives a thread.
const STACK: usize = 512 << 10;

/// The codes of what is wrong with a text, found on a thread with little stack.
fn codes(text: String) -> Vec<String> {
    let work = move || check(&text).into_iter().map(|(code, _, _)| code).collect();
    std::thread::Builder::new().stack_size(STACK).spawn(work).unwrap().join().unwrap()
}

fn function(body: &str) -> String {
    format!("fn f(x: float32[N], n: int) -> float32[N] {{\n{body}\n}}\n")
}

#[test]
fn deep_expressions() {
    assert_eq!(codes(function(&format!("return {}x{}", "(".repeat(250), ")".repeat(250)))), [""; 0]);
    assert_eq!(codes(function(&format!("return x{}", " + x".repeat(990)))), [""; 0]);
    assert_eq!(codes(function(&format!("return {}x", "-".repeat(990)))), [""; 0]);
    assert_eq!(codes(function(&format!("return {}x{}", "relu(".repeat(250), ")".repeat(250)))), [""; 0]);
    assert_eq!(codes(function(&format!("return x{}", " |> relu".repeat(990)))), [""; 0]);
    assert_eq!(codes(function(&format!("return x{}", ".relu()".repeat(490)))), [""; 0]);
    assert_eq!(codes(format!("const N = 1{}\n", " + 1".repeat(990))), [""; 0]);
    assert_eq!(codes(format!("fn f(x: float32[N{}]) -> float32[N] = x[0:N]\n", " + 1".repeat(900))), [""; 0]);
}

#[test]
fn deep_statements() {
    let chain: String = (0..900).map(|i| format!("if n == {i} {{ return x }} else ")).collect();
    assert_eq!(codes(function(&format!("{chain}{{ return x }}"))), [""; 0]);
    let guards: String = (0..900).map(|i| format!("if n == {i} {{ return x }}\n")).collect();
    assert_eq!(codes(function(&format!("{guards}return x"))), [""; 0]);
    let nested = format!("{}x = x + 1.0{}\nreturn x", "if sum(x) > 0.0 {\n".repeat(240), "\n}".repeat(240));
    assert_eq!(codes(function(&nested)), [""; 0]);
}

#[test]
fn deep_chains_of_items() {
    let mut text = "const C0 = 1\n".to_string();
    for index in 1..95 {
        text += &format!("const C{index} = C{} + 1\n", index - 1);
    }
    assert_eq!(codes(text), [""; 0]);
    let mut text = "fn f0(x: float32[N]) = x\n".to_string();
    for index in 1..95 {
        text += &format!("fn f{index}(x: float32[N]) = f{}(x)\n", index - 1);
    }
    assert_eq!(codes(text), [""; 0]);
}
