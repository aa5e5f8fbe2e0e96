//! Curves as a picture that any browser shows.

use std::fmt::Write as _;

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 180.0;
const MARGIN: f64 = 50.0;

/// Points of a panel that are labelled, at most.
const LABELS: usize = 9;

/// What the panels have from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Things that are stored, on a logarithmic axis.
    Stored,
    Minutes,
}

/// One curve.
#[derive(Debug)]
pub struct Panel {
    title: String,
    points: Vec<(f64, f64)>,
}

impl Panel {
    pub fn new(title: impl Into<String>, points: impl Iterator<Item = (f64, f64)>) -> Self {
        Self { title: title.into(), points: points.collect() }
    }
}

impl Axis {
    fn place(self, x: f64) -> f64 {
        match self {
            Self::Stored => x.max(1.0).log10(),
            Self::Minutes => x,
        }
    }

    fn label(self, x: f64) -> String {
        match self {
            Self::Stored if x < 1e3 => format!("{x:.0}"),
            // Near stages do not run into each other.
            Self::Stored if x < 1e6 => format!("{:.0} k", x / 1e3),
            Self::Stored => format!("{:.0} M", x / 1e6),
            Self::Minutes => format!("{x:.0}"),
        }
    }
}

/// The panels in rows of `columns`.
pub fn plot(axis: Axis, columns: u8, panels: &[Panel]) -> String {
    let (across, down) = (WIDTH + 2.0 * MARGIN, HEIGHT + 2.0 * MARGIN);
    let rows = u8::try_from(panels.len().div_ceil(usize::from(columns.max(1)))).unwrap_or(u8::MAX);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        across * f64::from(columns),
        down * f64::from(rows)
    );
    for (at, panel) in (0_u8..).zip(panels) {
        let (column, row) = (at % columns.max(1), at / columns.max(1));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "<g transform=\"translate({} {})\">", f64::from(column) * across + MARGIN, f64::from(row) * down + MARGIN);
        draw(&mut text, axis, panel);
        text.push_str("</g>\n");
    }
    text.push_str("</svg>\n");
    text
}

fn draw(text: &mut String, axis: Axis, Panel { title, points }: &Panel) {
    let most = points.iter().map(|(_, y)| *y).fold(f64::MIN_POSITIVE, f64::max) * 1.1;
    let first = points.iter().map(|(x, _)| axis.place(*x)).fold(f64::INFINITY, f64::min);
    let span = (points.iter().map(|(x, _)| axis.place(*x)).fold(0.0, f64::max) - first).max(f64::MIN_POSITIVE);
    let place = |(x, y): (f64, f64)| ((axis.place(x) - first) / span * WIDTH, HEIGHT - y / most * HEIGHT);
    let _ = writeln!(text, "<text x=\"0\" y=\"-12\" font-weight=\"bold\">{title}</text>");
    let _ = writeln!(text, "<path d=\"M0 0V{HEIGHT}H{WIDTH}\" fill=\"none\" stroke=\"#888\"/>");
    let line: Vec<String> = points.iter().copied().map(place).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(text, "<polyline points=\"{}\" fill=\"none\" stroke=\"#1f6f8b\" stroke-width=\"2\"/>", line.join(" "));
    for point in points.iter().step_by(points.len().div_ceil(LABELS).max(1)) {
        let (x, y) = place(*point);
        let label = if most < 10.0 { format!("{:.2}", point.1) } else { format!("{:.0}", point.1) };
        let _ = writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#1f6f8b\"/>");
        let _ = writeln!(text, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>", y - 8.0);
        let _ = writeln!(text, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>", HEIGHT + 16.0, axis.label(point.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_drawn_in_every_panel() {
        let stages = [(200.0, 0.97), (70_000.0, 0.5), (1e6, 0.25), (1e7, 0.0)];
        let panels: Vec<Panel> = (0..5).map(|_| Panel::new("share", stages.into_iter())).collect();
        let text = plot(Axis::Stored, 2, &panels);
        assert_eq!(text.matches("<circle").count(), 20);
        assert_eq!(text.matches("<g ").count(), text.matches("</g>").count());
        assert!(text.contains("viewBox=\"0 0 920 840\""));
        assert!(text.contains(">200<") && text.contains(">70 k<") && text.contains(">10 M<") && text.contains(">0.97<"));
        assert!(!text.contains("NaN") && !text.contains("inf"));
    }

    #[test]
    fn a_long_run_has_a_line_of_all_points_and_few_labels() {
        let text = plot(Axis::Minutes, 1, &[Panel::new("memory", (0_u32..60).map(|at| (f64::from(at), 40.0)))]);
        assert!(text.matches("<circle").count() <= LABELS);
        let line = text.lines().find(|line| line.starts_with("<polyline")).expect("a line");
        assert_eq!(line.matches(',').count(), 60);
    }
}
