//! The rows of one part of the world, drawn one by one: demonstrations, preferences, prompts.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;

use crate::critique::{Exchange, FLAWLESS};
use crate::draw::{chance, pick, weighted};
use crate::fault::Fault;
use crate::kind::Kind;
use crate::pairs::Pair;
use crate::pool::{Part, Pool, part_of_answer};
use crate::record::{Demonstration, Message, NoisyPreference, Preference, Prompt};
use crate::request::Request;
use crate::shares;

/// `count` different demonstrations.
pub(crate) fn demonstrations(part: Part, count: usize, rng: &mut ChaCha8Rng) -> Vec<Demonstration> {
    let pool = Pool::new(part);
    let plan = |_, rng: &mut ChaCha8Rng| {
        let kind = weighted(rng, shares::DEMONSTRATED);
        (kind, chance(rng, shares::helpful(kind)))
    };
    let key = |row: &Demonstration| (contents(&row.prompt), contents(&row.completion));
    distinct(count, rng, plan, key, |&(kind, helpful), rng| {
        let turn = Turn::draw(kind, &pool, rng);
        let (answer, fault) = if helpful {
            (turn.helpful(rng), "none")
        } else {
            let (answer, fault) = turn.unhelpful(rng);
            (answer, fault.name())
        };
        (part_of_answer(&answer) == part).then(|| Demonstration {
            completion: vec![Message::assistant(answer)],
            kind,
            category: turn.exchange.request.category(),
            fault: fault.to_owned(),
            prompt: turn.prompt,
        })
    })
}

/// `count` preferences with different prompts. In each kind the longer answer is chosen every other time, and many are
/// twins: two answers in the same words but for what is wrong with one. Nothing but the question says which one that
/// is.
pub(crate) fn preferences(part: Part, count: usize, rng: &mut ChaCha8Rng) -> Vec<Preference> {
    preferences_of(part, count, rng, |_| shares::PREFERRED, |_, kind| shares::twins(kind))
}

/// More of them: the first `known` are twins about facts and sums alone (what is true takes many examples to learn,
/// and these are the shortest), the `others` are of all kinds.
pub(crate) fn more_preferences(
    part: Part,
    [known, others]: [usize; 2],
    rng: &mut ChaCha8Rng,
) -> Vec<Preference> {
    let kinds = |place: usize| if place < known { shares::KNOWN } else { shares::LARGER };
    let twins = |place: usize, kind| if place < known { 1.0 } else { shares::twins(kind) };
    preferences_of(part, known + others, rng, kinds, twins)
}

/// `kinds` and `twins` (the share of them) are told the row's place.
fn preferences_of(
    part: Part,
    count: usize,
    rng: &mut ChaCha8Rng,
    kinds: impl Fn(usize) -> &'static [(Kind, u32)],
    twins: impl Fn(usize, Kind) -> f64,
) -> Vec<Preference> {
    let pool = Pool::new(part);
    let mut drawn: BTreeMap<Kind, usize> = BTreeMap::new();
    let plan = |place, rng: &mut ChaCha8Rng| {
        let kind = weighted(rng, kinds(place));
        let drawn = drawn.entry(kind).or_default();
        *drawn += 1;
        (kind, chance(rng, twins(place, kind)), drawn.is_multiple_of(2))
    };
    let key = |row: &Preference| contents(&row.prompt);
    distinct(count, rng, plan, key, |&(kind, twins, chosen_longer), rng| {
        let turn = Turn::draw(kind, &pool, rng);
        let pair = if twins { turn.twins(rng) } else { turn.pair(rng) };
        let of_part = [&pair.chosen, &pair.rejected].iter().all(|it| part_of_answer(it) == part);
        (of_part && pair.fits(chosen_longer)).then(|| Preference {
            chosen: vec![Message::assistant(pair.chosen)],
            rejected: vec![Message::assistant(pair.rejected)],
            kind,
            category: turn.exchange.request.category(),
            fault: pair.fault.name().to_owned(),
            prompt: turn.prompt,
        })
    })
}

/// The same preferences with `share` of the labels flipped, rounded to whole rows.
pub(crate) fn noisy(pairs: &[Preference], share: f64, rng: &mut ChaCha8Rng) -> Vec<NoisyPreference> {
    let indices: Vec<usize> = (0..pairs.len()).collect();
    let wanted = (pairs.len() as f64 * share).round() as usize;
    let mut flipped = BTreeSet::new();
    while flipped.len() < wanted {
        flipped.insert(pick(rng, &indices));
    }
    let rows = pairs.iter().cloned().enumerate();
    rows.map(|(index, mut pair)| {
        let flipped = flipped.contains(&index);
        if flipped {
            std::mem::swap(&mut pair.chosen, &mut pair.rejected);
        }
        NoisyPreference { pair, flipped }
    })
    .collect()
}

