//! Functions that always call themselves, on their own or by way of others: compiling them does not end.
//!
//! What counts is a call that no compile-time condition stands before. Both ways of a condition over tensors
//! are compiled, so it does not help. Where a compile-time condition was asked, the recursion may end, and is
//! judged where the values are known.

use crate::analysis::check::check;
use crate::analysis::db::{Item, Place, Report};
use crate::base::code;
use std::collections::HashSet;

/// The functions of its file that every walk of a function calls: modules do not use each other, so none of
/// another file leads back. Without places, so that it stays equal when text moves.
#[salsa::tracked]
fn always_called<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> Vec<Item<'db>> {
    let mut seen = HashSet::new();
    check(db, item)
        .calls
        .iter()
        .map(|(callee, _)| *callee)
        .filter(|callee| callee.file(db) == item.file(db) && seen.insert(*callee))
        .collect()
}

/// What is wrong with a function that always comes back to itself.
pub fn endless<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> Option<Report<'db>> {
    let checked = check(db, item);
    let mut own = checked.calls.iter().filter(|(callee, _)| callee.file(db) == item.file(db));
    let (callee, place) = own.find(|(callee, _)| *callee == item || leads_to(db, *callee, item))?;
    let name = item.name(db).as_deref().unwrap_or("this function");
    Some(report(name, *place, *callee == item))
}

/// A call at `place` that comes back to `name`, at once or by way of others.
pub fn report<'db>(name: &str, place: Place<'db>, at_once: bool) -> Report<'db> {
    let label = if at_once { "calls it again each time" } else { "leads back to it each time" };
    Report::new(code::E0213, format!("`{name}` calls itself without end"))
        .at(place, label)
        .note("put the call under a condition that is known at compile time and comes to an end, or write a loop")
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
