//! What ranks divide among themselves changes no bit of a run, and checkpoints do not know of it.

use std::fs;
use std::path::Path;

use align_train::{Optim, Ranks, Shard, Strategy, TrainOptions};

use crate::ranks::{options, train_of, weights};
use crate::resume::stopped_after;
use crate::toy::{Finished, Regression, train_on};

const OPTIMIZERS: [Optim; 6] =
    [Optim::AdamwTorch, Optim::Adamw8bit, Optim::Adafactor, Optim::Lion, Optim::Sgd, Optim::Muon];

fn with(ranks: usize, optim: Optim, shard: Shard, resume: bool) -> TrainOptions {
    options(ranks, |options| {
        (options.optim, options.shard) = (optim, shard);
        options.learning_rate = Some(0.001);
        options.max_steps = 5;
        options.save_steps = Some(3);
        options.optim_args = (optim == Optim::Sgd).then(|| "momentum=0.9".to_owned());
        options.resume_from_checkpoint = resume.then(|| "last".to_owned());
    })
}

/// What the first of so many ranks comes to, all of which have the same weights.
fn first(ranks: usize, dir: &Path, options: &TrainOptions) -> Finished {
    let all: Vec<_> = train_of(ranks, dir, options, Regression::wide, |_, _| {});
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    assert!(all.iter().all(|it| it.objective.bits() == all[0].objective.bits()), "ranks part");
    all.into_iter().next().unwrap()
}

fn state(dir: &Path, step: usize) -> Vec<u8> {
    fs::read(dir.join(format!("checkpoint-{step}/optimizer.safetensors"))).unwrap()
}

#[test]
fn shards_change_no_bit_of_weights_logs_and_states() {
    for optim in OPTIMIZERS {
        for (ranks, shards) in [(4, &[Shard::Optimizer, Shard::Gradients][..]), (2, &[Shard::Optimizer])] {
            let dir = tempfile::tempdir().unwrap();
            let whole = first(ranks, dir.path(), &with(ranks, optim, Shard::None, false));
            assert!(whole.objective.bits() != Regression::wide().bits());
            for &shard in shards {
                let other = tempfile::tempdir().unwrap();
                let it = first(ranks, other.path(), &with(ranks, optim, shard, false));
                let what = format!("{optim:?} on {ranks} ranks, {shard:?}");
                assert_eq!(it.objective.bits(), whole.objective.bits(), "{what}");
                assert_eq!(it.timeless_log(), whole.timeless_log(), "{what}");
                let last = whole.state.global_step;
                assert!(state(other.path(), last) == state(dir.path(), last), "{what}: state");
            }
        }
    }
}

#[test]
fn a_state_is_gone_on_from_on_any_number_of_ranks_in_any_mode() {
    for optim in OPTIMIZERS {
        let dir = tempfile::tempdir().unwrap();
        let whole = first(4, dir.path(), &with(4, optim, Shard::Optimizer, false));
        let alone = tempfile::tempdir().unwrap();
        let of_alone = first(1, alone.path(), &with(1, optim, Shard::None, false));
        for (from, expected, ranks, shard, exact) in [
            (&dir, &whole, 4, Shard::None, true),
            (&dir, &whole, 4, Shard::Gradients, true),
            (&dir, &whole, 2, Shard::Gradients, false),
            (&dir, &whole, 1, Shard::None, false),
            (&alone, &of_alone, 4, Shard::Optimizer, false),
        ] {
            let stopped = stopped_after(3, from.path());
            let again = first(ranks, stopped.path(), &with(ranks, optim, shard, true));
            let what = format!("{optim:?}, on {ranks} with {shard:?}");
            if exact {
                assert_eq!(again.objective.bits(), expected.objective.bits(), "{what}");
                assert_eq!(again.timeless_log(), expected.timeless_log(), "{what}");
            }
            for (it, of_whole) in weights(&again).iter().zip(weights(expected)) {
                // Codes of 8 bits and signs may fall to the other side of a tie.
                let coarse = matches!(optim, Optim::Adamw8bit | Optim::Lion);
                let near = if coarse { 5e-3 } else { 1e-5 };
                assert!((it - of_whole).abs() < near, "{what}: {it} {of_whole}");
            }
        }
    }
}

#[test]
fn a_rank_keeps_its_share_and_sends_what_the_formula_says() {
    let sent = |shard: Shard| {
        let dir = tempfile::tempdir().unwrap();
        let mut options = with(4, Optim::AdamwTorch, shard, false);
        (options.save_strategy, options.save_steps) = (Strategy::No, None);
        let one = |ranks: Ranks| {
            let steps = train_on(&ranks, dir.path(), &options, Regression::wide(), |_| {}).unwrap();
            (ranks.sent_bytes() as f64 / steps.state.global_step as f64, ranks.end().unwrap()).0
        };
        std::thread::scope(|scope| {
            let all = align_train::threads(4).into_iter().map(|ranks| scope.spawn(move || one(ranks)));
            let all: Vec<_> = all.collect();
            all.into_iter().map(|it| it.join().unwrap()).sum::<f64>()
        })
    };
    let parameters: usize = weights(&Finished {
        outcome: align_train::Outcome::Completed,
        objective: Regression::wide(),
        state: align_train::TrainerState::default(),
    })
    .len();
    // Of all ranks together.
    let formula = (2 * 4 * parameters * 3) as f64;
    for shard in [Shard::None, Shard::Optimizer, Shard::Gradients] {
        let sent = sent(shard);
        // What ranks say to each other beside is more than a tenth of so few parameters.
        assert!(sent >= formula && sent < 1.4 * formula, "{shard:?}: {sent} {formula}");
    }
}

#[test]
fn one_rank_divides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let whole = first(1, dir.path(), &with(1, Optim::AdamwTorch, Shard::None, false));
    let other = tempfile::tempdir().unwrap();
    let it = first(1, other.path(), &with(1, Optim::AdamwTorch, Shard::Gradients, false));
    assert_eq!(it.objective.bits(), whole.objective.bits());
}
