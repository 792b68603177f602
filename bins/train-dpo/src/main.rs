//! Preference training: a model and preference data in, an aligned Hugging Face model out.

fn main() -> std::process::ExitCode {
    align_programs::DPO.main()
}
