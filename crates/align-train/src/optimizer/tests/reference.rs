//! Each optimizer against the code that it is named after (`fixtures/scripts/golden_optimizers.py`), over 20 steps.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

const STEPS: usize = 20;

#[derive(Deserialize)]
struct Golden {
    cases: BTreeMap<String, BTreeMap<String, Expected>>,
}

/// A parameter after 20 steps.
#[derive(Deserialize)]
struct Expected {
    every: usize,
    sample: Vec<f32>,
    checksum: String,
    state: BTreeMap<String, String>,
}

/// The sum of all bits as numbers, each times its place from 1, modulo 2^64.
fn checksum(bits: impl Iterator<Item = u64>) -> String {
    let sum = bits.zip(1u64..).fold(0u64, |sum, (bits, place)| sum.wrapping_add(bits.wrapping_mul(place)));
    sum.to_string()
}

fn checksum_of(buffer: &Buffer) -> String {
    match &buffer.values {
        Values::F32(values) => checksum(values.iter().map(|value| value.to_bits().into())),
        Values::U8(values) => checksum(values.iter().map(|&value| value.into())),
        Values::Device(_) => unreachable!("on the CPU"),
    }
}

/// After 20 steps: the parameters of a case, the optimizer, and what the case expects.
fn after(case: &str, method: OptimizerMethod) -> (Params, Optimizer, BTreeMap<String, Expected>) {
    let golden = include_str!("../../../../../fixtures/golden/optimizers/steps.json");
    let expected = serde_json::from_str::<Golden>(golden).unwrap().cases.remove(case).unwrap();
    let all = params();
    let params: Params = all
        .iter()
        .filter(|(name, _)| expected.contains_key(*name))
        .map(|(name, param)| (name.to_owned(), param.clone()))
        .collect();
    let mut optimizer = Optimizer::new(&params, config(method)).unwrap();
    train(&mut optimizer, &params, 0..STEPS);
    (params, optimizer, expected)
}

/// The largest distance from the sample, relative to 0.1 or more.
fn distance(case: &str, method: OptimizerMethod) -> f32 {
    let (params, _, expected) = after(case, method);
    let of_param = |(name, expected): (&String, &Expected)| {
        let found = values(&params, name);
        let pairs = found.iter().step_by(expected.every).zip(&expected.sample);
        pairs.map(|(found, expected)| (found - expected).abs() / expected.abs().max(0.1)).fold(0.0, f32::max)
    };
    expected.iter().map(of_param).fold(0.0, f32::max)
}

/// `buffers` are ours by the reference's names.
fn is_the_same_to_the_bit(case: &str, method: OptimizerMethod, buffers: &[(&str, &str)]) {
    let (params, _, expected) = after(case, method);
    for (name, expected) in &expected {
        let found = values(&params, name);
        let sample: Vec<f32> = found.iter().copied().step_by(expected.every).collect();
        assert_eq!(sample, expected.sample, "{case}: {name}");
        assert_eq!(checksum(found.iter().map(|x| x.to_bits().into())), expected.checksum, "{case}: {name}");
    }
    has_the_same_state(case, method, buffers);
}

fn has_the_same_state(case: &str, method: OptimizerMethod, buffers: &[(&str, &str)]) {
    let (_, optimizer, expected) = after(case, method);
    for (name, expected) in &expected {
        let state = &optimizer.states[name].buffers;
        for (theirs, checksum) in &expected.state {
            let ours = |name: &str| state.iter().find(|buffer| buffer.spec.name == name);
            let mut candidates = buffers.iter().filter(|(name, _)| name == theirs);
            let buffer = candidates.find_map(|(_, name)| ours(name)).unwrap();
            assert_eq!(&checksum_of(buffer), checksum, "{case}: {theirs} of {name}");
        }
    }
}

#[test]
fn adamw_is_that_of_torch() {
    assert!(distance("adamw_torch", OptimizerMethod::AdamW(ADAM)) < 2e-6);
}

#[test]
fn adamw_8bit_is_that_of_bitsandbytes_to_the_bit() {
    let buffers = [
        ("state1", "exp_avg_codes"),
        ("state2", "exp_avg_sq_codes"),
        ("absmax1", "exp_avg_absmax"),
        ("absmax2", "exp_avg_sq_absmax"),
        ("state1", "exp_avg"),
        ("state2", "exp_avg_sq"),
    ];
    let method = OptimizerMethod::AdamW8bit(ADAM);
    is_the_same_to_the_bit("adamw_8bit.rounded", method, &buffers);
    // With the square roots of torch's library, which are not always rounded as IEEE 754 says: the state all the same.
    has_the_same_state("adamw_8bit", method, &buffers);
    assert!(distance("adamw_8bit", method) < 2e-6);
}

#[test]
fn lion_is_that_of_bitsandbytes_to_the_bit() {
    let lion = OptimizerMethod::Lion { beta1: ADAM.beta1, beta2: ADAM.beta2 };
    is_the_same_to_the_bit("lion", lion, &[("state1", "exp_avg")]);
}

#[test]
fn sgd_is_that_of_torch_to_the_bit() {
    let buffers = [("momentum_buffer", "momentum_buffer")];
    let momentum = Momentum { momentum: 0.9, ..Momentum::default() };
    for (case, momentum) in [
        ("sgd", Momentum::default()),
        ("sgd.momentum", Momentum { dampening: 0.25, ..momentum }),
        ("sgd.nesterov", Momentum { nesterov: true, ..momentum }),
    ] {
        is_the_same_to_the_bit(case, OptimizerMethod::Sgd(momentum), &buffers);
    }
}

#[test]
fn adafactor_is_that_of_transformers() {
    let distance = distance("adafactor", OptimizerMethod::Adafactor);
    assert!(distance < 3e-6, "{distance}");
}

#[test]
fn muon_is_that_of_torch() {
    let muon = |muon| OptimizerMethod::Muon(muon, ADAM);
    for (case, adjust_lr) in [
        ("muon.float32.original", LrAdjustment::Original),
        ("muon.float32.match_rms_adamw", LrAdjustment::MatchRmsAdamw),
        ("muon.float32.spectral_unclamped", LrAdjustment::SpectralUnclamped),
    ] {
        let distance = distance(case, muon(Muon { adjust_lr, ..Muon::default() }));
        assert!(distance < 1e-5, "{case}: {distance}");
    }
    let plain = Muon { nesterov: false, ns_steps: 3, adjust_lr: LrAdjustment::Original, ..Muon::default() };
    assert!(distance("muon.float32.plain", muon(plain)) < 1e-5);
    // torch rounds to 8 bits of fraction in each product; a step is about 0.02 / √6, and there are 20.
    let original = Muon { adjust_lr: LrAdjustment::Original, ..Muon::default() };
    assert!(distance("muon.bfloat16.original", muon(original)) < 2e-2);
}
