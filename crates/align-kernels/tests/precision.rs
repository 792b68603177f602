//! Products of operands rounded to bf16: the CPU's forms beside the composed ones, which round whole tensors.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::sync::Arc;

use align_kernels::{
    Adapter, Bf16, Blocks as _, FourBit, FourBitKind, Head, Linear, Param, Precision, Weight, composed,
    record,
};
use candle_core::{DType, Device, Tensor};

const CPU: Device = Device::Cpu;

fn values(rows: usize, columns: usize, seed: usize) -> Tensor {
    let entry = |i: usize| ((i + seed) * 7919 % 10_007) as f32 / 5003.5 - 1.0;
    Tensor::from_iter((0..rows * columns).map(entry), &CPU).unwrap().reshape((rows, columns)).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Whether the two are the same but for the order of sums, relative to the largest.
fn near(a: &[f32], b: &[f32], tolerance: f32) -> bool {
    let largest = a.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance * largest)
}

fn gradient(param: &Param) -> Vec<f32> {
    param.grad_buffer().and_then(|buffer| buffer.get()).map_or_else(Vec::new, |grad| numbers(&grad))
}

/// Value, gradient of the input and of the parameters.
fn outcome(x: &Tensor, layers: &[Linear; 2], params: &[Param]) -> Vec<Vec<f32>> {
    params.iter().filter_map(Param::grad_buffer).for_each(|buffer| buffer.clear());
    let x = Param::tracked(x).unwrap();
    let y = record("two", [&x.leaf().unwrap()], |tape, [x]| {
        let [a, b] = tape.linears(&x, layers.each_ref())?;
        tape.add(&a, b)
    })
    .unwrap();
    (&y * &y).unwrap().sum_all().unwrap().backward().unwrap();
    let grads = [&x].into_iter().chain(params).map(gradient);
    [numbers(&y)].into_iter().chain(grads).collect()
}

/// Two layers: one of numbers, trained, the other in blocks under an adapter.
fn layers(precision: Precision) -> ([Linear; 2], Vec<Param>) {
    let (outputs, inputs) = (70, 96);
    let trained = Param::tracked(&values(outputs, inputs, 1)).unwrap();
    let few = numbers(&values(outputs, inputs, 2));
    let few = FourBit::quantise(&few, FourBitKind::Nf4, (outputs, inputs), 32, false).unwrap();
    let [a, b] = [values(4, inputs, 3), values(outputs, 4, 4)].map(|it| Param::tracked(&it).unwrap());
    let layer = |weight: Weight| Linear::of(weight.with_precision(precision), None).unwrap();
    let adapter = Adapter::new(&a, &b, 0.5).unwrap();
    let adapted = layer(Weight::blocks(Arc::new(few))).with_adapter(&adapter).unwrap();
    ([layer(Weight::dense(&trained)), adapted], vec![trained, a, b])
}

#[test]
fn layers_in_bf16_are_layers_of_rounded_operands() {
    let [(exact, params), (layers, rounded)] = [Precision::F32, Precision::Bf16].map(layers);
    for rows in [1, 7, 64, 65, 300] {
        let x = values(rows, 96, 5);
        let ours = outcome(&x, &layers, &rounded);
        let composed = composed(|| outcome(&x, &layers, &rounded));
        let unrounded = outcome(&x, &exact, &params);
        for (part, ((ours, composed), unrounded)) in ours.iter().zip(&composed).zip(&unrounded).enumerate() {
            assert!(near(ours, composed, 2e-3), "{rows} rows, part {part}: another function");
            assert!(near(ours, unrounded, 2e-2), "{rows} rows, part {part}: far from the product in f32");
            assert_ne!(ours, unrounded, "{rows} rows, part {part}: nothing was rounded");
        }
        // Nothing comes back into the values that rounding could amplify.
        assert!(near(&ours[0], &composed[0], 1e-6), "{rows} rows");
    }
}

