//! Every question of the world, divided once and for all into a training and a test part.
//!
//! What is held out is the core of a question: a topic in one wording, or a sum in any wording (but not the sum with
//! its numbers exchanged). Greetings are put around the core afterwards, so that no test question is a training
//! question in other clothes. Every topic appears in both parts.

use std::fmt::Write as _;

use rand_chacha::ChaCha8Rng;

use crate::advice::{self, SITUATIONS};
use crate::draw::{chance, pick};
use crate::facts;
use crate::how_to::{self, TASKS};
use crate::kind::Kind;
use crate::misdeeds::{self, MISDEEDS};
use crate::request::Request;
use crate::sums::{self, Sum};

const GREETINGS: &[&str] =
    &["Hello.", "Good morning.", "Hi there.", "I have a question.", "I need some help.", "Excuse me."];
const ENDINGS: &[&str] = &["Thank you.", "Thanks for your help.", "I am curious.", "I hope you can help me."];

/// One core in this many is held out for the test files.
const HELD_OUT_OF: u64 = 8;

/// Which part of the questions a row is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// For every file that is trained on.
    Train,
    /// For the files called `test`.
    Test,
}

/// The questions of one part.
#[derive(Debug)]
pub(crate) struct Pool {
    worded: Vec<(Request, String)>,
    sums: Vec<Sum>,
}

impl Pool {
    /// All questions of `part`.
    pub(crate) fn new(part: Part) -> Self {
        let mut worded = all_worded();
        worded.retain(|(_, core)| part_of(core) == part);
        let mut sums = sums::sums();
        sums.retain(|sum| part_of(&sum_core(*sum)) == part);
        Self { worded, sums }
    }

    /// A question of this kind, sometimes with a greeting before it or a thank-you behind it. Critiques and
    /// revisions are not questions of one turn; they are built on one.
    pub(crate) fn draw(&self, kind: Kind, rng: &mut ChaCha8Rng) -> (Request, String) {
        let (request, core) = if kind == Kind::Sum {
            let (sum, core) = sums::question(pick(rng, &self.sums), rng);
            (Request::Sum(sum), core)
        } else {
            let of_kind: Vec<_> = self.worded.iter().filter(|(request, _)| request.kind() == kind).collect();
            pick(rng, &of_kind).clone()
        };
        let mut question = core;
        if chance(rng, 0.4) {
            question = format!("{} {question}", pick(rng, GREETINGS));
        }
        if chance(rng, 0.2) {
            let _ = write!(question, " {}", pick(rng, ENDINGS));
        }
        (request, question)
    }
}

/// The part a question belongs to, by the core it is built on; `None` if it is no question of this world.
pub fn part_of_question(question: &str) -> Option<Part> {
    let request = Request::parse(question)?;
    if let Request::Sum(sum) = request {
        return Some(part_of(&sum_core(sum)));
    }
    let cores =
        all_worded().into_iter().filter(|(it, core)| *it == request && question.contains(core.as_str()));
    cores.map(|(_, core)| part_of(&core)).next()
}

fn all_worded() -> Vec<(Request, String)> {
    let how_to = TASKS.iter().map(|it| (Request::HowTo(it), how_to::questions(it)));
    let advice = SITUATIONS.iter().map(|it| (Request::Advice(it), advice::questions(it)));
    let facts = facts::facts().into_iter().map(|it| (Request::Fact(it), facts::questions(it)));
    let misdeeds = MISDEEDS.iter().map(|it| (Request::Unsafe(it), misdeeds::questions(it)));
    let all = how_to.chain(advice).chain(facts).chain(misdeeds);
    all.flat_map(|(request, cores)| cores.into_iter().map(move |core| (request, core))).collect()
}

/// The same for every wording of four plus seven, and another for seven plus four: a model can work out a sum that it
/// has never seen from the one it has.
fn sum_core(sum: Sum) -> String {
    format!("{:?} {} {}", sum.operation, sum.first, sum.second)
}

/// FNV-1a over the core: a rule that never changes with the seed, the order or the number of questions.
fn part_of(core: &str) -> Part {
    let hash = core.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    if (hash >> 32).is_multiple_of(HELD_OUT_OF) { Part::Test } else { Part::Train }
}
