//! Whether texts say different things, or all the same, or the same again and again.

use std::collections::BTreeSet;

/// Different n-grams over all n-grams of all texts (Li et al. 2016, arXiv:1510.03055); none where no text is that
/// long. It falls with the amount of text, so compare models on as many texts.
pub fn distinct_n<T: Ord>(texts: &[Vec<T>], n: usize) -> Option<f64> {
    let all = || texts.iter().flat_map(|text| text.windows(n.max(1)));
    let count = all().count();
    (count > 0).then(|| all().collect::<BTreeSet<_>>().len() as f64 / count as f64)
}

/// Share of texts that another one before them equals; 0 for no texts.
pub fn duplicate_rate<T: Ord>(texts: &[T]) -> f64 {
    let different = texts.iter().collect::<BTreeSet<_>>().len();
    (texts.len() - different) as f64 / texts.len().max(1) as f64
}

/// Share of a text's n-grams that it has had before: 0 for a text that never repeats itself or is shorter.
pub fn repetition<T: Ord>(text: &[T], n: usize) -> f64 {
    let grams: Vec<&[T]> = text.windows(n.max(1)).collect();
    duplicate_rate(&grams)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        text.split(' ').collect()
    }

    #[test]
    fn a_constant_answer_is_found_out() {
        let constant = vec![words("yes it is"); 10];
        assert_eq!(distinct_n(&constant, 1), Some(0.1));
        assert_eq!(distinct_n(&constant, 2), Some(0.1));
        assert_eq!(duplicate_rate(&constant), 0.9);
        assert_eq!(distinct_n(&[words("yes it is"), words("no it is not")], 2), Some(4.0 / 5.0));
        assert_eq!((distinct_n(&constant, 4), distinct_n::<u32>(&[], 1)), (None, None));
    }

    #[test]
    fn a_text_that_goes_round_in_circles_is_found_out() {
        assert_eq!(repetition(&words("a b a b a b"), 2), 3.0 / 5.0);
        assert_eq!((repetition(&words("a b c"), 2), repetition::<u32>(&[], 2)), (0.0, 0.0));
    }
}
