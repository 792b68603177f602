//! Supervised fine-tuning: a model and demonstrations in, a Hugging Face model directory out.

fn main() -> std::process::ExitCode {
    align_programs::SFT.main()
}
