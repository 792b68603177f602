//! In which micro-batches the rows of a run are visited.

use align_data::{BatchSize, MicroBatches, Order, SamplingStrategy};
use align_train::TrainConfig;

use crate::{Error, Opening, Result};

impl Opening<'_> {
    /// The order of the training rows, whose lengths in tokens are given.
    ///
    /// # Errors
    /// If there are none; grouping by length where a token budget decides.
    pub fn order(&self, lengths: Vec<usize>) -> Result<MicroBatches> {
        let size = match self.config.max_tokens_per_micro_batch {
            Some(tokens) => {
                self.refuse_grouping("`max_tokens_per_micro_batch` makes micro-batches alike already")?;
                BatchSize::Tokens(tokens)
            }
            None => BatchSize::Examples(self.config.per_device_train_batch_size),
        };
        self.in_batches(lengths, size)
    }

    /// The order of training rows that are packed into bins of `max_length` tokens; `per_device_train_batch_size` counts bins.
    ///
    /// # Errors
    /// As [`Opening::order`]; packing without a `max_length`, or beside options that it makes moot.
    pub fn packed_order(&self, lengths: Vec<usize>) -> Result<MicroBatches> {
        let Some(tokens) = self.data.tokenize.max_length else {
            let problem = "needs `max_length`, which is the size of a bin";
            return Err(Error::option("packing_strategy", problem));
        };
        self.given.refuse(
            &["max_tokens_per_micro_batch"],
            "with `packing_strategy`, where `per_device_train_batch_size` bins of `max_length` tokens make a micro-batch",
        )?;
        self.refuse_grouping("with `packing_strategy`, bins are as long as each other")?;
        self.in_batches(lengths, BatchSize::Bins { bins: self.config.per_device_train_batch_size, tokens })
    }

    fn refuse_grouping(&self, because: &str) -> Result<()> {
        match self.data.train_sampling_strategy {
            SamplingStrategy::GroupByLength => {
                Err(Error::no_effect("train_sampling_strategy", format!("as group_by_length: {because}")))
            }
            _ => Ok(()),
        }
    }

    fn in_batches(&self, lengths: Vec<usize>, size: BatchSize) -> Result<MicroBatches> {
        let batches = self.cut(&self.config, lengths, size)?;
        if let Some(packing) = batches.packing() {
            tracing::info!("training rows are packed: {packing}");
        }
        Ok(batches)
    }

    /// Micro-batches of that size, as many to an update as the options say.
    pub(crate) fn cut(
        &self,
        config: &TrainConfig,
        lengths: Vec<usize>,
        size: BatchSize,
    ) -> Result<MicroBatches> {
        let order = Order { strategy: self.data.train_sampling_strategy, seed: self.place.seed };
        let batches = MicroBatches::new(lengths, size, order)?;
        Ok(batches.with_accumulation(config.micro_batches_per_update()))
    }
}
