//! Whether a run on another number of ranks makes the same updates.

use serde_json::{Map, Value};

/// The number of ranks, where there are several.
pub(super) const RANKS: &str = "ranks";

/// The micro-batches of an update on each of them.
const ACCUMULATION: &str = "gradient_accumulation_steps";

/// The micro-batches of a phase on each of them, where it is given; else a phase is an update.
const GENERATION: &str = "steps_per_generation";

/// An update is made from as many micro-batches as before, on however many ranks: then it is the same update. So with a phase.
/// What it looked at is taken out of both settings.
///
/// # Errors
/// What changed, and what to give.
pub(super) fn compare(old: &mut Map<String, Value>, new: &mut Map<String, Value>) -> Result<(), String> {
    let number = |name: &str, (else_old, else_new): (u64, u64)| {
        let is_it = |found: &&String| found.rsplit('.').next() == Some(name);
        let key = new.keys().chain(old.keys()).find(is_it).cloned();
        let of = |settings: &Map<String, Value>| key.as_ref().and_then(|key| settings.get(key)?.as_u64());
        (key.clone(), of(old).unwrap_or(else_old), of(new).unwrap_or(else_new))
    };
    let (ranks, ranks_before, ranks_now) = number(RANKS, (1, 1));
    if ranks_before == ranks_now {
        return Ok(());
    }
    let (accumulation, before, now) = number(ACCUMULATION, (1, 1));
    let (generation, sampled_before, sampled_now) = number(GENERATION, (before, now));
    for (what, option, before, now) in [
        ("an update was made", "gradient-accumulation-steps", before, now),
        ("a phase was made", "steps-per-generation", sampled_before, sampled_now),
    ] {
        let micro_batches = before * ranks_before;
        if micro_batches == now * ranks_now {
            continue;
        }
        let advice = match micro_batches % ranks_now {
            0 => format!("give --{option} {}", micro_batches / ranks_now),
            _ => format!("take a number of ranks that divides {micro_batches}"),
        };
        return Err(format!(
            "{what} from {micro_batches} micro-batches ({before} on each of {ranks_before} ranks), is from {} ({now} on each of \
             {ranks_now}): {advice}",
            now * ranks_now
        ));
    }
    tracing::info!(
        "the run was on {ranks_before} ranks and goes on on {ranks_now}: the same updates, added up in another order"
    );
    for key in [accumulation, generation, ranks].into_iter().flatten() {
        old.remove(&key);
        new.remove(&key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_and_phases_stay_what_they_were() {
        let settings = |ranks: u64, accumulation: u64, generation: Option<u64>| {
            let mut settings = Map::new();
            let generation = generation.map(|it| ("options.group.steps_per_generation", it));
            let others = [("ranks", ranks), ("options.train.gradient_accumulation_steps", accumulation)];
            for (name, value) in others.into_iter().chain(generation) {
                settings.insert(name.to_owned(), value.into());
            }
            settings
        };
        let compared = |old: (u64, u64, Option<u64>), new: (u64, u64, Option<u64>)| {
            let (mut old, mut new) = (settings(old.0, old.1, old.2), settings(new.0, new.1, new.2));
            compare(&mut old, &mut new).map(|()| assert!(old.is_empty() && new.is_empty(), "{old:?} {new:?}"))
        };
        compared((2, 4, Some(8)), (4, 2, Some(4))).unwrap();
        compared((2, 4, Some(4)), (1, 8, None)).unwrap();
        compared((2, 4, None), (1, 8, Some(8))).unwrap();
        let wrong = compared((2, 4, Some(8)), (1, 8, Some(8))).unwrap_err();
        assert!(
            wrong.starts_with("a phase was made from 16 micro-batches (8 on each of 2 ranks)"),
            "{wrong}"
        );
        assert!(wrong.ends_with("give --steps-per-generation 16"), "{wrong}");
        let wrong = compared((2, 4, Some(8)), (1, 4, Some(16))).unwrap_err();
        assert!(wrong.ends_with("give --gradient-accumulation-steps 8"), "{wrong}");
    }
}
