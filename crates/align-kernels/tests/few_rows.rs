//! Linear layers of few rows, as in decoding, against sums in f64; and against themselves with other rows
//! beside and on other numbers of threads.
//!
//! The bound counts the roundings of a sum: one per input, in f32, of at most the sum of the magnitudes.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use align_kernels::{Linear, Param, Tape, linear, record};
use candle_core::{Device, Tensor};

fn values(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| (((i + 1) * 7919 + seed * 104_729) % 20_011) as f32 / 10_005.5 - 1.0).collect()
}

fn tensor(data: &[f32], rows: usize, columns: usize) -> Tensor {
    Tensor::from_slice(data, (rows, columns), &Device::Cpu).unwrap()
}

fn product(x: &[f32], w: &[f32], inputs: usize, threads: usize) -> Vec<f32> {
    let (x, w) = (tensor(x, x.len() / inputs, inputs), tensor(w, w.len() / inputs, inputs));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let y = pool.install(|| linear(&x, &Param::frozen(&w), None)).unwrap();
    y.flatten_all().unwrap().to_vec1().unwrap()
}

/// Inputs and outputs: one, primes, around the sizes of steps, tiles and jobs; enough for several threads.
const SIZES: [(usize, usize); 9] =
    [(1, 1), (1, 50), (7, 6), (8, 8), (9, 13), (17, 47), (33, 97), (96, 48), (131, 1031)];

#[test]
fn few_rows_agree_with_f64_for_every_number_of_rows() {
    for (inputs, outputs) in SIZES {
        let w = values(inputs * outputs, 1);
        for rows in (1..=34).chain([48, 63, 64, 65]) {
            let x = values(rows * inputs, rows);
            let found = product(&x, &w, inputs, 1);
            for row in 0..rows {
                for output in 0..outputs {
                    let terms = (0..inputs)
                        .map(|i| f64::from(x[row * inputs + i]) * f64::from(w[output * inputs + i]));
                    let magnitude: f64 = terms.clone().map(f64::abs).sum();
                    let (found, exact) = (f64::from(found[row * outputs + output]), terms.sum::<f64>());
                    let bound = (inputs + 1) as f64 * 2f64.powi(-24) * magnitude + 1e-30;
                    assert!(
                        (found - exact).abs() <= bound,
                        "{rows} rows of {inputs}, row {row}, output {output}: {found} is not {exact}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_row_depends_neither_on_the_others_nor_on_the_number_of_threads() {
    let bits = |y: &[f32]| y.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
    for (inputs, outputs) in SIZES {
        let (x, w) = (values(64 * inputs, 5), values(inputs * outputs, 2));
        let all = product(&x, &w, inputs, 1);
        assert_eq!(bits(&all), bits(&product(&x, &w, inputs, 3)), "threads");
        for rows in [1, 2, 8, 9, 16, 17, 24, 25, 33] {
            let some = product(&x[..rows * inputs], &w, inputs, 3);
            assert_eq!(bits(&some), bits(&all[..rows * outputs]), "{rows} rows of {inputs}");
        }
    }
}

#[test]
fn rows_and_weights_that_are_not_contiguous_are_read_right() {
    let (inputs, outputs, rows) = (19, 23, 5);
    let (x, w) = (values(inputs * rows, 3), values(inputs * outputs, 4));
    let turned = |t: &Tensor| t.t().unwrap().contiguous().unwrap().t().unwrap();
    let (xs, ws) = (turned(&tensor(&x, rows, inputs)), turned(&tensor(&w, outputs, inputs)));
    let y = linear(&xs, &Param::frozen(&ws), None).unwrap();
    let plain = product(&x, &w, inputs, 1);
    assert_eq!(y.flatten_all().unwrap().to_vec1::<f32>().unwrap(), plain);
    let bias = tensor(&values(outputs, 6), 1, outputs).flatten_all().unwrap();
    let sum = linear(&xs, &Param::frozen(&ws), Some(&Param::frozen(&bias))).unwrap();
    assert_eq!(sum.to_vec2::<f32>().unwrap(), y.broadcast_add(&bias).unwrap().to_vec2::<f32>().unwrap());
}

#[test]
fn layers_together_are_the_layers_one_by_one() {
    let (inputs, outputs) = (33, [130, 1, 50]);
    let mut biased = [true, false, true].into_iter();
    let layers = outputs.map(|outputs| {
        let weight = Param::frozen(&tensor(&values(inputs * outputs, outputs), outputs, inputs));
        let bias = Param::frozen(&tensor(&values(outputs, 9), 1, outputs).flatten_all().unwrap());
        Linear::new(&weight, biased.next().unwrap().then_some(&bias)).unwrap()
    });
    let mut tape = Tape::default();
    for rows in [1, 5, 64, 65] {
        let x = tensor(&values(rows * inputs, 8), rows, inputs);
        let together = tape.linears(&tape.constant(&x), layers.each_ref()).unwrap();
        for (together, layer) in together.iter().zip(&layers) {
            let alone = layer.forward(&x).unwrap();
            assert_eq!(together.tensor().to_vec2::<f32>().unwrap(), alone.to_vec2::<f32>().unwrap());
        }
        assert!(tape.linears(&tape.constant(&x.t().unwrap()), layers.each_ref()).is_err() || rows == inputs);
    }
}

#[test]
fn layers_together_are_trained_like_layers_one_by_one() {
    let (x, w) = (tensor(&values(3 * 7, 1), 3, 7), tensor(&values(5 * 7, 2), 5, 7));
    let [a, b, c] = [(); 3].map(|()| Param::tracked(&w).unwrap());
    let layers = [&a, &b].map(|weight| Linear::new(weight, None).unwrap());
    let sum = record("sum", [&x], |tape, [x]| {
        let [y, z] = tape.linears(&x, layers.each_ref())?;
        tape.add(&y, z)
    });
    sum.unwrap().sum_all().unwrap().backward().unwrap();
    linear(&x, &c, None).unwrap().sum_all().unwrap().backward().unwrap();
    let grad = |param: &Param| param.grad_buffer().unwrap().get().unwrap().to_vec2::<f32>().unwrap();
    assert_eq!([grad(&a), grad(&b)], [grad(&c), grad(&c)]);
}
