//! Sizes in bytes, as people write and read them.

const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];

/// `96 B`, `1.5 KiB`, `16.1 GiB`.
pub fn shown(bytes: u64) -> String {
    let mut shown = (bytes as f64, "B");
    for unit in UNITS {
        if shown.0 < 1024.0 {
            break;
        }
        shown = (shown.0 / 1024.0, unit);
    }
    if shown.1 == "B" { format!("{bytes} B") } else { format!("{:.1} {}", shown.0, shown.1) }
}

/// A number of bytes, or of a larger unit: `65536`, `64KiB`, `1.5 MiB`.
pub fn parse(text: &str) -> Result<u64, String> {
    let refuse = || format!("`{text}` is not a size: write bytes, or a unit as in `64KiB`, `1.5MiB`, `2GiB`");
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim());
    let power = match unit {
        "" | "B" => 0,
        unit => UNITS.iter().position(|known| *known == unit).ok_or_else(refuse)? as u32 + 1,
    };
    let scale = 1u64 << (10 * power);
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale).ok_or_else(refuse);
    }
    let bytes = number.parse::<f64>().ok().filter(|_| power > 0).ok_or_else(refuse)? * scale as f64;
    if bytes < u64::MAX as f64 { Ok(bytes as u64) } else { Err(refuse()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_the_largest_unit() {
        let all = [0, 1023, 1024, 1536, 1 << 20, 5 << 40].map(shown);
        assert_eq!(all, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "5.0 TiB"]);
    }

    #[test]
    fn sizes_are_read() {
        let all = ["65536", "64KiB", "1.5 MiB", "0", "12B", "2GiB"].map(parse);
        assert_eq!(all, [65536, 65536, 1_572_864, 0, 12, 2 << 30].map(Ok));
        for wrong in ["", "KiB", "1.5", "64KB", "-1", "1e3", "99999999999999999999", "99999999999TiB", "1.2.3MiB"] {
            assert_eq!(
                parse(wrong),
                Err(format!("`{wrong}` is not a size: write bytes, or a unit as in `64KiB`, `1.5MiB`, `2GiB`"))
            );
        }
    }
}
