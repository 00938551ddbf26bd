//! Tensors as a table of text, and as JSON.

use crate::driver::inspect::{Inspection, Row};
use serde_json::{Value, json};

const HEADS: [&str; 9] = ["tensor", "type", "shape", "scheme", "bits", "before", "after", "SNR dB", "zeros"];

/// Of tensors that the table leaves out: how many, and the sizes of all, these among them.
pub type LeftOut = (usize, u64, u64);

/// A line for each tensor, and one with the totals.
pub fn table(inspection: &Inspection, left_out: &[LeftOut]) -> String {
    let mut lines: Vec<[String; 9]> = vec![HEADS.map(str::to_string)];
    lines.extend(inspection.rows.iter().map(cells));
    let widths: Vec<usize> = (0..HEADS.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in &lines {
        let mut shown = String::new();
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let space = " ".repeat(width - cell.chars().count());
            // Numbers stand to the right.
            shown += &if column < 4 { format!("{cell}{space}  ") } else { format!("{space}{cell}  ") };
        }
        text += shown.trim_end();
        text.push('\n');
    }
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

fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut shown = (bytes as f64, "B");
    for unit in units {
        if shown.0 < 1024.0 {
            break;
        }
        shown = (shown.0 / 1024.0, unit);
    }
    if shown.1 == "B" { format!("{bytes} B") } else { format!("{:.1} {}", shown.0, shown.1) }
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
