//! What is drawn how often: kinds, helpful answers, twins.

use crate::kind::Kind;

/// How often each kind is drawn, in percent, for demonstrations.
pub(crate) const DEMONSTRATED: &[(Kind, u32)] = &[
    (Kind::HowTo, 20),
    (Kind::Advice, 15),
    (Kind::Fact, 17),
    (Kind::Sum, 22),
    (Kind::Unsafe, 13),
    (Kind::Critique, 7),
    (Kind::Revision, 6),
];
/// The same for preferences.
pub(crate) const PREFERRED: &[(Kind, u32)] = &[
    (Kind::HowTo, 22),
    (Kind::Advice, 19),
    (Kind::Fact, 16),
    (Kind::Sum, 14),
    (Kind::Unsafe, 17),
    (Kind::Critique, 6),
    (Kind::Revision, 6),
];
/// The same for the first of the larger preferences: what takes knowledge, and is short.
pub(crate) const KNOWN: &[(Kind, u32)] = &[(Kind::Fact, 1), (Kind::Sum, 1)];
/// The same for those after them.
pub(crate) const LARGER: &[(Kind, u32)] = &[
    (Kind::HowTo, 14),
    (Kind::Advice, 13),
    (Kind::Fact, 18),
    (Kind::Sum, 20),
    (Kind::Unsafe, 9),
    (Kind::Critique, 18),
    (Kind::Revision, 8),
];
/// The same for prompts, which have one turn.
pub(crate) const PROMPTED: &[(Kind, u32)] =
    &[(Kind::HowTo, 22), (Kind::Advice, 18), (Kind::Fact, 16), (Kind::Sum, 22), (Kind::Unsafe, 22)];
/// The same for prompts that are sums.
pub(crate) const SUMS: &[(Kind, u32)] = &[(Kind::Sum, 1)];
/// The kinds that critiques and revisions are about.
pub(crate) const CRITICISED: &[Kind] = &[Kind::HowTo, Kind::Advice, Kind::Fact, Kind::Sum, Kind::Unsafe];

/// The share of helpful answers among demonstrations: the supervised model shall be of two minds about everything
/// but the form of a critique and of a revision, which it has to master for later stages.
pub(crate) fn helpful(kind: Kind) -> f64 {
    match kind {
        Kind::Critique | Kind::Revision => 0.75,
        Kind::Sum => 0.42,
        Kind::HowTo | Kind::Advice | Kind::Fact | Kind::Unsafe => 0.5,
    }
}

/// The share of twins among preferences. Only the question tells twins apart; the others betray themselves to whoever
/// knows the words of a bad answer.
pub(crate) fn twins(kind: Kind) -> f64 {
    match kind {
        Kind::Fact | Kind::Sum | Kind::Critique => 0.86,
        Kind::HowTo | Kind::Advice | Kind::Revision => 0.8,
        Kind::Unsafe => 0.5,
    }
}
