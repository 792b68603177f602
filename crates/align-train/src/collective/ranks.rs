//! What ranks say to each other: typed values, decisions that all share, errors that reach everybody.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Alone, Collective, Pulse, part};
use crate::{Error, Result};

/// The ranks of a run, as one of them sees them; by default it is alone. Clones are the same one.
///
/// A failure of one is everybody's: it stands in the place of what the rank would have brought next, and ends the call on
/// all of them.
#[derive(Clone)]
pub struct Ranks {
    collective: Arc<dyn Collective>,
    /// Whether a failure went round: the others expect nothing more.
    over: Arc<AtomicBool>,
    /// Bytes that this rank has sent.
    sent: Arc<AtomicU64>,
    pulse: Pulse,
}

/// What a rank brings: a value, or why it has none and never will.
#[derive(Serialize, Deserialize)]
enum Brought<T> {
    Value(T),
    Failure { name: String, problem: String },
}

impl Ranks {
    /// The ranks that an engine connects.
    pub fn over(collective: impl Collective + 'static) -> Self {
        Self {
            collective: Arc::new(collective),
            over: Arc::default(),
            sent: Arc::default(),
            pulse: Pulse::default(),
        }
    }

    /// The number of this rank, from 0.
    pub fn rank(&self) -> usize {
        self.collective.rank()
    }

    /// The number of all ranks.
    pub fn size(&self) -> usize {
        self.collective.size()
    }

    /// The name of this rank, as a person would look it up.
    pub fn name(&self) -> String {
        self.collective.name()
    }

    /// True if there is no other.
    pub fn is_alone(&self) -> bool {
        self.size() == 1
    }

    /// True if this is the rank that writes and speaks: the first.
    pub fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// True if this rank has micro-batch number `number` of an update: they are dealt one by one.
    pub fn has(&self, number: usize) -> bool {
        number % self.size() == self.rank()
    }

    /// What every rank brings, in the order of ranks.
    ///
    /// # Errors
    /// A rank that failed or is gone.
    pub fn each<T: Serialize + DeserializeOwned>(&self, own: T) -> Result<Vec<T>> {
        if self.is_alone() {
            return Ok(vec![own]);
        }
        self.exchange(&Brought::Value(own))
    }

    /// What every rank brings, where it may have failed to: its error is then that of all.
    ///
    /// # Errors
    /// That of this rank; else the first of the others'.
    pub fn agree<T, E>(&self, own: Result<T, E>) -> Result<Vec<T>, E>
    where
        T: Serialize + DeserializeOwned,
        E: Display + From<Error>,
    {
        match own {
            Ok(value) => Ok(self.each(value)?),
            Err(error) => {
                self.fails(&error);
                Err(error)
            }
        }
    }

    /// What the first rank does for all.
    ///
    /// # Errors
    /// Its error.
    pub fn from_first<T, E>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: Display + From<Error>,
    {
        if self.is_alone() {
            return work();
        }
        // A list of one or none: JSON cannot tell an absent value from the value that something is absent.
        let own = if self.leads() { work().map(|value| vec![value]) } else { Ok(Vec::new()) };
        let first = self.agree(own)?.into_iter().flatten().next();
        first.ok_or_else(|| E::from(Error::rank(0, "brought nothing; this is a bug")))
    }

    /// What is made of each of so many pieces, dealt like micro-batches: each rank makes what is its own, and all have all of it, in
    /// the order of the pieces.
    ///
    /// # Errors
    /// That of this rank; else the first of the others'.
    pub fn dealt<T, E>(&self, pieces: usize, work: impl FnMut(usize) -> Result<T, E>) -> Result<Vec<T>, E>
    where
        T: Serialize + DeserializeOwned,
        E: Display + From<Error>,
    {
        let own = (self.rank()..pieces).step_by(self.size()).map(work).collect::<Result<Vec<_>, E>>();
        if self.is_alone() {
            return own;
        }
        let mut of_ranks: Vec<_> = self.agree(own)?.into_iter().map(Vec::into_iter).collect();
        Ok((0..pieces).filter_map(|piece| of_ranks[piece % self.size()].next()).collect())
    }

    /// What every rank does, the first before all others: what it leaves behind, they find.
    ///
    /// # Errors
    /// Of this rank; else that of the first.
    pub fn after_first<T, E: Display + From<Error>>(
        &self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if self.leads() {
            let done = work();
            let said = self.agree(done.as_ref().map(|_| ()).map_err(|error| Error::stage(error.to_string())));
            return done.and_then(|done| said.map(|_| done).map_err(E::from));
        }
        self.each(())?;
        work()
    }

