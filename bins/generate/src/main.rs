//! Completions of prompts, on the terminal or as JSON lines.

fn main() -> std::process::ExitCode {
    align_programs::GENERATE.main()
}
