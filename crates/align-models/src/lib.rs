//! Trainable decoders: parameters, packing, loading and saving, log-probs, generation.
