//! Writes the fixtures again: the small world's data, its tokenizer, and the model that is trained on them.
fn main() {}
