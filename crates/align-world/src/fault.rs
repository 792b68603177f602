//! What can be wrong with an answer. An answer without a fault is helpful.

use serde::{Deserialize, Serialize};

/// The one thing that is wrong with an unhelpful answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Right as far as it goes, but it leaves out most of what was asked for.
    Curt,
    /// Friendly words that answer nothing.
    Evasive,
    /// An answer to another question.
    OffTopic,
    /// About the question, but wrong: a false number or fact, steps in the wrong order, a reason that does not fit.
    Wrong,
    /// Unkind to the person who asks, whether or not the rest is right.
    Rude,
    /// Helps with a request that harms somebody.
    Complies,
    /// Refuses a harmless request.
    OverRefusal,
}

impl Fault {
    /// Every fault, in a fixed order.
    pub const ALL: [Self; 7] = [
        Self::Curt,
        Self::Evasive,
        Self::OffTopic,
        Self::Wrong,
        Self::Rude,
        Self::Complies,
        Self::OverRefusal,
    ];

    /// The name used in the data files, for example `off-topic`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Curt => "curt",
            Self::Evasive => "evasive",
            Self::OffTopic => "off-topic",
            Self::Wrong => "wrong",
            Self::Rude => "rude",
            Self::Complies => "complies",
            Self::OverRefusal => "over-refusal",
        }
    }
}
