//! Tables for people, in columns that are as wide as what is in them.

use gtm_host::text::line;

use super::output::print_text;

/// Rows that are held back until the widths of their columns are known.
const HELD: usize = 100;

/// A table of which rows are printed as they come, in parts: a column may become wider from one part to the next.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
    widths: [usize; N],
    /// Columns of numbers, which stand right.
    numbers: &'static [usize],
}

impl<const N: usize> Table<N> {
    pub(super) fn new(head: [&str; N], numbers: &'static [usize]) -> Self {
        Self { rows: vec![head.map(str::to_owned)], widths: [0; N], numbers }
    }

    /// Adds a row, whose cells may hold anything. Returns whether somebody reads it.
    pub(super) fn push(&mut self, row: [String; N]) -> anyhow::Result<bool> {
        self.rows.push(row.map(|cell| line(&cell).into_owned()));
        if self.rows.len() < HELD { Ok(true) } else { self.flush() }
    }

    /// Prints what is held back. Returns whether somebody reads it.
    pub(super) fn flush(&mut self) -> anyhow::Result<bool> {
        let lines = self.lines();
        if lines.is_empty() { Ok(true) } else { print_text(&lines.join("\n")) }
    }

    fn lines(&mut self) -> Vec<String> {
        for row in &self.rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let rows = std::mem::take(&mut self.rows);
        rows.iter().map(|row| self.line(row)).collect()
    }

    fn line(&self, row: &[String; N]) -> String {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(self.widths).enumerate() {
            if column > 0 {
                line.push_str("  ");
            }
            let padding = " ".repeat(width - cell.chars().count());
            let cell = if self.numbers.contains(&column) { [&*padding, cell] } else { [&**cell, &padding] };
            line.extend(cell);
        }
        line.truncate(line.trim_end().len());
        line
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
}
