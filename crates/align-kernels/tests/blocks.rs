//! Weights of few bits: the blocks of bitsandbytes to the bit, and products with what they stand for.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use align_kernels::{
    Absmax, Adapter, Blocks, DoubleQuantised, FourBit, FourBitKind, Ggml, Head, Int8, Linear, Param, SoftCap,
    Weight, composed, magnitudes, record,
};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use serde_json::Value;

const CPU: Device = Device::Cpu;
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden/blocks");

struct Golden {
    name: String,
    shape: (usize, usize),
    tensors: HashMap<String, Tensor>,
    notes: Value,
}

fn goldens() -> Vec<Golden> {
    let names = ["24x96", "344x48", "3x200", "7x37"];
    let golden = |name: &str| {
        let path = Path::new(GOLDEN).join(name);
        let tensors = candle_core::safetensors::load(path.with_extension("safetensors"), &CPU).unwrap();
        let notes = std::fs::read_to_string(path.with_extension("json")).unwrap();
        let shape = tensors["weight"].dims2().unwrap();
        Golden { name: name.to_owned(), shape, tensors, notes: serde_json::from_str(&notes).unwrap() }
    };
    names.map(golden).into()
}

impl Golden {
    fn floats(&self, name: &str) -> Vec<f32> {
        self.tensors[name].flatten_all().unwrap().to_vec1().unwrap()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        self.tensors[name].flatten_all().unwrap().to_vec1().unwrap()
    }

    fn int8(&self) -> Vec<i8> {
        self.bytes("int8.codes").into_iter().map(u8::cast_signed).collect()
    }
}

/// Refuses two lists of numbers that differ in a bit, and says where.
fn same(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let other = found.iter().zip(expected).position(|(a, b)| a.to_bits() != b.to_bits());
    let pair = other.map(|i| (i, found[i], expected[i]));
    assert!(pair.is_none(), "{what}: place, found, expected: {pair:?}");
}

