//! The functions and layers of the standard library that stay float32 as a whole, with the reason.
//!
//! They could be left to the table of operations (`src/ops/precision.rs`), which keeps the exponentials and sums
//! inside them. But what stands between these would be rounded, and a target's native form (`F.softmax`) has one
//! element type. A path is the module and the name in it, as in `use`.

/// What becomes of a result that was made from low values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It is low again where it is computed with.
    Back,
    /// It stays float32 until a product takes it.
    Wide,
}

/// What stays float32, by path.
pub static KEPT: &[(&str, After, &[&str])] = &[
    ("sums of exponentials", After::Back, &["activations.softmax", "activations.softmin", "attention.masked_softmax"]),
    ("logarithms of such sums, for losses", After::Wide, &["activations.log_softmax", "prelude.logsumexp"]),
    (
        "norms: squares leave the range of float16, and their sum is one of many",
        After::Back,
        &["prelude.layer_norm", "prelude.rms_norm", "prelude.normalize", "nn.BatchNorm", "nn.GroupNorm"],
    ),
    (
        "measures: the sums inside norms, alone",
        After::Wide,
        &["prelude.var", "prelude.std", "prelude.l2_norm", "prelude.cosine_similarity"],
    ),
    (
        "losses: sums over all elements, from which gradients start",
        After::Wide,
        &[
            "losses.mse_loss",
            "losses.l1_loss",
            "losses.huber_loss",
            "losses.smooth_l1_loss",
            "losses.hinge_loss",
            "losses.quantile_loss",
            "losses.nll_loss",
            "losses.cross_entropy",
            "losses.binary_cross_entropy",
            "losses.binary_cross_entropy_with_logits",
            "losses.kl_div",
        ],
    ),
    ("comparison within a tolerance", After::Wide, &["prelude.allclose"]),
];

/// What becomes of the results of the function or layer with this path, if it stays float32.
pub fn kept(path: &str) -> Option<After> {
    KEPT.iter().find(|(_, _, paths)| paths.contains(&path)).map(|(_, after, _)| *after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_library() {
        for path in KEPT.iter().flat_map(|(_, _, paths)| *paths) {
            let (module, name) = path.split_once('.').unwrap();
            let file = format!("{}/stdlib/{module}.tri", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(&file).unwrap();
            let found = ["fn", "layer"].iter().any(|word| text.contains(&format!("\n{word} {name}[")));
            assert!(found, "{path} is not in {file}");
        }
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/numerics.md")).unwrap();
        for name in KEPT.iter().flat_map(|(_, _, paths)| *paths).filter_map(|path| path.split_once('.')) {
            let said = name.0 == "losses" || page.contains(&format!("`{}`", name.1));
            assert!(said, "docs/numerics.md does not mention {}", name.1);
        }
    }

    #[test]
    fn every_loss_is_kept() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/stdlib/losses.tri")).unwrap();
        let names = text.lines().filter_map(|line| line.strip_prefix("fn ")?.split('[').next());
        let missing: Vec<&str> = names.filter(|name| kept(&format!("losses.{name}")).is_none()).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
