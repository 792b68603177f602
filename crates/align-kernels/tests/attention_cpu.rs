//! Attention on the CPU in f32 against the definition in f64, values and gradients.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]
#![expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]

use std::ops::Range;

use align_kernels::{Segment, attention, composed};
use candle_core::{DType, Device, Result, Tensor, Var};
use proptest::prelude::*;

const CPU: Device = Device::Cpu;

/// Of the largest entry of a tensor. Scores here reach 20, and rounding one of that size to f32 moves its
/// weight by 10⁻⁶.
const TOLERANCE: f64 = 5e-6;

fn values(shape: (usize, usize, usize), seed: u64) -> Tensor {
    let n = shape.0 * shape.1 * shape.2;
    let entry = |i: usize| ((i as f64 + 1.0) * 12.9898 + seed as f64 * 78.233).sin() * 43758.5453;
    let data: Vec<f32> = (0..n).map(|i| (entry(i).fract() * 2.0 - entry(i).signum()) as f32 * 1.7).collect();
    Tensor::from_vec(data, shape, &CPU).unwrap()
}

/// A call of [`attention`].
#[derive(Clone, Debug)]
struct Call {
    segments: Vec<Segment>,
    queries: usize,
    keys: usize,
    kv_heads: usize,
    group: usize,
    dim: usize,
    scale: f64,
    window: Option<usize>,
}

impl Call {
    fn inputs(&self) -> [Tensor; 3] {
        let keys = (self.keys, self.kv_heads, self.dim);
        [values((self.queries, self.kv_heads * self.group, self.dim), 1), values(keys, 2), values(keys, 3)]
    }

    /// The result and the gradients of q, k and v under a loss that weighs every entry differently.
    fn run(&self, dtype: DType) -> Result<[Tensor; 4]> {
        let [q, k, v] = self.inputs().map(|x| Var::from_tensor(&x.to_dtype(dtype).unwrap()).unwrap());
        let out = attention(&q, &k, &v, &self.segments, self.scale, self.window)?;
        let weights = values(out.dims3()?, 4).to_dtype(dtype)?;
        let mut grads = (&out * weights)?.sum_all()?.backward()?;
        let mut grad = |var: &Var| grads.remove(var).unwrap();
        Ok([out.detach(), grad(&q), grad(&k), grad(&v)])
    }

    fn with_threads(&self, threads: usize) -> [Tensor; 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| self.run(DType::F32).unwrap())
    }

    /// Keys and values held in bf16 beside the same numbers in f32.
    fn check_held(&self) {
        let [q, k, v] = self.inputs();
        let held = [k, v].map(|x| x.to_dtype(DType::BF16).unwrap());
        let wide = held.each_ref().map(|x| x.to_dtype(DType::F32).unwrap());
        let run =
            |[k, v]: &[Tensor; 2]| attention(&q, k, v, &self.segments, self.scale, self.window).unwrap();
        let found = run(&held);
        assert!(bits(&found) == bits(&run(&wide)), "{self:?}");
        let defined = composed(|| run(&held)).to_dtype(DType::F64).unwrap();
        assert!(error(&found, &defined) < TOLERANCE, "{self:?}");
    }

    fn check(&self) {
        let found = self.with_threads(1);
        for (name, (found, exact)) in NAMES.iter().zip(found.iter().zip(self.run(DType::F64).unwrap())) {
            let error = error(found, &exact);
            assert!(error < TOLERANCE, "{name} is off by {error:.2e}: {self:?}");
        }
        for (name, (one, three)) in NAMES.iter().zip(found.iter().zip(self.with_threads(3))) {
            assert!(bits(one) == bits(&three), "{name} depends on the number of threads: {self:?}");
        }
    }
}

const NAMES: [&str; 4] = ["the result", "the gradient of q", "the gradient of k", "the gradient of v"];

/// Largest difference relative to the largest entry. NaN is no error below anything.
fn error(found: &Tensor, exact: &Tensor) -> f64 {
    assert_eq!(found.dims(), exact.dims());
    let largest =
        |x: &Tensor| x.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f64>().unwrap();
    let found = found.to_dtype(DType::F64).unwrap();
    assert!(found.flatten_all().unwrap().to_vec1::<f64>().unwrap().iter().all(|x| x.is_finite()));
    largest(&(found - exact).unwrap()) / largest(exact).max(1.0)
}

