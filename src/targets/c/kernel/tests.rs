//! The whole registry is written.

use super::is_written;
use crate::ops;
use crate::targets::Templates;
use crate::targets::table::Table;

#[test]
fn every_operation_has_a_form() {
    let table = Table::load(&Templates::builtin(), "c").unwrap();
    let missing: Vec<&str> = ops::all().filter(|op| !is_written(&table, *op)).map(|op| op.name()).collect();
    assert_eq!(missing, Vec::<&str>::new());
}
