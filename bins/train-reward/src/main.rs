//! Reward models: a model and ranked answers in, a scalar judge and how far to trust it out.

fn main() -> std::process::ExitCode {
    align_programs::REWARD.main()
}
