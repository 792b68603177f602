//! The moments of a run.

use align_data::BatchSize;
use align_files::Resume;
use align_models::ModelDir;
use align_models::footprint::{PassBytes, PassSize, shapes_bytes};
use align_train::{Shard, TrainConfig};

use super::{MemoryNeeds, MemoryPlan, Moment, Part};
use crate::{Opening, Result};

/// What the program itself takes: its code, its threads, buffers of products and of the head's tiles. Measured on x86-64 with two
/// threads.
const PROGRAM: u64 = 40 << 20;
/// What a tokenizer takes for each token of its vocabulary. Measured with vocabularies of 1,024 and 32,000.
const TOKENIZER: u64 = 900;
/// A row's bytes beside its tokens: where it stands, its texts while they are needed.
const ROW: u64 = 400;
/// What ranks send at once, in bytes.
const BUCKET: u64 = 16 << 20;
/// Rows whose order is followed to find the largest micro-batch; in longer runs it is made of the largest rows.
const MOST_FOLLOWED: usize = 5_000_000;

/// The moments of a run of that model with these options.
pub(super) fn predict(
    opening: &Opening<'_>,
    model: &ModelDir,
    config: &TrainConfig,
    needs: &MemoryNeeds,
) -> Result<MemoryPlan> {
    predict_on(config.ranks.size(), opening, model, config, needs)
}

/// The same on so many ranks.
pub(super) fn predict_on(
    ranks: usize,
    opening: &Opening<'_>,
    model: &ModelDir,
    config: &TrainConfig,
    needs: &MemoryNeeds,
) -> Result<MemoryPlan> {
    let run = Run::new(ranks, opening, model, config, needs)?;
    let moments = [run.load(), run.resume(), run.step(), run.evaluation(), run.save()];
    Ok(MemoryPlan { moments: moments.into_iter().flatten().collect(), available: None, chosen: None })
}

/// The bytes of what does not change from moment to moment.
struct Run<'a> {
    needs: &'a MemoryNeeds,
    /// Weights as they are loaded.
    loaded: u64,
    /// Weights in training.
    weights: u64,
    /// Of these, what is trained.
    trained: u64,
    gradients: u64,
    /// Of the weights behind the last layer, whose gradients are first.
    head_gradients: u64,
    optimizer: u64,
    /// What ranks send and receive at once.
    travelling: u64,
    largest: u64,
    is_whole: bool,
    accumulates: bool,
    resumes: bool,
    pass: PassBytes,
    /// What of the pass is left when its way back comes to the first layer: each layer frees what it has used.
    behind: PassBytes,
    /// Gradients of the rows that the head is given.
    rows: u64,
    evaluated: u64,
    cache: u64,
    base: u64,
}