#[test]
fn an_input_that_is_kept_in_bf16_gives_the_gradients_of_one_in_f32() {
    for rows in [1, 7, 65, 300] {
        let weight = Param::tracked(&values(70, 96, 1)).unwrap();
        let bias = Param::tracked(&values(1, 70, 2).flatten_all().unwrap()).unwrap();
        let layer = Weight::dense(&weight).with_precision(Precision::Bf16);
        let layer = Linear::of(layer, Some(&bias)).unwrap();
        let x = values(rows, 96, 5);
        // What comes from outside others hold in f32; what an op just computed nobody does. Doubling rounds nothing.
        let grads = [false, true].map(|computed| {
            [&weight, &bias].into_iter().for_each(|param| param.grad_buffer().unwrap().clear());
            let outside = if computed { x.clone() } else { (&x * 2.0).unwrap() };
            let y = record("linear", [&outside], |tape, [x]| {
                let x = if computed { tape.scale(x, 2.0)? } else { x };
                tape.linear(&x, &layer)
            });
            y.unwrap().sqr().unwrap().sum_all().unwrap().backward().unwrap();
            [&weight, &bias].map(|param| gradient(param).into_iter().map(f32::to_bits).collect::<Vec<_>>())
        });
        assert!(!grads[0][0].is_empty());
        assert_eq!(grads[0], grads[1], "{rows} rows");
    }
}

#[test]
fn a_row_is_the_same_beside_few_and_beside_many() {
    let ([dense, blocks], _) = layers(Precision::Bf16);
    let many = values(300, 96, 5);
    for layer in [dense, blocks.without_adapter()] {
        let whole = numbers(&layer.forward(&many).unwrap());
        for rows in [1, 8, 64] {
            let few = layer.forward(&many.narrow(0, 0, rows).unwrap().contiguous().unwrap()).unwrap();
            assert!(near(&numbers(&few), &whole[..rows * 70], 1e-6), "{rows} rows");
        }
    }
}

#[test]
fn the_head_rounds_what_it_multiplies_and_nothing_else() {
    let labels = Tensor::from_iter((0..40u32).map(|i| i * 13 % 600), &CPU).unwrap();
    let run = |precision| {
        let weight = Param::tracked(&values(600, 48, 1)).unwrap();
        let hidden = Param::tracked(&values(40, 48, 2)).unwrap();
        let head = Head::new(&weight);
        let head = Head { weight: head.weight.clone().with_precision(precision), ..head };
        let log_probs = head.log_probs(&hidden.leaf().unwrap(), &labels).unwrap();
        log_probs.sum_all().unwrap().backward().unwrap();
        [numbers(&log_probs), gradient(&hidden), gradient(&weight)]
    };
    let (ours, composed, exact) =
        (run(Precision::Bf16), composed(|| run(Precision::Bf16)), run(Precision::F32));
    for ((ours, composed), exact) in ours.iter().zip(&composed).zip(&exact) {
        assert!(near(ours, composed, 1e-3) && near(ours, exact, 2e-2));
        assert_ne!(ours, exact);
    }
    assert!(near(&ours[0], &composed[0], 1e-6));
    // The sum over the vocabulary is f32: probabilities of all labels are one.
    let weight = Weight::dense(&Param::frozen(&values(600, 48, 1))).with_precision(Precision::Bf16);
    let head = Head { weight, adapter: None, trained: None, softcap: None };
    let hidden = values(1, 48, 2).broadcast_as((600, 48)).unwrap().contiguous().unwrap();
    let all = head.log_probs(&hidden, &Tensor::arange(0u32, 600, &CPU).unwrap()).unwrap();
    let total = all.to_dtype(DType::F64).unwrap().exp().unwrap().sum_all().unwrap();
    assert!((total.to_scalar::<f64>().unwrap() - 1.0).abs() < 1e-5);
}

