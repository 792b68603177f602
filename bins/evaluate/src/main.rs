//! Did it get better: models compared, judged, and held to account. Each section of the report is measured if its input is
//! named, and all of them become one `report.json`, `report.md` and `report.html`.

fn main() -> std::process::ExitCode {
    align_programs::EVALUATE.main()
}
