//! The report's files: written whole or not at all, and read back.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use crate::{Error, KIND, Report, Result, SCHEMA, html, markdown};

/// The names of the three files.
const NAMES: [&str; 3] = ["report.json", "report.md", "report.html"];

impl Report {
    /// Writes `report.json`, `report.md` and `report.html` into a folder, which is made if it is not there. Files of
    /// these names are replaced.
    ///
    /// # Errors
    /// If one cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self).map_err(|error| Error::io(dir)(error.into()))? + "\n";
        let texts = [json, markdown::markdown(self), html::html(self)?];
        fs::create_dir_all(dir).map_err(Error::io(dir))?;
        for (name, text) in NAMES.iter().zip(texts) {
            replace(&dir.join(name), &text)?;
        }
        Ok(())
    }

    /// Reads a `report.json` that [`Self::write`] wrote.
    ///
    /// # Errors
    /// If it is another kind of report, or of a version that this one does not know.
    pub fn read(path: &Path) -> Result<Self> {
        #[derive(serde::Deserialize)]
        struct Head {
            kind: Option<String>,
            schema: Option<u32>,
        }
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        let head: Head = serde_json::from_str(&text)
            .map_err(|error| Error::content(path, format!("is no report: {error}")))?;
        match (head.kind.as_deref(), head.schema) {
            (Some(KIND), Some(SCHEMA)) => {}
            (Some(KIND), schema) => {
                let found = schema.map_or("none".to_owned(), |schema| schema.to_string());
                let problem = format!("has schema {found}; this program reads {SCHEMA}");
                return Err(Error::content(path, problem));
            }
            (kind, _) => {
                let found = kind.unwrap_or("none");
                let problem =
                    format!("is a report of kind {found:?}; expected {KIND:?}, which evaluate writes");
                return Err(Error::content(path, problem));
            }
        }
        serde_json::from_str(&text)
            .map_err(|error| Error::line(path, error.line(), format!("is no report: {error}")))
    }
}

/// Under a temporary name beside it first, so that nobody reads half of it.
fn replace(path: &Path, text: &str) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.tmp"));
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&temporary);
        Error::io(path)(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_written_three_times_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("runs/evaluation");
        let report = crate::sample::report();
        report.write(&place).unwrap();
        report.write(&place).unwrap();
        assert_eq!(Report::read(&place.join("report.json")).unwrap(), report);
        let mut names: Vec<_> = fs::read_dir(&place).unwrap().map(|item| item.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["report.html", "report.json", "report.md"]);
    }

    #[test]
    fn another_report_and_another_version_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        let check = |json: &str, problem: &str| {
            fs::write(&path, json).unwrap();
            let error = Report::read(&path).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        };
        check(r#"{"kind": "dpo", "schema": 1}"#, "is a report of kind \"dpo\"; expected \"evaluation\"");
        check(r#"{"kind": "evaluation", "schema": 9}"#, "has schema 9; this program reads 1");
        check("{\n\"kind\": \"evaluation\", \"schema\": 1,\n\"title\": 3}", "report.json:3: is no report");
        check("not json", "is no report");
    }
}
