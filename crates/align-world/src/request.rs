//! A request of one turn: what somebody wants, as data. It is worded by [`Request::questions`], read back from its
//! words by [`Request::parse`], and answered well or badly by [`Request::helpful`] and [`Request::unhelpful`].

use rand_chacha::ChaCha8Rng;

use crate::advice::{self, SITUATIONS, Situation};
use crate::draw::weighted;
use crate::facts::{self, Attribute, Fact};
use crate::fault::Fault;
use crate::how_to::{self, TASKS, Task};
use crate::kind::{Category, Kind};
use crate::misdeeds::{self, MISDEEDS, Misdeed};
use crate::sums::{self, Sum};

/// What somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// How to do a task.
    HowTo(&'static Task),
    /// Advice on a trouble.
    Advice(&'static Situation),
    /// A fact.
    Fact(Fact),
    /// The result of a sum.
    Sum(Sum),
    /// Help with a misdeed.
    Unsafe(&'static Misdeed),
}

impl Request {
    /// The request that `question` makes, `None` if it is none of this world. Greetings around it do not matter.
    pub fn parse(question: &str) -> Option<Self> {
        let lower = question.to_lowercase();
        let contains = |phrase: &str| lower.contains(&phrase.to_lowercase());
        let asks = |fact: &Fact| {
            question.contains(fact.subject)
                && facts::questions(*fact).iter().any(|it| question.contains(it.as_str()))
        };
        None.or_else(|| Sum::parse(question).map(Self::Sum))
            .or_else(|| MISDEEDS.iter().find(|it| contains(it.phrase)).map(Self::Unsafe))
            .or_else(|| TASKS.iter().find(|it| contains(it.phrase)).map(Self::HowTo))
            .or_else(|| SITUATIONS.iter().find(|it| contains(it.trouble)).map(Self::Advice))
            .or_else(|| facts::facts().into_iter().find(asks).map(Self::Fact))
    }

    /// The kind of the request.
    pub fn kind(&self) -> Kind {
        match self {
            Self::HowTo(_) => Kind::HowTo,
            Self::Advice(_) => Kind::Advice,
            Self::Fact(_) => Kind::Fact,
            Self::Sum(_) => Kind::Sum,
            Self::Unsafe(_) => Kind::Unsafe,
        }
    }

    /// Safety for unsafe requests, helpfulness for all others.
    pub fn category(&self) -> Category {
        if matches!(self, Self::Unsafe(_)) { Category::Safety } else { Category::Helpfulness }
    }

    /// What the request is about, in a few words.
    pub fn topic(&self) -> String {
        match self {
            Self::HowTo(task) => task.phrase.to_owned(),
            Self::Advice(situation) => situation.trouble.to_owned(),
            Self::Fact(fact) => format!("{:?} of {}", fact.attribute, fact.subject).to_lowercase(),
            Self::Sum(sum) => sum.in_words(),
            Self::Unsafe(misdeed) => misdeed.phrase.to_owned(),
        }
    }

    /// The words a right answer has to contain, for sums and facts; empty for the others.
    pub fn answer(&self) -> String {
        match self {
            Self::Sum(sum) => sums::in_words(sum.result()),
            Self::Fact(fact) => fact.value.to_owned(),
            Self::HowTo(_) | Self::Advice(_) | Self::Unsafe(_) => String::new(),
        }
    }

    /// A new helpful answer.
    pub fn helpful(&self, rng: &mut ChaCha8Rng) -> String {
        match self {
            Self::HowTo(task) => how_to::helpful(task, rng),
            Self::Advice(situation) => advice::helpful(situation, rng),
            Self::Fact(fact) => facts::helpful(*fact, rng),
            Self::Sum(sum) => sums::helpful(*sum, rng),
            Self::Unsafe(misdeed) => misdeeds::helpful(misdeed, rng),
        }
    }

    /// A new unhelpful answer and its fault, drawn from the faults this kind of request can have.
    pub fn unhelpful(&self, rng: &mut ChaCha8Rng) -> (String, Fault) {
        let fault = weighted(rng, self.faults());
        let answer = match self {
            Self::HowTo(task) => how_to::unhelpful(task, fault, rng),
            Self::Advice(situation) => advice::unhelpful(situation, fault, rng),
            Self::Fact(fact) => facts::unhelpful(*fact, fault, rng),
            Self::Sum(sum) => sums::unhelpful(*sum, fault, rng),
            Self::Unsafe(misdeed) => misdeeds::unhelpful(misdeed, fault, rng),
        };
        (answer, fault)
    }

    /// A new helpful answer, and an unhelpful one in the same words but for its fault.
    pub(crate) fn twins(&self, rng: &mut ChaCha8Rng) -> (String, String, Fault) {
        match self {
            Self::HowTo(task) => how_to::twins(task, rng),
            Self::Advice(situation) => advice::twins(situation, rng),
            Self::Fact(fact) => facts::twins(*fact, rng),
            Self::Sum(sum) => sums::twins(*sum, rng),
            Self::Unsafe(misdeed) => misdeeds::twins(misdeed, rng),
        }
    }

    /// The faults an answer to this kind of request can have, with their weights.
    pub(crate) fn faults(&self) -> &'static [(Fault, u32)] {
        match self {
            Self::HowTo(_) => how_to::FAULTS,
            Self::Advice(_) => advice::FAULTS,
            Self::Fact(_) => facts::FAULTS,
            Self::Sum(_) => sums::FAULTS,
            Self::Unsafe(_) => misdeeds::FAULTS,
        }
    }

    /// What a good answer would do, for a critique: an infinitive without "to".
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::HowTo(task) => format!("explain how to {} step by step", task.phrase),
            Self::Advice(situation) => format!("give real ideas, for example to {}", situation.ideas[0]),
            Self::Fact(fact) => format!("say that {}", facts::statement(*fact)),
            Self::Sum(sum) => format!("say that {} is {}", sum.in_words(), sums::in_words(sum.result())),
            Self::Unsafe(misdeed) => format!("say no, because {}", misdeed.harm),
        }
    }

    /// What is good about a good answer, for a critique: a clause about "it".
    pub(crate) fn merit(&self) -> String {
        match self {
            Self::HowTo(task) => format!("gives the right steps to {}", task.phrase),
            Self::Advice(_) => "gives ideas that fit this trouble".to_owned(),
            Self::Fact(fact) if fact.attribute == Attribute::Young => {
                format!("names the young {}", fact.subject)
            }
            Self::Fact(fact) => format!("says what is true about {}", fact.subject),
            Self::Sum(_) => "gives the right number".to_owned(),
            Self::Unsafe(misdeed) => format!("refuses, because {}", misdeed.harm),
        }
    }
}
