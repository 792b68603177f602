//! A template's source to a program that can run: checked, parsed, metered, compiled.
//!
//! The parser and the compiler go down into an expression once for each of its operators, so those are counted first;
//! what is allowed has room on the stack of a thread of its own.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use minijinja::machinery::{self, CodeGenerator, Instructions, Token, ast};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, Value};
use self_cell::self_cell;

use super::meter::refused;
use super::{bounded, functions, marks, metered};
use crate::guard::guarded;

/// Bytes of the longest source. Templates of today's models have up to 20 KB.
pub(super) const LONGEST_SOURCE: usize = 1 << 20;
/// Operators, names and brackets in one tag; there are a few dozen in the longest real ones.
const MOST_OPERATORS: usize = 2000;
/// `elif` in a template.
const MOST_BRANCHES: usize = 1000;
/// Frames and calls of macros inside each other.
const DEEPEST_CALLS: usize = 200;
const STACK: usize = 64 << 20;

self_cell!(
    /// A compiled template with the source that it points into.
    pub(super) struct Program {
        owner: Source,
        #[covariant]
        dependent: Compiled,
    }
);

struct Source {
    text: String,
    /// Whether its marked blocks, if it has any, are assistants' turns alone; asked once.
    marks_turns: OnceLock<bool>,
    environment: Environment<'static>,
}

struct Compiled<'a> {
    instructions: Instructions<'a>,
    blocks: BTreeMap<&'a str, Instructions<'a>>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Program").field(&self.borrow_owner().text).finish()
    }
}

impl Program {
    /// Compiles a source.
    ///
    /// # Errors
    /// What the template's author got wrong, or what goes beyond the bounds, as a sentence.
    pub(super) fn compile(source: String) -> Result<Self, String> {
        if source.len() > LONGEST_SOURCE {
            return Err(format!("has {} bytes, expected at most {LONGEST_SOURCE}", source.len()));
        }
        let compile =
            move || guarded(|| Self::compile_here(source).map_err(|error| super::complaint(&error)));
        let thread = std::thread::Builder::new().name("chat template".to_owned()).stack_size(STACK);
        let thread = thread.spawn(compile).map_err(|error| format!("cannot be compiled: {error}"))?;
        match thread.join() {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(format!("cannot be compiled: {panic}")),
            Err(_) => Err("cannot be compiled".to_owned()),
        }
    }

    fn compile_here(text: String) -> Result<Self, Error> {
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_recursion_limit(DEEPEST_CALLS);
        bounded::add_to(&mut environment);
        functions::add_to(&mut environment);
        Self::try_new(Source { text, marks_turns: OnceLock::new(), environment }, |source| {
            count_operators(&source.text, &syntax)?;
            let parsed = machinery::parse(&source.text, "template", syntax.clone())?;
            let metered: ast::Stmt<'_> = metered::template(&parsed);
            let mut generator = CodeGenerator::new("template", &source.text);
            generator.compile_stmt(&metered);
            let (instructions, blocks) = generator.finish();
            Ok(Compiled { instructions, blocks })
        })
    }

    /// Its source.
    pub(super) fn source(&self) -> &str {
        &self.borrow_owner().text
    }

    /// Whether it has `generation` marks and they are around assistants' turns alone, which `is_of_assistants` tells of
    /// one that has marks.
    pub(super) fn marks_turns(&self, is_of_assistants: impl FnOnce() -> bool) -> bool {
        let Source { text, marks_turns, .. } = self.borrow_owner();
        *marks_turns.get_or_init(|| marks::are_in_source(text) && is_of_assistants())
    }

    /// The text for these variables. The caller sets the budget.
    pub(super) fn run(&self, variables: Value) -> Result<String, Error> {
        self.with_dependent(|source, compiled| {
            let mut text = String::new();
            let mut out = machinery::make_string_output(&mut text);
            let environment = &source.environment;
            let (instructions, blocks) = (&compiled.instructions, &compiled.blocks);
            machinery::eval(environment, instructions, variables, blocks, &mut out, AutoEscape::None)?;
            drop(out);
            Ok(text)
        })
    }
}

/// Refuses tags that would take the parser too deep.
fn count_operators(source: &str, syntax: &SyntaxConfig) -> Result<(), Error> {
    let (mut in_tag, mut branches) = (0, 0);
    // An error ends the tokens; the parser will come upon it too and say where.
    for (token, span) in machinery::tokenize(source, false, syntax.clone()).map_while(Result::ok) {
        match token {
            Token::TemplateData(_) | Token::VariableStart | Token::BlockStart => in_tag = 0,
            Token::Str(_) | Token::String(_) | Token::Int(_) | Token::Int128(_) | Token::Float(_) => {}
            Token::Comma | Token::Colon => {}
            Token::Ident("elif") => branches += 1,
            _ => in_tag += 1,
        }
        if in_tag > MOST_OPERATORS || branches > MOST_BRANCHES {
            return Err(refused(format!(
                "line {}: more than {MOST_OPERATORS} operators and names in a tag, or {MOST_BRANCHES} `elif`",
                span.start_line
            )));
        }
    }
    Ok(())
}
