//! Tensors as a table of text, and as JSON.

use crate::base::size::shown as size;
use crate::driver::inspect::{Inspection, Row};
use serde_json::{Value, json};

const HEADS: [&str; 9] = ["tensor", "type", "shape", "scheme", "bits", "before", "after", "SNR dB", "zeros"];

/// On which side the cells of a column begin or end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    /// As numbers stand.
    Right,
}

/// Lines of cells, under heads, in columns.
pub fn aligned(heads: &[(&str, Align)], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut lines: Vec<Vec<String>> = vec![heads.iter().map(|(head, _)| head.to_string()).collect()];
    lines.extend(rows);
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in &lines {
        let mut shown = String::new();
        for ((cell, width), (_, align)) in line.iter().zip(&widths).zip(heads) {
            let space = " ".repeat(width - cell.chars().count());
            shown += &match align {
                Align::Left => format!("{cell}{space}  "),
                Align::Right => format!("{space}{cell}  "),
            };
        }
        text += shown.trim_end();
        text.push('\n');
    }
    text
}

/// Of tensors that the table leaves out: how many, and the sizes of all, these among them.
pub type LeftOut = (usize, u64, u64);

/// A line for each tensor, and one with the totals.
pub fn table(inspection: &Inspection, left_out: &[LeftOut]) -> String {
    let heads: Vec<(&str, Align)> = HEADS
        .iter()
        .enumerate()
        .map(|(column, head)| (*head, if column < 4 { Align::Left } else { Align::Right }))
        .collect();
    let text = aligned(&heads, inspection.rows.iter().map(|row| cells(row).to_vec()));
    let kept: usize = left_out.iter().map(|(count, _, _)| count).sum();
    let (before, after) = match left_out {
        [] => (inspection.before(), inspection.after()),
        all => all.iter().fold((0, 0), |sums, (_, before, after)| (sums.0 + before, sums.1 + after)),
    };
    let also = if kept > 0 { format!(", {kept} more as before") } else { String::new() };
    let count = inspection.rows.len();
    let plural = if count == 1 { "" } else { "s" };
    text + &format!("{count} tensor{plural}{also}: {} before, {} after\n", size(before), size(after))
}

fn cells(row: &Row) -> [String; 9] {
    let dims: Vec<String> = row.shape.iter().map(usize::to_string).collect();
    let unknown = || "-".to_string();
    [
        row.name.clone(),
        row.dtype.to_string(),
        format!("[{}]", dims.join(", ")),
        row.scheme.as_ref().map_or_else(unknown, ToString::to_string),
        bits(row).map_or_else(unknown, |bits| format!("{bits:.2}")),
        size(row.before),
        size(row.after),
        row.ratio.map_or_else(unknown, |ratio| if ratio.is_finite() { format!("{ratio:.1}") } else { "exact".into() }),
        row.zeros.map_or_else(unknown, |zeros| format!("{:.1} %", 100.0 * zeros)),
    ]
}

/// Bits of an element, scales counted in.
fn bits(row: &Row) -> Option<f64> {
    let elements = row.elements();
    (elements > 0).then(|| 8.0 * row.after as f64 / elements as f64)
}

/// `{"tensors": [...], "totals": {...}}`; what is not known, and an infinite ratio, is null.
pub fn json(inspection: &Inspection) -> String {
    let tensor = |row: &Row| {
        json!({
            "name": row.name,
            "dtype": row.dtype.to_string(),
            "shape": row.shape,
            "scheme": row.scheme.as_ref().map(ToString::to_string),
            "bits_per_weight": bits(row),
            "bytes_before": row.before,
            "bytes_after": row.after,
            "snr_db": row.ratio.filter(|ratio| ratio.is_finite()),
            "zeros": row.zeros,
        })
    };
    let tensors: Vec<Value> = inspection.rows.iter().map(tensor).collect();
    let totals = json!({
        "tensors": inspection.rows.len(),
        "elements": inspection.elements(),
        "bytes_before": inspection.before(),
        "bytes_after": inspection.after(),
    });
    format!("{:#}\n", json!({ "tensors": tensors, "totals": totals }))
}
