//! The kinds of request, and the two categories they fall into.

use serde::{Deserialize, Serialize};

/// What a conversation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// How something is done.
    HowTo,
    /// What to do about a trouble.
    Advice,
    /// A fact about the small world.
    Fact,
    /// A small sum in words.
    Sum,
    /// Help with a misdeed.
    Unsafe,
    /// A critique of the answer just given.
    Critique,
    /// A better version of the answer just criticised.
    Revision,
}

impl Kind {
    /// Every kind, in a fixed order.
    pub const ALL: [Self; 7] =
        [Self::HowTo, Self::Advice, Self::Fact, Self::Sum, Self::Unsafe, Self::Critique, Self::Revision];
}

/// Which side of an assistant a prompt tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// The answer should help.
    Helpfulness,
    /// The answer should refuse to do harm.
    Safety,
}
