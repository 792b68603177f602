//! Pairs of answers in which length says nothing: it is decided which of the two is the longer one before they are
//! drawn. Otherwise a model could please by writing more, or less, and never look at what it writes.

use rand_chacha::ChaCha8Rng;

use crate::fault::Fault;

/// A better and a worse answer.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) chosen: String,
    pub(crate) rejected: String,
    /// What is wrong with the worse one.
    pub(crate) fault: Fault,
}

/// Draws of both answers before the wish for the longer one is given up, for requests that cannot serve it.
const ATTEMPTS: usize = 100;

/// A pair from two sources of answers, whose chosen answer is the longer one (in letters) if `chosen_longer`, else the
/// shorter one.
pub(crate) fn balanced(
    rng: &mut ChaCha8Rng,
    chosen_longer: bool,
    helpful: impl Fn(&mut ChaCha8Rng) -> String,
    unhelpful: impl Fn(&mut ChaCha8Rng) -> (String, Fault),
) -> Pair {
    let mut pair = draw(rng, &helpful, &unhelpful);
    for _ in 0..ATTEMPTS {
        if pair.chosen.len() != pair.rejected.len()
            && (pair.chosen.len() > pair.rejected.len()) == chosen_longer
        {
            break;
        }
        pair = draw(rng, &helpful, &unhelpful);
    }
    pair
}

fn draw(
    rng: &mut ChaCha8Rng,
    helpful: impl Fn(&mut ChaCha8Rng) -> String,
    unhelpful: impl Fn(&mut ChaCha8Rng) -> (String, Fault),
) -> Pair {
    let chosen = helpful(rng);
    let (rejected, fault) = unhelpful(rng);
    Pair { chosen, rejected, fault }
}
