//! Medians and percentiles.

/// The middle one; of an even number, what is halfway between the two in the middle.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
    (at(figures.len().saturating_sub(1) / 2) + at(figures.len() / 2)) / 2.0
}

/// Between which the middle half of the figures lies, itself included.
pub fn middle_half(mut figures: Vec<f64>) -> (f64, f64) {
    figures.sort_by(f64::total_cmp);
    let last = figures.len().saturating_sub(1);
    let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
    (at(last / 4), at(last - last / 4))
}

/// The figure below which `share` of the sorted figures lie.
pub fn percentile(sorted: &[u32], share: f64) -> f64 {
    let at = (count(sorted.len()) * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().map_or(f64::NAN, f64::from)
}

/// A number of things, for a division.
pub fn count(things: usize) -> f64 {
    u32::try_from(things).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_found() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(Vec::new()).is_nan());
        assert_eq!(middle_half(vec![5.0, 1.0, 4.0, 2.0, 3.0]), (2.0, 4.0));
        assert_eq!(middle_half(vec![7.0]), (7.0, 7.0));
        assert!(middle_half(Vec::new()).0.is_nan());
        let sorted: Vec<u32> = (0..100).collect();
        assert!((percentile(&sorted, 0.5) - 50.0).abs() < f64::EPSILON);
        assert!((percentile(&sorted, 0.99) - 99.0).abs() < f64::EPSILON);
        assert!(percentile(&[], 0.5).is_nan());
    }
}
