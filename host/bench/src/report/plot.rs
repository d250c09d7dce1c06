//! Draws the history: how the ratio of each row moved from run to run.

use std::path::Path;

use anyhow::anyhow;
use plotters::prelude::*;

use super::Row;
use super::history::Run;

const SIZE: (u32, u32) = (1000, 220);

/// Draws a chart for each row of the last run into an SVG file, one below the other.
///
/// # Errors
/// There is no run, or the file cannot be written.
pub(crate) fn plot(runs: &[Run], to: &Path) -> anyhow::Result<()> {
    let last = runs.last().ok_or_else(|| anyhow!("there is no run to draw"))?;
    let height = SIZE.1 * u32::try_from(last.rows.len())?;
    let area = SVGBackend::new(to, (SIZE.0, height)).into_drawing_area();
    area.fill(&WHITE)?;
    for (part, row) in area.split_evenly((last.rows.len(), 1)).iter().zip(&last.rows) {
        let of = |run: &Run| {
            let is_same = |other: &&Row| other.name == row.name && other.baseline == row.baseline;
            run.rows.iter().find(is_same).map(|row| row.ratio)
        };
        let points: Vec<_> =
            runs.iter().enumerate().filter_map(|(run, rows)| Some((run, of(rows)?))).collect();
        let most = points.iter().map(|point| point.1).fold(0.0, f64::max);
        let title = format!("{}: ratio to {}, run by run", row.name, row.baseline);
        let mut chart = ChartBuilder::on(part)
            .caption(title, ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(20)
            .y_label_area_size(60)
            .build_cartesian_2d(0..runs.len(), 0.0..most * 1.2)?;
        chart.configure_mesh().disable_x_mesh().y_labels(4).draw()?;
        chart.draw_series(LineSeries::new(points.iter().copied(), BLUE.stroke_width(2)))?;
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, BLUE.filled())))?;
    }
    area.present()?;
    Ok(())
}
