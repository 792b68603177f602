//! The decoding loop: who enters, one pass of the model for all, who leaves.
//!
//! A pass takes the newest token of every sequence underway and, while there is room, whole prompts of
//! groups that arrive, all in one stream: the weights are read once for all of them. Completions of one
//! prompt share its rows of the cache; their first tokens are sampled from the same logits when it
//! arrives, and from then on each has a lane of rows of its own.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use align_kernels::Segment;
use candle_core::DType;

use super::cache::{Cache, token_bytes};
use super::groups::Groups;
use super::sequence::{Completion, Sequence};
use super::{GenerationOptions, Sampler, Streams, sampling};
use crate::{CausalLm, Result, Stream};

/// How much is done at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Sequences decoded together: enough for matrix products at full speed.
    sequences: usize,
    /// Prompt tokens per pass, unless one prompt alone has more: what bounds the pass's activations.
    prefill_tokens: usize,
    /// Memory for the cache, unless one sequence alone needs more.
    cache_bytes: usize,
}

impl Limits {
    /// What [`generate`](super::generate) uses.
    pub(super) const USUAL: Self = Self { sequences: 64, prefill_tokens: 2048, cache_bytes: 1 << 30 };
}

/// Completions on their way, and those that wait. Iterates over runs of complete ones, in order.
#[derive(Debug)]
pub(super) struct Underway<'a> {
    model: &'a CausalLm,
    eos: &'a [u32],
    options: &'a GenerationOptions,
    seed: u64,
    limits: Limits,
    /// Prompts to come, with the number of their completions.
    waiting: VecDeque<(&'a [u32], usize)>,
    /// Number of the first completion of the next prompt, which is also its random stream.
    number: usize,
    groups: Groups,
    /// Sequences with a first token that wait for a place or a lane.
    ready: VecDeque<Sequence>,
    decoding: Vec<Sequence>,
    cache: Cache,
    complete: BTreeMap<usize, Completion>,
    handed_out: usize,
}

