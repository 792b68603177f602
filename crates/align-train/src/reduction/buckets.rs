//! What travels at once: at most so many values, of some parameters the shares of all ranks.

use std::cmp::Reverse;
use std::ops::Range;

use align_kernels::Param;
use candle_core::{Result, Tensor};

/// Values that are sent at once: 16 MB. More would save nothing, and take more memory.
pub(super) const BUCKET: usize = 4 << 20;

/// A trained parameter, and what of it is each rank's.
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) param: Param,
    pub(super) shares: Vec<Range<usize>>,
}

/// Parameters that are summed together: several in one bucket, or a large one in several.
#[derive(Default)]
pub(super) struct Group {
    pub(super) parameters: Vec<usize>,
    pub(super) buckets: Vec<Bucket>,
}

/// Parts of parameters: first all that are the first rank's, then the second's.
#[derive(Default)]
pub(super) struct Bucket {
    pub(super) spans: Vec<Span>,
    /// The values of each rank.
    pub(super) counts: Vec<usize>,
}

/// What a bucket has of a parameter: of each rank's share the elements of this range.
pub(super) struct Span {
    pub(super) parameter: usize,
    pub(super) ranges: Vec<Range<usize>>,
}

/// All groups in the order of a backward pass, and the group of every parameter. It goes by names: the head, layers from the last
/// to the first, embeddings. Another order would be no error, but hold gradients for longer.
pub(super) fn groups(parameters: &[Parameter], ranks: usize, most: usize) -> (Vec<Group>, Vec<usize>) {
    let mut order: Vec<usize> = (0..parameters.len()).collect();
    order.sort_by_key(|&number| {
        let name = &parameters[number].name;
        let layer = name.split('.').find_map(|part| part.parse::<usize>().ok());
        (name.contains("embed"), Reverse(layer.unwrap_or(usize::MAX)), number)
    });
    let mut groups: Vec<Group> = Vec::new();
    let mut group_of = vec![0; parameters.len()];
    let mut room = 0;
    for number in order {
        let mut spans = spans(&parameters[number].shares, number, most / ranks);
        let count = parameters[number].param.tensor().elem_count();
        let fits = spans.len() == 1 && count <= room;
        room = match (fits, spans.len()) {
            (true, _) => room - count,
            (false, 1) => most.saturating_sub(count),
            (false, _) => 0,
        };
        if !fits {
            groups.push(Group::default());
        }
        let last = groups.len() - 1;
        group_of[number] = last;
        let group = &mut groups[last];
        group.parameters.push(number);
        match (group.buckets.last_mut(), spans.pop()) {
            (Some(bucket), Some(span)) if fits => bucket.spans.push(span),
            (_, last) => {
                let bucket = |span| Bucket { spans: vec![span], counts: Vec::new() };
                group.buckets.extend(spans.into_iter().chain(last).map(bucket));
            }
        }
    }
    for bucket in groups.iter_mut().flat_map(|group| &mut group.buckets) {
        let of = |rank: usize| bucket.spans.iter().map(|span| span.ranges[rank].len()).sum();
        bucket.counts = (0..ranks).map(of).collect();
    }
    (groups, group_of)
}

/// The spans of a parameter: one, or as many as it takes with at most so many elements of each rank.
fn spans(shares: &[Range<usize>], number: usize, most: usize) -> Vec<Span> {
    let longest = shares.iter().map(Range::len).max().unwrap_or(0);
    let most = most.max(1);
    let span = |part: usize| {
        let cut = |share: &Range<usize>| {
            let at = |part: usize| share.end.min(share.start + part * most);
            at(part)..at(part + 1)
        };
        Span { parameter: number, ranges: shares.iter().map(cut).collect() }
    };
    (0..longest.div_ceil(most).max(1)).map(span).collect()
}

impl Bucket {
    /// The values of tensors by the parameter's number; zeros where there is none.
    pub(super) fn read(&self, of: impl Fn(usize) -> Option<Tensor>) -> Result<Vec<f32>> {
        let mut values = Vec::with_capacity(self.counts.iter().sum());
        let tensors: Vec<_> = self.flat(of)?;
        for rank in 0..self.counts.len() {
            for (span, tensor) in self.spans.iter().zip(&tensors) {
                let range = &span.ranges[rank];
                match tensor {
                    _ if range.is_empty() => {}
                    None => values.resize(values.len() + range.len(), 0.0),
                    Some(tensor) => {
                        values.extend(tensor.narrow(0, range.start, range.len())?.to_vec1::<f32>()?)
                    }
                }
            }
        }
        Ok(values)
    }

    /// Overwrites tensors with the values, in place.
    pub(super) fn write(&self, values: &[f32], of: impl Fn(usize) -> Option<Tensor>) -> Result<()> {
        let tensors = self.flat(of)?;
        let mut rest = values;
        for rank in 0..self.counts.len() {
            for (span, tensor) in self.spans.iter().zip(&tensors) {
                let range = &span.ranges[rank];
                let (values, others) = rest.split_at(range.len());
                rest = others;
                if let (Some(tensor), false) = (tensor, range.is_empty()) {
                    tensor.slice_set(
                        &Tensor::from_slice(values, range.len(), tensor.device())?,
                        0,
                        range.start,
                    )?;
                }
            }
        }
        Ok(())
    }

    fn flat(&self, of: impl Fn(usize) -> Option<Tensor>) -> Result<Vec<Option<Tensor>>> {
        self.spans.iter().map(|span| of(span.parameter).map(|it| it.flatten_all()).transpose()).collect()
    }
}
