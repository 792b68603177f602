//! Policy and reference in one arithmetic.

use std::path::Path;

use crate::support::{Place, QUICK, RUNS};

#[test]
fn before_the_first_update_the_policy_is_its_reference_in_bf16_too() {
    let place = Place::from(Path::new(RUNS), "pairs_reference.jsonl");
    let cache = "--precompute-ref-log-probs --ref-log-probs-cache cache";
    // Also where log-probs of the same model in another precision are known.
    for (at, more) in
        [cache, "--dtype bfloat16", &format!("--dtype bfloat16 {cache}")].into_iter().enumerate()
    {
        let run = place.train(&format!("out-{at}"), &format!("{QUICK} {more}"));
        assert!(
            (run.metric("loss")[0] - std::f64::consts::LN_2).abs() < 1e-6,
            "{more}: {:?}",
            run.metric("loss")
        );
        assert_eq!(run.metric("rewards/margins")[0], 0.0, "{more}");
    }
}