/// All elements, decoded in one piece.
fn dense(blocks: &dyn Blocks) -> Vec<f32> {
    blocks.dense(&CPU).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn four_bits_are_those_of_bitsandbytes() {
    for golden in goldens() {
        for (kind, name) in [(FourBitKind::Nf4, "nf4"), (FourBitKind::Fp4, "fp4")] {
            let made = FourBit::quantise(&golden.floats("weight"), kind, golden.shape, 64, false).unwrap();
            assert!(made.codes() == golden.bytes(&format!("{name}.codes")), "{} {name}", golden.name);
            let Absmax::Plain(scales) = made.absmax() else { panic!("{name} is not plain") };
            same(scales, &golden.floats(&format!("{name}.absmax")), &golden.name);
            same(&dense(&made), &golden.floats(&format!("{name}.dense")), &golden.name);
        }
    }
}

#[test]
fn double_quantisation_is_that_of_bitsandbytes() {
    for golden in goldens() {
        for (kind, name) in [(FourBitKind::Nf4, "nf4.double"), (FourBitKind::Fp4, "fp4.double")] {
            let get = |what: &str| format!("{name}.{what}");
            // As it is stored: to the bit.
            let offset = golden.notes[get("offset")].as_f64().unwrap() as f32;
            let map: Box<[f32; 256]> = golden.floats("map").try_into().map(Box::new).unwrap();
            let (codes, second) = (golden.bytes(&get("absmax")), golden.floats(&get("second")));
            let stored = DoubleQuantised { codes, map, second, second_block: 256, offset };
            let own = Absmax::Double(stored.clone());
            let read = FourBit::new(kind, golden.shape, 64, golden.bytes(&get("codes")), own).unwrap();
            same(&dense(&read), &golden.floats(&get("dense")), &golden.name);
            // As it is made: the mean is summed in another order than torch's, so that its last digit may differ.
            let made = FourBit::quantise(&golden.floats("weight"), kind, golden.shape, 64, true).unwrap();
            let Absmax::Double(own) = made.absmax() else { panic!("{name} is not doubled") };
            assert!(made.codes() == read.codes());
            same(&*own.map, &*stored.map, &golden.name);
            assert!(own.codes == stored.codes, "{} {name}", golden.name);
            let apart = (own.offset - stored.offset).abs() / stored.offset.abs();
            println!("{} {name}: offset {apart:.1e} apart", golden.name);
            assert!(apart <= 1.2e-7);
        }
    }
}

#[test]
fn eight_bits_are_those_of_bitsandbytes() {
    for golden in goldens() {
        let made = Int8::quantise(&golden.floats("weight"), golden.shape).unwrap();
        assert!(made.codes() == golden.int8(), "{}", golden.name);
        same(made.scales(), &golden.floats("int8.scales"), &golden.name);
        same(&dense(&made), &golden.floats("int8.dense"), &golden.name);
    }
}

#[test]
fn any_part_is_decoded_as_the_whole() {
    for golden in goldens() {
        let (outputs, inputs) = golden.shape;
        let weight = golden.floats("weight");
        let double = FourBit::quantise(&weight, FourBitKind::Nf4, golden.shape, 64, true).unwrap();
        let whole = dense(&double);
        let int8 = Int8::quantise(&weight, golden.shape).unwrap();
        for columns in [0..inputs, 32..inputs, 0..1, 32..33.min(inputs), 0..31.min(inputs)] {
            for (row, whole) in whole.chunks(inputs).enumerate() {
                let mut part = vec![f32::NAN; columns.len()];
                double.decode(row, columns.clone(), &mut part);
                same(&part, &whole[columns.clone()], &format!("{} {row} {columns:?}", golden.name));
            }
        }
        for rows in [0..outputs, 1..outputs, 2..3, outputs - 1..outputs] {
            let of = |part: &dyn Blocks, whole: &[f32]| {
                same(&dense(part), &whole[rows.start * inputs..rows.end * inputs], &golden.name);
            };
            of(&double.rows(rows.clone()), &whole);
            of(&int8.rows(rows.clone()), &dense(&int8));
        }
    }
}

/// Deterministic entries in about ±1.
fn values(shape: &[usize], seed: usize) -> Tensor {
    let entry = |i: usize| ((i + 1) * (7919 + 2 * seed) % 10_007) as f32 / 5003.5 - 1.0;
    Tensor::from_vec((0..shape.iter().product()).map(entry).collect(), shape, &CPU).unwrap()
}

/// Value and gradients of x, A and B.
fn outcome(layer: &Linear, x: &Param, own: [&Param; 2]) -> Vec<Vec<f32>> {
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap();
    [x, own[0], own[1]].iter().for_each(|param| param.grad_buffer().unwrap().clear());
    let y = layer.forward(&x.leaf().unwrap()).unwrap();
    let weights = values(y.dims(), 99);
    (&y * weights).unwrap().sum_all().unwrap().backward().unwrap();
    let grads = [x, own[0], own[1]].map(|param| param.grad_buffer().unwrap().get().unwrap());
    [flat(&y)].into_iter().chain(grads.iter().map(flat)).collect()
}

fn apart(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.len() == b.len()));
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f32::max)
}

