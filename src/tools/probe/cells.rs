//! How a probed value is printed: with the digits that mean something.

use crate::field::settings::Encoding;
use crate::tools::rank::{Candidate, encoding_word, order_word, rank};

pub(super) fn cells_of(candidate: &Candidate) -> [String; 6] {
    let Candidate { encoding, order, scale, value, expected, score } = candidate;
    let order = if encoding.width() > 1 || order_word(*order) != "abcd" { order_word(*order) } else { "" };
    let value = value.map_or_else(
        || "不是数 no number".to_owned(),
        |v| if *encoding == Encoding::F32 { single(v) } else { plain(v) },
    );
    let score = if *score <= -1_000 { String::new() } else { score.to_string() };
    [encoding_word(*encoding), order.to_owned(), scale.to_string(), value, score, mark(*expected)]
}

fn mark(expected: bool) -> String {
    if expected { "← 符合 as expected".to_owned() } else { String::new() }
}

/// A single in its own shortest form.
#[expect(clippy::cast_possible_truncation, reason = "it was a single")]
fn single(value: f64) -> String {
    let size = value.abs();
    let single = value as f32;
    if value == 0.0 || (1e-4..1e7).contains(&size) { single.to_string() } else { format!("{single:e}") }
}

/// As many digits as a single has: what stands behind them is not measured.
fn plain(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-4..1e7).contains(&size) {
        let text = format!("{value:.6}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    if value.fract() == 0.0 && size < 1e15 { value.to_string() } else { format!("{value:.4e}") }
}

/// The likeliest float of two registers, where there is one worth a word.
pub(super) fn likely_float(words: &[u16]) -> String {
    let floats = rank(&[words.to_vec()], None).into_iter();
    let best = floats.filter(|c| encoding_word(c.encoding) == "f32" && c.score > 30).take(1).next();
    best.and_then(|c| Some(format!("{} {}", single(c.value?), order_word(c.order)))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_with_the_digits_that_mean_something() {
        assert_eq!(plain(f64::from(123.456_f32)), "123.456001");
        assert_eq!((plain(0.0), plain(250.0), plain(4_000_000_001.0)), ("0".into(), "250".into(), "4000000001".into()));
        assert_eq!(plain(-1.9e25), "-1.9000e25");
    }
}
