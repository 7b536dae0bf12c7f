//! Calls to databases: which one, and a summary of what is asked of it.
//!
//! The summary is made by the conventions for `db.query.summary`: operations and their targets, in
//! the order in which they stand, as they were written; `SELECT orders customers`. It is made of a
//! fingerprint, so it holds nobody's data; their own cases are among the tests. There is no
//! `db.operation.name`: the conventions do not want it taken from a text that can have several.

use crate::category::{Dialect, Kind};
use crate::profile::SpanData;
use crate::text::cut_str;

/// As the conventions have it.
const MAX_SUMMARY: usize = 255;

/// Which database the call's category says it is, in OpenTelemetry's words.
pub(super) fn system(call: &SpanData) -> Option<&'static str> {
    match (call.kind, call.dialect) {
        (Kind::Scope, _) => None,
        (Kind::Leaf, Dialect::MySql) => Some("mysql"),
        (Kind::Leaf, Dialect::PostgreSql) => Some("postgresql"),
        (Kind::Leaf, Dialect::Sqlite) => Some("sqlite"),
        (Kind::Leaf, _) => None,
    }
}

/// Operations and targets; none where there is no operation.
pub(super) fn summary(text: &str) -> Option<String> {
    let mut reader = Reader::default();
    for token in Tokens(text) {
        reader.take(token);
    }
    (!reader.summary.is_empty()).then_some(reader.summary)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A word, with the dots and quotes of a name of several parts: `dbo."Order Details"`.
    Word(&'a str),
    Open,
    Close,
    Comma,
    /// A statement ends.
    End,
    Other,
}

struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.0 = self.0.trim_start();
        let first = self.0.chars().next()?;
        let length = name_length(self.0);
        let (length, token) = match first {
            _ if length != 0 => (length, Token::Word(self.0.get(..length)?)),
            '(' => (1, Token::Open),
            ')' => (1, Token::Close),
            ',' => (1, Token::Comma),
            ';' => (1, Token::End),
            '\'' => (quoted_length(self.0, '\'')?, Token::Other),
            other => (other.len_utf8(), Token::Other),
        };
        self.0 = self.0.get(length..)?;
        Some(token)
    }
}

/// The length of a name at the beginning of a text: words and quoted names with dots between.
fn name_length(text: &str) -> usize {
    let mut length = 0;
    loop {
        let rest = text.get(length..).unwrap_or_default();
        let part = match rest.chars().next() {
            Some('"') => quoted_length(rest, '"').unwrap_or(0),
            Some('`') => quoted_length(rest, '`').unwrap_or(0),
            Some('[') => quoted_length(rest, ']').unwrap_or(0),
            Some(first) if first.is_alphabetic() || "_@#".contains(first) => rest
                .find(|next: char| !next.is_alphanumeric() && !"_$@#".contains(next))
                .unwrap_or(rest.len()),
            _ => 0,
        };
        let end = length + part;
        if part == 0 {
            return length;
        }
        if !text.get(end..).unwrap_or_default().starts_with('.') {
            return end;
        }
        length = end + 1;
    }
}

/// The length of a quoted form with its quotes; none where it does not end.
fn quoted_length(text: &str, quote: char) -> Option<usize> {
    let inside = text.get(1..)?;
    inside.find(quote).map(|end| end + 2)
}

/// What the next name is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expects {
    #[default]
    Nothing,
    /// The target of an operation, right behind it.
    Target,
    /// One of a list of tables, behind FROM or JOIN.
    Table,
    /// What kind of thing is created, altered or dropped.
    Thing,
}

/// What is known inside one pair of brackets.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    expects: Expects,
    /// An operation whose targets follow the word FROM.
    takes_from: bool,
    /// Between FROM and what ends it: a comma is followed by another target.
    in_from: bool,
}

#[derive(Default)]
struct Reader<'a> {
    summary: String,
    is_full: bool,
    level: Level,
    outer: Vec<Level>,
    before: &'a str,
    /// Something of the statement was read.
    is_within: bool,
}

/// Deeper brackets are read like those around them.
const MAX_DEPTH: usize = 64;

impl<'a> Reader<'a> {
    fn take(&mut self, token: Token<'a>) {
        match token {
            Token::Word(word) => {
                self.word(word);
                self.is_within = true;
                self.before = word;
                return;
            }
            Token::Open if self.outer.len() < MAX_DEPTH => {
                // Tables may stand in brackets, or something that is selected.
                let inside = match self.level.expects {
                    Expects::Table => self.level,
                    _ => Level::default(),
                };
                self.level.expects = Expects::Nothing;
                self.outer.push(std::mem::replace(&mut self.level, inside));
            }
            Token::Close => self.level = self.outer.pop().unwrap_or(self.level),
            Token::Comma if self.level.in_from => self.level.expects = Expects::Table,
            Token::End => {
                (self.level, self.is_within) = (Level::default(), false);
                self.outer.clear();
            }
            Token::Open | Token::Comma => self.level.expects = Expects::Nothing,
            Token::Other => {
                self.level.expects = Expects::Nothing;
                self.is_within = true;
            }
        }
        self.before = "";
    }

