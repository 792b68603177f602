//! Files to token ids in micro-batches, reproducibly. No tensors.
