//! Words of PyTorch, NumPy and other languages, and what Tri says for them.
//!
//! A name in these tables is looked up only where it is unknown, so that a program may use it as its own.

/// Functions, methods, constants and arguments that have another name here.
const NAMES: &[(&str, &str)] = &[
    ("True", "true"),
    ("False", "false"),
    ("none", "None"),
    ("null", "None"),
    ("nil", "None"),
    ("view", "reshape"),
    ("cat", "concat"),
    ("concatenate", "concat"),
    ("mm", "matmul"),
    ("bmm", "matmul"),
    ("amax", "max"),
    ("amin", "min"),
    ("swapaxes", "transpose"),
    ("expand", "broadcast_to"),
    ("broadcast", "broadcast_to"),
    ("index_select", "take"),
    ("masked_fill", "where"),
];

/// Element types by other names.
const TYPES: &[(&str, &str)] = &[
    ("f16", "float16"),
    ("f32", "float32"),
    ("f64", "float64"),
    ("fp16", "float16"),
    ("fp32", "float32"),
    ("fp64", "float64"),
    ("bf16", "bfloat16"),
    ("half", "float16"),
    ("single", "float32"),
    ("double", "float64"),
    ("i8", "int8"),
    ("i16", "int16"),
    ("i32", "int32"),
    ("i64", "int64"),
    ("u8", "uint8"),
    ("u16", "uint16"),
    ("u32", "uint32"),
    ("u64", "uint64"),
    ("long", "int64"),
    ("short", "int16"),
    ("boolean", "bool"),
    // Host types, where a tensor's is needed: what PyTorch takes for them.
    ("float", "float32"),
    ("int", "int64"),
    ("ternary", "trit"),
];

/// Modules whose functions are plain names here.
const PREFIXES: &[&str] = &["torch", "np", "numpy", "jnp", "F"];

fn lookup(table: &[(&str, &'static str)], word: &str) -> Option<&'static str> {
    table.iter().find(|(foreign, _)| *foreign == word).map(|(_, own)| *own)
}

/// What Tri calls a function, method or constant of other languages.
pub fn name(word: &str) -> Option<&'static str> {
    lookup(NAMES, word)
}

/// What Tri calls an element type of other languages.
pub fn element_type(word: &str) -> Option<&'static str> {
    lookup(TYPES, word)
}

/// Which of the known arguments one of another name is: PyTorch's `dim` is `axis` here.
pub fn argument<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known.iter().copied().find(|known| matches!(word, "dim" | "dims") && known.starts_with("ax"))
}

/// Whether functions stand behind this name and a dot elsewhere.
pub fn is_prefix(word: &str) -> bool {
    PREFIXES.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::elaborate::builtins;
    use crate::ops;
    use crate::types::DType;

    #[test]
    fn dim_is_axis() {
        assert_eq!(argument("dim", &["x", "axis"]), Some("axis"));
        assert_eq!(argument("dims", &["x", "axes"]), Some("axes"));
        assert_eq!((argument("dim", &["x"]), argument("keepdim", &["axis"])), (None, None));
    }

    #[test]
    fn what_is_suggested_exists() {
        for (foreign, own) in NAMES {
            let known = ops::find(own).is_some() || builtins::NAMES.contains(own);
            assert!(known || matches!(*own, "true" | "false" | "None"), "{foreign}: {own}");
            assert!(ops::find(foreign).is_none() && !builtins::NAMES.contains(foreign), "{foreign} is known");
        }
        for (foreign, own) in TYPES {
            assert!(DType::parse(own).is_some() && DType::parse(foreign).is_none(), "{foreign}: {own}");
        }
    }
}
