//! Tensors that are views: what an op is given may lie in memory as it likes, and what it records is what it computed,
//! not the storage that the result happens to look into.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]
#![expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]

use align_kernels::{
    Param, Rope, Segment, attention, embedding, linear, linear_log_probs, record, rms_norm, rope, swiglu,
};
use candle_core::{DType, Device, Result, Tensor, Var};

const CPU: Device = Device::Cpu;

fn values(shape: &[usize], seed: usize, dtype: DType) -> Tensor {
    let n: usize = shape.iter().product();
    let entry = |i: usize| (((i + 1) * 7919 + seed * 104_729) % 20_011) as f64 / 10_005.5 - 1.0;
    Tensor::from_vec((0..n).map(entry).collect(), shape, &CPU).unwrap().to_dtype(dtype).unwrap()
}

fn flat(x: &Tensor) -> Vec<f64> {
    x.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

type Function<'a> = &'a dyn Fn(&Tensor) -> Result<Tensor>;

/// Shape and elements of `f(x)`, and the gradient of x when every entry of the result has one of its own.
fn outcome(x: &Tensor, f: Function<'_>) -> (Vec<usize>, Vec<f64>, Vec<f64>) {
    let x = Var::from_tensor(x).unwrap();
    let y = f(x.as_tensor()).unwrap();
    let weights = values(y.dims(), 99, y.dtype());
    let grads = (&y * weights).unwrap().sum_all().unwrap().backward().unwrap();
    (y.dims().to_vec(), flat(&y), flat(grads.get(&x).unwrap()))
}

#[track_caller]
fn assert_close(what: &str, found: &[f64], expected: &[f64], dtype: DType) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let tolerance = if dtype == DType::F64 { 1e-13 } else { 1e-6 };
    let largest = expected.iter().fold(1e-3f64, |largest, x| largest.max(x.abs()));
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance * largest, "{what} {dtype:?}: {found:?} is not {expected:?}");
    }
}

/// Calls `op` with views into a wider tensor and with copies of them.
fn check(name: &str, whole: &[usize], op: impl Fn(&Tensor, DType) -> Result<Tensor>, view: Function<'_>) {
    for dtype in [DType::F32, DType::F64] {
        let whole = values(whole, 1, dtype);
        let of_view = outcome(&whole, &|x| {
            let view = view(x)?;
            let lies_elsewhere = !view.is_contiguous() || view.layout().start_offset() > 0;
            assert!(lies_elsewhere, "{name}: {:?} is no view worth testing", view.layout());
            op(&view, dtype)
        });
        let of_copy = outcome(&whole, &|x| op(&view(x)?.force_contiguous()?, dtype));
        assert_eq!(of_view.0, of_copy.0, "{name}");
        assert_close(name, &of_view.1, &of_copy.1, dtype);
        assert_close(&format!("the gradient of {name}"), &of_view.2, &of_copy.2, dtype);
    }
}

/// Twice over: columns of a wider tensor, and a transpose.
fn check_rows(name: &str, rows: usize, width: usize, op: impl Fn(&Tensor, DType) -> Result<Tensor>) {
    check(name, &[rows, width + 3], &op, &|x| x.narrow(1, 2, width));
    check(name, &[width, rows], &op, &|x| x.t());
    check(name, &[rows + 1, width], &op, &|x| x.narrow(0, 1, rows));
}

fn param(shape: &[usize], seed: usize, dtype: DType) -> Param {
    Param::tracked(&values(shape, seed, dtype)).unwrap()
}

#[test]
fn row_wise_ops_take_views() {
    check_rows("rms_norm", 5, 6, |x, dtype| rms_norm(x, &param(&[6], 2, dtype), 1e-5));
    check_rows("linear", 5, 6, |x, dtype| linear(x, &param(&[4, 6], 2, dtype), Some(&param(&[4], 3, dtype))));
    check_rows("swiglu", 5, 6, |x, dtype| swiglu(x, &values(&[5, 6], 2, dtype)));
    check_rows("swiglu's other half", 5, 6, |x, dtype| swiglu(&values(&[5, 6], 2, dtype), x));
    check_rows("linear_log_probs", 5, 6, |x, dtype| {
        let labels = Tensor::new(&[9u32, 0, 9, 3, 9, 7, 9, 2, 9, 6], &CPU)?;
        let every_other = labels.reshape((5, 2))?.narrow(1, 1, 1)?.squeeze(1)?;
        linear_log_probs(x, &param(&[8, 6], 2, dtype), &every_other)
    });
    check_rows("rows", 5, 6, |x, _| {
        let rows = Tensor::new(&[9u32, 4, 9, 0, 9, 4], &CPU)?.reshape((3, 2))?.narrow(1, 1, 1)?.squeeze(1)?;
        record("rows", [x], |tape, [x]| tape.rows(&x, &rows))
    });
    check_rows("add", 5, 6, |x, _| {
        record("add", [x], |tape, [x]| {
            let y = tape.scale(tape.constant(x.tensor()), 3.0)?;
            tape.add(&x, y)
        })
    });
}