    fn word(&mut self, word: &'a str) {
        let upper = word.to_ascii_uppercase();
        let is_first = !self.is_within;
        match (self.level.expects, &*upper) {
            (Expects::Thing, _) => self.thing(word, &upper),
            (Expects::Target, word) if PASSED_OVER.contains(&word) => {}
            (Expects::Table, "LATERAL" | "ONLY") => {}
            (_, "SELECT") => self.operation(word, Expects::Nothing, true),
            (_, "INSERT" | "MERGE") => self.operation(word, Expects::Target, false),
            (_, "UPDATE") if !self.follows(&["KEY", "FOR", "DO", "ON", "NO"]) => {
                self.operation(word, Expects::Target, false);
            }
            (_, "DELETE") if !self.follows(&["ON"]) => {
                self.operation(word, Expects::Nothing, true);
            }
            (_, "REPLACE" | "CALL" | "EXEC" | "EXECUTE" | "TRUNCATE" | "COPY") if is_first => {
                self.operation(word, Expects::Target, false);
            }
            (_, "CREATE" | "ALTER" | "DROP") if is_first => {
                self.operation(word, Expects::Thing, false);
            }
            // What else begins a statement is an operation without a target: COMMIT, SET, SHOW.
            (_, "WITH" | "VALUES") if is_first => {}
            (_, _) if is_first => self.operation(word, Expects::Nothing, false),
            (Expects::Target | Expects::Table, _) => self.target(word),
            (_, "FROM") if self.level.takes_from && !self.follows(&["DISTINCT"]) => {
                (self.level.expects, self.level.in_from) = (Expects::Table, true);
            }
            (_, "JOIN") if self.level.in_from => self.level.expects = Expects::Table,
            (_, word) if ENDS_FROM.contains(&word) => self.level.in_from = false,
            _ => {}
        }
    }

    fn follows(&self, words: &[&str]) -> bool {
        let before = self.before;
        words.iter().any(|word| word.eq_ignore_ascii_case(before))
    }

    fn operation(&mut self, word: &str, expects: Expects, takes_from: bool) {
        self.push(word);
        self.level = Level {
            expects,
            takes_from,
            in_from: false,
        };
    }

    fn target(&mut self, word: &str) {
        self.push(word);
        self.level.expects = Expects::Nothing;
    }

    /// `CREATE TEMPORARY TABLE IF NOT EXISTS name`: the kind of thing belongs to the operation.
    fn thing(&mut self, word: &str, upper: &str) {
        if THINGS.contains(&upper) {
            self.push(word);
            self.level.expects = Expects::Target;
        } else if !BEFORE_THINGS.contains(&upper) {
            self.level.expects = Expects::Nothing;
        }
    }

    /// Nothing is cut in the middle, and nothing stands behind what did not fit.
    fn push(&mut self, word: &str) {
        let space = usize::from(!self.summary.is_empty());
        if self.is_full || self.summary.len() + space + word.len() > MAX_SUMMARY {
            self.is_full = true;
            return;
        }
        if space == 1 {
            self.summary.push(' ');
        }
        self.summary.push_str(cut_str(word, MAX_SUMMARY));
    }
}