#[test]
fn products_are_those_of_what_blocks_stand_for() {
    for (outputs, inputs) in [(48, 96), (7, 37), (700, 64), (130, 600), (1, 1), (1400, 33)] {
        let weight = values(&[outputs, inputs], 3).flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let shape = (outputs, inputs);
        let all: [Arc<dyn Blocks>; 3] = [
            Arc::new(FourBit::quantise(&weight, FourBitKind::Nf4, shape, 64, false).unwrap()),
            Arc::new(FourBit::quantise(&weight, FourBitKind::Fp4, shape, 128, true).unwrap()),
            Arc::new(Int8::quantise(&weight, shape).unwrap()),
        ];
        for blocks in all {
            let number = Param::frozen(&blocks.dense(&CPU).unwrap());
            let bias = Param::frozen(&values(&[outputs], 5));
            let [a, b] =
                [vec![2, inputs], vec![outputs, 2]].map(|shape| Param::tracked(&values(&shape, 7)).unwrap());
            let adapter = Adapter::new(&a, &b, 0.3).unwrap();
            let m = magnitudes(&Weight::dense(&number), &adapter).unwrap();
            let m = Param::tracked(&m).unwrap();
            for adapter in [adapter.clone(), adapter.with_magnitude(&m)] {
                let layer =
                    |weight: Weight| Linear::of(weight, Some(&bias)).unwrap().with_adapter(&adapter).unwrap();
                let (few, dense) =
                    (layer(Weight::blocks(Arc::clone(&blocks))), layer(Weight::dense(&number)));
                for rows in [1, 5, 64, 65, 130] {
                    let x = Param::tracked(&values(&[rows, inputs], 11)).unwrap();
                    let exact = outcome(&dense, &x, [&a, &b]);
                    let found = outcome(&few, &x, [&a, &b]);
                    let by_parts = composed(|| outcome(&few, &x, [&a, &b]));
                    let what = format!("{} {shape:?}, {rows} rows", blocks.format());
                    assert!(apart(&found, &exact) < 1e-4, "{what}: {}", apart(&found, &exact));
                    assert!(apart(&by_parts, &exact) < 1e-4, "{what}: {}", apart(&by_parts, &exact));
                }
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let shape = (700, 600);
    let weight = values(&[700, 600], 3).flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let blocks = Arc::new(FourBit::quantise(&weight, FourBitKind::Nf4, shape, 64, true).unwrap());
    let layer = Linear::of(Weight::blocks(blocks), None).unwrap();
    let [a, b] = [vec![2, 600], vec![700, 2]].map(|shape| Param::tracked(&values(&shape, 7)).unwrap());
    let layer = layer.with_adapter(&Adapter::new(&a, &b, 1.0).unwrap()).unwrap();
    for rows in [3, 150] {
        let x = Param::tracked(&values(&[rows, 600], 11)).unwrap();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| outcome(&layer, &x, [&a, &b]))
        };
        let one = run(1);
        assert!([2, 3, 5].into_iter().all(|threads| run(threads) == one), "{rows} rows");
    }
}

#[test]
fn layers_that_share_an_input_may_be_of_any_kind() {
    let weight = values(&[20, 32], 3);
    let flat = weight.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let blocks = Arc::new(Int8::quantise(&flat, (20, 32)).unwrap());
    let few = Linear::of(Weight::blocks(blocks), None).unwrap();
    let dense = Linear::new(&Param::frozen(&weight), None).unwrap();
    let x = values(&[3, 32], 1);
    let mut found = Vec::new();
    record("test", [&x], |tape, [x]| {
        let [a, b] = tape.linears(&x, [&few, &dense])?;
        found = vec![a.tensor().clone(), b.tensor().clone()];
        Ok(a)
    })
    .unwrap();
    for (found, layer) in found.iter().zip([&few, &dense]) {
        let alone = layer.forward(&x).unwrap();
        assert!(
            (found - alone).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-6
        );
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let plain = |scales: usize| Absmax::Plain(vec![1.0; scales]);
    let new = |codes: usize, scales: usize, block: usize| {
        FourBit::new(FourBitKind::Nf4, (4, 64), block, vec![0; codes], plain(scales)).is_ok()
    };
    assert!(new(128, 4, 64) && !new(127, 4, 64) && !new(128, 3, 64) && !new(128, 4, 48) && !new(128, 16, 16));
    assert!(Int8::new((2, 3), vec![0; 6], vec![1.0; 2]).is_ok());
    assert!(
        Int8::new((2, 3), vec![0; 5], vec![1.0; 2]).is_err()
            && Int8::new((2, 3), vec![0; 6], vec![1.0]).is_err()
    );
    assert!(FourBit::quantise(&[0.0; 5], FourBitKind::Nf4, (2, 3), 64, false).is_err());
}

#[test]
fn blocks_of_gguf_files_are_those_of_llama_cpp() {
    let path = Path::new(GOLDEN).join("../gguf/blocks.safetensors");
    let tensors = candle_core::safetensors::load(path, &CPU).unwrap();
    let types = [
        (GgmlDType::Q4_0, "Q4_0"),
        (GgmlDType::Q4_1, "Q4_1"),
        (GgmlDType::Q5_0, "Q5_0"),
        (GgmlDType::Q5_1, "Q5_1"),
        (GgmlDType::Q8_0, "Q8_0"),
        (GgmlDType::Q2K, "Q2_K"),
        (GgmlDType::Q3K, "Q3_K"),
        (GgmlDType::Q4K, "Q4_K"),
        (GgmlDType::Q5K, "Q5_K"),
        (GgmlDType::Q6K, "Q6_K"),
    ];
    for (dtype, name) in types {
        let bytes: Vec<u8> = tensors[&format!("{name}.bytes")].flatten_all().unwrap().to_vec1().unwrap();
        let expected = &tensors[&format!("{name}.dense")];
        let shape = expected.dims2().unwrap();
        let blocks = Ggml::new(dtype, shape, bytes.clone()).unwrap();
        assert_eq!((blocks.as_bytes(), blocks.bytes()), (bytes.as_slice(), bytes.len()));
        let expected: Vec<f32> = expected.flatten_all().unwrap().to_vec1().unwrap();
        same(&dense(&blocks), &expected, name);
        // A part of a row alone.
        let unit = blocks.columns_at_once();
        let mut part = vec![0f32; unit];
        blocks.decode(1, unit..2 * unit, &mut part);
        same(&part, &expected[shape.1 + unit..], name);
        for wrong in [bytes[1..].to_vec(), [&bytes[..], &[0]].concat()] {
            assert!(Ggml::new(dtype, shape, wrong).is_err(), "{name}");
        }
        assert!(Ggml::new(dtype, (shape.0, shape.1 + 1), bytes).is_err(), "{name}");
    }
    assert!(Ggml::new(GgmlDType::Q8K, (1, 256), vec![0; 292]).is_err());
}

#[test]
fn heads_and_embeddings_in_blocks_are_those_of_their_numbers() {
    let (vocab, width, rows) = (3000, 64, 70);
    let values =
        |count: usize, seed: f32| (0..count).map(|i| (i as f32 * 0.7 + seed).sin()).collect::<Vec<_>>();
    let weight = Tensor::from_vec(values(vocab * width, 0.3), (vocab, width), &CPU).unwrap();
    let blocks = QTensor::quantize(&weight, GgmlDType::Q8_0).unwrap();
    let blocks: Arc<dyn Blocks> =
        Arc::new(Ggml::new(GgmlDType::Q8_0, (vocab, width), blocks.data().unwrap().into_owned()).unwrap());
    let numbers = Param::frozen(&blocks.dense(&CPU).unwrap());
    let ids = Tensor::new(&[0u32, 2999, 7, 7, 1500], &CPU).unwrap();
    let rows_of = |table: &Weight| record("rows", [], |tape, []| tape.embedding(&ids, table)).unwrap();
    let flat = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (in_blocks, dense) = (Weight::blocks(Arc::clone(&blocks)), Weight::dense(&numbers));
    same(&flat(&rows_of(&in_blocks)), &flat(&rows_of(&dense)), "embedding");
    let wrong = Tensor::new(&[3000u32], &CPU).unwrap();
    assert!(record("rows", [], |tape, []| tape.embedding(&wrong, &in_blocks)).is_err());

    let labels = Tensor::from_vec((0..rows as u32).map(|row| row * 37 % 3000).collect(), rows, &CPU).unwrap();
    for softcap in [None, Some(SoftCap::new(5.0))] {
        let run = |weight: &Weight, by_composed: bool| {
            let hidden =
                Param::tracked(&Tensor::from_vec(values(rows * width, 1.1), (rows, width), &CPU).unwrap())
                    .unwrap();
            let head = Head { weight: weight.clone(), adapter: None, trained: None, softcap };
            let forward = || head.log_probs(&hidden.leaf().unwrap(), &labels).unwrap();
            let log_probs = if by_composed { composed(forward) } else { forward() };
            log_probs.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            (flat(&log_probs), flat(&hidden.grad_buffer().unwrap().get().unwrap()))
        };
        let expected = run(&dense, false);
        let found = run(&in_blocks, false);
        same(&found.0, &expected.0, "log-probs");
        same(&found.1, &expected.1, "gradient");
        let composed = run(&in_blocks, true);
        for (a, b) in composed.0.iter().zip(&expected.0).chain(composed.1.iter().zip(&expected.1)) {
            assert!((a - b).abs() < 1e-3, "{a} for {b}");
        }
    }
}
