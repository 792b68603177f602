//! Runs with each optimizer, and with a learning rate that goes by evaluations.

use align_train::{LrSchedulerType, Optim, TrainOptions};

use crate::resume::{resumed, run_options, stopped_after};
use crate::toy::{Finished, train};

#[test]
fn every_optimizer_and_a_plateau_go_on_to_the_same_bits() {
    // The toy has 3 weights, none of them a matrix of more than a row: adamw_8bit is tried on larger ones elsewhere.
    for (optim, arguments) in [
        (Optim::Adafactor, None),
        (Optim::Lion, None),
        (Optim::Sgd, Some("momentum=0.9,nesterov=true")),
        (Optim::Muon, Some("ns_steps=3")),
    ] {
        let run = |change: fn(&mut TrainOptions)| {
            run_options(|options| {
                (options.optim, options.optim_args) = (optim, arguments.map(str::to_owned));
                options.lr_scheduler_type = LrSchedulerType::ReduceLrOnPlateau;
                options.lr_scheduler_kwargs = Some("patience=0,factor=0.5,threshold=0.9".to_owned());
                options.eval_steps = Some(1);
                change(options);
            })
        };
        let dir = tempfile::tempdir().unwrap();
        let whole = train(dir.path(), &run(|_| {})).unwrap();
        let rates = |finished: &Finished| {
            let rates = finished.state.log_history.iter().filter_map(|entry| entry.get("learning_rate"));
            rates.filter_map(serde_json::Value::as_f64).collect::<Vec<_>>()
        };
        assert!(rates(&whole).windows(2).all(|pair| pair[1] < pair[0]), "{:?}", rates(&whole));
        let stopped = stopped_after(3, dir.path());
        let again =
            train(stopped.path(), &run(|options| options.resume_from_checkpoint = Some("last".to_owned())))
                .unwrap();
        assert_eq!(again.objective.bits(), whole.objective.bits(), "{optim:?}");
        assert_eq!(again.timeless_log(), whole.timeless_log(), "{optim:?}");

        let changed = stopped_after(3, dir.path());
        let error = train(changed.path(), &resumed("last")).err().unwrap().to_string();
        assert!(error.contains(&format!("optim was \"{}\"", optim.name())), "{error}");
    }
}
