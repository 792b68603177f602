//! Gradients of several ranks become one sum, and weights that one rank has updated go to all.
//!
//! What travels at once is a bucket: of some parameters, the shares of all ranks, one after the other. Buckets are groups that
//! follow the backward pass from the head to the embeddings, so that under `--shard gradients` a group is summed, and the buffers of
//! its parameters are freed, as soon as the pass writes to the next one. A parameter that is written to again after that is no
//! error: what came late is summed at the end. Nothing is sent while the pass computes: it waits for each group.

mod buckets;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use align_kernels::Params;

use self::buckets::{Parameter, groups};
use crate::{Error, OptimizerMethod, Ranks, Result, Shard, gradients, shares::Shares};

/// What sums gradients over ranks, and what has been summed. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Reduction {
    ranks: Ranks,
    shard: Shard,
    parts: Arc<Parts>,
    state: Arc<Mutex<State>>,
}

/// The parameters in the order of their names, and the groups that they travel in.
struct Parts {
    ranks: Ranks,
    parameters: Vec<Parameter>,
    groups: Vec<buckets::Group>,
    group_of: Vec<usize>,
}

#[derive(Default)]
struct State {
    /// Of each parameter the own share of the sum over all micro-batches so far, once it was summed.
    sums: Vec<Option<Vec<f32>>>,
    /// The group that is summed next in this pass.
    next: usize,
    /// The parameters that the pass has written to.
    written: Vec<bool>,
    /// Whether one was written to after it was summed.
    late: bool,
    /// What ended the pass.
    failed: Option<Error>,
}

impl Reduction {
    pub(crate) fn new(params: &Params, method: OptimizerMethod, ranks: Ranks, shard: Shard) -> Self {
        Self::in_buckets(params, method, ranks, shard, buckets::BUCKET)
    }

    /// The same with so many values in a bucket at most.
    fn in_buckets(
        params: &Params,
        method: OptimizerMethod,
        ranks: Ranks,
        shard: Shard,
        bucket: usize,
    ) -> Self {
        let shapes = params.iter().map(|(name, param)| (name, param.tensor().dims()));
        let shares = Shares::new(shapes, method, ranks.size());
        let parameter = |(name, param): (&str, &align_kernels::Param)| Parameter {
            name: name.to_owned(),
            param: param.clone(),
            shares: shares.of(name),
        };
        let parameters: Vec<_> = params.iter().map(parameter).collect();
        let (groups, group_of) = groups(&parameters, ranks.size(), bucket);
        let parts = Arc::new(Parts { ranks: ranks.clone(), parameters, groups, group_of });
        let shard = if ranks.is_alone() { Shard::None } else { shard };
        Self { ranks, shard, parts, state: Arc::default() }
    }

    /// The elements of a parameter that this rank updates.
    pub(crate) fn own(&self, name: &str) -> Range<usize> {
        match self.parts.parameters.iter().find(|it| it.name == name) {
            Some(it) if self.shard == Shard::None => 0..it.param.tensor().elem_count(),
            Some(it) => it.shares[self.ranks.rank()].clone(),
            None => 0..0,
        }
    }

    /// A pass over a micro-batch, or none where the others may have one; with gradients that are sharded it ends when they are summed.
    ///
    /// # Errors
    /// That of the pass; a rank that is gone.
    pub(crate) fn during<T>(&self, pass: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.shard != Shard::Gradients {
            return pass();
        }
        {
            let mut state = self.state();
            let count = self.parts.parameters.len();
            (state.next, state.late, state.written) = (0, false, vec![false; count]);
            state.sums.resize(count, None);
        }
        self.listen(true);
        let passed = pass();
        self.listen(false);
        if let Some(error) = self.state().failed.take() {
            return Err(error);
        }
        let passed = passed?;
        let mut state = self.state();
        while state.next < self.parts.groups.len() {
            self.parts.sum_next(&mut state)?;
        }
        if self.ranks.each(state.late)?.contains(&true) {
            state.next = 0;
            while state.next < self.parts.groups.len() {
                self.parts.sum_next(&mut state)?;
            }
        }
        Ok(passed)
    }

    fn listen(&self, listens: bool) {
        for (number, it) in self.parts.parameters.iter().enumerate() {
            let Some(buffer) = it.param.grad_buffer() else { continue };
            let (parts, state) = (Arc::clone(&self.parts), Arc::clone(&self.state));
            let listener =
                move || parts.wrote(number, &mut state.lock().unwrap_or_else(PoisonError::into_inner));
            buffer.tell_of_writes(listens.then(|| Arc::new(listener) as align_kernels::Written));
        }
    }

    /// Fails unless the first pass has written a gradient for every parameter.
    pub(crate) fn check_coverage(&self, params: &Params) -> Result<()> {
        match self.shard {
            Shard::Gradients => {
                let state = self.state();
                gradients::check_written(params, |number| state.written[number])
            }
            _ => gradients::check_coverage(params),
        }
    }

