//! A whole program from `main` to its exit code: this test starts itself as a child, which then is the
//! program. That needs a `main` of its own, so the checks are plain functions.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};

use align_cli::{Invocation, Program};
use align_files::{OutputDir, Resume};
use align_stage::{ModelOptions, OutputOptions, SETTINGS_FILE};
use anyhow::Context as _;

const PROGRAM: Program =
    Program::new("train-demo", "A demonstration.").with_recipe("model = \"tiny\"\ndevice = \"cpu\"\n");
/// Clears a terminal, twice, and turns what follows around.
const COMMAND: &str = "\u{1b}[2J\u{9b}2J\u{202e}";
const CHILD: &str = "ALIGN_CLI_TEST_CHILD";

#[derive(clap::Args)]
struct Options {
    #[arg(long)]
    config: Option<PathBuf>,
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    output: OutputOptions,
    #[arg(long)]
    dry_run: bool,
    /// How the program ends
    #[arg(long, default_value = "well")]
    end: String,
}

fn program(options: &Options, invocation: &Invocation) -> anyhow::Result<()> {
    tracing::debug!("opened");
    match options.end.as_str() {
        "bad-data" => return Err(anyhow::anyhow!("data.jsonl:3: no `chosen`")).context("loading"),
        "bug" => panic!("index out of range"),
        "command" => {
            tracing::info!("column `{COMMAND}`");
            align_cli::print(format_args!("model `{COMMAND}`\n\tbelow"))?;
            anyhow::bail!("tensor `{COMMAND}` of {}", "many, ".repeat(50_000));
        }
        "println" => print_carelessly(),
        "faults" => align_cli::print(std::thread::spawn(faults_per_block).join().unwrap())?,
        "memory" => align_cli::print(std::fs::read_to_string("/proc/self/status")?)?,
        "threads" => align_cli::print(format_args!("{:?}", std::env::var("CANDLE_NUM_THREADS")))?,
        "print" => (0..100_000).try_for_each(align_cli::print)?,
        "rows" => (0..100_000).try_for_each(align_cli::print_row)?,
        _ => {}
    }
    if options.dry_run {
        return Ok(());
    }
    let OutputOptions { output_dir, overwrite_output_dir, .. } = &options.output;
    let output = match output_dir {
        Some(directory) => OutputDir::take(directory, *overwrite_output_dir, &Resume::No)?,
        None => OutputDir::numbered("runs", "demo")?,
    };
    output.claim([SETTINGS_FILE])?;
    invocation.work_starts();
    output.begin()?;
    align_files::write(output.path().join(SETTINGS_FILE), &invocation.settings)?;
    if options.end == "nan" {
        anyhow::bail!("the loss is NaN at step 3");
    }
    tracing::info!("trained");
    align_cli::print(output.path().display())
}

#[expect(clippy::print_stdout, reason = "what a dependency might do")]
fn print_carelessly() {
    (0..100_000).for_each(|n| println!("{n}"));
}

/// Page faults for each block of 48 MiB that is allocated, written and freed, after the first.
fn faults_per_block() -> u64 {
    let faults = || {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let after_name = stat.rsplit(')').next().unwrap();
        after_name.split_whitespace().nth(7).unwrap().parse::<u64>().unwrap()
    };
    let allocate = || std::hint::black_box(vec![1_u8; 48 << 20]).len();
    allocate();
    let before = faults();
    (0..10).for_each(|_| assert_eq!(allocate(), 48 << 20));
    (faults() - before) / 10
}

fn child(dir: &Path, words: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.current_dir(dir).args(words.split_whitespace()).env(CHILD, "1");
    command.env_remove("ALIGN_LOG").env_remove("RUST_LOG").env_remove("RUST_BACKTRACE");
    command
}

