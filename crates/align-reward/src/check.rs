//! What rows must be like for a method, before a model is loaded.

use align_data::{RowSource, TokenizedRanking};
use align_train::{Error, Result};

use crate::{RankingLoss, RewardOptions};

/// Refuses rows that teach nothing, and options that would do nothing on these rows.
///
/// # Errors
/// Names the option or the row.
pub fn check_rows<'a>(
    options: &RewardOptions,
    rows: impl Into<RowSource<'a, TokenizedRanking>>,
) -> Result<()> {
    let rows: RowSource<'a, TokenizedRanking> = rows.into();
    let all = |is: &dyn Fn(&TokenizedRanking) -> bool| {
        let mut other = rows.iter().find(|row| row.as_ref().map_or(true, |row| !is(row)));
        other.take().transpose().map(|other| other.is_none()).map_err(Error::stage)
    };
    let is_same = |row: &TokenizedRanking| row.answers.completions.windows(2).all(|two| two[0] == two[1]);
    if all(&is_same)? {
        let count = rows.len();
        return Err(Error::stage(format!(
            "all rewards would be equal: none of the {count} training rows has two answers that differ after \
             tokenization and truncation"
        )));
    }
    let Some(loss) = options.ranking_loss else { return Ok(()) };
    if all(&|row| row.answers.completions.len() == 2)? {
        let value = match loss {
            RankingLoss::Pairwise => "pairwise",
            RankingLoss::PlackettLuce => "plackett_luce",
        };
        let problem = "has no effect: no row ranks more than two answers; remove it";
        return Err(Error::no_effect("ranking_loss", value, problem));
    }
    Ok(())
}