impl<'a> Run<'a> {
    fn new(
        ranks: usize,
        opening: &Opening<'_>,
        model: &ModelDir,
        config: &TrainConfig,
        needs: &'a MemoryNeeds,
    ) -> Result<Self> {
        let decoder = model.decoder_config();
        let held = if needs.from_scratch { model.random_weight_bytes() } else { model.weight_bytes()? };
        let mut trained = model.trained_shapes(needs.head)?;
        if needs.frozen_backbone {
            trained.retain(|(name, _)| name.starts_with("score."));
        }
        let is_whole = !model.is_adapter() && !needs.frozen_backbone;
        let own = shapes_bytes(&trained);
        let weights = if is_whole { held.total().max(own) } else { held.total() + own };
        let shard = if ranks > 1 { config.shard } else { Shard::None };
        let state = |trained: &[(String, Vec<usize>)]| {
            let sharing = if shard == Shard::None { 1 } else { ranks };
            config.optimizer.method.shared_state_bytes(trained, sharing)
        };
        let size = largest(opening, config, needs, |size| {
            let pass = decoder.pass_bytes(size, config.gradient_checkpointing);
            pass.kept + pass.logits
        })?;
        let mut pass = decoder.pass_bytes(size, config.gradient_checkpointing);
        // The rows that each layer got, and one layer whole, as where layers are computed again.
        let mut behind = decoder.pass_bytes(size, true);
        if needs.head.is_some() {
            pass.logits = 0;
        }
        if needs.frozen_backbone {
            pass = PassBytes { forward: pass.forward, ..PassBytes::default() };
            behind = PassBytes::default();
        }
        // Sharded gradients count whole: a pass that frees them was measured to take as much at its peak.
        let (mut gradients, mut optimizer, mut weights) = (own, state(&trained), weights);
        if let Some(second) = &needs.second {
            let bytes = shapes_bytes(&second.trained);
            (gradients, optimizer, weights) =
                (gradients + bytes, optimizer + state(&second.trained), weights + bytes);
            if second.has_layers {
                let other = second.config.pass_bytes(size, config.gradient_checkpointing);
                pass.kept += other.kept;
                pass.backward = pass.backward.max(other.backward);
                behind.kept += second.config.pass_bytes(size, true).kept;
            }
        }
        let travelling = if ranks > 1 { 2 * BUCKET.min(gradients) } else { 0 };
        let evaluated = needs
            .held_out
            .chunks(config.per_device_eval_batch_size.max(1))
            .map(|rows| decoder.pass_bytes(rows.iter().copied().sum(), false).forward)
            .max();
        let tokens: usize = needs.train.iter().chain(&needs.held_out).map(|row| row.tokens).sum();
        let rows = needs.train.len() + needs.held_out.len();
        Ok(Self {
            loaded: if is_whole { 2 * held.total() } else { weights },
            head_gradients: if is_whole && needs.head.is_none() {
                4 * (decoder.vocab * decoder.hidden) as u64
            } else {
                0
            },
            travelling,
            largest: trained.iter().map(|of| shapes_bytes([of])).max().unwrap_or(0),
            rows: 4 * (size.rows * decoder.hidden) as u64,
            base: PROGRAM
                + TOKENIZER * opening.tokenizer.vocab_size() as u64
                + 4 * tokens as u64
                + ROW * rows as u64,
            accumulates: config.gradient_accumulation_steps > 1,
            resumes: config.resume != Resume::No,
            evaluated: evaluated.unwrap_or(0),
            cache: decoder.cache_bytes(needs.cached_tokens),
            needs,
            weights,
            trained: gradients,
            gradients,
            optimizer,
            is_whole,
            pass,
            behind,
        })
    }

    /// The reference where it has weights of its own: in training, and where its log-probs were computed in advance.
    fn reference(&self) -> (u64, u64) {
        let Some(frozen) = self.needs.reference else { return (0, 0) };
        let own = frozen.own.map_or(if self.is_whole { self.weights } else { 0 }, |own| own.total());
        let moving = if frozen.moves { self.weights } else { 0 };
        (if frozen.in_advance { moving } else { own + moving }, own + moving)
    }

    fn moment(&self, name: &'static str, parts: &[(&'static str, u64)]) -> Moment {
        let all = parts
            .iter()
            .copied()
            .chain([("other models", self.needs.others), ("program, tokenizer, rows", self.base)]);
        Moment { name, parts: all.map(|(name, bytes)| Part { name, bytes }).collect() }
    }

    /// The weights as they are read, of which training has a copy, and the reference; log-probs that are computed in advance.
    fn load(&self) -> Option<Moment> {
        let frozen = self.needs.reference.as_ref();
        let named = frozen.and_then(|frozen| frozen.own).map_or(0, |own| own.total());
        let moving = if frozen.is_some_and(|frozen| frozen.moves) { self.weights } else { 0 };
        let (reference, forward) = (named + moving, if frozen.is_some() { self.pass.forward } else { 0 });
        Some(
            self.moment(
                "load",
                &[("weights", self.loaded), ("reference", reference), ("forward pass", forward)],
            ),
        )
    }

    /// What a checkpoint holds, as it is read: the bytes of a file, and its tensors.
    fn resume(&self) -> Option<Moment> {
        let (reference, _) = self.reference();
        // Weights first, file by file; then the state, buffer by buffer.
        let weights = self.trained;
        let read = if 2 * weights > self.optimizer + self.largest {
            [0, 2 * weights]
        } else {
            [self.optimizer, self.largest]
        };
        let parts = [
            ("weights", self.weights),
            ("reference", reference),
            ("optimizer state", read[0]),
            ("what is read", read[1]),
        ];
        self.resumes.then(|| self.moment("resume", &parts))
    }

    /// The widest moment of an update: the end of the forward pass, the beginning of the backward pass or its end.
    fn step(&self) -> Option<Moment> {
        let PassBytes { kept, logits, backward, forward } = self.pass;
        let (reference, _) = self.reference();
        let before = if self.accumulates { self.gradients } else { 0 };
        let live = if reference > 0 { forward } else { 0 };
        let at_head = self.rows + if self.accumulates { 0 } else { self.head_gradients };
        let forward = [
            ("activations", kept),
            ("gradients", before + at_head),
            ("logits", logits),
            ("a layer at work", live),
        ];
        let turn = [
            ("activations", kept),
            ("gradients", before + at_head),
            ("logits", 0),
            ("a layer at work", backward),
        ];
        let end = [
            ("activations", self.behind.kept),
            ("gradients", self.gradients + self.travelling),
            ("logits", 0),
            ("a layer at work", self.behind.backward),
        ];
        let total = |parts: &[(&str, u64)]| parts.iter().map(|(_, bytes)| bytes).sum::<u64>();
        let widest = [forward, turn, end].into_iter().max_by_key(|parts| total(parts))?;
        let held = [("weights", self.weights), ("reference", reference), ("optimizer state", self.optimizer)];
        Some(self.moment("step", &held.into_iter().chain(widest).collect::<Vec<_>>()))
    }

    /// A measurement on held-out rows, and what is generated then.
    fn evaluation(&self) -> Option<Moment> {
        if self.evaluated == 0 && self.cache == 0 {
            return None;
        }
        let (_, reference) = self.reference();
        let parts = [
            ("weights", self.weights),
            ("reference", reference),
            ("optimizer state", self.optimizer),
            ("a layer at work", self.evaluated.max(if self.cache > 0 { self.pass.forward } else { 0 })),
            ("keys and values", self.cache),
        ];
        Some(self.moment(if self.needs.any_order { "sampling" } else { "evaluation" }, &parts))
    }

    /// A checkpoint, which is written tensor by tensor; a reward model is read again at the end, without its optimizer.
    fn save(&self) -> Option<Moment> {
        let (reference, _) = self.reference();
        let again = if self.needs.reads_again { self.loaded.min(self.weights) } else { 0 };
        let (optimizer, written) = (self.optimizer, 2 * self.largest);
        let beside = if again > optimizer + written { [0, again] } else { [optimizer, written] };
        let parts = [
            ("weights", self.weights),
            ("reference", reference),
            ("optimizer state", beside[0]),
            ("what is written", beside[1]),
        ];
        Some(self.moment("save", &parts))
    }
}