/// Exit code, stdout, stderr.
fn ended(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn check(dir: &Path, words: &str, code: i32, stdout: &str, stderr: &str) {
    let found = ended(&child(dir, words).output().unwrap());
    assert_eq!(found, (code, stdout.to_owned(), stderr.to_owned()), "{words}");
}

fn each_ending_has_its_exit_code_and_its_line(dir: &Path) {
    check(dir, "--end bad-data", 2, "", "error: loading: data.jsonl:3: no `chosen`\n");
    check(dir, "--sed 1", 2, "", "error: unknown option `--sed`; did you mean `--seed`?\n");
    check(dir, "--dry-run", 0, "", "");
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0, "bad input and dry runs write nothing");
    check(dir, "", 0, "runs/demo-1\n", "trained\n");
    check(
        dir,
        "--torch_dtype float32",
        0,
        "runs/demo-2\n",
        "warning: `--torch-dtype` is an older name; taken as `--dtype`\ntrained\n",
    );
    check(dir, "--end nan", 1, "", "error: the loss is NaN at step 3\n");
}

fn the_settings_file_repeats_the_run(dir: &Path) {
    let first = dir.join("first");
    check(dir, "--seed 7 --output-dir first", 0, "first\n", "trained\n");
    let settings = first.join(SETTINGS_FILE);
    assert!(std::fs::read_to_string(&settings).unwrap().contains("\nseed = 7\n"));
    check(dir, "--config first/training_args.toml --output-dir second", 0, "second\n", "trained\n");
    assert_eq!(
        std::fs::read(settings).unwrap(),
        std::fs::read(dir.join("second").join(SETTINGS_FILE)).unwrap()
    );
}

fn help_goes_to_stdout(dir: &Path) {
    let (code, stdout, stderr) = ended(&child(dir, "--help").output().unwrap());
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.starts_with("A demonstration.\n\nUsage: train-demo"), "{stdout}");
    check(dir, "--version", 0, concat!("train-demo ", env!("CARGO_PKG_VERSION"), "\n"), "");
}

