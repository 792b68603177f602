//! What the CPU forms of the ops are made of: slices of tensors, matrix products, vectorised arithmetic.
//!
//! A CPU form runs where every operand [is f32 in main memory](has_form); the composed form serves
//! everything else. rayon is the only thread pool. No result depends on the number of its threads: work
//! is cut into blocks of a fixed size, each output element is computed by one block, and partial sums are
//! added in the order of the blocks.

mod columns;
mod dispatch;
mod few_rows;
#[cfg(all(test, target_arch = "x86_64"))]
mod forms;
mod isa;
mod matmul;
mod precision;
mod simd;
mod slices;
mod tile;

pub(crate) use columns::{BLOCK_ROWS, add_all, add_assign, sum_blocks};
pub use dispatch::composed;
pub(crate) use dispatch::has_form;
pub(crate) use few_rows::{FEW_ROWS, FewRows, few_rows};
pub use isa::Isa;
pub(crate) use matmul::{Matrix, MatrixMut, Start, Threads, WeightPanels, matmul, product, round};
pub use precision::Precision;
pub use simd::exp;
#[cfg(target_arch = "x86_64")]
pub(crate) use simd::has_avx2;
pub(crate) use simd::{dot, dot3, max, normal_share, sigmoid, simd, sum, tanh};
pub(crate) use slices::{Slice, filled, is_f32_on_cpu, slice, tensor, update};
