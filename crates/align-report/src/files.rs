//! The report's files: written whole or not at all, and read back.

use std::fs;
use std::path::Path;

use align_files::{OutputDir, Staged};

use crate::{Error, KIND, Report, Result, SCHEMA, html, markdown};

/// The names of the three files.
const NAMES: [&str; 3] = ["report.json", "report.md", "report.html"];

/// What every report begins with.
#[derive(serde::Deserialize)]
struct Head {
    kind: Option<String>,
    schema: Option<u32>,
}

impl Report {
    /// Looks whether the three files can be put into a folder, before there is anything to write.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn check_place(dir: &Path) -> Result<()> {
        OutputDir::check_beside(dir, &NAMES)?;
        let path = dir.join(NAMES[0]);
        let other = |found: &str| {
            let problem = format!("is {found}, which this report would replace; name another directory");
            Err(Error::content(&path, problem))
        };
        match path.symlink_metadata() {
            Err(_) => Ok(()),
            Ok(_) => match serde_json::from_str::<Head>(&text(&path)?).map(|head| head.kind) {
                Ok(Some(kind)) if kind == KIND => Ok(()),
                Ok(Some(kind)) => other(&format!("a report of kind {kind:?}")),
                Ok(None) | Err(_) => other("no report of an evaluation"),
            },
        }
    }

    /// Whether a report is in the folder, which another would replace.
    pub fn is_in(dir: &Path) -> bool {
        dir.join(NAMES[0]).is_file()
    }

    /// Takes a folder for the three files, which is made if it is not there. Nobody else writes there until it is dropped.
    ///
    /// # Errors
    /// A folder that cannot be written, that is in use, or that holds the report of something else, such as a training run.
    pub fn take(dir: &Path) -> Result<OutputDir> {
        Self::check_place(dir)?;
        Ok(OutputDir::beside(dir, &NAMES)?)
    }

    /// Writes `report.json`, `report.md` and `report.html` into a folder, which is made if it is not there. Files of
    /// these names are replaced, all of them or, where one cannot be written, none.
    ///
    /// # Errors
    /// If one cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self).map_err(|error| Error::io(dir)(error.into()))? + "\n";
        let texts = [json, markdown::markdown(self), html::html(self)?];
        align_files::create_dir_all(dir)?;
        let staged = Staged::new(dir)?;
        for (name, text) in NAMES.iter().zip(texts) {
            let path = staged.path().join(name);
            fs::write(path, text).map_err(Error::io(&dir.join(name)))?;
        }
        Ok(staged.commit(NAMES[0], &[])?)
    }

    /// Reads a `report.json` that [`Self::write`] wrote.
    ///
    /// # Errors
    /// If it is another kind of report, or of a version that this one does not know.
    pub fn read(path: &Path) -> Result<Self> {
        let text = text(path)?;
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

/// Bytes of the largest report that is read: one of thousands of samples has a thousandth.
const LARGEST: u64 = 1 << 30;

/// The text of a file of a report or a run, which must be an ordinary one.
pub(crate) fn text(path: &Path) -> Result<String> {
    align_files::read_to_string(path, LARGEST).map_err(|error| Error::io(path)(error.source))
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
    fn a_report_that_cannot_be_written_whole_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let report = crate::sample::report();
        report.write(dir.path()).unwrap();
        let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
        let before = NAMES.map(read);
        // A file where the set is written: nothing can be.
        fs::write(dir.path().join(".align"), "").unwrap();
        let another = Report { title: "Another".to_owned(), ..report };
        let error = another.write(dir.path()).unwrap_err().to_string();
        assert!(error.contains(".align: is no directory"), "{error}");
        assert_eq!(NAMES.map(read), before);
    }

    #[test]
    fn a_report_takes_no_place_of_something_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        crate::sample::report().write(dir.path()).unwrap();
        drop(Report::take(dir.path()).unwrap());
        for (json, found) in [
            (
                r#"{"kind": "dpo", "schema": 1}"#,
                "is a report of kind \"dpo\", which this report would replace",
            ),
            ("[]", "is no report of an evaluation, which"),
        ] {
            fs::write(&path, json).unwrap();
            let error = Report::take(dir.path()).unwrap_err().to_string();
            assert!(error.contains(found), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), json);
        }
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