fn bits(x: &Tensor) -> Vec<u32> {
    x.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// Prompts with completions, `gap` keys that nobody sees before each and after the last.
fn stream(prompts: &[(usize, Vec<usize>)], gap: usize) -> (Vec<Segment>, usize, usize) {
    let (mut segments, mut queries, mut keys) = (Vec::new(), 0, 0);
    let mut push = |len: usize, prompt: Option<Range<usize>>| {
        keys += gap;
        let own = keys..keys + len;
        let all = prompt.into_iter().chain([own.clone()]).collect();
        segments.push(Segment { queries: queries..queries + len, keys: all });
        (queries, keys) = (queries + len, own.end);
        own
    };
    for (prompt, completions) in prompts {
        let prompt = (*prompt > 0).then(|| push(*prompt, None));
        for &completion in completions {
            push(completion, prompt.clone());
        }
    }
    (segments, queries, keys + gap)
}

fn calls() -> impl Strategy<Value = Call> {
    let prompt = (0..=70usize, prop::collection::vec(1..=70usize, 0..4));
    let layout = (prop::collection::vec(prompt, 1..4), 0..3usize);
    let heads = (1..=3usize, 1..=4usize, prop::sample::select(vec![1usize, 3, 8, 16, 17, 48, 64]));
    let window = prop::option::of(1..=90usize);
    let something = |(prompts, _): &(Vec<(usize, Vec<usize>)>, usize)| {
        prompts.iter().any(|(prompt, completions)| prompt + completions.len() > 0)
    };
    (layout.prop_filter("an empty stream", something), heads, window, 0.02..2f64).prop_map(
        |((prompts, gap), (kv_heads, group, dim), window, spread)| {
            let (segments, queries, keys) = stream(&prompts, gap);
            let scale = spread / (dim as f64).sqrt();
            Call { segments, queries, keys, kv_heads, group, dim, scale, window }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_definition_for_any_number_of_threads(call in calls()) {
        call.check();
    }

    #[test]
    fn a_cache_of_bf16_gives_the_bits_of_its_numbers(call in calls()) {
        call.check_held();
    }
}

fn single(queries: usize, context: usize) -> Call {
    let segments = vec![Segment { queries: 0..queries, keys: [0..context].to_vec() }];
    Call { segments, queries, keys: context, kv_heads: 2, group: 3, dim: 16, scale: 0.25, window: None }
}

#[test]
fn decoding_rows_agree_at_any_length_of_the_cache() {
    // Scores are computed 512 keys at a time, for up to 32 heads.
    for context in [1, 2, 15, 16, 17, 511, 512, 513, 1300] {
        for window in [None, Some(1), Some(40), Some(600)] {
            Call { window, ..single(1, context) }.check();
            Call { window, ..single(1, context) }.check_held();
        }
        Call { kv_heads: 1, group: 71, dim: 5, ..single(1, context) }.check();
    }
}

#[test]
fn a_batch_of_decoding_rows_agrees() {
    let starts = [0, 700, 720, 900];
    let ends = [640, 701, 890, 1000];
    let segment = |i: usize| Segment { queries: i..i + 1, keys: [starts[i]..ends[i]].to_vec() };
    let call = Call { segments: (0..4).map(segment).collect(), queries: 4, keys: 1003, ..single(1, 1) };
    call.check();
    call.check_held();
    Call { dim: 64, window: Some(100), ..call }.check();
}

#[test]
fn blocks_of_a_long_context_add_up() {
    for (queries, context) in [(1, 4000), (33, 1100), (600, 600), (40, 512), (40, 513)] {
        for window in [None, Some(5), Some(530)] {
            Call { window, ..single(queries, context) }.check();
        }
    }
}

#[test]
fn a_segment_of_4096_tokens_agrees() {
    let call = Call { kv_heads: 1, group: 2, dim: 8, ..single(4096, 4096) };
    // The definition has all scores of a segment at once: give it the same rows in 16 segments.
    let blocks: Vec<_> = (0..16).map(|i| i * 256..(i + 1) * 256).collect();
    let segment = |i: usize| Segment { queries: blocks[i].clone(), keys: blocks[..=i].to_vec() };
    let in_blocks = Call { segments: (0..16).map(segment).collect(), ..call.clone() };
    let exact = in_blocks.run(DType::F64).unwrap();
    for (found, exact) in call.run(DType::F32).unwrap().iter().zip(&exact) {
        assert!(error(found, exact) < 5.0 * TOLERANCE, "{}", error(found, exact));
    }
    for (found, exact) in in_blocks.run(DType::F32).unwrap().iter().zip(&exact) {
        assert!(error(found, exact) < 5.0 * TOLERANCE, "{}", error(found, exact));
    }
}

#[test]
fn large_scores_agree_and_overwhelming_ones_stay_finite() {
    let (segments, queries, keys) = stream(&[(40, vec![3, 37]), (0, vec![1])], 1);
    let call = Call { segments, queries, keys, ..single(1, 1) };
    Call { scale: 0.0, ..call.clone() }.check();
    for scale in [1e3, 1e18] {
        // Rounding moves a score of 10⁴ by 10⁻³: the definition too must be computed from f32 scores here.
        for found in (Call { scale, ..call.clone() }).run(DType::F32).unwrap().iter().take(1) {
            let entries = found.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(entries.iter().all(|x| x.abs() <= 1.7 * 1.0001), "not a mean of values");
        }
    }
}

#[test]
fn a_cache_has_no_gradient() {
    let [q, k, v] = single(1, 5).inputs();
    let held = k.to_dtype(DType::BF16).unwrap();
    let segments = single(1, 5).segments;
    let refused = attention(Var::from_tensor(&q).unwrap().as_tensor(), &held, &held, &segments, 0.3, None);
    assert!(refused.unwrap_err().to_string().contains("has no gradient"));
    assert!(attention(&q, &held, &v, &segments, 0.3, None).is_err(), "keys and values of two types");
}

#[test]
fn keys_that_nobody_sees_have_no_gradient() {
    let (segments, queries, keys) = stream(&[(5, vec![40]), (0, vec![33])], 2);
    let call = Call { segments, queries, keys, window: Some(7), ..single(1, 1) };
    let [_, _, dk, dv] = call.run(DType::F32).unwrap();
    for grad in [dk, dv] {
        let rows: Vec<bool> =
            grad.to_vec3::<f32>().unwrap().iter().map(|row| row.concat().iter().all(|x| *x == 0.0)).collect();
        let unseen: Vec<usize> = (0..keys).filter(|&row| rows[row]).collect();
        assert_eq!(unseen, [0, 1, 7, 8, 49, 50, 84, 85]);
    }
}

#[test]
fn a_segment_does_not_depend_on_its_neighbours() {
    let (segments, queries, keys) = stream(&[(45, vec![33, 1, 20]), (1, vec![61])], 0);
    let call = Call { segments, queries, keys, ..single(1, 1) };
    let [q, k, v] = call.inputs();
    let whole = attention(&q, &k, &v, &call.segments, 0.3, None).unwrap();
    for segment in &call.segments {
        let (start, len) = (segment.queries.start, segment.queries.len());
        let alone = [Segment { queries: 0..len, keys: segment.keys.clone() }];
        let found = attention(&q.narrow(0, start, len).unwrap(), &k, &v, &alone, 0.3, None).unwrap();
        assert_eq!(bits(&found), bits(&whole.narrow(0, start, len).unwrap()));
    }
}

#[test]
fn operands_need_not_be_contiguous() {
    let call = Call { dim: 6, ..single(20, 20) };
    let [q, k, v] = call.inputs();
    let strided = |x: &Tensor| Var::from_tensor(&x.transpose(0, 2).unwrap().contiguous().unwrap()).unwrap();
    let vars = [strided(&q), strided(&k), strided(&v)];
    let views: Vec<_> = vars.iter().map(|var| var.transpose(0, 2).unwrap()).collect();
    let out = attention(&views[0], &views[1], &views[2], &call.segments, call.scale, None).unwrap();
    let weights = values(out.dims3().unwrap(), 4).transpose(0, 1).unwrap();
    let grads = (out.transpose(0, 1).unwrap() * weights).unwrap().sum_all().unwrap().backward().unwrap();
    let expected = call.run(DType::F32).unwrap();
    assert_eq!(bits(&out), bits(&expected[0]));
    for (var, expected) in vars.iter().zip(&expected[1..]) {
        assert_eq!(bits(&grads.get(var).unwrap().transpose(0, 2).unwrap()), bits(expected));
    }
}

#[test]
fn only_tracked_operands_get_gradients() {
    let call = single(20, 20);
    let [q, k, v] = call.inputs();
    let k = Var::from_tensor(&k).unwrap();
    let out = attention(&q, &k, &v, &call.segments, 0.25, None).unwrap();
    let grads = (&out * values(out.dims3().unwrap(), 4)).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(bits(grads.get(&k).unwrap()), bits(&call.run(DType::F32).unwrap()[2]));
    assert!(grads.get(&q).is_none() && grads.get(&v).is_none());
    assert!(!attention(&q, &k.detach(), &v, &call.segments, 0.25, None).unwrap().track_op());
}

#[test]
fn both_forms_refuse_the_same() {
    let overlapping = vec![
        Segment { queries: 0..2, keys: [0..3].to_vec() },
        Segment { queries: 2..4, keys: [1..4].to_vec() },
    ];
    let call = Call { segments: overlapping, queries: 4, keys: 4, ..single(1, 1) };
    for dtype in [DType::F32, DType::F64] {
        let message = call.run(dtype).unwrap_err().to_string();
        assert!(message.contains("key ranges 0..3 and 1..4 overlap"), "{message}");
        let [q, k, v] = call.inputs().map(|x| x.to_dtype(dtype).unwrap());
        assert!(attention(&q, &k, &v, &call.segments, 1.0, None).is_ok(), "fine without gradients");
        let message = attention(&q, &k, &v, &call.segments, 1.0, Some(0)).unwrap_err().to_string();
        assert!(message.contains("window of 0"), "{message}");
    }
    // The same keys twice in one context are no overlap.
    let twice = Segment { queries: 0..2, keys: vec![0..2, 0..2] };
    Call { segments: vec![twice], queries: 2, keys: 2, ..single(1, 1) }.check();
}