fn a_bug_says_so_and_where(dir: &Path) {
    let (code, _, stderr) = ended(&child(dir, "--end bug").output().unwrap());
    assert_eq!(code, 101);
    assert!(stderr.starts_with("error: this is a bug, please report it"), "{stderr}");
    assert!(stderr.contains("index out of range (") && stderr.contains("program.rs:"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

fn strangers_texts_command_no_terminal_and_fill_no_screen(dir: &Path) {
    let (code, stdout, stderr) = ended(&child(dir, "--end command").output().unwrap());
    let shown = "\\u{1b}[2J\\u{9b}2J\\u{202e}";
    assert_eq!((code, stdout), (2, format!("model `{shown}`\n\tbelow\n")));
    let lines: Vec<&str> = stderr.lines().collect();
    // The logging library shows what it escapes itself in its own way.
    assert_eq!((lines.len(), lines[0]), (2, "column `\\x1b[2J\\u{9b}2J\\u{202e}`"));
    assert!(lines[1].starts_with(&format!("error: tensor `{shown}` of many, ")), "{stderr}");
    assert!(lines[1].ends_with("many,") && lines[1].chars().count() <= 2000, "{stderr}");
    // The command line, too.
    let words = format!("--{COMMAND} x");
    let (code, _, stderr) = ended(&child(dir, &words).output().unwrap());
    assert!(code == 2 && stderr.contains(shown) && stderr.lines().count() == 1, "{stderr}");
}

fn the_environment_chooses_what_is_logged(dir: &Path) {
    let logged = |variable: &str, value: &str| {
        let output = child(dir, "--output-dir log --overwrite-output-dir").env(variable, value).output();
        ended(&output.unwrap()).2
    };
    assert_eq!(logged("ALIGN_LOG", "error"), "");
    assert_eq!(logged("RUST_LOG", "program=debug"), "debug program: opened\ntrained\n");
    assert!(logged("ALIGN_LOG", "a=b=c").starts_with("warning: ALIGN_LOG=a=b=c: "));
}

/// Gives the child a stdout that nobody reads any more.
fn a_reader_that_leaves_does_not_end_training(dir: &Path) {
    let end = |words: &str| {
        let mut child = child(dir, words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let (code, _, stderr) = ended(&child.wait_with_output().unwrap());
        (code, stderr)
    };
    assert_eq!(end("--end print --output-dir unread"), (0, "trained\n".into()));
    assert_eq!(
        end("--end rows --output-dir unread3"),
        (141, String::new()),
        "rows are what the program is for"
    );
    assert_eq!(end("--end println --output-dir unread2"), (141, String::new()), "quiet also with println!");
}

/// A full disk behind stdout is an error and no bug.
#[cfg(target_os = "linux")]
fn a_disk_that_is_full_is_said_so(dir: &Path) {
    for words in ["--end print", "--end rows", "--help", "--output-dir out"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let (code, _, stderr) = ended(&child(dir, words).stdout(full).output().unwrap());
        assert_eq!(code, 1, "{words}: {stderr}");
        assert!(
            stderr.ends_with("error: standard output: No space left on device (os error 28)\n"),
            "{stderr}"
        );
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn kilobytes(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse().unwrap()
}

/// Addresses are asked for, but not all that there are: beside a limit, or another program that keeps to one, some must stay.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn no_more_than_a_part_of_the_memory_is_reserved(dir: &Path) {
    let (_, stdout, _) = ended(&child(dir, "--end memory").output().unwrap());
    let total = kilobytes(&std::fs::read_to_string("/proc/meminfo").unwrap(), "MemTotal:");
    let peak = kilobytes(&stdout, "VmPeak:");
    assert!(peak < total / 2, "{peak} kB of {total} kB");
    // Under `ulimit -v` of 1 GB.
    let script = r#"ulimit -v 1000000 && exec "$0" --end memory --output-dir limited"#;
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(std::env::current_exe().unwrap()).current_dir(dir).env(CHILD, "1");
    let (code, stdout, stderr) = ended(&shell.output().unwrap());
    assert_eq!(code, 0, "{stderr}");
    let peak = kilobytes(&stdout, "VmPeak:");
    assert!(peak < 500_000, "{peak} kB of 1000000 kB");
}

/// Where it can be told without danger, which it can be on Linux.
#[cfg(target_os = "linux")]
fn candle_makes_no_threads_of_its_own(dir: &Path) {
    check(dir, "--end threads --output-dir one", 0, "Ok(\"1\")\none\n", "trained\n");
    let output =
        child(dir, "--end threads --output-dir two").env("CANDLE_NUM_THREADS", "3").output().unwrap();
    assert_eq!(ended(&output).1, "Ok(\"3\")\ntwo\n");
}

/// Freed memory is used again, also by other threads. Handed back to the kernel it would cost a fault per
/// page: 12288 for each block, or 24 where pages are huge.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn memory_is_kept(dir: &Path) {
    let (_, stdout, _) = ended(&child(dir, "--end faults").output().unwrap());
    let faults: u64 = stdout.lines().next().unwrap().parse().unwrap();
    assert!(faults < 10, "{faults} page faults per block");
}

#[cfg(not(feature = "mpi"))]
fn one_of_several_processes_is_refused_and_one_says_why(dir: &Path) {
    let under_a_launcher = |rank: &str| {
        let mut child = child(dir, "--dry-run");
        child.env("OMPI_COMM_WORLD_SIZE", "2").env("OMPI_COMM_WORLD_RANK", rank);
        ended(&child.output().unwrap())
    };
    let (code, stdout, stderr) = under_a_launcher("0");
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("(OMPI_COMM_WORLD_SIZE=2)") && stderr.contains("--features mpi"), "{stderr}");
    assert_eq!(under_a_launcher("1"), (0, String::new(), String::new()));
}

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        return align_cli::main(&PROGRAM, std::env::args_os(), program);
    }
    let checks: &[fn(&Path)] = &[
        each_ending_has_its_exit_code_and_its_line,
        the_settings_file_repeats_the_run,
        help_goes_to_stdout,
        #[cfg(not(feature = "mpi"))]
        one_of_several_processes_is_refused_and_one_says_why,
        a_bug_says_so_and_where,
        strangers_texts_command_no_terminal_and_fill_no_screen,
        the_environment_chooses_what_is_logged,
        a_reader_that_leaves_does_not_end_training,
        #[cfg(target_os = "linux")]
        a_disk_that_is_full_is_said_so,
        #[cfg(target_os = "linux")]
        candle_makes_no_threads_of_its_own,
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        no_more_than_a_part_of_the_memory_is_reserved,
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        memory_is_kept,
    ];
    for check in checks {
        let dir = tempfile::tempdir().unwrap();
        check(dir.path());
    }
    align_cli::print(format_args!("program: {} checks passed", checks.len())).unwrap();
    ExitCode::SUCCESS
}
