//! Tables for people. The columns are as wide as their cells on a terminal.

use console::measure_text_width;
use gtm_text::sanitize::line;

use super::output::print_text;

/// The number of rows that are held back until the widths of their columns are known.
const MAX_HELD_ROWS: usize = 100;

/// Columns with the widths of the cells so far. Numbers are aligned to the right.
#[derive(Debug)]
pub(super) struct Columns {
    widths: Vec<usize>,
    numeric: Vec<bool>,
}

impl Columns {
    pub(super) fn new(numeric: Vec<bool>) -> Self {
        Self { widths: vec![0; numeric.len()], numeric }
    }

    /// Returns a line for each row. A cell may have colours.
    pub(super) fn lines<R: AsRef<[String]>>(&mut self, rows: &[R]) -> Vec<String> {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row.as_ref()) {
                *width = (*width).max(measure_text_width(cell));
            }
        }
        rows.iter().map(|row| self.line(row.as_ref())).collect()
    }

    fn line(&self, cells: &[String]) -> String {
        let padded = cells.iter().zip(&self.widths).zip(&self.numeric).map(|((cell, width), numeric)| {
            let padding = " ".repeat(width.saturating_sub(measure_text_width(cell)));
            if *numeric { padding + cell } else { cell.clone() + &padding }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

/// A table that prints its rows in parts as they come: a column may become wider from one part to the next.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
    columns: Columns,
}

impl<const N: usize> Table<N> {
    /// Makes a table. `numbers` are the indexes of columns with numbers.
    pub(super) fn new(head: [&str; N], numbers: &[usize]) -> Self {
        let numeric = (0..N).map(|column| numbers.contains(&column)).collect();
        Self { rows: vec![head.map(str::to_owned)], columns: Columns::new(numeric) }
    }

    /// Adds a row, whose cells may contain any characters. Returns whether the output still has a reader.
    pub(super) fn push(&mut self, row: [String; N]) -> anyhow::Result<bool> {
        self.rows.push(row.map(|cell| line(&cell).into_owned()));
        if self.rows.len() < MAX_HELD_ROWS { Ok(true) } else { self.flush() }
    }

    /// Prints what is held back. Returns whether somebody reads it.
    pub(super) fn flush(&mut self) -> anyhow::Result<bool> {
        let lines = self.lines();
        if lines.is_empty() { Ok(true) } else { print_text(&lines.join("\n")) }
    }

    fn lines(&mut self) -> Vec<String> {
        let rows = std::mem::take(&mut self.rows);
        self.columns.lines(&rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let mut table = Table::new(["NAME", "N", "TEXT"], &[1]);
        for row in [["a", "1", "x"], ["plüsch", "1000", ""]] {
            table.rows.push(row.map(str::to_owned));
        }
        assert_eq!(table.lines(), ["NAME       N  TEXT", "a          1  x", "plüsch  1000"]);
        table.rows.push(["b", "2", "y"].map(str::to_owned));
        assert_eq!(table.lines(), ["b          2  y"]);
    }

    #[test]
    fn a_wide_character_takes_two_columns_and_a_colour_none() {
        let rows = [["漢字", "x"], ["\u{1b}[31mred\u{1b}[0m", "y"], ["e\u{301}", "z"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        let lines = Columns::new(vec![false; 2]).lines(&rows);
        assert_eq!(lines, ["漢字  x", "\u{1b}[31mred\u{1b}[0m   y", "e\u{301}     z"]);
    }
}
