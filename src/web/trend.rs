//! Draws the recorded past of a point as SVG, and says in words what the picture holds. Pure.
//!
//! What is drawn is what is known: a value stands (a step) until the next sample, because records are made by
//! exception, but no longer than [`Trend::hold`], and never over a hole, a reading without value, or a clock that went
//! back. Where nothing is known the ground is hatched, so that "no data" can not be taken for zero; a reading that has
//! a value and a bad quality is drawn, with a bar below it.

use std::fmt::Write as _;

use plotters::coord::combinators::BindKeyPoints;
use plotters::prelude::*;

use super::format::{self, Zone};
use super::html::Writer;
use super::lang::{Lang, Text};
use super::park::{Trend, TrendError};
use crate::domain::reading::Quality;
use crate::domain::registry::PointSpec;

/// Size of the picture in its own units; the page scales it to its width.
const SIZE: (u32, u32) = (1200, 300);
/// Columns into which a run is thinned: more than the picture has pixels are not seen.
const COLUMNS: i64 = 1000;
/// Spacing of labelled times: ten minutes.
const TICK_MS: i64 = 600_000;
/// Room for the value labels.
const LABEL_WIDTH: u32 = 70;
/// Height of the bar of bad quality, as a share of the value axis.
const BAD_BAR: f64 = 0.025;

/// A span of wall time in milliseconds, from before to.
type Span = (i64, i64);

/// What is known of a trend.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Unbroken runs of (time in ms, value); within a run a value stands until the next time.
    pub runs: Vec<Vec<(i64, f64)>>,
    /// Spans in which the value has a quality that is not good.
    pub bad: Vec<Span>,
    /// Spans of which nothing is known; with the runs they fill the whole span.
    pub unknown: Vec<Span>,
}

impl Known {
    /// Reads a trend.
    pub fn of(trend: &Trend) -> Self {
        let mut known = Self::default();
        for (span, value, quality) in standing(trend) {
            known.extend(span, value, quality);
        }
        known.unknown = known.complement(trend.from.0, trend.to.0);
        known
    }

    /// Returns the share of the span in which a value is known, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a share is shown in whole percent")]
    pub fn covered(&self, trend: &Trend) -> f64 {
        let whole = (trend.to.0 - trend.from.0).max(1);
        let unknown: i64 = self.unknown.iter().map(|(a, b)| b - a).sum();
        1.0 - unknown as f64 / whole as f64
    }

    /// Returns the lowest and highest value.
    pub fn extent(&self) -> Option<(f64, f64)> {
        let values = self.runs.iter().flatten().map(|(_, v)| *v);
        values.fold(None, |extent, v| {
            let (low, high) = extent.unwrap_or((v, v));
            Some((v.min(low), v.max(high)))
        })
    }

    fn extend(&mut self, (from, to): Span, value: f64, quality: Quality) {
        match self.runs.last_mut().filter(|run| run.last().is_some_and(|(end, _)| *end == from)) {
            Some(run) => run.extend([(from, value), (to, value)]),
            None => self.runs.push(vec![(from, value), (to, value)]),
        }
        if quality != Quality::Good {
            match self.bad.last_mut().filter(|bad| bad.1 == from) {
                Some(bad) => bad.1 = to,
                None => self.bad.push((from, to)),
            }
        }
    }

    fn complement(&self, from: i64, to: i64) -> Vec<Span> {
        let mut at = from;
        let mut unknown = Vec::new();
        for run in &self.runs {
            if let (Some((start, _)), Some((end, _))) = (run.first(), run.last()) {
                if *start > at {
                    unknown.push((at, *start));
                }
                at = *end;
            }
        }
        if at < to {
            unknown.push((at, to));
        }
        unknown
    }
}

/// The spans in which a value stands, ascending and disjoint.
fn standing(trend: &Trend) -> Vec<(Span, f64, Quality)> {
    let hold = i64::try_from(trend.hold.as_millis()).unwrap_or(i64::MAX);
    let mut spans: Vec<(Span, f64, Quality)> = Vec::new();
    let mut done = trend.from.0;
    for (i, sample) in trend.samples.iter().enumerate() {
        let next = trend.samples.get(i + 1).map(|next| next.at.0);
        // A clock that was set back: what follows may not be joined to what was.
        let end = next.filter(|next| *next > sample.at.0).unwrap_or(trend.to.0);
        let end = end.min(sample.at.0.saturating_add(hold)).min(trend.to.0);
        let start = sample.at.0.max(done);
        let Some(value) = sample.reading.as_f64().filter(|v| v.is_finite()) else {
            continue;
        };
        if let Some(span) = without_holes((start, end), &trend.holes) {
            spans.push((span, value, sample.reading.quality));
            done = span.1;
        }
    }
    spans
}

