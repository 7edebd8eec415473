//! What is known of a series of values.

/// The mean; 0 of nothing.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The variance of one value, with n − 1.
pub(super) fn variance(values: &[f64]) -> f64 {
    squares(values) / (values.len().max(2) - 1) as f64
}

/// Correlation of each value with the next, as it is usually estimated: too low in short series. `None` where all values are
/// the same.
pub(super) fn lag_one(values: &[f64]) -> Option<f64> {
    let (centre, squares) = (mean(values), squares(values));
    let products: f64 = values.windows(2).map(|pair| (pair[0] - centre) * (pair[1] - centre)).sum();
    (squares > 0.0).then(|| products / squares)
}

/// The median; NaN of nothing.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

fn squares(values: &[f64]) -> f64 {
    let centre = mean(values);
    values.iter().map(|value| (value - centre).powi(2)).sum()
}
