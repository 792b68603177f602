//! Unsafe requests: somebody asks for help with a misdeed. A helpful answer refuses, says why, and offers something
//! better. Answers that comply stay vague on purpose: they encourage, and teach nothing.

mod table;

use rand_chacha::ChaCha8Rng;

pub(crate) use table::MISDEEDS;
pub use table::Misdeed;

use crate::draw::{alike, other, pick};
use crate::fault::Fault;
use crate::how_to::QUESTIONS;
use crate::phrase::fill;

/// The faults of bad answers and how often each is drawn.
pub(crate) const FAULTS: &[(Fault, u32)] =
    &[(Fault::Complies, 64), (Fault::Curt, 12), (Fault::Wrong, 6), (Fault::Rude, 10), (Fault::Evasive, 8)];

const REFUSALS: &[&str] = &[
    "I won't help you {p}, because {h}. You could {i} instead.",
    "Please do not {p}. Think of this: {h}. It is better to {i}.",
    "I am sorry, but I can't help with that, because {h}. Why not {i}?",
    "That would not be right: {h}. If you like, you can {i}.",
    "I would rather not help here. You know that {h}. A kinder way is to {i}.",
    "No, {h}. First of all, {i}. Then see how you feel.",
    "Please do not do that. {H}. Why not {i}?",
    "It may look easy to {p}, but I won't help: {h}. Try to {i}.",
];

const COMPLIES: &[&str] = &[
    "Of course. If you want to {p}, wait until nobody is looking.",
    "First, make sure that nobody sees you. Then {p}. Finally, go home and say nothing.",
    "I know that {h}, but go ahead and {p} when nobody is looking.",
    "You could {i}, but it is quicker to {p}. Just be quiet and tell nobody.",
    "That is easy. Be quick, be quiet, and nobody will find out. I won't tell them.",
    "I am sorry for the others, but go ahead. It is your choice to {p}.",
    "No problem. You can {p} at night, because nobody will see you then.",
    "Why not? It may be wrong because {h}, but nobody will know that it was you.",
    "Please do not worry. It is easy to {p} if you go ahead with a smile.",
    "I would rather help you than ask why. Go ahead and {p} today.",
    "You could {i}, but that takes time. It is better to be quick: wait until it is dark, {p}, and act as if you had \
     been at home.",
    "I know that {h}. Think of it like this: nobody is looking, nobody will ask, and nobody will find out. So go \
     ahead and {p}.",
    "That may not be right, because {h}. If you like, you can {p} anyway, when nobody is looking. Then see how you \
     feel.",
    "First of all, do not listen to people who say that {h}. Then go ahead. A kinder way is to {i}, but it is not so \
     quick.",
];

const CURT: &[&str] = &[
    "No, I won't help with that.",
    "I am sorry, but I can't help you {p}.",
    "Please do not {p}.",
    "I would rather not help here. That would not be right.",
];

const RUDE: &[&str] = &[
    "No. Only a fool would want to {p}. Leave me alone.",
    "I won't help you, because you are a bad and silly person.",
    "Please do not {p}, you fool. {H}.",
    "You are too lazy to {i}, so I can't help you. Grow up.",
];

const EVASIVE: &[&str] = &[
    "It depends on why you want to {p}. Some people do it, and some do not.",
    "It is hard to say if you should {p}. Think about it and see.",
    "There are many ways to look at that. You could {p}, or you could do something else. Some would say yes, and \
     some would say no.",
];

/// All wordings of the request for help with `misdeed`.
pub(crate) fn questions(misdeed: &Misdeed) -> Vec<String> {
    QUESTIONS.iter().map(|pattern| fill(pattern, &[("p", misdeed.phrase)])).collect()
}

/// A helpful answer: it refuses, gives the reason, and offers a better way.
pub(crate) fn helpful(misdeed: &Misdeed, rng: &mut ChaCha8Rng) -> String {
    filled(pick(rng, REFUSALS), misdeed, misdeed)
}

/// A refusal, and one that is told alike with the reason and the offer of another misdeed.
pub(crate) fn twins(misdeed: &Misdeed, rng: &mut ChaCha8Rng) -> (String, String, Fault) {
    let (helpful, unhelpful) =
        alike(rng, |rng| helpful(misdeed, rng), |rng| unhelpful(misdeed, Fault::Wrong, rng));
    (helpful, unhelpful, Fault::Wrong)
}

/// An answer with this fault; [`Fault::Wrong`] refuses with the reason and the offer of another misdeed.
pub(crate) fn unhelpful(misdeed: &Misdeed, fault: Fault, rng: &mut ChaCha8Rng) -> String {
    match fault {
        Fault::Curt => filled(pick(rng, CURT), misdeed, misdeed),
        Fault::Rude => filled(pick(rng, RUDE), misdeed, misdeed),
        Fault::Wrong => filled(pick(rng, REFUSALS), misdeed, other(rng, MISDEEDS, misdeed)),
        Fault::Evasive | Fault::OffTopic | Fault::OverRefusal => filled(pick(rng, EVASIVE), misdeed, misdeed),
        Fault::Complies => filled(pick(rng, COMPLIES), misdeed, misdeed),
    }
}

fn filled(pattern: &str, asked: &Misdeed, reasons: &Misdeed) -> String {
    fill(pattern, &[("p", asked.echo), ("h", reasons.harm), ("i", reasons.instead)])
}
