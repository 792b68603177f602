use super::*;
use crate::sample::{self, HOSTILE};

fn page(report: &Report) -> String {
    html(report).unwrap()
}

#[test]
fn nothing_from_outside_reaches_the_page_unescaped() {
    let page = page(&sample::report());
    assert_eq!(page.matches("<script>").count(), 1, "the page's own");
    assert_eq!(page.matches("</script>").count(), 1);
    for markup in ["<img", "onerror=alert(2)>"] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert!(page.contains("&lt;img src=x onerror=alert(2)&gt;"), "it is there, as text");
}

#[test]
fn the_page_loads_nothing() {
    let page = page(&sample::report());
    for forbidden in ["http://", "https://", "url(", "@import", "<link rel=\"stylesheet", "fetch(", "src=\""]
    {
        let found = page.matches(forbidden).count();
        // The namespace of SVG elements that the script makes is a name, not an address.
        let names = page.matches("'http://www.w3.org/2000/svg'").count();
        let allowed = if forbidden == "http://" { names } else { 0 };
        assert_eq!(found, allowed, "{forbidden}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn six_hundred_answers_take_less_than_two_megabytes() {
    let mut report = sample::report();
    let text = "There are three steps. Stand with the sun behind you. Hold the camera still. Wait until everyone smiles.";
    if let Some(comparison) = &mut report.comparison {
        comparison.samples = sample::samples(600, text);
    }
    let page = page(&report);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    assert_eq!(page.matches("<article").count(), 600, "all are shown");
}

#[test]
fn a_page_of_long_texts_and_long_runs_stays_small_and_says_what_it_left_out() {
    let mut report = sample::report();
    report.runs = (0..20).map(|i| sample::run(&format!("run-{i}"), 5000)).collect();
    if let Some(comparison) = &mut report.comparison {
        comparison.samples = sample::samples(3000, &format!("{HOSTILE} ").repeat(200));
    }
    let page = page(&report);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    assert!(page.contains("of 3000 prompts; report.json has all of them"));
}

#[test]
fn every_section_that_was_measured_is_there_and_no_other() {
    let full = page(&sample::report());
    for id in
        ["result", "preferences", "best-of", "hacking", "critique", "training", "sweep", "answers", "about"]
    {
        assert!(full.contains(&format!("<section id=\"{id}\"")), "{id}");
        assert!(full.contains(&format!("href=\"#{id}\"")), "{id} in the navigation");
    }
    let empty = page(&Report::new("nothing"));
    assert_eq!(empty.matches("<section id=").count(), 1, "how it was measured");
}

#[test]
fn every_chart_has_a_title_and_a_description_of_its_own() {
    let page = page(&sample::report());
    let charts = page.matches("<svg class=\"chart\"").count();
    assert!(charts >= 14, "{charts}");
    let ids: std::collections::BTreeSet<&str> =
        page.split("<title id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!((ids.len(), page.matches("<desc id=").count()), (charts, charts));
    assert!(!page.contains("NaN") && !page.contains("inf"), "every coordinate is a number");
}

#[test]
fn figures_that_are_missing_leave_a_dash_and_no_chart() {
    let mut report = Report::new("few figures");
    let mut comparison = sample::comparison();
    for model in &mut comparison.models {
        *model = crate::ModelFigures { name: model.name.clone(), ..crate::ModelFigures::default() };
    }
    comparison.models[1].mean_tokens = Some(3.0);
    comparison.samples.clear();
    report.comparison = Some(comparison);
    let page = page(&report);
    assert!(!page.contains("<svg class=\"chart\"") && page.contains("<td class=\"n\">–</td>"));
}
