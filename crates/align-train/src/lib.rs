//! Losses to parameter updates that can be resumed exactly.
