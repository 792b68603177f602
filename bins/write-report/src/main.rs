//! One page of evaluations, training runs and sweeps, wherever they lie. Measures nothing: `evaluate` does.

fn main() -> std::process::ExitCode {
    align_programs::REPORT.main()
}
