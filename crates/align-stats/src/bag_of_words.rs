//! What the words of answers give away by themselves: a linear classifier of pairs that sees no prompt, as a yardstick for
//! models that do.
//!
//! Whoever made the answers may have left traces in them: a model that learns those only is right as often as this is.

mod logistic;
mod words;

use words::word_features;
pub use words::words;

/// Words and pairs of neighbouring words that examples may have in all, over which no further example is read: 32 MB.
const ENTRIES: usize = 4 << 20;

/// The contrast of an answer with the other one: what it has and the other has not, as evidence with the side that
/// it speaks for, 1 or −1. Each word, and each pair of neighbouring words, counts once however often it stands
/// there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contrast(Vec<(u32, i8)>);

impl Contrast {
    /// The contrast of two answers to one prompt: what they share cancels out.
    pub fn of_pair(better: &str, worse: &str) -> Self {
        let (better, worse) = (word_features(better), word_features(worse));
        let only = |own: &[u32], other: &[u32], side: i8| -> Vec<(u32, i8)> {
            let own = own.iter().filter(|feature| other.binary_search(feature).is_err());
            own.map(|&feature| (feature, side)).collect()
        };
        Self([only(&better, &worse, 1), only(&worse, &better, -1)].concat())
    }

    /// The contrast of one answer that is desirable or not; how many of either there are is evidence too.
    pub fn of_label(answer: &str, desirable: bool) -> Self {
        let side = if desirable { 1 } else { -1 };
        let bias = words::BIAS;
        Self(word_features(answer).into_iter().chain([bias]).map(|feature| (feature, side)).collect())
    }
}

/// A weight for each word and each pair of neighbouring words.
#[derive(Clone, Debug)]
pub struct BagOfWords {
    /// The words that examples had, as numbers in ascending order.
    vocabulary: Vec<u32>,
    weights: Vec<f64>,
    examples: usize,
}

impl BagOfWords {
    /// The weights w with the smallest ½|w|² + Σ log(1 + exp(−w·x)) over the examples: logistic regression. Examples are read
    /// until there are enough of them, so give those of a large set from all over it ([`spread`]).
    ///
    /// # Errors
    /// Those of the examples.
    pub fn fit<E>(examples: impl IntoIterator<Item = Result<Contrast, E>>) -> Result<Self, E> {
        let (mut rows, mut entries) = (Vec::new(), 0);
        for example in examples {
            let Contrast(row) = example?;
            entries += row.len();
            if entries > ENTRIES {
                break;
            }
            rows.push(row);
        }
        let mut vocabulary: Vec<u32> = rows.iter().flatten().map(|&(feature, _)| feature).collect();
        vocabulary.sort_unstable();
        vocabulary.dedup();
        for (feature, _) in rows.iter_mut().flatten() {
            // Every one is there.
            *feature = vocabulary.partition_point(|known| known < feature) as u32;
        }
        let weights = logistic::weights(&rows, vocabulary.len());
        Ok(Self { vocabulary, weights, examples: rows.len() })
    }

    /// Examples that the weights are from.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// Share of examples that the weights get right; a tie counts half. None of no examples.
    ///
    /// # Errors
    /// Those of the examples.
    pub fn accuracy<E>(
        &self,
        examples: impl IntoIterator<Item = Result<Contrast, E>>,
    ) -> Result<Option<f64>, E> {
        let (mut hits, mut count) = (0.0, 0usize);
        for example in examples {
            hits += crate::hit(self.margin(&example?));
            count += 1;
        }
        Ok((count > 0).then(|| hits / count as f64))
    }

    fn margin(&self, Contrast(row): &Contrast) -> f64 {
        let weight =
            |feature| self.vocabulary.binary_search(feature).map_or(0.0, |place| self.weights[place]);
        row.iter().map(|(feature, side)| weight(feature) * f64::from(*side)).sum()
    }
}

/// The numbers below `count`, each once, so that those of any beginning lie all over the range.
pub fn spread(count: usize) -> impl Iterator<Item = usize> {
    // Steps of the golden section, made coprime to the count.
    let mut step = ((count as f64 * 0.618_033_988_749_895) as usize).max(1);
    while gcd(step, count) > 1 {
        step += 1;
    }
    let mut place = 0;
    (0..count).map(move |_| {
        let here = place;
        place = (place + step) % count;
        here
    })
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn pairs<'a>(rows: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = Result<Contrast, Infallible>> + 'a {
        rows.iter().map(|(better, worse)| Ok(Contrast::of_pair(better, worse)))
    }

    #[test]
    fn a_word_that_tells_is_learned_and_what_both_say_is_not() {
        let training = [("boil the eggs", "never boil eggs"), ("boil the milk", "never boil milk")];
        let Ok(bag) = BagOfWords::fit(pairs(&training));
        let Ok(held_out) = bag.accuracy(pairs(&[("cook the rice", "never cook rice"), ("rice", "rice")]));
        assert_eq!((bag.examples(), held_out), (2, Some(0.75)));
        let Ok(none) = bag.accuracy(pairs(&[]));
        assert_eq!(none, None);
    }

    #[test]
    fn the_order_of_two_words_is_seen() {
        let training =
            [("not bad but good", "not good but bad"), ("it is good not bad", "it is bad not good")];
        let Ok(bag) = BagOfWords::fit(pairs(&training));
        let Ok(held_out) = bag.accuracy(pairs(&[("so good not bad", "so bad not good")]));
        assert_eq!(held_out, Some(1.0));
    }

    #[test]
    fn the_weights_are_those_of_the_smallest_loss() {
        // One feature, in three examples for it and one against it: w = Σ σ(−w)·3 − σ(w).
        let row = |better: &str, worse: &str| Ok::<_, Infallible>(Contrast::of_pair(better, worse));
        let rows = [row("a", ""), row("a", ""), row("a", ""), row("", "a")];
        let Ok(bag) = BagOfWords::fit(rows);
        let weight = bag.margin(&Contrast::of_pair("a", ""));
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let gradient = weight - 3.0 * sigmoid(-weight) + sigmoid(weight);
        assert!(weight > 0.0 && gradient.abs() < 1e-3, "{weight}: {gradient}");
    }

    #[test]
    fn labels_are_learned_with_how_common_they_are() {
        let row = |answer: &str, label| Ok::<_, Infallible>(Contrast::of_label(answer, label));
        let Ok(bag) =
            BagOfWords::fit([row("kind words", true), row("x", true), row("y", true), row("rude", false)]);
        let Ok(accuracy) = bag.accuracy([row("unheard", true), row("rude", false), row("kind", true)]);
        assert_eq!(accuracy, Some(1.0));
    }

    #[test]
    fn every_number_is_visited_once_and_any_beginning_is_spread() {
        for count in [0, 1, 2, 3, 10, 97, 1000] {
            let mut visited: Vec<usize> = spread(count).collect();
            let beginning: Vec<usize> = visited.iter().copied().take(10).collect();
            visited.sort_unstable();
            assert!(visited.into_iter().eq(0..count), "{count}");
            let thirds =
                [0, 1, 2].map(|third| beginning.iter().any(|place| place * 3 / count.max(1) == third));
            assert!(count < 10 || thirds == [true; 3], "{count}: {beginning:?}");
        }
    }
}
