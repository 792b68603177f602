//! Tokens that are looked for in a text before it is cut into words: turn markers and their like.

use aho_corasick::{AhoCorasick, MatchKind};
use tokenizers::AddedVocabulary;

/// A piece of a text.
pub(super) enum Part<'t> {
    /// An added token: its id, and its length in bytes.
    Token(u32, u32),
    /// Text without such.
    Text(&'t str),
}

/// The added tokens of a vocabulary, those first that are looked for in the text as it stands, then the others.
#[derive(Debug)]
pub(super) struct AddedTokens {
    searches: Vec<Search>,
}

#[derive(Debug)]
struct Search {
    automaton: AhoCorasick,
    tokens: Vec<Added>,
}

#[derive(Debug)]
struct Added {
    id: u32,
    content: String,
    /// Whether it takes white space from around it, or wants to stand alone: what is then cut is the library's to say.
    is_picky: bool,
}

impl AddedTokens {
    /// Those of a vocabulary; none if it is not known what they are looked for as. A normalizer may change them unless they
    /// are ASCII.
    pub(super) fn of(vocabulary: &AddedVocabulary, has_normalizer: bool) -> Option<Self> {
        let (mut as_they_stand, mut normalized) = (Vec::new(), Vec::new());
        for (&id, token) in vocabulary.get_added_tokens_decoder() {
            if token.content.is_empty() || (has_normalizer && token.normalized && !token.content.is_ascii()) {
                return None;
            }
            let is_picky = token.lstrip || token.rstrip || token.single_word;
            let group = if token.normalized { &mut normalized } else { &mut as_they_stand };
            group.push(Added { id, content: token.content.clone(), is_picky });
        }
        let groups = [as_they_stand, normalized].into_iter().filter(|group| !group.is_empty());
        Some(Self { searches: groups.map(Search::new).collect::<Option<_>>()? })
    }

    pub(super) fn contents(&self) -> impl Iterator<Item = &str> {
        self.searches.iter().flat_map(|search| &search.tokens).map(|token| token.content.as_str())
    }

    /// Hands on the parts of a text in order, until there is none to say about one.
    pub(super) fn parts<'t>(
        &self,
        text: &'t str,
        take: &mut dyn FnMut(Part<'t>) -> Option<()>,
    ) -> Option<()> {
        parts(&self.searches, text, take)
    }
}

fn parts<'t>(searches: &[Search], text: &'t str, take: &mut dyn FnMut(Part<'t>) -> Option<()>) -> Option<()> {
    if text.is_empty() {
        return Some(());
    }
    let Some((search, others)) = searches.split_first() else { return take(Part::Text(text)) };
    let mut end = 0;
    for found in search.automaton.find_iter(text) {
        let token = &search.tokens[found.pattern()];
        if token.is_picky {
            return None;
        }
        parts(others, &text[end..found.start()], take)?;
        take(Part::Token(token.id, u32::try_from(found.len()).ok()?))?;
        end = found.end();
    }
    parts(others, &text[end..], take)
}

impl Search {
    fn new(tokens: Vec<Added>) -> Option<Self> {
        let kind = MatchKind::LeftmostLongest;
        let contents = tokens.iter().map(|token| &token.content);
        let automaton = AhoCorasick::builder().match_kind(kind).build(contents).ok()?;
        Some(Self { automaton, tokens })
    }
}