    /// Makes the gradients of an update the sum over all ranks: all of it in the buffers, or the own shares alone.
    ///
    /// # Errors
    /// A rank that is gone.
    pub(crate) fn complete(&self) -> Result<()> {
        match self.shard {
            _ if self.ranks.is_alone() => Ok(()),
            Shard::None => self.parts.sum_all(),
            Shard::Gradients => Ok(()),
            Shard::Optimizer => {
                let mut state = self.state();
                state.next = 0;
                state.sums.resize(self.parts.parameters.len(), None);
                while state.next < self.parts.groups.len() {
                    self.parts.sum_next(&mut state)?;
                }
                Ok(())
            }
        }
    }

    /// The L2 norm of the sum, on whichever ranks its parts are: parameter by parameter, and of each share by share.
    ///
    /// # Errors
    /// A rank that is gone.
    pub(crate) fn norm(&self, params: &Params) -> Result<f64> {
        if self.shard == Shard::None {
            return gradients::global_norm(params, |number| self.parts.parameters[number].shares.clone());
        }
        let own: Vec<u64> = {
            let state = self.state();
            let of = |sum: &Option<Vec<f32>>| sum.as_deref().map_or(0.0, gradients::squares).to_bits();
            state.sums.iter().map(of).collect()
        };
        let all = self.ranks.each(own)?;
        let of = |number: usize| all.iter().map(|own| f64::from_bits(own[number])).sum::<f64>();
        Ok((0..self.parts.parameters.len()).map(of).sum::<f64>().sqrt())
    }

    /// Takes the own share of a parameter's sum; none where gradients are in their buffers.
    pub(crate) fn take(&self, name: &str) -> Option<Vec<f32>> {
        let number = self.parts.parameters.iter().position(|it| it.name == name)?;
        self.state().sums.get_mut(number)?.take()
    }

    /// Forgets what was summed.
    pub(crate) fn clear(&self) {
        self.state().sums.clear();
    }

    /// Gives all ranks the weights that each has updated.
    ///
    /// # Errors
    /// A rank that is gone.
    pub(crate) fn spread(&self) -> Result<()> {
        if self.shard == Shard::None {
            return Ok(());
        }
        for bucket in self.parts.groups.iter().flat_map(|group| &group.buckets) {
            let weight = |number: usize| Some(self.parts.parameters[number].param.tensor().detach());
            let mut values = bucket.read(weight)?;
            self.ranks.gather_parts(&mut values, &bucket.counts)?;
            bucket.write(&values, weight)?;
        }
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parts {
    /// The pass has written to a parameter: whatever comes before its group is complete, if all of it was written to.
    fn wrote(&self, number: usize, state: &mut State) -> candle_core::Result<()> {
        let group = self.group_of[number];
        state.late |= group < state.next;
        state.written[number] = true;
        while state.next < group && self.groups[state.next].parameters.iter().all(|&it| state.written[it]) {
            if let Err(error) = self.sum_next(state) {
                let told = candle_core::Error::Msg(error.to_string());
                state.failed = Some(error);
                return Err(told);
            }
        }
        Ok(())
    }

    /// Sums the next group: own shares are kept, buffers freed.
    fn sum_next(&self, state: &mut State) -> Result<()> {
        let group = &self.groups[state.next];
        // A rank that has failed meanwhile says so here.
        if self.ranks.each(state.next)?.iter().any(|next| *next != state.next) {
            return Err(Error::stage("ranks sum different groups of gradients; this is a bug"));
        }
        for bucket in &group.buckets {
            let values = bucket.read(|number| gradients::of(&self.parameters[number].param))?;
            let own = self.ranks.sum_parts(&values, &bucket.counts)?;
            drop(values);
            let mut rest = &own[..];
            for span in &bucket.spans {
                let range = span.ranges[self.ranks.rank()].clone();
                let (values, others) = rest.split_at(range.len());
                rest = others;
                let share = &self.parameters[span.parameter].shares[self.ranks.rank()];
                match &mut state.sums[span.parameter] {
                    // The first micro-batch's, of a parameter that travels at once.
                    sum @ None if range == *share => *sum = Some(values.to_vec()),
                    sum => {
                        let sum = sum.get_or_insert_with(|| vec![0.0; share.len()]);
                        let at = range.start - share.start;
                        sum[at..at + range.len()].iter_mut().zip(values).for_each(|(sum, it)| *sum += it);
                    }
                }
            }
        }
        let buffers =
            group.parameters.iter().filter_map(|&number| self.parameters[number].param.grad_buffer());
        buffers.for_each(|buffer| buffer.clear());
        state.next += 1;
        Ok(())
    }

    /// Makes every gradient the sum over all ranks. One that was not written counts as zero: a rank without a micro-batch has none.
    fn sum_all(&self) -> Result<()> {
        for it in &self.parameters {
            if let (Some(buffer), None) = (it.param.grad_buffer(), gradients::of(&it.param)) {
                buffer.accumulate(&it.param.tensor().detach().zeros_like()?)?;
            }
        }
        for bucket in self.groups.iter().flat_map(|group| &group.buckets) {
            let gradient = |number: usize| gradients::of(&self.parameters[number].param);
            let mut values = bucket.read(gradient)?;
            self.ranks.sum(&mut values)?;
            bucket.write(&values, gradient)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