/// Between an operation and its target.
const PASSED_OVER: [&str; 15] = [
    "ABORT",
    "CONCURRENTLY",
    "DELAYED",
    "EXISTS",
    "FAIL",
    "HIGH_PRIORITY",
    "IF",
    "IGNORE",
    "INTO",
    "LOW_PRIORITY",
    "NOT",
    "ONLY",
    "OR",
    "OVERWRITE",
    "TABLE",
];
const THINGS: [&str; 13] = [
    "DATABASE",
    "EXTENSION",
    "FUNCTION",
    "INDEX",
    "PROCEDURE",
    "ROLE",
    "SCHEMA",
    "SEQUENCE",
    "TABLE",
    "TRIGGER",
    "TYPE",
    "USER",
    "VIEW",
];
const BEFORE_THINGS: [&str; 10] = [
    "FULLTEXT",
    "GLOBAL",
    "LOCAL",
    "MATERIALIZED",
    "OR",
    "REPLACE",
    "TEMP",
    "TEMPORARY",
    "UNIQUE",
    "UNLOGGED",
];
/// What comes then is no list of tables any more.
const ENDS_FROM: [&str; 14] = [
    "EXCEPT",
    "FETCH",
    "FOR",
    "GROUP",
    "HAVING",
    "INTERSECT",
    "LIMIT",
    "OFFSET",
    "ORDER",
    "RETURNING",
    "SET",
    "UNION",
    "WHERE",
    "WINDOW",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::fingerprint;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn their_cases_come_out_as_they_say() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/vectors/opentelemetry-sql.json"
        );
        let text = std::fs::read_to_string(path).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        let cases = file["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 24);
        for case in cases {
            let query = case["query"].as_str().unwrap();
            let made = summary(&fingerprint(Dialect::Generic, query, false));
            assert_eq!(made.as_deref(), case["summary"].as_str(), "{query}");
        }
    }

    #[test]
    fn operations_and_targets_are_found_in_what_applications_send() {
        for (query, made) in [
            ("SELECT * FROM `listings` WHERE id = ?", "SELECT `listings`"),
            (
                "SELECT * FROM \"song list\", [dbo].[artists] a",
                "SELECT \"song list\" [dbo].[artists]",
            ),
            (
                "SELECT EXTRACT(year FROM created) FROM orders o",
                "SELECT orders",
            ),
            ("SELECT a IS DISTINCT FROM b FROM t", "SELECT t"),
            (
                "SELECT 1 FROM a LEFT JOIN b ON a.x = b.x, c WHERE d IN (SELECT e FROM f)",
                "SELECT a b c SELECT f",
            ),
            ("SELECT * FROM t WHERE id = ? FOR UPDATE", "SELECT t"),
            ("SELECT * FROM t ORDER BY a, b", "SELECT t"),
            (
                "SELECT * FROM (a, b) JOIN (c JOIN d ON ?) ON ?",
                "SELECT a b c d",
            ),
            (
                "SELECT * FROM a, LATERAL (SELECT b FROM ONLY c) d",
                "SELECT a SELECT c",
            ),
            (
                "INSERT IGNORE INTO t (a, b) VALUES (?) ON DUPLICATE KEY UPDATE a = ?",
                "INSERT t",
            ),
            (
                "INSERT INTO t VALUES (?) ON CONFLICT (a) DO UPDATE SET b = ?",
                "INSERT t",
            ),
            ("INSERT OR IGNORE INTO t VALUES (?)", "INSERT t"),
            ("REPLACE INTO t VALUES (?)", "REPLACE t"),
            ("SELECT REPLACE(a, ?, ?) FROM t", "SELECT t"),
            (
                "UPDATE shop.listings SET a = (SELECT b FROM c)",
                "UPDATE shop.listings SELECT c",
            ),
            ("DELETE FROM t USING u", "DELETE t"),
            (
                "WITH x AS (SELECT a FROM b) SELECT * FROM x",
                "SELECT b SELECT x",
            ),
            (
                "SELECT a FROM b UNION ALL SELECT c FROM d",
                "SELECT b SELECT d",
            ),
            (
                "CREATE UNIQUE INDEX IF NOT EXISTS i ON t (a)",
                "CREATE INDEX i",
            ),
            (
                "CREATE TABLE t AS SELECT * FROM u",
                "CREATE TABLE t SELECT u",
            ),
            ("TRUNCATE TABLE t", "TRUNCATE t"),
            ("CALL cheapest(?)", "CALL cheapest"),
            ("COMMIT", "COMMIT"),
            ("SET NAMES utf8mb4", "SET"),
            ("SELECT a FROM b; DELETE FROM c", "SELECT b DELETE c"),
            ("EXPLAIN SELECT a FROM b", "EXPLAIN SELECT b"),
        ] {
            assert_eq!(summary(query).as_deref(), Some(made), "{query}");
        }
        for query in ["", "?", "<unparsable, 12 bytes>", "()", "'a'"] {
            assert_eq!(summary(query), None, "{query}");
        }
        let long = format!("SELECT * FROM {}", "quite_a_long_name, ".repeat(100));
        let made = summary(&long).unwrap();
        assert!(
            made.len() <= MAX_SUMMARY && made.ends_with(" quite_a_long_name"),
            "{made}"
        );
    }

    proptest! {
        #[test]
        fn any_text_gives_a_short_summary_of_its_own_words(text in "\\PC{0,200}") {
            if let Some(made) = summary(&text) {
                prop_assert!(made.len() <= MAX_SUMMARY);
                let squeezed = |text: &str| text.replace(char::is_whitespace, "");
                let whole = squeezed(&text);
                for word in made.split_whitespace() {
                    prop_assert!(whole.contains(&squeezed(word)), "{word}");
                }
            }
        }

        #[test]
        fn brackets_and_quotes_in_any_order_are_no_trouble(
            parts in prop::collection::vec(
                prop::sample::select(vec!["(", ")", "\"", "`", "[", "]", "'", ",", ";", ".", "SELECT", "FROM", "JOIN", "a", "CREATE"]),
                0..200,
            )
        ) {
            let made = summary(&parts.join(" "));
            prop_assert!(made.is_none_or(|made| made.len() <= MAX_SUMMARY));
        }
    }
}
