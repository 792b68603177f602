//! Which form of an op runs.

use std::cell::Cell;

use candle_core::Tensor;

use super::is_f32_on_cpu;

thread_local! {
    static COMPOSED: Cell<bool> = const { Cell::new(false) };
}

/// Whether the CPU forms can take these operands, and may.
pub(crate) fn has_form(tensors: &[&Tensor]) -> bool {
    !COMPOSED.get() && is_f32_on_cpu(tensors)
}

/// The result of `run` with the composed forms of all ops, for tests and benches to compare with.
#[doc(hidden)]
pub fn composed<R>(run: impl FnOnce() -> R) -> R {
    let before = COMPOSED.replace(true);
    let result = run();
    COMPOSED.set(before);
    result
}
