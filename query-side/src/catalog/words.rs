//! Words: how a text falls into them, which are alike, and where they stand in a text.

use std::sync::LazyLock;

use levenshtein_automata::{DFA, Distance, LevenshteinAutomatonBuilder, SINK_STATE};
use tantivy::tokenizer::{
    Language, LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer, TextAnalyzer, TokenStream,
};
use tantivy_fst::Automaton;

/// Most bytes of a word; longer ones are not in the index.
const MAX_WORD: usize = 40;
/// Most characters of a highlighted description.
const MAX_EXCERPT: usize = 200;

/// The words of a text as they are typed, in lower case.
pub(crate) fn typed_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let filters = TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(MAX_WORD))
        .filter(LowerCaser);
    filters.build().token_stream(text).process(&mut |token| words.push(token.text.clone()));
    words
}

/// What the index has for the words of a text: lower case, without their endings.
fn english() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(MAX_WORD))
        .filter(LowerCaser)
        .filter(Stemmer::new(Language::English))
        .build()
}

/// A word without its ending.
pub(crate) fn stem(word: &str) -> String {
    let mut stem = word.to_owned();
    english().token_stream(word).process(&mut |token| stem.clone_from(&token.text));
    stem
}

/// How many letters of a word may be wrong.
pub(crate) fn tolerance(word: &str) -> u8 {
    match word.chars().count() {
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    }
}

/// Words that are like one: the first letter is right, and few others are not. Dictionaries of the
/// index are searched by it.
pub(crate) struct Like {
    first: String,
    length: usize,
    automaton: DFA,
}

impl Like {
    /// Words like one.
    pub(crate) fn word(word: &str) -> Self {
        // They take milliseconds to make. Two letters that changed places are one mistake.
        static BUILDERS: LazyLock<[LevenshteinAutomatonBuilder; 3]> =
            LazyLock::new(|| [0, 1, 2].map(|most| LevenshteinAutomatonBuilder::new(most, true)));
        let automaton = BUILDERS[usize::from(tolerance(word))].build_dfa(word);
        let first = word.chars().take(1).collect();
        Self { first, length: word.chars().count().max(1), automaton }
    }

    /// The least word of those with the same first letter, and what is after all of them.
    pub(crate) fn bounds(&self) -> (&str, String) {
        (&self.first, format!("{}\u{10ffff}", self.first))
    }

    /// How many letters are wrong, if they are few enough.
    pub(crate) fn distance(&self, other: &[u8]) -> Option<u8> {
        match self.automaton.eval(other) {
            Distance::Exact(wrong) if other.starts_with(self.first.as_bytes()) => Some(wrong),
            _ => None,
        }
    }

    /// How much of the word is right.
    #[expect(clippy::cast_precision_loss, reason = "a word is short")]
    pub(crate) fn likeness(&self, wrong: u8) -> f32 {
        1.0 - f32::from(wrong) / self.length as f32
    }
}

impl Automaton for Like {
    type State = u32;

    fn start(&self) -> u32 {
        self.automaton.initial_state()
    }

    fn is_match(&self, state: &u32) -> bool {
        matches!(self.automaton.distance(*state), Distance::Exact(_))
    }

    fn can_match(&self, state: &u32) -> bool {
        *state != SINK_STATE
    }

    fn accept(&self, state: &u32, byte: u8) -> u32 {
        self.automaton.transition(*state, byte)
    }
}

/// A word of a query, and what is like it. Its ending may be what is wrong: then it is not cut off,
/// or too much is. So the word as it was typed is compared with words as they are written, and what
/// is left of it with what is left of those.
pub(crate) struct Likes {
    pub(crate) typed: Like,
    pub(crate) stem: Like,
}

impl Likes {
    pub(crate) fn word(typed: &str) -> Self {
        Self { typed: Like::word(typed), stem: Like::word(&stem(typed)) }
    }

    fn has(&self, written: &str, stem: &str) -> bool {
        self.stem.distance(stem.as_bytes()).is_some()
            || self.typed.distance(written.to_lowercase().as_bytes()).is_some()
    }
}

