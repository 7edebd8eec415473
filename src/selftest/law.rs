//! What a probe is told to do, and the quantiles that follow.

use statrs::distribution::{ContinuousCDF as _, Normal};

use slatest_core::model::{Nanos, Percent, Span};

/// The law of a probe's answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Law {
    /// Always the same time.
    Constant(Nanos),
    /// Every time between the two equally likely.
    Uniform(Nanos, Nanos),
    /// A median, and the standard deviation of the logarithm.
    LogNormal {
        /// Half of the answers take less.
        median: Nanos,
        /// Spread.
        sigma: f64,
    },
    /// Usually the one, at a share the other.
    Bimodal {
        /// The usual time.
        usual: Nanos,
        /// The slow one.
        slow: Nanos,
        /// Share of the slow ones.
        share: f64,
    },
    /// All answers frozen for a length in every period.
    Freeze {
        /// How long.
        length: Nanos,
        /// How often.
        period: Nanos,
    },
}

impl Law {
    /// The time that a share `p`, in [0, 1], of the answers does not exceed, when they come at instants
    /// spread evenly. In closed form:
    /// - log-normal: median · exp(σ · Φ⁻¹(p));
    /// - freeze of L in every T: an arrival at a time x before its end waits for x, so a share
    ///   (L − t) / T waits for longer than t, and the quantile is L − (1 − p) · T, or nothing.
    pub fn quantile(&self, p: f64) -> Nanos {
        let p = p.clamp(0.0, 1.0);
        match *self {
            Self::Constant(time) => time,
            Self::Uniform(from, to) => from + Nanos::from_secs_f64((to - from).as_secs_f64() * p),
            Self::LogNormal { median, sigma } => {
                Nanos::from_secs_f64(median.as_secs_f64() * (sigma * Normal::standard().inverse_cdf(p)).exp())
            }
            Self::Bimodal { usual, slow, share } => {
                if p <= 1.0 - share {
                    usual
                } else {
                    slow
                }
            }
            Self::Freeze { length, period } => {
                Nanos::from_secs_f64((1.0 - p).mul_add(-period.as_secs_f64(), length.as_secs_f64()))
            }
        }
    }

    /// The sandbox's flag and its value that make a probe so.
    pub fn flag(&self) -> (&'static str, String) {
        match *self {
            Self::Constant(time) => ("--latency", format!("constant:{}", Span(time))),
            Self::Uniform(from, to) => ("--latency", format!("uniform:{},{}", Span(from), Span(to))),
            Self::LogNormal { median, sigma } => ("--latency", format!("lognormal:{},{sigma}", Span(median))),
            Self::Bimodal { usual, slow, share } => {
                ("--latency", format!("bimodal:{},{},{}", Span(usual), Span(slow), Percent(share)))
            }
            Self::Freeze { length, period } => ("--stall", format!("{}/{}", Span(length), Span(period))),
        }
    }

    /// In words.
    pub fn message(&self) -> String {
        match *self {
            Self::Constant(time) => format!("constant {}", Span(time)),
            Self::Uniform(from, to) => format!("uniform {} to {}", Span(from), Span(to)),
            Self::LogNormal { median, sigma } => format!("log-normal {}, σ {sigma}", Span(median)),
            Self::Bimodal { usual, slow, share } => {
                format!("bimodal {}, {} at {}", Span(usual), Span(slow), Percent(share))
            }
            Self::Freeze { length, period } => format!("frozen {} in every {}", Span(length), Span(period)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Nanos {
        Nanos::from_millis(millis)
    }

    fn at(law: Law, quantiles: &[f64]) -> Vec<f64> {
        quantiles.iter().map(|&q| (law.quantile(q).as_millis_f64() * 1e3).round() / 1e3).collect()
    }

    #[test]
    fn a_freeze_of_1_s_in_5_gives_the_percentiles_of_the_literature() {
        let law = Law::Freeze { length: ms(1_000), period: ms(5_000) };
        assert_eq!(at(law, &[0.5, 0.8, 0.9, 0.95, 0.99]), [0.0, 0.0, 500.0, 750.0, 950.0]);
    }

    #[test]
    fn a_freeze_of_2_s_in_100_keeps_its_law_at_a_quarter_of_the_scale() {
        let whole = Law::Freeze { length: ms(2_000), period: ms(100_000) };
        let quarter = Law::Freeze { length: ms(500), period: ms(25_000) };
        assert_eq!(at(whole, &[0.98, 0.99, 0.995]), [0.0, 1_000.0, 1_500.0]);
        assert_eq!(at(quarter, &[0.98, 0.99, 0.995]), [0.0, 250.0, 375.0]);
    }

    #[test]
    fn log_normal_quantiles_are_those_of_the_tables() {
        let law = Law::LogNormal { median: ms(20), sigma: 0.5 };
        // exp(0.5 × 1.2815516), exp(0.5 × 2.3263479).
        assert_eq!(at(law, &[0.5, 0.9, 0.99]), [20.0, 37.959, 64.001]);
    }

    #[test]
    fn the_other_laws_are_read_off() {
        assert_eq!(at(Law::Uniform(ms(5), ms(55)), &[0.0, 0.5, 0.99, 1.0]), [5.0, 30.0, 54.5, 55.0]);
        let bimodal = Law::Bimodal { usual: ms(10), slow: ms(80), share: 0.05 };
        assert_eq!(at(bimodal, &[0.5, 0.9, 0.96, 0.99]), [10.0, 10.0, 80.0, 80.0]);
        assert_eq!(at(Law::Constant(ms(20)), &[0.01, 0.99]), [20.0, 20.0]);
    }

    #[test]
    fn flags_are_written_as_the_sandbox_reads_them() {
        let laws = [
            Law::Constant(ms(20)),
            Law::Uniform(ms(5), ms(55)),
            Law::LogNormal { median: ms(20), sigma: 0.5 },
            Law::Bimodal { usual: ms(10), slow: ms(80), share: 0.05 },
            Law::Freeze { length: ms(500), period: ms(25_000) },
        ];
        let flags: Vec<String> = laws.iter().map(|law| format!("{} {}", law.flag().0, law.flag().1)).collect();
        assert_eq!(
            flags,
            [
                "--latency constant:20ms",
                "--latency uniform:5ms,55ms",
                "--latency lognormal:20ms,0.5",
                "--latency bimodal:10ms,80ms,5%",
                "--stall 500ms/25s",
            ]
        );
    }
}
