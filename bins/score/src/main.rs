//! Scores of answers by reward models and rules, as JSON lines: scores, comparisons, the best of many, preference files.

fn main() -> std::process::ExitCode {
    align_programs::SCORE.main()
}