/// `count` different prompts of one turn.
pub(crate) fn prompts(part: Part, count: usize, rng: &mut ChaCha8Rng) -> Vec<Prompt> {
    prompts_of(part, count, rng, |_| shares::PROMPTED)
}

/// Different prompts of one turn: `mixed` of all kinds, then `sums` that ask for a sum, which take the most practice to
/// learn from own answers.
pub(crate) fn practice_prompts(part: Part, [mixed, sums]: [usize; 2], rng: &mut ChaCha8Rng) -> Vec<Prompt> {
    prompts_of(part, mixed + sums, rng, |place| if place < mixed { shares::PROMPTED } else { shares::SUMS })
}

/// `count` different prompts that ask for a sum: a task whose answers a rule can check.
pub(crate) fn sums(part: Part, count: usize, rng: &mut ChaCha8Rng) -> Vec<Prompt> {
    prompts_of(part, count, rng, |_| shares::SUMS)
}

/// `kinds` is told the row's place.
fn prompts_of(
    part: Part,
    count: usize,
    rng: &mut ChaCha8Rng,
    kinds: impl Fn(usize) -> &'static [(Kind, u32)],
) -> Vec<Prompt> {
    let pool = Pool::new(part);
    let plan = |place, rng: &mut ChaCha8Rng| weighted(rng, kinds(place));
    let key = |row: &Prompt| contents(&row.prompt);
    distinct(count, rng, plan, key, |&kind, rng| {
        let (request, question) = pool.draw(kind, rng);
        Some(Prompt {
            prompt: vec![Message::user(question)],
            kind,
            category: request.category(),
            topic: request.topic(),
            answer: request.answer(),
        })
    })
}

/// One turn to be answered: a question alone, or a stage of the critique dialogue about it.
struct Turn {
    kind: Kind,
    exchange: Exchange,
    prompt: Vec<Message>,
}

impl Turn {
    fn draw(kind: Kind, pool: &Pool, rng: &mut ChaCha8Rng) -> Self {
        let dialogue = matches!(kind, Kind::Critique | Kind::Revision);
        let about = if dialogue { pick(rng, shares::CRITICISED) } else { kind };
        let (request, question) = pool.draw(about, rng);
        let (answer, fault) = if dialogue { criticised(request, rng) } else { (String::new(), None) };
        let exchange = Exchange { request, question, answer, fault };
        let prompt = match kind {
            Kind::Critique => exchange.critique_prompt(rng),
            Kind::Revision => exchange.revision_prompt(rng),
            _ => vec![Message::user(&exchange.question)],
        };
        Self { kind, exchange, prompt }
    }

    fn pair(&self, rng: &mut ChaCha8Rng) -> Pair {
        let chosen = self.helpful(rng);
        let (rejected, fault) = self.unhelpful(rng);
        Pair { chosen, rejected, fault }
    }

    fn twins(&self, rng: &mut ChaCha8Rng) -> Pair {
        let (chosen, rejected, fault) = match self.kind {
            Kind::Critique => self.exchange.twin_critiques(rng),
            _ => self.exchange.request.twins(rng),
        };
        Pair { chosen, rejected, fault }
    }

    fn helpful(&self, rng: &mut ChaCha8Rng) -> String {
        match self.kind {
            Kind::Critique => self.exchange.helpful_critique(rng),
            _ => self.exchange.request.helpful(rng),
        }
    }

    fn unhelpful(&self, rng: &mut ChaCha8Rng) -> (String, Fault) {
        match self.kind {
            Kind::Critique => self.exchange.unhelpful_critique(rng),
            _ => self.exchange.request.unhelpful(rng),
        }
    }
}

/// An answer to be criticised, and its fault.
fn criticised(request: Request, rng: &mut ChaCha8Rng) -> (String, Option<Fault>) {
    if chance(rng, FLAWLESS) {
        return (request.helpful(rng), None);
    }
    let (answer, fault) = request.unhelpful(rng);
    (answer, Some(fault))
}

/// `count` rows with different keys. What a row shall be is planned once, by its place; it is drawn until it can be had
/// and is new, so that kinds with few different rows keep their share.
fn distinct<P, T, K: Ord>(
    count: usize,
    rng: &mut ChaCha8Rng,
    mut plan: impl FnMut(usize, &mut ChaCha8Rng) -> P,
    key: impl Fn(&T) -> K,
    draw: impl Fn(&P, &mut ChaCha8Rng) -> Option<T>,
) -> Vec<T> {
    let mut seen = BTreeSet::new();
    let mut rows = Vec::with_capacity(count);
    while rows.len() < count {
        let plan = plan(rows.len(), rng);
        loop {
            match draw(&plan, rng) {
                Some(row) if seen.insert(key(&row)) => break rows.push(row),
                _ => {}
            }
        }
    }
    rows
}

fn contents(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.content.clone()).collect()
}