/// What a query's words look like in a text.
pub(crate) struct Marker {
    stems: Vec<String>,
    similar: Vec<Likes>,
}

impl Marker {
    /// Marks these words, or words like them.
    pub(crate) fn new(words: &[String], similar: bool) -> Self {
        let stems = words.iter().map(|word| stem(word)).collect();
        let similar =
            if similar { words.iter().map(|word| Likes::word(word)).collect() } else { vec![] };
        Self { stems, similar }
    }

    fn marks(&self, written: &str, stem: &str) -> bool {
        self.stems.iter().any(|wanted| wanted == stem)
            || self.similar.iter().any(|likes| likes.has(written, stem))
    }

    /// The text as HTML with the words in `<em>`, from near the first of them and not too long;
    /// `None` where there are none.
    pub(crate) fn mark(&self, text: &str) -> Option<String> {
        let mut places = Vec::new();
        english().token_stream(text).process(&mut |token| {
            if self.marks(&text[token.offset_from..token.offset_to], &token.text) {
                places.push(token.offset_from..token.offset_to);
            }
        });
        let (begin, end) = excerpt(text, places.first()?.start);
        let mut marked = String::from(if begin > 0 { "…" } else { "" });
        let mut at = begin;
        for place in places.into_iter().take_while(|place| place.end <= end) {
            escape(&text[at..place.start], &mut marked);
            marked.push_str("<em>");
            escape(&text[place.clone()], &mut marked);
            marked.push_str("</em>");
            at = place.end;
        }
        escape(&text[at..end], &mut marked);
        marked.push_str(if end < text.len() { "…" } else { "" });
        Some(marked)
    }
}

/// Where to cut a text to show a place in it.
fn excerpt(text: &str, place: usize) -> (usize, usize) {
    let before: Vec<_> = text[..place].char_indices().rev().take(MAX_EXCERPT / 2).collect();
    let begin = match before.last() {
        Some(&(at, _)) if text[..place].chars().count() >= MAX_EXCERPT / 2 => at,
        _ => 0,
    };
    let end =
        text[begin..].char_indices().nth(MAX_EXCERPT).map_or(text.len(), |(at, _)| begin + at);
    (begin, end)
}

fn escape(text: &str, html: &mut String) {
    for letter in text.chars() {
        match letter {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(words: &str, similar: bool, text: &str) -> Option<String> {
        Marker::new(&typed_words(words), similar).mark(text)
    }

    #[test]
    fn words_are_marked_in_any_form() {
        let marked = mark("heart hanging", false, "White Hanging Hearts").unwrap();
        assert_eq!(marked, "White <em>Hanging</em> <em>Hearts</em>");
        assert_eq!(mark("heart", false, "Red cup"), None);
    }

    #[test]
    fn words_with_a_mistake_are_marked_where_likeness_is_asked_for() {
        assert_eq!(mark("lantren", true, "A lantern").unwrap(), "A <em>lantern</em>");
        assert_eq!(mark("lantren", false, "A lantern"), None);
        assert_eq!(mark("cap", true, "A cup"), None);
        // The mistake is in the ending, which is cut off one of them only.
        assert_eq!(mark("decoraton", true, "A decoration").unwrap(), "A <em>decoration</em>");
        assert_eq!(mark("cupps", true, "A cup").unwrap(), "A <em>cup</em>");
    }

    #[test]
    fn what_is_shown_is_safe_and_short() {
        let marked = mark("cup", false, "<b>cup</b> & 'more'").unwrap();
        assert_eq!(marked, "&lt;b&gt;<em>cup</em>&lt;/b&gt; &amp; &#39;more&#39;");
        let long = format!("{} cup {}", "é".repeat(900), "ü".repeat(900));
        let marked = mark("cup", false, &long).unwrap();
        assert!(marked.starts_with('…') && marked.ends_with('…'), "{marked}");
        assert!(marked.contains("<em>cup</em>") && marked.chars().count() < 220, "{marked}");
    }
}
