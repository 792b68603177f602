//! Direct preference optimization: a model and preference pairs in, an aligned Hugging Face model directory out.
fn main() {}
