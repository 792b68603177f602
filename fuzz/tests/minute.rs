//! A minute of inputs that nobody wrote, divided among everything that reads.

use std::time::Duration;

use align_fuzz::{Amount, TARGETS, fuzz};

#[test]
fn every_reader_holds_for_its_share_of_a_minute() {
    let share = Duration::from_secs(60) / TARGETS.len() as u32;
    let findings: Vec<String> =
        TARGETS.iter().filter_map(|target| fuzz(target, 1, Amount::Time(share)).err()).collect();
    assert!(findings.is_empty(), "{findings:#?}");
}