/// The value that ends a tape may be the input itself, or look into something that was kept.
#[test]
fn a_tape_may_end_in_what_somebody_else_holds() {
    for dtype in [DType::F32, DType::F64] {
        check_rows("the input", 5, 6, |x, _| record("the input", [x], |_, [x]| Ok(x)));
        check_rows("another shape", 5, 6, |x, _| record("reshape", [x], |tape, [x]| tape.reshape(x, (6, 5))));
        let kept = param(&[5, 6], 3, dtype);
        let y = record("a parameter", [], |tape, []| tape.param(&kept)).unwrap();
        y.sum_all().unwrap().backward().unwrap();
        assert_eq!(flat(&y), flat(kept.tensor()));
        assert_eq!(flat(&kept.grad_buffer().unwrap().get().unwrap()), [1.0; 30]);
    }
}

#[test]
fn ids_may_be_views() {
    for dtype in [DType::F32, DType::F64] {
        let ids = Tensor::new(&[0u32, 3, 0, 1, 0, 3], &CPU).unwrap();
        let every_other = ids.reshape((3, 2)).unwrap().narrow(1, 1, 1).unwrap().squeeze(1).unwrap();
        let copy = Tensor::new(&[3u32, 1, 3], &CPU).unwrap();
        let run = |ids: &Tensor| {
            let table = param(&[4, 5], 1, dtype);
            let y = embedding(ids, &table).unwrap();
            (&y * values(y.dims(), 9, dtype)).unwrap().sum_all().unwrap().backward().unwrap();
            (flat(&y), flat(&table.grad_buffer().unwrap().get().unwrap()))
        };
        assert_eq!(run(&every_other), run(&copy));
    }
}

/// Queries, keys and values as parts of one product, which is how some checkpoints store them.
#[test]
fn attention_takes_parts_of_a_fused_projection() {
    let segments = [
        Segment { queries: 0..3, keys: [0..3].to_vec() },
        Segment { queries: 3..5, keys: vec![0..3, 3..5] },
        Segment { queries: 5..6, keys: vec![0..3, 5..6] },
    ];
    let fused = |x: &Tensor, rotated: bool, own: bool| -> Result<Tensor> {
        let dtype = x.dtype();
        let rotation = Rope::new(&[0, 1, 2, 3, 4, 3], &[1.0, 0.3], 1.0, dtype, &CPU)?;
        let part = |first: usize, heads: usize| {
            let part = x.narrow(1, first, heads)?;
            if own { part.force_contiguous() } else { Ok(part) }
        };
        let turn = |part: Tensor| if rotated { rope(&part, &rotation) } else { Ok(part) };
        attention(&turn(part(0, 4)?)?, &turn(part(4, 2)?)?, &part(6, 2)?, &segments, 0.5, None)
    };
    for dtype in [DType::F32, DType::F64] {
        let x = values(&[6, 8, 4], 1, dtype);
        for rotated in [false, true] {
            let of_parts = outcome(&x, &|x| fused(x, rotated, false));
            let of_copies = outcome(&x, &|x| fused(x, rotated, true));
            assert_eq!(of_parts.0, [6, 4, 4]);
            assert_close("the result", &of_parts.1, &of_copies.1, dtype);
            assert_close("the gradient", &of_parts.2, &of_copies.2, dtype);
        }
    }
    // A transpose of heads and tokens, as of a cache that is kept heads first.
    let turned = |x: &Tensor, _| {
        let x = x.narrow(1, 0, 2)?;
        attention(&x, &x, &x, &segments[..1], 0.5, Some(2))
    };
    check("attention", &[2, 3, 4], turned, &|x| x.transpose(0, 1));
}
