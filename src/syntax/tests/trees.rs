//! Well-formed programs and their trees.

use super::{CORPUS, trees};
use expect_test::{expect_file};

#[test]
fn the_corpus_prints_as_blessed() {
    expect_file!["corpus.ast"].assert_eq(&trees(CORPUS));
}
