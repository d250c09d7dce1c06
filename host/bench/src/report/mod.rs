//! Reports results as a table, as JSON, and as a history that can be drawn.

mod history;
mod plot;

pub(crate) use history::History;
pub(crate) use plot::plot;
use serde::{Deserialize, Serialize};

/// One line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    /// The name of the measurement.
    pub(crate) name: String,
    /// The median of the host's runs, in `unit`.
    pub(crate) value: f64,
    pub(crate) unit: String,
    /// The name of the baseline, and the median of its runs.
    pub(crate) baseline: String,
    pub(crate) baseline_value: f64,
    /// The median of the ratios of the pairs.
    pub(crate) ratio: f64,
    /// The distance from the first to the third quartile of the ratios, divided by their median.
    pub(crate) noise: f64,
    /// The number of pairs.
    pub(crate) runs: usize,
    pub(crate) goal: Goal,
}

/// The goal of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Goal {
    /// The minimum of the value, and of the ratio.
    AtLeast(Option<f64>, Option<f64>),
    /// The maximum of the value, and of the ratio.
    AtMost(Option<f64>, Option<f64>),
    /// The row has no goal.
    None,
}

impl Row {
    /// Returns the row of these pairs: the host's value and the baseline's in the same round.
    pub(crate) fn of(name: &str, unit: &str, baseline: &str, pairs: &[(f64, f64)], goal: Goal) -> Self {
        let mut ratios: Vec<_> = pairs.iter().map(|(value, baseline)| value / baseline).collect();
        let ratio = median(&mut ratios);
        Self {
            name: name.to_owned(),
            value: median(&mut pairs.iter().map(|pair| pair.0).collect::<Vec<_>>()),
            unit: unit.to_owned(),
            baseline: baseline.to_owned(),
            baseline_value: median(&mut pairs.iter().map(|pair| pair.1).collect::<Vec<_>>()),
            ratio,
            noise: (at(&ratios, 3, 4) - at(&ratios, 1, 4)) / ratio,
            runs: pairs.len(),
            goal,
        }
    }

    /// Returns whether the row reaches its goal. None: it has none.
    pub(crate) fn reached(&self) -> Option<bool> {
        match self.goal {
            Goal::AtLeast(value, ratio) => Some(
                value.is_none_or(|least| self.value >= least)
                    && ratio.is_none_or(|least| self.ratio >= least),
            ),
            Goal::AtMost(value, ratio) => Some(
                value.is_none_or(|most| self.value <= most) && ratio.is_none_or(|most| self.ratio <= most),
            ),
            Goal::None => None,
        }
    }

    pub(crate) fn heading() -> String {
        line(["row", "host", "baseline", "", "ratio", "± %", "goal", ""])
    }

    pub(crate) fn line(&self) -> String {
        let goal = match self.goal {
            Goal::AtLeast(value, ratio) => goal_text("≥", value, ratio),
            Goal::AtMost(value, ratio) => goal_text("≤", value, ratio),
            Goal::None => String::new(),
        };
        let reached = match self.reached() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        line([
            &self.name,
            &format!("{} {}", number(self.value), self.unit),
            &number(self.baseline_value),
            &self.baseline,
            &format!("{:.2}", self.ratio),
            // One pair shows no noise.
            &if self.runs > 1 { format!("{:.0}", self.noise * 50.0) } else { String::new() },
            &goal,
            reached,
        ])
    }
}

fn goal_text(sign: &str, value: Option<f64>, ratio: Option<f64>) -> String {
    let value = value.map(|value| format!("{sign} {}", number(value)));
    let ratio = ratio.map(|ratio| format!("ratio {sign} {ratio}"));
    value.into_iter().chain(ratio).collect::<Vec<_>>().join(", ")
}

fn line([name, value, baseline, of, ratio, noise, goal, reached]: [&str; 8]) -> String {
    format!(
        "| {name:47} | {value:>16} | {baseline:>7} {of:28} | {ratio:>5} | {noise:>3} | {goal:20} | {reached:3} |"
    )
}

fn number(number: f64) -> String {
    match number.abs() {
        1e6.. => format!("{:.2} M", number / 1e6),
        1e4.. => format!("{:.0} k", number / 1e3),
        100.0.. => format!("{number:.0}"),
        _ => format!("{number:.2}"),
    }
}

/// Sorts the values, and returns the median.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    at(values, 1, 2)
}

/// Returns the quantile `part / of` of sorted values.
pub(crate) fn at(sorted: &[f64], part: usize, of: usize) -> f64 {
    let index = (sorted.len().saturating_sub(1) * part + of / 2) / of;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails should say where")]
mod tests {
    use super::*;

    #[test]
    fn median_and_quartiles() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        let sorted = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!([at(&sorted, 1, 4), at(&sorted, 3, 4)], [2.0, 4.0]);
        assert!(at(&[], 1, 2).is_nan());
    }

    #[test]
    fn a_row_has_the_medians_of_its_pairs_and_shows_whether_its_goal_is_reached() {
        let row = |goal| Row::of("row", "ms", "baseline", &[(8.0, 10.0), (9.0, 10.0), (30.0, 10.0)], goal);
        assert_eq!((row(Goal::None).value, row(Goal::None).ratio), (9.0, 0.9));
        for (goal, reached) in [
            (Goal::None, None),
            (Goal::AtLeast(None, Some(0.9)), Some(true)),
            (Goal::AtLeast(Some(9.1), Some(0.9)), Some(false)),
            (Goal::AtMost(Some(9.0), None), Some(true)),
            (Goal::AtMost(Some(9.0), Some(0.8)), Some(false)),
        ] {
            assert_eq!(row(goal).reached(), reached);
        }
    }

    #[test]
    fn a_written_row_is_read_unchanged() {
        let row = Row::of("row", "ms", "baseline", &[(1.0, 2.0)], Goal::AtMost(None, Some(0.5)));
        let written = serde_json::to_string(&row).unwrap();
        let read: Row = serde_json::from_str(&written).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), written);
        assert_eq!(read.reached(), Some(true));
    }
}
