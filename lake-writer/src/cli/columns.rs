//! Tables of text.

/// Columns, each as wide as its widest cell; those of numbers to the right.
pub(super) fn columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let layout: Vec<(usize, bool)> = (0..head.len())
        .map(|column| {
            let width = cells(column)
                .map(|cell| cell.chars().count())
                .chain([head[column].chars().count()])
                .max()
                .unwrap_or(0);
            (width, cells(column).all(|cell| is_number(cell)))
        })
        .collect();
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    std::iter::once(line(&head, &layout))
        .chain(rows.iter().map(|row| line(row, &layout)))
        .collect()
}

fn line(cells: &[String], layout: &[(usize, bool)]) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(layout)
        .map(|(cell, (width, to_right))| {
            let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
            if *to_right {
                gap + cell
            } else {
                cell.clone() + &gap
            }
        })
        .collect();
    format!("{}\n", padded.join("  ").trim_end())
}

/// A figure as it is shown, or a dash in its place.
fn is_number(cell: &str) -> bool {
    cell == "-"
        || (cell.chars().any(|c| c.is_ascii_digit())
            && cell
                .chars()
                .all(|c| c.is_ascii_digit() || "-.,".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_with_accents_and_numbers_to_the_right() {
        let rows = vec![
            vec!["Île-de-France".into(), "1,200".into(), "a".into()],
            vec!["Corse".into(), "-".into(), "b".into()],
        ];
        assert_eq!(
            columns(&["region", "rows", "x"], &rows),
            "region          rows  x\nÎle-de-France  1,200  a\nCorse              -  b\n"
        );
    }
}
