//! Every shape from a file that `datasets` wrote: the same rows as JSON lines give the same token ids.

use std::path::{Path, PathBuf};

use align_data::{
    LearnedPart, TokenizeOptions, Tokenizer, load_demonstrations, load_judged_pairs, load_pairs,
    load_prompts, load_rankings, load_unpaired, tokenize_demonstrations, tokenize_pairs, tokenize_prompts,
    tokenize_rankings, tokenize_unpaired,
};

fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The token ids of a file, with all that is said of them; which kind of rows they are, its name says.
fn tokens(path: &Path, tokenizer: &Tokenizer) -> Vec<Vec<u32>> {
    let options = TokenizeOptions::default();
    let name = path.file_name().unwrap().to_str().unwrap();
    match name.split('-').next().unwrap() {
        "sft" => {
            let rows = load_demonstrations(path, "train").unwrap();
            let (rows, _) =
                tokenize_demonstrations(&rows, tokenizer, &options, &LearnedPart::default()).unwrap();
            let mask = |mask: &[bool]| mask.iter().map(|&learned| u32::from(learned)).collect();
            rows.iter().flat_map(|row| [row.tokens.clone(), mask(&row.mask)]).collect()
        }
        "pairs" => {
            let (rows, _) = tokenize_pairs(&load_pairs(path, "train").unwrap(), tokenizer, &options).unwrap();
            let of = |row: align_data::TokenizedPair| [row.prompt, row.chosen, row.rejected, row.unlearned];
            rows.into_iter().flat_map(of).collect()
        }
        "ranked" => {
            let rows = load_rankings(path, "train", "source").unwrap();
            let (rows, _) = tokenize_rankings(&rows, tokenizer, &options).unwrap();
            let margin = |margin: Option<f64>| vec![margin.unwrap_or(0.0).to_bits() as u32];
            let of = |row: align_data::TokenizedRanking| {
                let own = [row.answers.prompt, margin(row.margin)];
                own.into_iter().chain(row.answers.completions)
            };
            rows.into_iter().flat_map(of).collect()
        }
        "labelled" => {
            let (rows, _) =
                tokenize_unpaired(&load_unpaired(path, "train").unwrap(), tokenizer, &options).unwrap();
            let of = |row: align_data::TokenizedCompletion| {
                [row.prompt, row.completion, vec![u32::from(row.desirable)]]
            };
            rows.into_iter().flat_map(of).collect()
        }
        "prompts" => {
            let (rows, _) =
                tokenize_prompts(&load_prompts(path, "train").unwrap(), tokenizer, &options).unwrap();
            rows.into_iter().map(|row| row.tokens).collect()
        }
        "judged" => {
            let pairs = load_judged_pairs(path, "train", "subset").unwrap().pairs;
            let text = |pair: &align_data::JudgedPair| {
                format!("{:?} {:?} {:?}", pair.answers.prompt, pair.answers.completions, pair.majority())
            };
            pairs.iter().map(|pair| text(pair).chars().map(u32::from).collect()).collect()
        }
        other => panic!("nothing reads {other}"),
    }
}

#[test]
fn the_same_rows_have_the_same_token_ids_in_either_format() {
    // A template that knows tools.
    let template = include_str!("../fixtures/masks/chatml.jinja");
    let tokenizer = Tokenizer::load_with_template(fixtures("tokenizer"), template).unwrap();
    let mut shapes = 0;
    for entry in std::fs::read_dir(fixtures("shapes")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            let rows = tokens(&path, &tokenizer);
            assert!(!rows.is_empty(), "{}", path.display());
            assert_eq!(rows, tokens(&path.with_extension("jsonl"), &tokenizer), "{}", path.display());
            shapes += 1;
        }
    }
    assert!(shapes > 30, "{shapes}");
}
