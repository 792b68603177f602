//! Pairs of answers in which length says nothing: it is decided which of the two is the longer one before they are
//! drawn. Otherwise a model could please by writing more, or less, and never look at what it writes.

use crate::fault::Fault;

/// A better and a worse answer.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) chosen: String,
    pub(crate) rejected: String,
    /// What is wrong with the worse one.
    pub(crate) fault: Fault,
}

impl Pair {
    /// Whether the chosen answer is the longer one (in letters) if `chosen_longer`, else the shorter one; or neither is.
    pub(crate) fn fits(&self, chosen_longer: bool) -> bool {
        let (chosen, rejected) = (self.chosen.len(), self.rejected.len());
        chosen == rejected || (chosen > rejected) == chosen_longer
    }
}