#[test]
fn a_weight_held_in_bf16_gives_the_bits_of_the_numbers_it_was_made_of() {
    let weight = |outputs, inputs, seed| {
        // Numbers too small for bf16 arithmetic among them, and between two of bf16.
        let all = numbers(&values(outputs, inputs, seed));
        all.into_iter().enumerate().map(|(i, x)| if i % 11 == 3 { x * 1e-39 } else { x }).collect::<Vec<_>>()
    };
    for (outputs, inputs) in [(1, 1), (7, 5), (48, 64), (49, 97), (130, 33), (200, 1301), (1300, 70)] {
        let shape = (outputs, inputs);
        let all = [1, 2].map(|seed| weight(outputs, inputs, seed));
        let layers = all.each_ref().map(|all| {
            let dense = Tensor::from_slice(all, shape, &CPU).unwrap();
            let held = Arc::new(Bf16::rounded(all, shape).unwrap());
            assert!(!Bf16::has(all) || all.len() == 1);
            [Weight::dense(&Param::frozen(&dense)), Weight::blocks(held)]
                .map(|weight| Linear::of(weight.with_precision(Precision::Bf16), None).unwrap())
        });
        let [dense, held] = [0, 1].map(|kind| layers.each_ref().map(|layer| layer[kind].clone()));
        for rows in [1, 2, 8, 17, 64, 65, 300] {
            let x = values(rows, inputs, 3);
            let bits = |layers: &[Linear; 2]| {
                let together = outcome(&x, layers, &[]);
                let alone = layers.each_ref().map(|layer| numbers(&layer.forward(&x).unwrap()));
                let all = together.into_iter().chain(alone).flatten();
                all.map(f32::to_bits).collect::<Vec<u32>>()
            };
            assert!(bits(&dense) == bits(&held), "{outputs} x {inputs}, {rows} rows");
        }
    }
}

#[test]
fn what_is_held_in_bf16_is_read_as_the_nearest_numbers() {
    let all = numbers(&values(61, 37, 4));
    let held = Bf16::rounded(&all, (61, 37)).unwrap();
    let dense = numbers(&held.dense(&CPU).unwrap());
    let rounded = Tensor::new(all, &CPU).unwrap().to_dtype(DType::BF16).unwrap();
    assert_eq!(dense, numbers(&rounded.to_dtype(DType::F32).unwrap()));
    assert!(Bf16::has(&dense) && held.bytes() >= 2 * 61 * 37);
    // The hash of a weight says nothing of the order that it lies in.
    let mut content = Vec::new();
    held.content(&mut |bytes| content.extend_from_slice(bytes));
    let bits = dense.iter().flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes());
    assert!(content.iter().copied().eq(bits));
    let mut some = [0f32; 5];
    held.decode(48, 3..8, &mut some);
    assert_eq!(some, dense[48 * 37 + 3..][..5]);
}

#[test]
fn values_are_rounded_in_place_or_in_a_copy_and_their_gradient_goes_through() {
    let all = numbers(&values(61, 37, 4));
    let nearest = Tensor::new(all.clone(), &CPU).unwrap().to_dtype(DType::BF16).unwrap();
    let nearest = numbers(&nearest.to_dtype(DType::F32).unwrap());
    for scale in [1.0, 2.0] {
        let run = || {
            // Scaled, the values are the tape's own; as they come in, they are somebody else's.
            let x = Param::tracked(&Tensor::new(all.clone(), &CPU).unwrap()).unwrap();
            let y = record("rounded", [x.tensor()], |tape, [x]| {
                let x = tape.scale(x, scale)?;
                tape.rounded(x, Precision::Bf16)
            });
            let y = y.unwrap();
            let grads = (&y * 3.0).unwrap().sum_all().unwrap().backward().unwrap();
            assert_eq!(numbers(x.tensor()), all, "the input is as it was");
            [numbers(&y), numbers(grads.get(x.tensor()).unwrap())]
        };
        let [y, grad] = run();
        assert_eq!(y, nearest.iter().map(|x| x * scale as f32).collect::<Vec<_>>());
        assert_eq!(grad, vec![3.0 * scale as f32; all.len()]);
        assert_eq!([y, grad], composed(run));
    }
}
