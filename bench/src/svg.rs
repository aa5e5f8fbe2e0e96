//! The curves of a growing table, as a picture that any browser shows.

use std::fmt::Write as _;

use crate::growth::Stage;

/// What a panel shows.
type Figure = fn(&Stage) -> f64;

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 180.0;
const MARGIN: f64 = 50.0;

/// A panel for each figure, the tokens on a logarithmic axis.
pub fn growth(curve: &[Stage]) -> String {
    let panels: [(&str, Figure); 5] = [
        ("encodes per second, 64 connections", |stage| stage.rate),
        ("as a share of the rate with few tokens", |stage| stage.share),
        ("p99 of an encode, microseconds", |stage| stage.p99),
        ("bytes per token, table and indexes", |stage| stage.bytes),
        ("bytes of WAL per token, with its ledger entry", |stage| stage.wal),
    ];
    let (across, down) = (WIDTH + 2.0 * MARGIN, HEIGHT + 2.0 * MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        across * 2.0,
        down * 3.0
    );
    for (at, (title, figure)) in (0_u8..).zip(panels) {
        let _ =
            writeln!(text, "<g transform=\"translate({} {})\">", f64::from(at % 2) * across + MARGIN, f64::from(at / 2) * down + MARGIN);
        panel(&mut text, title, curve, figure);
        text.push_str("</g>\n");
    }
    text.push_str("</svg>\n");
    text
}

fn panel(text: &mut String, title: &str, curve: &[Stage], figure: Figure) {
    let most = curve.iter().map(figure).fold(f64::MIN_POSITIVE, f64::max) * 1.1;
    let decades = |stage: &Stage| stage.tokens.max(1.0).log10();
    let first = curve.iter().map(decades).fold(f64::INFINITY, f64::min);
    let span = (curve.iter().map(decades).fold(0.0, f64::max) - first).max(f64::MIN_POSITIVE);
    let place = |stage: &Stage| ((decades(stage) - first) / span * WIDTH, HEIGHT - figure(stage) / most * HEIGHT);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "<text x=\"0\" y=\"-12\" font-weight=\"bold\">{title}</text>");
    let _ = writeln!(text, "<path d=\"M0 0V{HEIGHT}H{WIDTH}\" fill=\"none\" stroke=\"#888\"/>");
    let points: Vec<String> = curve.iter().map(place).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(text, "<polyline points=\"{}\" fill=\"none\" stroke=\"#1f6f8b\" stroke-width=\"2\"/>", points.join(" "));
    for stage in curve {
        let (x, y) = place(stage);
        let label = if most < 10.0 { format!("{:.2}", figure(stage)) } else { format!("{:.0}", figure(stage)) };
        let _ = writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#1f6f8b\"/>");
        let _ = writeln!(text, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>", y - 8.0);
        let _ = writeln!(text, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>", HEIGHT + 16.0, short(stage.tokens));
    }
}

/// Thousands and millions, so that near stages do not run into each other.
fn short(tokens: f64) -> String {
    if tokens < 1e6 { format!("{:.0} k", tokens / 1e3) } else { format!("{:.0} M", tokens / 1e6) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_drawn_in_every_panel() {
        let stage = |tokens| Stage { tokens, rate: 5000.0, share: 0.97, p99: 20_000.0, bytes: 180.0, wal: 900.0 };
        let text = growth(&[stage(70_000.0), stage(1e6), stage(1e7)]);
        assert_eq!(text.matches("<circle").count(), 15);
        assert_eq!(text.matches("<g ").count(), text.matches("</g>").count());
        assert!(text.contains(">70 k<") && text.contains(">10 M<") && text.contains(">0.97<") && !text.contains("NaN"));
    }
}
