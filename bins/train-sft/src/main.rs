//! Supervised fine-tuning: a model and demonstrations in, a Hugging Face model directory out.
fn main() {}
