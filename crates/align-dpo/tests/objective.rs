//! The objective on a tiny golden model: guards, metrics, and a reference that is live or precomputed.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::Path;

use align_data::{Origin, TokenizedPair};
use align_dpo::{PairBatch, PairMethod, Preference, precompute};
use align_kernels::Params;
use align_models::{CausalLm, ModelDir, Reference, weights_hash};
use align_train::{Objective, Ranks, Weights, threads};
use candle_core::Device;

fn model() -> ModelDir {
    ModelDir::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/models/llama")).unwrap()
}

fn params() -> Params {
    model().load(&Device::Cpu).unwrap().tracked_copy().unwrap()
}

fn lm(params: &Params) -> CausalLm {
    CausalLm::new(model().decoder_config(), params).unwrap()
}

fn live(params: &Params) -> Reference {
    Reference::Live(Box::new(lm(params)))
}

/// Pairs of different lengths; the last one prefers an answer to itself.
fn pairs() -> Vec<TokenizedPair> {
    let tokens = |from: u32, n: u32| (0..n).map(|i| 5 + (from * 31 + i * 17) % 200).collect::<Vec<_>>();
    let pair = |row: usize, chosen: Vec<u32>, rejected: Vec<u32>| TokenizedPair {
        prompt: tokens(row as u32, 4 + row as u32),
        prompt_is_cut: false,
        chosen,
        rejected,
        reference: None,
        unlearned: Vec::new(),
        row,
        origin: Origin::in_code(row),
    };
    vec![
        pair(0, tokens(1, 5), tokens(2, 3)),
        pair(1, tokens(3, 2), tokens(4, 9)),
        pair(2, tokens(5, 4), tokens(5, 4)),
    ]
}

fn objective(params: &Params, reference: Reference) -> Preference {
    Preference::new(lm(params), Some(reference), PairMethod::dpo(0.1))
}

#[test]
fn a_policy_that_is_its_own_reference_has_no_reward_and_the_loss_of_indifference() {
    let params = params();
    let objective = objective(&params, live(&params.frozen_copy().unwrap()));
    let batch = PairBatch::new(&pairs(), &[0, 1, 2]).unwrap();
    objective.check_start(&batch, true).unwrap();
    let (loss, metrics) = objective.loss(&batch, &Weights::of("pairs", 3.0)).unwrap().read().unwrap();
    assert!((loss - std::f64::consts::LN_2).abs() < 1e-6);
    assert_eq!(metrics.get("rewards/accuracies"), Some(0.5));
    assert_eq!(metrics.get("rewards/margins"), Some(0.0));
}

#[test]
fn another_reference_is_not_taken_for_the_policy_itself() {
    let params = params();
    let frozen = params.frozen_copy().unwrap();
    let embedding = params.require("model.embed_tokens.weight").unwrap();
    embedding.set(&(embedding.tensor().detach() * 1.5).unwrap()).unwrap();
    let objective = objective(&params, live(&frozen));
    let error =
        objective.check_start(&PairBatch::new(&pairs(), &[0, 1]).unwrap(), true).unwrap_err().to_string();
    assert!(error.contains("not computed alike"), "{error}");
}

#[test]
fn every_parameter_gets_a_gradient_and_identical_answers_add_none() {
    let grads = |indices: &[usize]| {
        let params = params();
        let objective = objective(&params, live(&params.frozen_copy().unwrap()));
        let batch = PairBatch::new(&pairs(), indices).unwrap();
        drop(objective.loss(&batch, &Weights::of("pairs", 2.0)).unwrap().loss.backward().unwrap());
        let norm = |p: &align_kernels::Param| {
            let grad = p.grad_buffer().unwrap().get().unwrap();
            grad.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt()
        };
        params.iter().map(|(name, param)| (name.to_owned(), norm(param))).collect::<Vec<_>>()
    };
    for ((name, with), (_, without)) in grads(&[0, 1, 2]).iter().zip(&grads(&[0, 1])) {
        assert!(*without > 0.0, "{name}");
        assert!((with - without).abs() < 1e-4 * without, "{name}: {with} is not {without}");
    }
    for (name, norm) in grads(&[2]) {
        assert!(norm < 1e-6, "{name}: {norm}");
    }
}

#[test]
fn ranks_share_the_rows_of_a_reference_that_is_precomputed_and_have_the_log_probs_of_one() {
    let frozen = params().frozen_copy().unwrap();
    let hash = weights_hash(model().decoder_config(), &frozen).unwrap();
    // Each on two threads reads what it is given, or computes it, two rows a pass.
    let known = |ranks: &Ranks, dir: &Path, model: &str| {
        let known =
            precompute(&PairMethod::dpo(0.1), &lm(&frozen), (dir, model), (&pairs()).into(), Some(2), ranks);
        let all: Vec<usize> = (0..2 * pairs().len()).collect();
        let log_probs = |known: Reference| known.log_probs(&all, &Device::Cpu, |_| unreachable!());
        known.map(|known| log_probs(known).unwrap().to_vec1::<f32>().unwrap())
    };
    let (alone, shared) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let of_one = known(&Ranks::default(), alone.path(), &hash).unwrap();
    let on_two = |model: &(dyn Fn(usize) -> String + Sync)| {
        std::thread::scope(|scope| {
            let one = |ranks: Ranks| known(&ranks, shared.path(), &model(ranks.rank()));
            let all: Vec<_> = threads(2).into_iter().map(|ranks| scope.spawn(move || one(ranks))).collect();
            all.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>()
        })
    };
    for _ in 0..2 {
        assert!(on_two(&|_| hash.clone()).into_iter().all(|it| it.unwrap() == of_one));
    }
    let files =
        |dir: &Path| std::fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(files(shared.path()), files(alone.path()));
    // Whoever has another model is named before anything is kept.
    let errors = on_two(&|rank| format!("{hash}{rank}")).into_iter().map(|it| it.unwrap_err().to_string());
    assert!(errors.into_iter().all(|it| it.starts_with("rank 1: its reference")));
    assert_eq!(files(shared.path()).len(), 1);
}

#[test]
fn a_precomputed_reference_gives_the_live_ones_loss_in_any_batch() {
    let params = params();
    let frozen = params.frozen_copy().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let hash = weights_hash(model().decoder_config(), &frozen).unwrap();
    let method = PairMethod::dpo(0.1);
    let precomputed =
        precompute(&method, &lm(&frozen), (cache.path(), &hash), (&pairs()).into(), None, &Ranks::default())
            .unwrap();
    let embedding = params.require("model.embed_tokens.weight").unwrap();
    embedding.set(&(embedding.tensor().detach() * 1.1).unwrap()).unwrap();
    let live = objective(&params, live(&frozen));
    let precomputed = objective(&params, precomputed);
    for indices in [&[0usize, 1, 2][..], &[2, 0], &[1]] {
        let batch = PairBatch::new(&pairs(), indices).unwrap();
        let loss = |objective: &Preference| {
            objective.loss(&batch, &Weights::of("pairs", 1.0)).unwrap().loss.to_scalar::<f32>().unwrap()
        };
        assert!((loss(&live) - loss(&precomputed)).abs() < 1e-5);
    }
}
