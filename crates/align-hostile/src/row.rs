//! One row of the table: what is put there, what is called, and what must come of it.

use std::ffi::OsString;
use std::fmt;

use serde_json::Value;

/// A program, what it is called with, and how it must answer.
pub struct Row {
    /// What is hostile about it; unique in the table.
    pub name: String,
    /// The program, such as `train-sft`.
    pub program: &'static str,
    /// Its arguments.
    pub words: Vec<OsString>,
    /// What is put into its directory beforehand, in this order, over the models and data that every row finds.
    pub files: Vec<(String, Content)>,
    /// Calls of the program that must succeed before: the runs that it meets.
    pub before: Vec<String>,
    /// What it is called with in the environment.
    pub variables: Vec<(&'static str, String)>,
    /// What the shell does before it becomes the program, such as `ulimit -n 8`.
    pub shell: &'static str,
    /// What it reads from standard input.
    pub input: Content,
    /// Where its standard output goes; a pipe unless a path is named.
    pub stdout: Option<&'static str>,
    /// How it must answer.
    pub expected: Expected,
}

/// What is put somewhere. Parent directories are made.
pub enum Content {
    /// A file of these bytes.
    Bytes(Vec<u8>),
    /// A file of bytes that are many: made when they are needed.
    Made(Box<dyn Fn() -> Vec<u8> + Send + Sync>),
    /// A JSON file that is there, with one value changed, by a JSON pointer; null takes the value out.
    Set(&'static str, Value),
    /// A file that is there, changed.
    Edit(Box<dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync>),
    /// A file of this length without content, which takes no room.
    Sparse(u64),
    /// An empty directory.
    Directory,
    /// A copy of another file or directory of the row.
    Copy(&'static str),
    /// A symbolic link to this path.
    Link(String),
    /// A pipe with a name that nobody writes to.
    Fifo,
    /// Nothing: what is there is removed.
    Gone,
}

/// How a program must answer.
pub struct Expected {
    /// The exit codes that are right; more than one only where rows are made from a list of options.
    pub codes: Vec<i32>,
    /// Words that the error line must hold.
    pub says: Vec<String>,
    /// What may be created, changed or removed: these paths and all below them.
    pub makes: Vec<String>,
    /// What must be there afterwards as it was before, although it lies below a path that may change.
    pub keeps: Vec<String>,
}

impl Row {
    /// A call of the program with these words, which are separated by spaces.
    pub fn new(name: impl Into<String>, program: &'static str, words: &str) -> Self {
        Self {
            name: name.into(),
            program,
            words: words.split_whitespace().map(OsString::from).collect(),
            files: Vec::new(),
            before: Vec::new(),
            variables: Vec::new(),
            shell: ":",
            input: Content::Bytes(Vec::new()),
            stdout: None,
            expected: Expected { codes: vec![0], says: Vec::new(), makes: Vec::new(), keeps: Vec::new() },
        }
    }

    /// One more argument, which may hold spaces and what is not Unicode.
    pub fn word(mut self, word: impl Into<OsString>) -> Self {
        self.words.push(word.into());
        self
    }

    /// With another value of an option, which may hold anything.
    pub fn word_instead(mut self, option: &str, value: &str) -> Self {
        if let Some(at) = self.words.iter().position(|word| word == option) {
            self.words[at + 1] = value.into();
        }
        self
    }

    /// With something put at a path.
    pub fn with(mut self, path: impl Into<String>, content: Content) -> Self {
        self.files.push((path.into(), content));
        self
    }

    /// With a file of these bytes at a path.
    pub fn put(self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.with(path, Content::Bytes(bytes.into()))
    }

    /// With a file of many bytes at a path.
    pub fn make(self, path: impl Into<String>, make: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.with(path, Content::Made(Box::new(make)))
    }

    /// With a value of a JSON file changed, or taken out if it is null.
    pub fn set(self, path: &str, pointer: &'static str, value: impl Into<Value>) -> Self {
        self.with(path, Content::Set(pointer, value.into()))
    }

    /// With a file changed.
    pub fn edit(self, path: &str, edit: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.with(path, Content::Edit(Box::new(edit)))
    }

    /// After a call of the program with these words, which goes well.
    pub fn after(mut self, words: impl Into<String>) -> Self {
        self.before.push(words.into());
        self
    }

    /// With a variable of the environment.
    pub fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// From a shell that does something first.
    pub fn shell(mut self, shell: &'static str) -> Self {
        self.shell = shell;
        self
    }

    /// With standard input.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Content::Bytes(bytes.into());
        self
    }

    /// With standard input that is much.
    pub fn much_input(mut self, make: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.input = Content::Made(Box::new(make));
        self
    }

    /// With standard output to this file.
    pub fn stdout(mut self, path: &'static str) -> Self {
        self.stdout = Some(path);
        self
    }

    /// May create and change what is at this path and below.
    pub fn makes(mut self, path: &str) -> Self {
        self.expected.makes.push(path.to_owned());
        self
    }

    /// Leaves what is at this path and below as it is, although it lies where the program may write.
    pub fn keeps(mut self, path: &str) -> Self {
        self.expected.keeps.push(path.to_owned());
        self
    }

    /// The input is wrong: exit code 2, an error with these words.
    pub fn refused(self, says: &[&str]) -> Self {
        self.ends(&[2], says)
    }

    /// The work fails: exit code 1, an error with these words.
    pub fn failed(self, says: &[&str]) -> Self {
        self.ends(&[1], says)
    }

    /// It only looks hostile: exit code 0.
    pub fn accepted(self) -> Self {
        self.ends(&[0], &[])
    }

    /// Ends in one of these ways.
    pub fn ends(mut self, codes: &[i32], says: &[&str]) -> Self {
        self.expected.codes = codes.to_vec();
        self.expected.says = says.iter().map(|&word| word.to_owned()).collect();
        self
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.program)?;
        for word in &self.words {
            let word: String = word.to_string_lossy().chars().take(100).collect();
            write!(f, " {}", word.escape_debug())?;
        }
        Ok(())
    }
}
