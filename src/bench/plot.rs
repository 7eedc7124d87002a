//! Owns the drawing of a result: how late what share was, and how that went from second to second.
//! It must not smooth: where there are too many seconds to draw, the worst of each stretch is drawn.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::measured::Measured;
use super::options::Options;
use super::tally::SecondLine;

/// Width and height.
const SIZE: (u32, u32) = (1_100, 440);
/// Points of one line.
const POINTS_MAX: usize = 600;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The drawing as SVG.
pub(super) fn draw(options: &Options, found: &Measured) -> Result<String, String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        let fail = |why: &dyn std::fmt::Display| why.to_string();
        root.fill(&WHITE).map_err(|why| fail(&why))?;
        let title = title(options, found);
        let below = root.titled(&title, ("sans-serif", 18)).map_err(|why| fail(&why))?;
        let halves = below.split_evenly((1, 2));
        shares(&halves[0], found).map_err(|why| fail(&why))?;
        seconds(&halves[1], found).map_err(|why| fail(&why))?;
        root.present().map_err(|why| fail(&why))?;
    }
    Ok(text)
}

fn title(options: &Options, found: &Measured) -> String {
    let counts = &found.counts;
    format!(
        "{} jobs, {}, {} s: {} due, {} missed, {} doubled, {} early",
        options.jobs,
        options.schedule.text(),
        options.seconds,
        counts.due,
        counts.missed(),
        counts.doubled,
        counts.early
    )
}

/// Left: the share of arrivals that was no later than so many milliseconds.
fn shares(area: &Area<'_>, found: &Measured) -> Result<(), Box<dyn std::error::Error>> {
    let least = found.shares.first().map_or(0.1, |(us, _)| ms(*us)).max(0.001);
    let most = ms(found.drift.max).max(least * 1.1);
    let mut chart = ChartBuilder::on(area)
        .caption("drift at the receiver", ("sans-serif", 15))
        .margin(12)
        .margin_right(36)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d((least..most).log_scale(), 0.0..100.0)?;
    chart
        .configure_mesh()
        .x_desc("ms after the second (logarithmic)")
        .y_desc("% arrived")
        .x_label_formatter(&|ms| number(*ms))
        .draw()?;
    let line = found.shares.iter().map(|(us, share)| (ms(*us).max(least), share * 100.0));
    chart.draw_series(LineSeries::new(line, BLUE.stroke_width(2)))?;
    Ok(())
}

/// Right: median, p99 and the last arrival of each second.
fn seconds(area: &Area<'_>, found: &Measured) -> Result<(), Box<dyn std::error::Error>> {
    let stretch = found.seconds.len().div_ceil(POINTS_MAX).max(1);
    let worst = |of: fn(&SecondLine) -> i32| -> Vec<(f64, f64)> {
        let stretches = found.seconds.chunks(stretch);
        let points = stretches.filter_map(|lines| {
            let since = f64::from(lines.first()?.instant - found.window.0);
            lines.iter().filter(|line| line.arrived > 0).map(of).max().map(|us| (since, f64::from(us) / 1_000.0))
        });
        points.collect()
    };
    let lines = [
        ("last", worst(|line| line.last_us), RED),
        ("p99", worst(|line| line.p99_us), RGBColor(230, 140, 0)),
        ("p50", worst(|line| line.p50_us), BLUE),
    ];
    let highest = lines[0].1.iter().map(|(_, ms)| *ms).fold(0.001, f64::max);
    let end = f64::from(found.window.1 - found.window.0);
    let mut chart = ChartBuilder::on(area)
        .caption("from second to second: p50 blue, p99 orange, last red", ("sans-serif", 15))
        .margin(12)
        .margin_right(36)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..end, 0.0..highest * 1.1)?;
    chart.configure_mesh().x_desc("s of the window").y_desc("ms after the second").draw()?;
    for (_, points, colour) in &lines {
        chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 2, colour.filled())))?;
    }
    Ok(())
}

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

/// Few digits, whatever the size.
fn number(value: f64) -> String {
    if value >= 10.0 {
        format!("{value:.0}")
    } else if value >= 0.1 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}
