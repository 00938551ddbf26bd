//! Functions of the IR as functions of Python, for every target that writes Python.
//!
//! | in the IR | in Python |
//! | --- | --- |
//! | function, method | a function, or a method where layers are classes |
//! | value | a name from the source, or a part of the expression that uses it |
//! | symbol of a shape | a local bound from `x.shape`, where it is used |
//! | `if`, `for`, `while` | statements, unless the library wants something else |
//!
//! What differs between libraries is asked of a [`dialect::Dialect`]: how element types are spelt, how a member of an
//! instance is reached, which operations have a form that is more than an entry of the table.
//!
//! The way: [`program`] names everything (with [`classes`] where there are any), [`function`] writes bodies, with [`flow`]
//! deciding what becomes a variable and [`views`] what shares memory. [`head`] binds sizes from shapes; [`operation`] writes
//! operations and calls (with [`expression`], [`special`] and [`arrays`]), [`region`] branches and loops, [`collect`] the lists
//! that these fill, [`sizes`] what only a run tells of them, [`state`] assignments, [`statement`] the rest, [`numbers`] sizes and
//! literals. [`methods`] merges what `training` and optional inputs tell apart (with [`branches`]); [`helpers`] has what the
//! written code leans on.

pub mod arrays;
pub mod branches;
pub mod classes;
mod collect;
pub mod dialect;
pub mod expression;
pub mod flow;
pub mod function;
pub mod head;
pub mod helpers;
pub mod methods;
pub mod numbers;
mod operation;
pub mod program;
mod region;
mod sizes;
pub mod special;
mod state;
mod statement;
mod views;

pub use dialect::Dialect;
