//! Curves and clouds of points as inline SVG. Colours are classes of the page's style (`c0` to `c7`), so that they follow its theme.

use std::fmt::Write;

use crate::html::escape;
use crate::numbers::{Axis, number};

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 38.0;
/// Colours of the page's style.
const COLOURS: usize = 8;
/// Points of a curve; of more, the least and the greatest of each of so many stretches are drawn.
const DRAWN: usize = 600;
/// Up to so many points of a curve are marked and tell their values.
const MARKED: usize = 60;

/// A curve, or points.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    /// Not finite: a gap.
    pub points: Vec<(f64, f64)>,
    pub colour: usize,
}

/// What a chart shows.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    pub title: String,
    pub x: String,
    pub y: String,
    pub series: Vec<Series>,
    /// Powers of ten upwards, where values differ much.
    pub log: bool,
    /// Points without lines, on equal axes with their diagonal.
    pub cloud: bool,
    /// A point that stands out, and why.
    pub mark: Option<(f64, f64, String)>,
}

struct Frame {
    x: Axis,
    y: Axis,
}

impl Frame {
    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (LEFT + self.x.place(x) * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - self.y.place(y) * (HEIGHT - TOP - BOTTOM))
    }
}

impl Chart {
    /// The figure; nothing where there is no point.
    pub fn figure(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points).filter(|(x, y)| x.is_finite() && y.is_finite());
        if points().next().is_none() {
            return String::new();
        }
        let (xs, ys) = (points().map(|point| point.0), points().map(|point| point.1));
        let frame = if self.cloud {
            let both = Axis::new(xs.chain(ys), 5, false);
            Frame { x: both.clone(), y: both }
        } else {
            // Steps are counted from 0.
            Frame { x: Axis::new(xs.chain(std::iter::once(0.0)), 6, false), y: Axis::new(ys, 4, self.log) }
        };
        let mut svg = String::new();
        self.grid(&frame, &mut svg);
        for series in &self.series {
            if self.cloud { cloud(series, &frame, &mut svg) } else { curve(series, &frame, &mut svg) }
        }
        if let Some((x, y, why)) = &self.mark {
            let (x, y) = frame.at((*x, *y));
            let _ = write!(svg, "<circle class=\"mark\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"><title>{}</title></circle>", escape(why));
        }
        let title = escape(&self.title);
        format!(
            "<figure><figcaption>{title}</figcaption>{}<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">{svg}</svg></figure>\n",
            self.legend()
        )
    }

    fn grid(&self, frame: &Frame, svg: &mut String) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for (value, label) in &frame.y.ticks {
            let (_, y) = frame.at((frame.x.low, *value));
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                LEFT - 6.0,
                y + 3.5
            );
        }
        for (value, label) in &frame.x.ticks {
            let (x, _) = frame.at((*value, frame.y.low));
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
                bottom + 14.0
            );
        }
        if self.cloud {
            let _ = write!(svg, "<line class=\"diagonal\" x1=\"{LEFT}\" y1=\"{bottom}\" x2=\"{right}\" y2=\"{TOP}\"/>");
        }
        let middle = (LEFT + right) / 2.0;
        let centre = (TOP + bottom) / 2.0;
        let _ = write!(
            svg,
            "<text class=\"axis\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text><text class=\"axis\" transform=\"translate(12 {centre}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 6.0,
            escape(&self.x),
            escape(&self.y)
        );
    }

    fn legend(&self) -> String {
        if self.series.len() < 2 {
            return String::new();
        }
        let entry = |series: &Series| format!("<span class=\"c{}\">{}</span>", series.colour % COLOURS, escape(&series.name));
        format!("<div class=\"legend\">{}</div>", self.series.iter().map(entry).collect::<String>())
    }
}

fn curve(series: &Series, frame: &Frame, svg: &mut String) {
    let colour = series.colour % COLOURS;
    let points = thinned(&series.points);
    let mut path = String::new();
    let mut pen = 'M';
    for point in &points {
        if !point.0.is_finite() || !point.1.is_finite() {
            pen = 'M';
            continue;
        }
        let (x, y) = frame.at(*point);
        let _ = write!(path, "{pen}{x:.1} {y:.1}");
        pen = 'L';
    }
    let _ = write!(svg, "<path class=\"c{colour}\" d=\"{path}\"/>");
    if points.len() <= MARKED {
        for (x, y) in points.iter().filter(|(x, y)| x.is_finite() && y.is_finite()) {
            let (at_x, at_y) = frame.at((*x, *y));
            let text = escape(&format!("{}: {} at {}", series.name, number(*y), number(*x)));
            let _ = write!(svg, "<circle class=\"c{colour}\" cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"2.2\"><title>{text}</title></circle>");
        }
    }
}

fn cloud(series: &Series, frame: &Frame, svg: &mut String) {
    let _ = write!(svg, "<g class=\"c{} cloud\">", series.colour % COLOURS);
    for point in series.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite()) {
        let (x, y) = frame.at(*point);
        let _ = write!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.4\"/>");
    }
    svg.push_str("</g>");
}

/// The least and the greatest of each stretch of a long curve, in their order.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= DRAWN {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(DRAWN / 2);
    points
        .chunks(stretch)
        .flat_map(|chunk| {
            let index = |better: fn(f64, f64) -> bool| {
                let known = chunk.iter().enumerate().filter(|(_, point)| point.1.is_finite());
                known.reduce(|best, next| if better(next.1.1, best.1.1) { next } else { best }).map(|(index, _)| index)
            };
            let (low, high) = (index(|a, b| a < b), index(|a, b| a > b));
            let mut both: Vec<usize> = low.into_iter().chain(high).collect();
            both.sort_unstable();
            both.dedup();
            both.into_iter().map(|index| chunk[index]).collect::<Vec<_>>()
        })
        .collect()
}

/// A value with its interval on a scale that all rows of a table share.
pub fn whisker(value: f64, interval: Option<(f64, f64)>, axis: &Axis) -> String {
    let at = |value: f64| 4.0 + axis.place(value) * 112.0;
    let line = interval.map_or_else(String::new, |(low, high)| {
        format!("<line class=\"c0\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"8\" y2=\"8\"/>", at(low), at(high))
    });
    format!(
        "<svg class=\"whisker\" viewBox=\"0 0 120 16\" aria-hidden=\"true\"><line class=\"grid\" x1=\"4\" x2=\"116\" y1=\"8\" y2=\"8\"/>{line}<circle class=\"c0\" cx=\"{:.1}\" cy=\"8\" r=\"3\"/></svg>",
        at(value)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_curves_keep_their_extremes() {
        let points: Vec<(f64, f64)> = (0..10_000).map(|x| (f64::from(x), if x == 5_432 { 100.0 } else { f64::from(x % 7) })).collect();
        let thin = thinned(&points);
        assert!(thin.len() <= DRAWN + 2 && thin.contains(&(5432.0, 100.0)) && thin.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn what_is_not_a_number_is_a_gap_and_nothing_is_no_figure() {
        let series = |points| vec![Series { name: "a<b".into(), points, colour: 0 }];
        let chart = Chart { series: series(vec![(1.0, f64::NAN)]), ..Chart::default() };
        assert_eq!(chart.figure(), "");
        let chart = Chart { series: series(vec![(1.0, 1.0), (2.0, f64::NAN), (3.0, 2.0)]), ..Chart::default() };
        let figure = chart.figure();
        assert!(!figure.contains("NaN") && figure.contains("a&lt;b"), "{figure}");
        assert_eq!(figure.split("<path").nth(1).map(|path| path.split("\"/>").next().unwrap().matches('M').count()), Some(2));
    }
}