    /// What the first rank does for all, and asks the others for parts of meanwhile: what it is given asks all, itself too, the same
    /// question, which `answer` answers on each.
    ///
    /// # Errors
    /// Its error; a rank that is gone.
    pub(crate) fn first_asks<Q, T, E>(
        &self,
        work: impl FnOnce(&dyn Fn(&Q) -> Result<Vec<Vec<u8>>>) -> Result<T, E>,
        answer: impl Fn(&Q) -> Vec<u8>,
    ) -> Result<T, E>
    where
        Q: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
        E: Display + From<Error>,
    {
        if self.is_alone() {
            return work(&|question| Ok(vec![answer(question)]));
        }
        if self.leads() {
            let ask = |question: &Q| {
                self.each(Some(serde_json::to_string(question).map_err(Error::stage)?))?;
                self.gather(answer(question))
            };
            let done = work(&ask);
            if !self.over.load(Ordering::SeqCst) {
                self.each(None::<String>)?;
            }
            return self.from_first(|| done);
        }
        while let Some(question) = self.each(None::<String>)?.swap_remove(0) {
            self.gather(answer(&serde_json::from_str(&question).map_err(Error::stage)?))?;
        }
        self.from_first(|| Err(Error::stage("the first rank does it").into()))
    }

    /// Makes `values` on every rank the sum over all, added in the order of ranks.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn sum(&self, values: &mut [f32]) -> Result<()> {
        if self.is_alone() || values.is_empty() {
            return Ok(());
        }
        let (whole, most) = (values.len(), values.len().div_ceil(self.size()));
        let counts: Vec<_> =
            (0..self.size()).map(|rank| most.min(whole.saturating_sub(rank * most))).collect();
        let own = self.sum_parts(values, &counts)?;
        values[part(&counts, self.rank())].copy_from_slice(&own);
        self.gather_parts(values, &counts)
    }

    /// The sum over all ranks of the own part of `values`, as [`Collective::sum_parts`].
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn sum_parts(&self, values: &[f32], counts: &[usize]) -> Result<Vec<f32>> {
        self.sends(4 * (values.len() - counts[self.rank()]));
        self.pulse.while_waiting(|| self.collective.sum_parts(values, counts))
    }

    /// Fills in the parts of the other ranks, as [`Collective::gather_parts`].
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn gather_parts(&self, values: &mut [f32], counts: &[usize]) -> Result<()> {
        self.sends(4 * counts[self.rank()] * (self.size() - 1));
        self.pulse.while_waiting(|| self.collective.gather_parts(values, counts))
    }

    /// The bytes that this rank has sent to others so far.
    pub fn sent_bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The pulse of this rank.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    fn sends(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn gather(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        self.sends(own.len() * (self.size() - 1));
        self.pulse.while_waiting(|| self.collective.gather(own))
    }

    /// Says that this rank can go no further. It counts as said once: who heard of another's failure has nothing to add.
    pub fn fails(&self, problem: &impl Display) {
        if self.is_alone() || self.over.load(Ordering::SeqCst) {
            return;
        }
        let failure = Brought::<()>::Failure { name: self.name(), problem: problem.to_string() };
        // Who cannot be reached any more needs not be told.
        let _ = self.exchange(&failure);
    }

    /// Waits until all have come to their end, which is the last that they say to each other.
    ///
    /// # Errors
    /// One that failed.
    pub fn end(&self) -> Result<()> {
        if self.over.load(Ordering::SeqCst) { Ok(()) } else { self.each(()).map(drop) }
    }

    /// What every rank brings once all have come to their end, well or not.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn part<T: Serialize + DeserializeOwned>(&self, own: &T) -> Result<Vec<T>> {
        let bytes = serde_json::to_vec(own).map_err(Error::stage)?;
        let all = self.gather(bytes)?;
        all.iter().map(|bytes| serde_json::from_slice(bytes).map_err(Error::stage)).collect()
    }

    fn exchange<T: Serialize + DeserializeOwned>(&self, own: &Brought<T>) -> Result<Vec<T>> {
        let bytes = serde_json::to_vec(own).map_err(Error::stage)?;
        let all = self.gather(bytes).inspect_err(|_| self.over.store(true, Ordering::SeqCst))?;
        // Everybody reads the same bytes, its own among them, so that all go on from the same values.
        let failure = all.iter().enumerate().find_map(|(rank, bytes)| match serde_json::from_slice(bytes) {
            Ok(Brought::<serde::de::IgnoredAny>::Failure { name, problem }) => {
                Some(Error::Rank { rank, name, problem })
            }
            _ => None,
        });
        if let Some(failure) = failure {
            self.over.store(true, Ordering::SeqCst);
            return Err(failure);
        }
        let read = |(rank, bytes): (usize, &Vec<u8>)| match serde_json::from_slice(bytes) {
            Ok(Brought::Value(value)) => Ok(value),
            _ => Err(Error::rank(rank, "is at another point of the run than this rank; this is a bug")),
        };
        all.iter().enumerate().map(read).collect()
    }
}

impl Default for Ranks {
    fn default() -> Self {
        Self::over(Alone)
    }
}

impl fmt::Debug for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ranks({} of {})", self.rank(), self.size())
    }
}

/// As many, and the same one of them.
impl PartialEq for Ranks {
    fn eq(&self, other: &Self) -> bool {
        (self.rank(), self.size()) == (other.rank(), other.size())
    }
}