/// Returns what of `span` lies in no hole. After a hole nothing is known until the next sample: only the part before
/// the first hole counts.
fn without_holes(
    (start, end): Span,
    holes: &[(crate::domain::time::Timestamp, crate::domain::time::Timestamp)],
) -> Option<Span> {
    let touching = holes.iter().filter(|(from, to)| from.0 < end && to.0 > start).map(|(from, _)| from.0);
    let end = touching.min().map_or(end, |hole| hole.min(end));
    (start < end).then_some((start, end))
}

/// Thins a run to at most four vertices a column (first, lowest, highest, last), so that no peak is lost.
fn thinned(run: &[(i64, f64)], span: Span) -> Vec<(i64, f64)> {
    let column = ((span.1 - span.0) / COLUMNS).max(1);
    let mut thin: Vec<(i64, f64)> = Vec::new();
    for group in run.chunk_by(|a, b| a.0 / column == b.0 / column) {
        let by_value = |a: &&(i64, f64), b: &&(i64, f64)| a.1.total_cmp(&b.1);
        let mut kept: Vec<(i64, f64)> =
            [group.first(), group.iter().min_by(by_value), group.iter().max_by(by_value), group.last()]
                .into_iter()
                .flatten()
                .copied()
                .collect();
        if group.len() <= 4 {
            kept = group.to_vec();
        }
        thin.extend(kept);
    }
    thin
}

/// Returns the picture and its account as markup; an error or an empty span is said in words.
pub fn html(trend: &Result<Trend, TrendError>, spec: &PointSpec, zone: &Zone, lang: Lang) -> String {
    let mut w = Writer::default();
    let trend = match trend {
        Ok(trend) => trend,
        Err(error) => {
            w.raw("<p><span class=\"bad\">■ ").text(Text::TrendFailed.of(lang)).text(": ").text(&error.to_string());
            w.raw("</span></p>");
            return w.finish();
        }
    };
    let known = Known::of(trend);
    if known.runs.is_empty() {
        w.raw("<p><span class=\"none\">◇ ").text(Text::TrendNone.of(lang)).raw("</span></p>");
    }
    match svg(trend, &known, spec, zone) {
        Ok(svg) => w.raw(&svg),
        Err(error) => w.raw("<p>").text(&error).raw("</p>"),
    };
    account(&mut w, trend, &known, spec, lang);
    w.finish()
}

fn account(w: &mut Writer, trend: &Trend, known: &Known, spec: &PointSpec, lang: Lang) {
    let shown =
        |v: f64| format::decimals(spec).map_or_else(|| format::number(v), |d| format!("{v:.*}", usize::from(d)));
    let (low, high) = known.extent().map_or_else(|| ("—".to_owned(), "—".to_owned()), |(a, b)| (shown(a), shown(b)));
    let facts = [
        (Text::Lowest, low),
        (Text::Highest, high),
        (Text::Samples, format::count(u64::try_from(trend.samples.len()).unwrap_or(u64::MAX))),
        (Text::Covered, format!("{:.0} %", (known.covered(trend) * 100.0).floor())),
        (Text::Holes, known.unknown.len().to_string()),
    ];
    w.raw("<p>");
    for (name, fact) in facts {
        w.raw("<span>").text(name.of(lang)).raw(" <b>").text(&fact).raw("</b></span>");
    }
    for legend in [Text::LegendNoData, Text::LegendBad, Text::LegendRange] {
        w.raw("<span>").text(legend.of(lang)).raw("</span>");
    }
    w.raw("</p>");
}

/// The value axis: what was measured with a margin, not so narrow that noise looks like a swing.
fn axis(known: &Known, spec: &PointSpec) -> (f64, f64) {
    let range = spec.range.unwrap_or((0.0, 1.0));
    let Some((low, high)) = known.extent() else {
        return range;
    };
    let narrowest = ((range.1 - range.0) * 0.02).max(low.abs().max(high.abs()) * 1e-3).max(1e-9);
    let missing = ((narrowest - (high - low)) / 2.0).max(0.0);
    let margin = (high - low + 2.0 * missing) * 0.08;
    (low - missing - margin * 1.5, high + missing + margin)
}

