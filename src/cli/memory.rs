//! Options about the layout of memory, and the layout as a table of text and as JSON.

use super::table::{Align, aligned};
use crate::base::size;
use crate::driver::memory::{Layout, PlacedAt, PlacedValue};
use crate::driver::options::{MemoryRequest, Strategy};
use clap::ValueEnum;
use serde_json::{Value, json};

#[derive(Debug, clap::Args)]
pub struct MemoryArgs {
    /// How values share the memory of targets that allocate none [default: greedy]
    #[arg(long, value_enum, value_name = "PLAN")]
    memory_plan: Option<Plan>,
    /// Refuse a program that needs more memory than this, beside inputs, results and weights: bytes, or `64KiB`, `1.5MiB`
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    max_memory: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Plan {
    /// Each value has its own bytes
    None,
    /// In the order of the program, each on top of what is needed then
    Linear,
    /// Large ones first, gaps filled
    Greedy,
}

impl MemoryArgs {
    pub fn request(&self) -> MemoryRequest {
        let strategy = self.memory_plan.map(|plan| match plan {
            Plan::None => Strategy::None,
            Plan::Linear => Strategy::Linear,
            Plan::Greedy => Strategy::Greedy,
        });
        MemoryRequest { strategy: strategy.unwrap_or_default(), maximum: self.max_memory }
    }

    pub fn is_given(&self) -> bool {
        self.memory_plan.is_some() || self.max_memory.is_some()
    }
}

const HEADS: [(&str, Align); 7] = [
    ("value", Align::Left),
    ("type", Align::Left),
    ("shape", Align::Left),
    ("bytes", Align::Right),
    ("place", Align::Right),
    ("from", Align::Left),
    ("to", Align::Left),
];

/// A line for each value, and the totals.
pub fn table(layout: &Layout) -> String {
    let rows = layout.values.iter().map(|value| {
        vec![
            value.name.clone(),
            value.ty.as_ref().map_or("frame".to_string(), |(dtype, _)| dtype.to_string()),
            value.ty.as_ref().map_or("".to_string(), |(_, shape)| shown_shape(shape)),
            value.bytes.to_string(),
            place(&value.place),
            value.first.clone(),
            value.last.clone(),
        ]
    });
    let shown = |bytes: usize| size::shown(bytes as u64);
    let mut text = aligned(&HEADS, rows);
    text += &format!(
        "`{}` needs {} of memory, {} without sharing\n",
        layout.method,
        shown(layout.total),
        shown(layout.unshared)
    );
    let at = layout.peak.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    text + &format!("live at one time: {}{at}\n", shown(layout.lower_bound))
}

fn shown_shape(shape: &[usize]) -> String {
    let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("[{}]", dims.join(", "))
}

fn place(place: &PlacedAt) -> String {
    match place {
        PlacedAt::Arena(offset) => offset.to_string(),
        PlacedAt::Result(position) => format!("output {position}"),
        PlacedAt::Part(of) => format!("part of {of}"),
    }
}

/// `{"method": ..., "values": [...], "total": ...}`.
pub fn json(layout: &Layout) -> String {
    let value = |value: &PlacedValue| {
        let (offset, output, part_of) = match &value.place {
            PlacedAt::Arena(offset) => (json!(offset), Value::Null, Value::Null),
            PlacedAt::Result(position) => (Value::Null, json!(position), Value::Null),
            PlacedAt::Part(of) => (Value::Null, Value::Null, json!(of)),
        };
        json!({
            "name": value.name,
            "dtype": value.ty.as_ref().map(|(dtype, _)| dtype.to_string()),
            "shape": value.ty.as_ref().map(|(_, shape)| shape),
            "bytes": value.bytes,
            "offset": offset,
            "output": output,
            "part_of": part_of,
            "from": value.first,
            "to": value.last,
        })
    };
    let told = json!({
        "method": layout.method,
        "values": layout.values.iter().map(value).collect::<Vec<_>>(),
        "total": layout.total,
        "lower_bound": layout.lower_bound,
        "without_sharing": layout.unshared,
        "peak": layout.peak,
    });
    format!("{told:#}\n")
}
