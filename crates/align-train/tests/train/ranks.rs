//! Ranks make the run that one makes with as many times the accumulation, and end together.

use std::path::Path;
use std::thread;

use align_train::{
    Error, Metrics, Outcome, Ranks, Result, Stop, StopReason, Strategy, TrainOptions, evaluate, threads,
};

use crate::resume::{run_options, stopped_after};
use crate::toy::{Finished, Loader, Regression, Row, rows, train_on};

/// What every one of so many ranks comes to, the first one's first.
fn train(count: usize, dir: &Path, options: &TrainOptions) -> Vec<Result<Finished>> {
    train_prepared(count, dir, options, |_, _| {})
}

fn train_prepared(
    count: usize,
    dir: &Path,
    options: &TrainOptions,
    prepare: impl Fn(usize, &mut Loader) + Sync,
) -> Vec<Result<Finished>> {
    train_of(count, dir, options, Regression::new, prepare)
}

pub(crate) fn train_of(
    count: usize,
    dir: &Path,
    options: &TrainOptions,
    objective: impl Fn() -> Regression + Sync,
    prepare: impl Fn(usize, &mut Loader) + Sync,
) -> Vec<Result<Finished>> {
    let one = |ranks: Ranks| {
        let rank = ranks.rank();
        let done = train_on(&ranks, dir, options, objective(), |loader| prepare(rank, loader));
        match &done {
            Ok(_) => ranks.end()?,
            Err(error) => ranks.fails(error),
        }
        done
    };
    thread::scope(|scope| {
        let handles: Vec<_> = threads(count).into_iter().map(|ranks| scope.spawn(|| one(ranks))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    })
}

/// Four micro-batches of two rows an update, on so many ranks. Of the 8 rows of an epoch, and the 9 of another, the last
/// window is not full.
pub(crate) fn options(ranks: usize, change: impl FnOnce(&mut TrainOptions)) -> TrainOptions {
    run_options(|options| {
        options.per_device_train_batch_size = 1;
        options.gradient_accumulation_steps = 4 / ranks;
        options.num_train_epochs = 5.0;
        options.logging_steps = 1;
        change(options);
    })
}

pub(crate) fn weights(finished: &Finished) -> Vec<f32> {
    finished.objective.bits().into_iter().map(f32::from_bits).collect()
}

#[test]
fn any_number_of_ranks_makes_the_run_of_one_that_accumulates_as_much() {
    // 9 rows: windows of 4, 4 and 1 micro-batches, so that in the last one all ranks but the first have none.
    let nine = |_: usize, loader: &mut Loader| loader.rows = rows(9);
    let run = |ranks: usize| {
        let dir = tempfile::tempdir().unwrap();
        let change = |options: &mut TrainOptions| {
            options.max_steps = 15;
            options.save_steps = Some(10);
        };
        let all = train_prepared(ranks, dir.path(), &options(ranks, change), nine);
        let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
        assert!(all.iter().all(|it| it.outcome == Outcome::Completed));
        assert!(all.iter().all(|it| it.objective.bits() == all[0].objective.bits()), "{ranks} ranks part");
        assert!(all.iter().all(|it| it.timeless_log() == all[0].timeless_log()), "{ranks} ranks log");
        let lines = std::fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap();
        assert_eq!(lines.lines().count(), all[0].state.log_history.len(), "one rank writes");
        all.into_iter().next().unwrap()
    };
    let alone = run(1);
    for ranks in [2, 4] {
        let (one, again) = (run(ranks), run(ranks));
        assert_eq!(one.objective.bits(), again.objective.bits(), "{ranks} ranks, twice");
        for (it, of_alone) in weights(&one).iter().zip(weights(&alone)) {
            assert!((it - of_alone).abs() < 1e-6, "{ranks} ranks: {it} {of_alone}");
        }
        let logs = (one.timeless_log(), alone.timeless_log());
        assert_eq!(logs.0.len(), logs.1.len());
        for (it, of_alone) in logs.0.iter().zip(&logs.1) {
            for (name, value) in of_alone {
                let of = |value: &serde_json::Value| value.as_f64().unwrap();
                assert!((of(value) - of(&it[name])).abs() < 1e-5, "{name}: {it:?} {of_alone:?}");
            }
        }
    }
}

#[test]
fn held_out_rows_are_measured_by_all_ranks_and_come_to_the_figures_of_one_to_the_bit() {
    let measured = |ranks: &Ranks, stop: &Stop, rows: Vec<Row>| {
        let objective = Regression::new().held_out();
        evaluate(&objective, &mut Loader::in_order(rows, 2), ranks, stop)
    };
    let on = |count: usize, one: &(dyn Fn(&Ranks) -> Result<Metrics> + Sync)| {
        thread::scope(|scope| {
            let all: Vec<_> = threads(count).into_iter().map(|it| scope.spawn(move || one(&it))).collect();
            all.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>()
        })
    };
    let alone = measured(&Ranks::default(), &Stop::default(), rows(13)).unwrap();
    for count in [2, 3, 9] {
        for it in on(count, &|ranks| measured(ranks, &Stop::default(), rows(13))) {
            assert_eq!(it.unwrap(), alone, "{count} ranks");
        }
    }
    // One that is asked to stop has all of them stop, and none of them fail.
    let all = on(3, &|ranks| {
        let stop = Stop::default();
        if ranks.rank() == 1 {
            stop.request();
        }
        let interrupted = measured(ranks, &stop, rows(13));
        ranks.end()?;
        interrupted
    });
    assert!(all.iter().all(|it| matches!(it, Err(Error::Interrupted(StopReason::Requested)))));
    // The fourth batch is the second rank's.
    let mut bad = rows(13);
    bad[7].y = f32::NAN;
    let errors = on(2, &|ranks| measured(ranks, &Stop::default(), bad.clone()));
    let errors: Vec<_> = errors.into_iter().map(|it| it.unwrap_err().to_string()).collect();
    assert!(errors[1].contains("`loss` is NaN; look at these rows (toy.jsonl:7, toy.jsonl:8)"), "{errors:?}");
    assert_eq!(errors[0], format!("rank 1: {}", errors[1]));
}

#[test]
fn a_run_goes_on_on_another_number_of_ranks_with_the_same_updates() {
    let dir = tempfile::tempdir().unwrap();
    let whole = train(4, dir.path(), &options(4, |_| {})).remove(0).unwrap();
    for (ranks, exact) in [(4, true), (2, false), (1, false)] {
        let stopped = stopped_after(3, dir.path());
        let last = |options: &mut TrainOptions| options.resume_from_checkpoint = Some("last".to_owned());
        let again = train(ranks, stopped.path(), &options(ranks, last)).remove(0).unwrap();
        if exact {
            assert_eq!(again.objective.bits(), whole.objective.bits());
            assert_eq!(again.timeless_log(), whole.timeless_log());
        }
        assert_eq!(again.state.global_step, whole.state.global_step);
        for (it, of_whole) in weights(&again).iter().zip(weights(&whole)) {
            assert!((it - of_whole).abs() < 1e-6, "{ranks} ranks: {it} {of_whole}");
        }
    }
}

#[test]
fn another_number_of_ranks_that_would_change_the_updates_is_refused_with_what_to_give() {
    let dir = tempfile::tempdir().unwrap();
    train(2, dir.path(), &options(2, |_| {})).remove(0).unwrap();
    let stopped = stopped_after(1, dir.path());
    let again = |ranks: usize, accumulation: usize| {
        let options = options(1, |options| {
            options.resume_from_checkpoint = Some("last".to_owned());
            options.gradient_accumulation_steps = accumulation;
        });
        let all = train(ranks, stopped.path(), &options);
        all.into_iter().map(|it| it.err().unwrap().to_string()).collect::<Vec<_>>()
    };
    let errors = again(4, 2);
    assert!(errors[0].contains("from 4 micro-batches (2 on each of 2 ranks), is from 8"), "{errors:?}");
    assert!(errors[0].contains("give --gradient-accumulation-steps 1"), "{errors:?}");
    assert!(errors[3].starts_with("rank 0: "), "{errors:?}");
    assert!(again(3, 1)[0].contains("take a number of ranks that divides 4"));
}

#[test]
fn a_loss_that_is_not_finite_on_one_rank_is_the_same_error_on_all() {
    let dir = tempfile::tempdir().unwrap();
    // Row 4 is the second rank's.
    let bad = |_: usize, loader: &mut Loader| {
        loader.shuffled = false;
        loader.rows[3].y = f32::NAN;
    };
    let all = train_prepared(2, dir.path(), &options(2, |_| {}), bad);
    let errors: Vec<_> = all.into_iter().map(|it| it.err().unwrap().to_string()).collect();
    assert!(
        errors[1].contains("step 1: the loss is NaN on rank 1; rows of the micro-batch: toy.jsonl:4"),
        "{errors:?}"
    );
    // A loop that knows a way out takes it on every rank.
    assert_eq!(errors[0], errors[1]);
}

#[test]
fn ranks_that_part_are_found_before_a_checkpoint_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let other = |rank: usize, loader: &mut Loader| loader.rows[0].y += rank as f32;
    // Other data alone does not part them: they share the gradients.
    assert!(train_prepared(2, dir.path(), &options(2, |_| {}), other).iter().all(Result::is_ok));
    let dir = tempfile::tempdir().unwrap();
    let options = options(2, |options| {
        options.eval_strategy = Strategy::No;
        options.eval_steps = None;
    });
    let one = |ranks: Ranks| {
        let objective = Regression::new();
        if ranks.rank() == 1 {
            let bias = candle_core::Tensor::new(&[9f32], &candle_core::Device::Cpu).unwrap();
            objective.params.require("bias").unwrap().set(&bias).unwrap();
        }
        train_on(&ranks, dir.path(), &options, objective, |_| {}).err().map(|error| error.to_string())
    };
    let done = thread::scope(|scope| {
        let handles: Vec<_> = threads(2).into_iter().map(|ranks| scope.spawn(|| one(ranks))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap().unwrap()).collect::<Vec<_>>()
    });
    assert!(
        done.iter().all(|it| it.starts_with("rank 1: its weights are no longer those of rank 0")),
        "{done:?}"
    );
    assert!(!dir.path().join("checkpoint-1").exists());
}
