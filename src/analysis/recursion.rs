//! Functions that always call themselves, on their own or by way of others: compiling them does not end.
//!
//! What counts is a call that no compile-time condition stands before. Both ways of a condition over tensors
//! are compiled, so it does not help. Where a compile-time condition was asked, the recursion may end, and is
//! judged where the values are known.

use crate::analysis::check::check;
use crate::analysis::db::{Item, Report};
use crate::base::code;
use std::collections::HashSet;

/// The functions that every walk of a function calls. Without places, so that it stays equal when text moves.
#[salsa::tracked]
fn always_called<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> Vec<Item<'db>> {
    let mut seen = HashSet::new();
    check(db, item).calls.iter().map(|(callee, _)| *callee).filter(|callee| seen.insert(*callee)).collect()
}

/// What is wrong with a function that always comes back to itself.
pub fn endless<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> Option<Report<'db>> {
    let checked = check(db, item);
    let (callee, place) = checked.calls.iter().find(|(callee, _)| *callee == item || leads_to(db, *callee, item))?;
    let label = if *callee == item { "calls it again each time" } else { "leads back to it each time" };
    let name = item.name(db).as_deref().unwrap_or("this function");
    let report = Report::new(code::E0213, format!("`{name}` calls itself without end"))
        .at(*place, label)
        .note("put the call under a condition that is known at compile time and comes to an end, or write a loop");
    Some(report)
}

fn leads_to<'db>(db: &'db dyn salsa::Database, from: Item<'db>, to: Item<'db>) -> bool {
    let mut seen = HashSet::from([from]);
    let mut waiting = vec![from];
    while let Some(item) = waiting.pop() {
        for next in always_called(db, item) {
            if *next == to {
                return true;
            }
            if seen.insert(*next) {
                waiting.push(*next);
            }
        }
    }
    false
}