/// The size of the largest micro-batch of the run, by its `bytes`: of those that its order gives, or of the largest rows where the
/// order is not known.
fn largest(
    opening: &Opening<'_>,
    config: &TrainConfig,
    needs: &MemoryNeeds,
    bytes: impl Fn(PassSize) -> u64,
) -> Result<PassSize> {
    let MemoryNeeds { train, .. } = needs;
    let lengths: Vec<usize> = train.iter().map(|row| row.tokens).collect();
    let bins = config.per_device_train_batch_size;
    let size = match (needs.bins, config.max_tokens_per_micro_batch) {
        (Some(tokens), _) => BatchSize::Bins { bins, tokens },
        (None, Some(tokens)) => BatchSize::Tokens(tokens),
        (None, None) => BatchSize::Examples(bins),
    };
    let of_rows = |rows: &[usize]| rows.iter().map(|&row| train[row]).sum::<PassSize>();
    let mut order = opening.cut(config, lengths, size)?;
    let batches =
        config.total_steps(order.batches_in_epoch(0)).saturating_mul(config.micro_batches_per_update());
    let epochs = batches.div_ceil(order.batches_in_epoch(0).max(1));
    if needs.any_order || train.len().saturating_mul(epochs) > MOST_FOLLOWED {
        return Ok(bound(train, size));
    }
    let mut widest = PassSize::default();
    let mut seen = 0;
    while seen < batches {
        let Some(rows) = order.next_batch() else { continue };
        seen += 1;
        let size = of_rows(&rows);
        if bytes(size) > bytes(widest) {
            widest = size;
        }
    }
    Ok(widest)
}

/// A micro-batch of the largest rows.
fn bound(train: &[PassSize], size: BatchSize) -> PassSize {
    let mut rows = train.to_vec();
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.tokens));
    let most = match size {
        BatchSize::Examples(count) => return rows.into_iter().take(count).sum(),
        BatchSize::Bins { bins, tokens } => bins.saturating_mul(tokens),
        BatchSize::Tokens(count) => count,
    };
    let first = rows.first().copied().unwrap_or_default();
    let tokens = most.max(first.tokens);
    let share = |row: &PassSize| row.rows as f64 / row.tokens.max(1) as f64;
    let share = rows.iter().map(share).fold(0.0, f64::max);
    PassSize { tokens, rows: (tokens as f64 * share).ceil() as usize }
}