fn svg(trend: &Trend, known: &Known, spec: &PointSpec, zone: &Zone) -> Result<String, String> {
    let mut out = String::new();
    draw(&mut out, trend, known, spec, zone).map_err(|error| error.to_string())?;
    // A number by which the ground of "no data" is filled: a pattern, which plotters can not give.
    let pattern = "<defs><pattern id=\"nodata\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\" \
                   patternTransform=\"rotate(45)\"><rect width=\"8\" height=\"8\" fill=\"#D9DADC\"/>\
                   <rect width=\"2\" height=\"8\" fill=\"#8A9096\"/></pattern></defs>";
    let begins = out.find('>').map_or(0, |at| at + 1);
    out.insert_str(begins, pattern);
    Ok(out.replace(&format!("fill=\"{}\"", hex(HATCH)), "fill=\"url(#nodata)\""))
}

/// Stands for the pattern while plotters draws; no other element has it.
const HATCH: RGBColor = RGBColor(1, 2, 3);
const INK: RGBColor = RGBColor(22, 25, 28);
const GRID: RGBColor = RGBColor(190, 194, 198);
const LINE: RGBColor = RGBColor(18, 63, 115);
const BAD: RGBColor = RGBColor(176, 0, 22);

fn hex(RGBColor(r, g, b): RGBColor) -> String {
    let mut text = String::new();
    // Writing to a String can not fail.
    let _ok = write!(text, "#{r:02X}{g:02X}{b:02X}");
    text
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(out: &mut String, trend: &Trend, known: &Known, spec: &PointSpec, zone: &Zone) -> Drawn {
    let (from, to) = (trend.from.0, trend.to.0.max(trend.from.0 + 1));
    let (low, high) = axis(known, spec);
    let root = SVGBackend::with_string(out, SIZE).into_drawing_area();
    let ticks: Vec<i64> = (from / TICK_MS + 1..=to / TICK_MS).map(|n| n * TICK_MS).collect();
    let mut chart = ChartBuilder::on(&root)
        .margin_top(8)
        .margin_right(16)
        .x_label_area_size(28)
        .y_label_area_size(LABEL_WIDTH)
        .build_cartesian_2d((from..to).with_key_points(ticks), low..high)?;
    let rect =
        |(a, b): Span, bottom: f64, top: f64, color: RGBColor| Rectangle::new([(a, bottom), (b, top)], color.filled());
    chart.draw_series(known.unknown.iter().map(|span| rect(*span, low, high, HATCH)))?;
    let digits = decimals_for(high - low);
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .y_labels(6)
        .label_style(("sans-serif", 16).into_font().color(&INK))
        .x_label_formatter(&|ms| zone.minute(crate::domain::time::Timestamp(*ms)))
        .y_label_formatter(&|v| format!("{v:.digits$}"))
        .draw()?;
    for limit in spec.range.into_iter().flat_map(|(a, b)| [a, b]).filter(|v| (low..=high).contains(v)) {
        chart.draw_series(DashedLineSeries::new([(from, limit), (to, limit)], 8, 6, INK.stroke_width(1)))?;
    }
    for run in &known.runs {
        chart.draw_series(LineSeries::new(thinned(run, (from, to)), LINE.stroke_width(2)))?;
    }
    let top = low + (high - low) * BAD_BAR;
    chart.draw_series(known.bad.iter().map(|span| rect(*span, low, top, BAD)))?;
    root.present()?;
    Ok(())
}

/// Decimals that tell six labels of this extent apart.
fn decimals_for(extent: f64) -> usize {
    let step = (extent / 6.0).max(1e-9);
    (0..9).find(|digits| step >= 0.5_f64 * 10_f64.powi(-digits)).and_then(|d| usize::try_from(d).ok()).unwrap_or(9)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::reading::{Reading, Value};
    use crate::domain::time::Timestamp;
    use crate::web::TrendSample;
    use crate::web::view::tests::point_spec;

    const MINUTE: i64 = 60_000;

    fn at(minute: i64, value: f64) -> TrendSample {
        TrendSample { at: Timestamp(minute * MINUTE), reading: Reading::good(Value::Number(value)) }
    }

    fn missing(minute: i64) -> TrendSample {
        TrendSample { at: Timestamp(minute * MINUTE), reading: Reading::missing(Quality::Comm) }
    }

    fn hour(samples: Vec<TrendSample>) -> Trend {
        let tag = crate::domain::id::Tag::new("TT101");
        let hold = Duration::from_secs(120);
        Trend { tag, from: Timestamp(0), to: Timestamp(60 * MINUTE), samples, holes: Vec::new(), hold }
    }

    fn minutes(spans: &[Span]) -> Vec<Span> {
        spans.iter().map(|(a, b)| (a / MINUTE, b / MINUTE)).collect()
    }

    #[test]
    fn a_value_stands_until_the_next_sample_but_not_longer_than_its_silence_allows() {
        let known = Known::of(&hour(vec![at(0, 1.0), at(1, 2.0), at(30, 3.0)]));
        assert_eq!(known.runs.len(), 2);
        assert_eq!(minutes(&known.unknown), [(3, 30), (32, 60)]);
        assert_eq!(known.extent(), Some((1.0, 3.0)));
    }

    #[test]
    fn a_reading_without_value_ends_the_line_at_once() {
        let known = Known::of(&hour(vec![at(0, 1.0), missing(1), at(2, 1.0)]));
        assert_eq!(minutes(&known.unknown), [(1, 2), (4, 60)]);
    }

    #[test]
    fn a_hole_of_the_store_is_not_bridged_although_the_values_around_it_agree() {
        let mut trend = hour((0..60).map(|m| at(m, 5.0)).collect());
        trend.holes = vec![(Timestamp(10 * MINUTE + 1000), Timestamp(20 * MINUTE - 1000))];
        let known = Known::of(&trend);
        assert_eq!(known.runs.len(), 2);
        assert_eq!(known.unknown, [(10 * MINUTE + 1000, 20 * MINUTE)].to_vec());
    }

    #[test]
    fn a_clock_that_was_set_back_draws_no_line_back() {
        let known = Known::of(&hour(vec![at(10, 1.0), at(20, 2.0), at(15, 3.0), at(16, 4.0), at(30, 5.0)]));
        for run in &known.runs {
            assert!(run.is_sorted_by(|a, b| a.0 <= b.0), "{run:?}");
        }
        let ends: Vec<i64> = known.runs.iter().filter_map(|run| run.last().map(|(t, _)| *t)).collect();
        assert!(ends.is_sorted());
    }

    #[test]
    fn nothing_recorded_is_all_unknown_and_said_in_words() {
        let trend = hour(Vec::new());
        let known = Known::of(&trend);
        assert_eq!(minutes(&known.unknown), [(0, 60)]);
        assert!(known.covered(&trend) < 1e-9);
        let html = html(&Ok(trend), &point_spec("TT101"), &Zone::utc(), Lang::En);
        assert!(html.contains("nothing was recorded") && html.contains("url(#nodata)"), "{html}");
    }

    #[test]
    fn zero_is_a_line_and_not_a_hole() {
        let trend = hour((0..=60).map(|m| at(m, 0.0)).collect());
        assert!((Known::of(&trend).covered(&trend) - 1.0).abs() < 1e-9);
        let html = html(&Ok(trend), &point_spec("TT101"), &Zone::utc(), Lang::En);
        assert!(html.contains("<polyline") && !html.contains("fill=\"url(#nodata)\""), "{html}");
    }

    #[test]
    fn the_picture_needs_no_inline_style_and_shows_no_markup_from_outside() {
        let html = html(&Ok(hour(vec![at(0, 1.0), at(1, 2.0)])), &point_spec("<script>"), &Zone::utc(), Lang::Zh);
        assert!(!html.contains("style=") && !html.contains("<script"), "{html}");
        let error = Err(TrendError::Unavailable("<b>".to_owned()));
        assert!(super::html(&error, &point_spec("a"), &Zone::utc(), Lang::Zh).contains("&lt;b&gt;"));
    }

    #[test]
    fn thinning_keeps_every_peak() {
        let mut run: Vec<(i64, f64)> = (0..36_000).map(|i| (i * 100, 1.0)).collect();
        run[17_777].1 = 99.0;
        let thin = thinned(&run, (0, 3_600_000));
        assert!(thin.len() <= 4004, "{}", thin.len());
        assert!(thin.iter().any(|(_, v)| *v > 98.0));
    }

    #[test]
    fn over_range_is_drawn_and_marked() {
        let mut trend = hour(vec![at(0, 1.0), at(1, 120.0), at(2, 1.0)]);
        trend.samples[1].reading.quality = Quality::OverRange;
        assert_eq!(minutes(&Known::of(&trend).bad), [(1, 2)]);
    }
}
