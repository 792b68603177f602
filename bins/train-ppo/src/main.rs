//! Reinforcement learning from a reward: a model, prompts and what scores answers in, an aligned model out.

fn main() -> std::process::ExitCode {
    align_programs::PPO.main()
}
