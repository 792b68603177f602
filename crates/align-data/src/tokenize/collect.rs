//! Rows in parallel and in order, a chunk after the other. Those that cannot be used are left out; of too many the first
//! decides the error.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::TokenizeOptions;
use super::report::{RowOutcome, TokenizeReport};
use crate::error::{DataError, Result};
use crate::source::allowed;

/// Tokenizes all records.
pub(super) fn collect<R: Sync, T: Send>(
    records: &[R],
    options: &TokenizeOptions,
    tokenize: impl Fn(usize, &R) -> Result<RowOutcome<T>> + Sync,
) -> Result<(Vec<T>, TokenizeReport)> {
    let mut collecting = Collecting::default();
    let allowed = allowed(options.max_bad_rows, records.len());
    let kept = collecting.chunk(0, records, allowed, tokenize)?;
    Ok((kept, collecting.finish(allowed, options.max_bad_rows)?))
}

/// What became of the rows so far.
#[derive(Default)]
pub(crate) struct Collecting {
    report: TokenizeReport,
    first_bad: Option<DataError>,
}

impl Collecting {
    /// Tokenizes the records from number `first` on. `allowed` is how many of all may be left out, as far as it is known.
    pub(crate) fn chunk<R: Sync, T: Send>(
        &mut self,
        first: usize,
        records: &[R],
        allowed: usize,
        tokenize: impl Fn(usize, &R) -> Result<RowOutcome<T>> + Sync,
    ) -> Result<Vec<T>> {
        // Rows behind one that failed are not worth the time once too many have: a template that fails slowly fails for all
        // of them.
        let (failed, bad) = (AtomicUsize::new(usize::MAX), AtomicUsize::new(self.bad()));
        let outcome = |(row, record)| {
            (failed.load(Ordering::Relaxed) > row || bad.load(Ordering::Relaxed) <= allowed).then(|| {
                tokenize(first + row, record).inspect_err(|error| {
                    let is_of_row = error.reason().is_some();
                    failed.fetch_min(row, Ordering::Relaxed);
                    bad.fetch_add(if is_of_row { 1 } else { allowed.saturating_add(1) }, Ordering::Relaxed);
                })
            })
        };
        let outcomes: Vec<_> = records.par_iter().enumerate().map(outcome).collect();
        let mut kept = Vec::with_capacity(records.len());
        // The rows that were passed by stand behind the first that failed.
        for outcome in outcomes.into_iter().flatten() {
            match outcome {
                Ok(outcome) => kept.extend(self.report.absorb(outcome)),
                Err(error) => {
                    let Some(reason) = error.reason() else { return Err(error) };
                    if allowed == 0 {
                        return Err(self.first_bad.take().unwrap_or(error));
                    }
                    self.report.leave_out(reason, &error);
                    self.first_bad.get_or_insert(error);
                }
            }
        }
        Ok(kept)
    }

    /// The report on all rows, of which `allowed` may be left out, a share of `most`.
    pub(crate) fn finish(self, allowed: usize, most: f64) -> Result<TokenizeReport> {
        let (bad, Self { report, first_bad }) = (self.bad(), self);
        match first_bad {
            Some(first) if allowed == 0 => Err(first),
            Some(first) if bad > allowed => {
                Err(DataError::BadRows { first: Box::new(first), bad: allowed + 1, rows: report.rows, most })
            }
            _ if report.kept == 0 => {
                Err(DataError::AllRowsDropped { rows: report.rows, reasons: report.reasons() })
            }
            _ => Ok(report),
        }
    }

    fn bad(&self) -> usize {
        self.report.left_out.iter().map(|reason| reason.rows).sum()
    }
}
