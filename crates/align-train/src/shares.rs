//! Shares: which rank updates what of every parameter, and keeps the optimizer's state of it.
//!
//! Each parameter is cut into as many parts as there are ranks, so that whatever travels at once has a part for everybody. Cuts lie
//! between blocks of 256 elements, which moments of 8 bits are quantised by. What an optimizer updates as a whole (a matrix of Muon,
//! a parameter of Adafactor) is one rank's: that which has the least so far.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::OptimizerMethod;

/// Elements between two places where a parameter may be cut.
pub(crate) const GRAIN: usize = 256;

/// What of a run is divided among its ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Shard {
    /// Nothing: every rank has all of it.
    #[default]
    None,
    /// The optimizer's state (ZeRO-1): each rank updates its share of every parameter.
    Optimizer,
    /// Gradients too (ZeRO-2): each rank keeps its share of their sum, and no more, while the backward pass goes on.
    Gradients,
}

/// The shares of all ranks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shares(BTreeMap<String, Vec<usize>>);

impl Shares {
    /// The shares of parameters of these names and shapes under an optimizer.
    pub(crate) fn new<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a [usize])>,
        method: OptimizerMethod,
        ranks: usize,
    ) -> Self {
        let mut loads = vec![0; ranks];
        let cut = |(name, shape): (&str, &[usize])| {
            let count: usize = shape.iter().product();
            let cuts = match method.updates_whole(name, shape) {
                true => {
                    let least = (0..ranks).min_by_key(|&rank| loads[rank]).unwrap_or(0);
                    (0..=ranks).map(|rank| if rank > least { count } else { 0 }).collect()
                }
                false => {
                    let part = count.div_ceil(ranks).next_multiple_of(GRAIN);
                    (0..=ranks).map(|rank| count.min(rank * part)).collect::<Vec<_>>()
                }
            };
            loads.iter_mut().zip(cuts.windows(2)).for_each(|(load, cut)| *load += cut[1] - cut[0]);
            (name.to_owned(), cuts)
        };
        Self(parameters.into_iter().map(cut).collect())
    }

    /// The elements of a parameter that are each rank's.
    pub(crate) fn of(&self, name: &str) -> Vec<Range<usize>> {
        self.0.get(name).into_iter().flat_map(|cuts| cuts.windows(2)).map(|cut| cut[0]..cut[1]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Adam, Muon};

    #[test]
    fn shares_cover_every_parameter_once_and_cut_no_block() {
        let shapes: [(&str, &[usize]); 4] =
            [("embed", &[1000, 64]), ("layer.a", &[100, 30]), ("layer.b", &[90, 31]), ("norm", &[64])];
        for ranks in [1, 2, 3, 4, 64] {
            let adam = Shares::new(shapes, OptimizerMethod::AdamW8bit(Adam::default()), ranks);
            let muon = Shares::new(shapes, OptimizerMethod::Muon(Muon::default(), Adam::default()), ranks);
            for (name, shape) in shapes {
                for shares in [adam.of(name), muon.of(name)] {
                    assert_eq!(shares.len(), ranks);
                    assert_eq!((shares[0].start, shares[ranks - 1].end), (0, shape.iter().product()));
                    assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start), "{shares:?}");
                    let cut = |share: &Range<usize>| share.start.is_multiple_of(GRAIN) || share.is_empty();
                    assert!(name.starts_with("layer") || shares.iter().all(cut), "{shares:?}");
                }
            }
            let owners = |name: &str| muon.of(name).iter().filter(|share| !share.is_empty()).count();
            assert_eq!((owners("layer.a"), owners("layer.b")), (1, 1), "matrices stay whole");
            let first = |name: &str| muon.of(name).iter().position(|share| !share.is_empty());
            assert!(ranks == 1 || first("layer.a") != first("layer.b"), "the second goes to another rank");
        }
    }
}
