//! When is a difference one? Two brokers' runs are interleaved; a difference smaller than what each varies by itself is not told.

use serde::{Deserialize, Serialize};

/// Runs of each that are needed to say anything.
pub const RUNS_MIN: usize = 3;

/// What two sets of runs say about each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Said {
    /// The second differs from the first by this ratio of medians.
    Differs,
    /// Whatever there is, is within the noise.
    WithinNoise,
    /// Too few runs to say.
    TooFew,
}

/// Medians, their ratio, and how much of it is noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Median of the second by that of the first.
    pub ratio: f64,
    /// Lowest and highest ratio that the runs allow.
    pub range: (f64, f64),
    /// By what share the runs of the noisier one vary around their median.
    pub noise: f64,
    /// What may be said.
    pub said: Said,
}

/// The middle value; the mean of the two in the middle when they are even in number. NaN for none.
pub fn median(values: &[f64]) -> f64 {
    let mut values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

/// Lowest and highest; NaN for none.
pub fn spread(values: &[f64]) -> (f64, f64) {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    (finite().fold(f64::NAN, f64::min), finite().fold(f64::NAN, f64::max))
}

/// Half of what values span, as a share of their median.
fn variation(values: &[f64]) -> f64 {
    let (lowest, highest) = spread(values);
    (highest - lowest) / 2.0 / median(values)
}

/// Compares `b` with `a`. They differ when no run of one lies among the other's, and the medians are further apart than the runs
/// of the noisier one vary around theirs.
pub fn judge(a: &[f64], b: &[f64]) -> Judged {
    let ratio = median(b) / median(a);
    let ((a_low, a_high), (b_low, b_high)) = (spread(a), spread(b));
    let noise = variation(a).max(variation(b));
    let apart = b_low > a_high || b_high < a_low;
    let said = if a.len() < RUNS_MIN || b.len() < RUNS_MIN || !ratio.is_finite() {
        Said::TooFew
    } else if apart && (ratio.max(1.0 / ratio) - 1.0) > noise {
        Said::Differs
    } else {
        Said::WithinNoise
    };
    Judged { ratio, range: (b_low / a_high, b_high / a_low), noise, said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_difference_is_told() {
        let judged = judge(&[100.0, 102.0, 98.0], &[200.0, 204.0, 198.0]);
        assert_eq!(judged.said, Said::Differs);
        assert!((judged.ratio - 2.0).abs() < 1e-9 && judged.noise < 0.03, "{judged:?}");
        assert!(judged.range.0 < 2.0 && judged.range.1 > 2.0);
    }

    #[test]
    fn a_difference_smaller_than_the_noise_is_refused() {
        assert_eq!(judge(&[100.0, 120.0, 90.0], &[105.0, 125.0, 95.0]).said, Said::WithinNoise, "they overlap");
        // Apart, but each varies by a fifth and the medians differ by less.
        assert_eq!(judge(&[75.0, 100.0, 119.0], &[119.5, 119.6, 119.7]).said, Said::WithinNoise);
    }

    #[test]
    fn equal_runs_are_equal() {
        assert_eq!(judge(&[5.0, 5.0, 5.0], &[5.0, 5.0, 5.0]).said, Said::WithinNoise);
    }

    #[test]
    fn two_runs_say_nothing() {
        assert_eq!(judge(&[1.0, 1.0], &[9.0, 9.0]).said, Said::TooFew);
        assert_eq!(judge(&[], &[]).said, Said::TooFew);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
        assert!((median(&[4.0, 1.0, 2.0, 3.0, f64::NAN]) - 2.5).abs() < 1e-12);
        assert!(median(&[]).is_nan());
    }
}
