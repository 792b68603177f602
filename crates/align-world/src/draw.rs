//! Draws from a random generator that is passed in: one of several, yes or no, one by weight.
//! Nothing here owns a generator, so that the caller decides what depends on what.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// One of `items`, each equally likely. `items` is a table of this crate and never empty.
pub(crate) fn pick<T: Copy>(rng: &mut ChaCha8Rng, items: &[T]) -> T {
    items[rng.random_range(0..items.len())]
}

/// True with probability `probability`.
pub(crate) fn chance(rng: &mut ChaCha8Rng, probability: f64) -> bool {
    rng.random::<f64>() < probability
}

/// One of `items`, each as likely as its weight says.
pub(crate) fn weighted<T: Copy>(rng: &mut ChaCha8Rng, items: &[(T, u32)]) -> T {
    let total: u32 = items.iter().map(|(_, weight)| weight).sum();
    let mut left = rng.random_range(0..total);
    for &(item, weight) in items {
        if left < weight {
            return item;
        }
        left -= weight;
    }
    unreachable!("left is below the total of the weights")
}

/// What two makers make of the same draws: where they draw alike, they choose alike.
pub(crate) fn alike<T>(
    rng: &mut ChaCha8Rng,
    first: impl FnOnce(&mut ChaCha8Rng) -> T,
    second: impl FnOnce(&mut ChaCha8Rng) -> T,
) -> (T, T) {
    let first = first(&mut rng.clone());
    (first, second(rng))
}

/// One of `items` that differs from `not`. There must be two different items at least.
pub(crate) fn other<'a, T: PartialEq>(rng: &mut ChaCha8Rng, items: &'a [T], not: &T) -> &'a T {
    loop {
        let item = &items[rng.random_range(0..items.len())];
        if item != not {
            return item;
        }
    }
}
