//! The exact one-sided test of Mann and Whitney, ties included.

/// The chance that values as large as `recent` come out on top of `before` by luck, were both drawn from one law: the share
/// of all ways to choose which of the pooled values are recent that have a rank sum at least as large. Exact, ties by
/// mid-ranks. 1 where either is empty.
///
/// Source: H. B. Mann, D. R. Whitney, "On a Test of Whether one of Two Random Variables is Stochastically Larger than the
/// Other", 1947; the distribution by counting subsets of ranks.
pub fn mann_whitney_greater(before: &[f64], recent: &[f64]) -> f64 {
    let (n, k) = (before.len(), recent.len());
    if n == 0 || k == 0 {
        return 1.0;
    }
    let mut pooled: Vec<(f64, bool)> =
        before.iter().map(|v| (*v, false)).chain(recent.iter().map(|v| (*v, true))).collect();
    pooled.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Twice the mid-rank of each, which is whole.
    let mut ranks = vec![0_usize; pooled.len()];
    let mut start = 0;
    while start < pooled.len() {
        let ties = pooled[start..].iter().take_while(|(value, _)| *value == pooled[start].0).count();
        ranks[start..start + ties].fill(2 * start + ties + 1);
        start += ties;
    }
    let seen: usize = ranks.iter().zip(&pooled).filter(|(_, (_, is_recent))| *is_recent).map(|(rank, _)| rank).sum();
    let largest: usize = ranks.iter().sum();
    // ways[j][s]: in how many ways j of the values have the rank sum s.
    let mut ways = vec![vec![0.0_f64; largest + 1]; k + 1];
    ways[0][0] = 1.0;
    for &rank in &ranks {
        for chosen in (1..=k).rev() {
            for sum in (rank..=largest).rev() {
                let more = ways[chosen - 1][sum - rank];
                if more > 0.0 {
                    ways[chosen][sum] += more;
                }
            }
        }
    }
    let all: f64 = ways[k].iter().sum();
    ways[k][seen..].iter().sum::<f64>() / all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn least(n: usize, k: usize) -> f64 {
        let before: Vec<f64> = (0..n).map(|i| i as f64).collect();
        let recent: Vec<f64> = (0..k).map(|i| (n + i) as f64).collect();
        mann_whitney_greater(&before, &recent)
    }

    #[test]
    fn the_least_chance_is_one_way_of_all() {
        // 1 / C(n + k, k).
        for (n, k, p) in [(7, 3, 1.0 / 120.0), (14, 2, 1.0 / 120.0), (30, 1, 1.0 / 31.0), (30, 3, 1.0 / 5456.0)] {
            assert!((least(n, k) - p).abs() < 1e-12, "{n} {k}: {}", least(n, k));
        }
    }

    #[test]
    fn reference_values() {
        // scipy.stats.mannwhitneyu(recent, before, alternative='greater', method='exact'), SciPy 1.11.
        let p = mann_whitney_greater(&[1.0, 2.0, 4.0, 5.0, 7.0], &[3.0, 6.0, 8.0]);
        assert!((p - 11.0 / 56.0).abs() < 1e-12, "{p}");
        // With ties there is no exact value in SciPy; by hand: of {1, 2, 2, 3}, two are chosen, mid-ranks 1, 2.5, 2.5, 4. Of the six
        // sums 3.5, 3.5, 5, 5, 6.5, 6.5 two are at least 6.5.
        let p = mann_whitney_greater(&[1.0, 2.0], &[2.0, 3.0]);
        assert!((p - 2.0 / 6.0).abs() < 1e-12, "{p}");
        assert_eq!(mann_whitney_greater(&[1.0, 1.0, 1.0], &[1.0]), 1.0);
        assert_eq!(mann_whitney_greater(&[], &[1.0]), 1.0);
    }
}