impl<'a> Underway<'a> {
    /// `groups` are prompts, checked, and how many completions each is to have.
    pub(super) fn new(
        model: &'a CausalLm,
        groups: Vec<(&'a [u32], usize)>,
        eos: &'a [u32],
        options: &'a GenerationOptions,
        Streams { seed, first }: Streams,
        limits: Limits,
    ) -> candle_core::Result<Self> {
        let decoder = model.decoder();
        let (config, dtype) = (decoder.config(), decoder.cache_dtype());
        let rows = limits.cache_bytes / token_bytes(config, dtype).max(1);
        let waiting = VecDeque::from(groups);
        // The last token is never fed back, so it needs no row.
        let groups = Groups::new(&waiting, options.max_new_tokens - 1, limits.sequences, rows);
        let cache = Cache::new(config, groups.capacity(), rows.max(1), dtype, decoder.device())?;
        Ok(Self {
            model,
            eos,
            options,
            seed,
            limits,
            waiting,
            number: first as usize,
            groups,
            ready: VecDeque::new(),
            decoding: Vec::new(),
            cache,
            complete: BTreeMap::new(),
            handed_out: first as usize,
        })
    }

    /// One pass of the model and the tokens sampled from it.
    fn advance(&mut self) -> Result<()> {
        self.start_ready();
        let mut arriving = self.arrivals();
        let (stream, destinations) = self.stream(&arriving);
        let rows: Vec<u32> = stream.segments.iter().map(|segment| segment.queries.end as u32 - 1).collect();
        self.cache.write_to(destinations)?;
        let logits = self.model.logits(&stream, &rows, &mut self.cache)?.to_dtype(DType::F32)?;
        let rows = self.decoding.chunks_mut(1).chain(arriving.iter_mut().map(Vec::as_mut_slice));
        sampling::extend(rows.collect(), &logits, self.eos, self.options)?;
        self.sort_out(arriving);
        Ok(())
    }

    /// Sequences that wait with a first token get the places and lanes that are free.
    fn start_ready(&mut self) {
        while self.decoding.len() < self.limits.sequences
            && let Some(mut sequence) = self.ready.pop_front()
        {
            match self.groups[sequence.group].lanes.pop() {
                Some(lane) => {
                    sequence.lane = lane;
                    self.decoding.push(sequence);
                }
                None => {
                    self.ready.push_front(sequence);
                    break;
                }
            }
        }
    }

    /// The completions of prompts that there is room for, prompt by prompt, without a token yet.
    fn arrivals(&mut self) -> Vec<Vec<Sequence>> {
        let mut arriving: Vec<Vec<Sequence>> = Vec::new();
        let (mut sequences, mut tokens) = (self.decoding.len(), 0);
        while self.ready.is_empty() && sequences < self.limits.sequences {
            let Some(&(prompt, count)) = self.waiting.front() else { break };
            if tokens > 0 && tokens + prompt.len() > self.limits.prefill_tokens {
                break;
            }
            let Some(group) = self.groups.enter(prompt.len(), count) else { break };
            let numbers = self.number..self.number + count;
            let sampler = |number| Sampler::new(self.options, self.seed, number as u64);
            arriving.push(numbers.map(|n| Sequence::new(n, group, prompt, sampler(n))).collect());
            self.waiting.pop_front();
            self.number += count;
            sequences += count;
            tokens += prompt.len();
        }
        arriving
    }

    /// The newest token of each sequence underway, then the arriving prompts; and the row of the cache
    /// that each of these tokens goes to.
    fn stream(&self, arriving: &[Vec<Sequence>]) -> (Stream, Vec<u32>) {
        let (mut stream, mut destinations) = (Stream::default(), Vec::new());
        let mut lengths = Vec::new();
        let mut push = |sequence: &Sequence, first: usize, keys: Vec<Range<usize>>| {
            let (tokens, row) = (&sequence.tokens[first..], stream.tokens.len());
            let prompt = sequence.tokens.len() - sequence.completion().len();
            // Keys are in the cache before the sequence has its length: the longest that it may have counts.
            lengths.push((prompt + self.options.max_new_tokens) as u32);
            let end = keys.last().map_or(0, |range| range.end);
            stream.tokens.extend(tokens);
            stream.positions.extend((first as u32..).take(tokens.len()));
            stream.segments.push(Segment { queries: row..row + tokens.len(), keys });
            destinations.extend((end - tokens.len()) as u32..end as u32);
        };
        for sequence in &self.decoding {
            let own = sequence.lane.start..sequence.lane.start + sequence.completion().len();
            let keys = self.groups[sequence.group].context(own);
            let newest = sequence.tokens.len() - 1;
            push(sequence, newest, keys);
        }
        for sequence in arriving.iter().filter_map(|sequences| sequences.first()) {
            push(sequence, 0, vec![self.groups[sequence.group].prompt.clone()]);
        }
        stream.stated_lengths = Some(lengths);
        (stream, destinations)
    }

    /// Complete sequences leave and free their lanes; those that arrived wait to be started.
    fn sort_out(&mut self, arrived: Vec<Vec<Sequence>>) {
        let ended = |sequence: &Sequence| {
            sequence.ended_by(self.eos) || sequence.completion().len() == self.options.max_new_tokens
        };
        let complete: Vec<Sequence> = self.decoding.extract_if(.., |sequence| ended(sequence)).collect();
        let (at_once, ready): (Vec<_>, Vec<_>) = arrived.into_iter().flatten().partition(ended);
        self.ready.extend(ready);
        for sequence in complete.into_iter().chain(at_once) {
            self.groups.leave(sequence.group, sequence.lane.clone());
            self.complete.insert(sequence.number, sequence.into_completion(self.eos));
        }
    }
}

impl Iterator for Underway<'_> {
    type Item = Result<Vec<Completion>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut batch = Vec::new();
            while let Some(completion) = self.complete.remove(&self.handed_out) {
                batch.push(completion);
                self.handed_out += 1;
            }
            if !batch.is_empty() {
                return Some(Ok(batch));
            }
            if self.waiting.is_empty() && self.ready.is_empty() && self.decoding.is_empty() {
                return None;
            }
            // In a thread of the pool the many short parallel loops of a pass cost less to start.
            if let Err(error) = rayon::scope(|_| self.advance()) {
                self.waiting.clear();
                self.ready.clear();
                self.decoding.clear();
                return Some(Err(error));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use align_kernels::{Params, Precision};
    use candle_core::Device;

    use super::*;
    use crate::{DecoderConfig, random_weights};

    fn model() -> CausalLm {
        model_in(Precision::F32)
    }

    fn model_in(precision: Precision) -> CausalLm {
        let config = DecoderConfig::from_json(&serde_json::json!({
            "model_type": "llama",
            "vocab_size": 50,
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 64,
            "initializer_range": 0.5,
        }));
        let config = DecoderConfig { precision, ..config.unwrap() };
        let weights = random_weights(&config, 5, &Device::Cpu).unwrap();
        CausalLm::new(&config, &Params::frozen(&weights)).unwrap()
    }

    /// Groups of 1 to 5 completions of prompts of 1 to 7 tokens; a tenth of the tokens end a text.
    fn texts(limits: Limits) -> Vec<Vec<u32>> {
        let (model, options) = (model(), GenerationOptions::sampled(9));
        let prompts: Vec<Vec<u32>> =
            (1..20u32).map(|i| (0..1 + i % 7).map(|j| (i + j) % 50).collect()).collect();
        let groups = prompts.iter().zip(0..).map(|(prompt, i)| (prompt.as_slice(), 1 + i % 5)).collect();
        let underway = Underway::new(&model, groups, &[1, 2, 3, 4, 5], &options, 3.into(), limits).unwrap();
        underway.flat_map(Result::unwrap).map(|completion| completion.tokens).collect()
    }

    #[test]
    fn keys_and_values_of_a_model_in_bf16_take_half_the_bytes() {
        for (precision, dtype) in [(Precision::F32, DType::F32), (Precision::Bf16, DType::BF16)] {
            let model = model_in(precision);
            let config = model.decoder().config();
            assert_eq!(model.decoder().cache_dtype(), dtype);
            assert_eq!(config.cache_bytes(3), 3 * token_bytes(config, dtype) as u64);
            let options = GenerationOptions::sampled(9);
            let (prompt, eos) = ([1, 2, 3], []);
            let groups = vec![(prompt.as_slice(), 2)];
            let mut underway =
                Underway::new(&model, groups, &eos, &options, 3.into(), Limits::USUAL).unwrap();
            assert!(
                underway.all(|batch| batch.unwrap().iter().all(|completion| completion.tokens.len() == 9))
            );
        }
    }

    #[test]
    fn scarce_room_changes_no_text() {
        let texts_with_plenty = texts(Limits::USUAL);
        let lengths = || texts_with_plenty.iter().map(Vec::len);
        assert_eq!((lengths().min(), lengths().max()), (Some(1), Some(9)), "some end early, some do not");
        let token = token_bytes(model().decoder().config(), DType::F32);
        for (sequences, prefill_tokens, rows) in
            [(1, 1, 1), (2, 100, 17), (3, 4, 40), (7, 9, 1000), (64, 1, 60)]
        {
            let limits = Limits { sequences, prefill_tokens, cache_bytes: rows * token };
            assert_eq!(texts(limits), texts_with_plenty, "{limits:?}");
        }
    }
}
