//! JSON text → [`Table`], or where and why it is not JSON.

use super::MAX_DEPTH;
use super::flag::Key;
use super::node::{Entry, Node, Table, Value};
use super::plain;
use super::problem::{Findings, Spot, shown};
use super::toml::UNTIL_THEN;
use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::errors::ParseErrorKind as Kind;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use std::ops::Range;

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// What stands there. Where the layer cannot be used, that is among the findings.
pub(super) fn read<'t>(layer: usize, text: &'t str, findings: &mut Findings) -> Table<'t> {
    plain::json(text).unwrap_or_else(|| read_any(layer, text, findings))
}

/// The same, whatever JSON it is.
pub(super) fn read_any<'t>(layer: usize, text: &'t str, findings: &mut Findings) -> Table<'t> {
    if let Some(at) = too_deep(text) {
        let said = format!("nested more than {MAX_DEPTH} deep; a flag needs 4");
        findings.layer(Spot::new(layer, at..at), said);
        return Table::default();
    }
    let parsed = match parse_to_ast(text, &CollectOptions::default(), &STRICT) {
        Ok(parsed) => parsed,
        Err(error) => {
            let range = error.range();
            let said = message(error.kind(), range.start..range.end, text);
            findings.slip_of_layer(Spot::new(layer, range.start..range.end), said);
            return Table::default();
        }
    };
    let mut reader = Reader { layer, findings };
    match parsed.value {
        Some(ast::Value::Object(object)) => reader.table(&object, None, MAX_DEPTH),
        other => {
            let at = other.map_or(0..0, |value| span(&value));
            let said = "a flags file is an object, as in {\"flags\": {\"new_search\": {\"enabled\": \"off\"}}}";
            reader.findings.layer(Spot::new(layer, at), said);
            Table::default()
        }
    }
}

struct Reader<'a> {
    layer: usize,
    findings: &'a mut Findings,
}

impl Reader<'_> {
    /// `path` is `None` for the whole.
    fn table<'t>(
        &mut self,
        object: &ast::Object<'t>,
        path: Option<Path<'_>>,
        depth: usize,
    ) -> Table<'t> {
        let mut table = Table::default();
        let mut seen = std::collections::HashSet::new();
        for property in &object.properties {
            let key = property.name.as_str().to_owned();
            let at = property.name.range();
            let at = at.start..at.end;
            if !seen.insert(key.clone()) {
                let off = self.twice(&key, at, path, &property.value);
                if let Some(first) = table
                    .entries
                    .iter_mut()
                    .find(|entry| off && entry.key == key)
                {
                    first.node.value = Value::Text("off".into());
                }
                continue;
            }
            let inner = match path {
                None if key == "flags" => Some(Path::Flags),
                None => Some(Path::Elsewhere),
                Some(Path::Flags) => Some(Path::Flag(&key)),
                Some(Path::Flag(flag)) => Some(Path::Inside(flag)),
                Some(deeper) => Some(deeper),
            };
            let node = self.node(&property.value, inner, depth);
            table.entries.push(Entry {
                key: key.into(),
                at,
                node,
            });
        }
        table
    }

    /// A key stands twice. Whether the flag is off until that is mended: a kill switch written
    /// wrongly is one all the same.
    fn twice(
        &mut self,
        key: &str,
        at: Range<usize>,
        path: Option<Path<'_>>,
        value: &ast::Value<'_>,
    ) -> bool {
        let mut said = format!(
            "`{}` stands twice here: which one holds cannot be told; keep one",
            shown(key)
        );
        let is_off = match value {
            ast::Value::StringLit(text) => text.value == "off",
            ast::Value::BooleanLit(yes) => !yes.value,
            _ => false,
        };
        let off = is_off && key == Key::ENABLED && matches!(path, Some(Path::Flag(_)));
        if off {
            said.push_str(UNTIL_THEN);
        }
        let spot = Spot::new(self.layer, at);
        match path {
            Some(Path::Flags) => self.findings.flag(key, spot, said),
            Some(Path::Flag(flag) | Path::Inside(flag)) => self.findings.flag(flag, spot, said),
            Some(Path::Elsewhere) | None => self.findings.layer(spot, said),
        }
        off
    }

    fn node<'t>(
        &mut self,
        value: &ast::Value<'t>,
        path: Option<Path<'_>>,
        depth: usize,
    ) -> Node<'t> {
        let deeper = depth.saturating_sub(1);
        let read = match value {
            _ if depth == 0 => Value::Broken,
            ast::Value::StringLit(text) => Value::Text(text.value.clone()),
            ast::Value::NumberLit(number) => number
                .value
                .parse()
                .map_or_else(|_| Value::Real(number.value.into()), Value::Whole),
            ast::Value::BooleanLit(yes) => Value::Bool(yes.value),
            ast::Value::NullKeyword(_) => Value::Nothing,
            ast::Value::Array(list) => Value::List(
                list.elements
                    .iter()
                    .map(|item| self.node(item, path, deeper))
                    .collect(),
            ),
            ast::Value::Object(object) => Value::Table(self.table(object, path, deeper)),
        };
        Node {
            span: span(value),
            value: read,
        }
    }
}

#[derive(Clone, Copy)]
enum Path<'a> {
    Flags,
    Flag(&'a str),
    /// In a table of this flag.
    Inside(&'a str),
    Elsewhere,
}

fn span(value: &ast::Value<'_>) -> Range<usize> {
    let range = value.range();
    range.start..range.end
}

/// Where the nesting passes the limit: looked at before the parser, which nests its calls.
fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut in_text = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Some(at);
                }
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// What it is, and what to write.
fn message(kind: &Kind, at: Range<usize>, text: &str) -> String {
    let start = text.trim_start_matches('\u{feff}').trim_start();
    if start.starts_with('<') {
        return "this is a page of HTML, not a flags file: a download went wrong".to_owned();
    }
    if start.starts_with('[')
        && start
            .lines()
            .next()
            .is_some_and(|line| line.trim_end().ends_with(']'))
    {
        return "this is TOML in a file named .json; name it .toml, or write JSON".to_owned();
    }
    let rest = text.get(at.start..).unwrap_or_default();
    let word: String = rest
        .chars()
        .take_while(|c| c.is_alphanumeric() || "_-.%+".contains(*c))
        .take(40)
        .collect();
    match kind {
        Kind::CommentsNotAllowed => {
            "JSON has no comments; take it out, or write the file as TOML, which has them".to_owned()
        }
        Kind::TrailingCommasNotAllowed => "the comma after the last entry has to go".to_owned(),
        Kind::ExpectedComma => "a comma is missing before this".to_owned(),
        Kind::SingleQuotedStringsNotAllowed => {
            "JSON's quotes are double ones; write \"off\", not 'off'".to_owned()
        }
        Kind::ExpectedStringObjectProperty | Kind::UnexpectedTokenInObject if !word.is_empty() => {
            format!("a key needs quotes; write \"{}\"", shown(&word))
        }
        Kind::ExpectedColonAfterObjectKey => "`:` is missing between key and value".to_owned(),
        Kind::ExpectedObjectValue => "a value is missing after `:`; write \"off\", \"on\" or a percentage".to_owned(),
        Kind::MultipleRootJsonValues => percent(text, at.start).unwrap_or_else(|| {
            "something stands after the last closing brace; one object is the whole file".to_owned()
        }),
        Kind::UnterminatedObject => "what opens here is not closed before the file ends; a } is missing".to_owned(),
        Kind::UnterminatedArray => "what opens here is not closed before the file ends; a ] is missing".to_owned(),
        Kind::String(_) => {
            "this text does not end, or has a sign that cannot stand in it; for a backslash write \\\\".to_owned()
        }
        _ => percent(text, at.start).unwrap_or_else(|| bare(&word, kind, rest)),
    }
}

/// A word where a value belongs.
fn bare(word: &str, kind: &Kind, rest: &str) -> String {
    let lower = word.to_lowercase();
    if ["on", "yes", "enabled"].contains(&lower.as_str()) {
        return format!("{} is a word without quotes; write \"on\"", shown(word));
    }
    if ["off", "no", "none", "disabled", "nan", "undefined"].contains(&lower.as_str()) {
        return format!("{} is a word without quotes; write \"off\"", shown(word));
    }
    if lower == "true" || lower == "false" {
        return format!("write {lower}, in small letters");
    }
    if rest.is_empty() {
        return "the file ends in the middle: it was not written to its end".to_owned();
    }
    if rest.starts_with('\0') {
        return "zero bytes stand here: the file was not written to its end".to_owned();
    }
    if rest.starts_with(['“', '”', '„', '‘', '’']) {
        return "these are not the plain quotation marks; write \"off\"".to_owned();
    }
    if rest.starts_with("<<<<<<<") || rest.starts_with("=======") {
        return "a merge conflict stands here; take one side, and take the marks out".to_owned();
    }
    if !word.is_empty() && word.chars().next().is_some_and(char::is_alphabetic) {
        return format!(
            "{} is a word without quotes; write \"{}\"",
            shown(word),
            shown(word)
        );
    }
    format!(
        "this is not JSON ({kind}); text stands in \"…\", numbers do not, entries are divided by commas"
    )
}

/// `10%` is read as a number, and then a sign that does not belong there.
fn percent(text: &str, at: usize) -> Option<String> {
    let rest = text.get(at..)?;
    let sign = rest.find('%')?;
    let digits = |part: &str| {
        part.chars()
            .all(|c| c.is_ascii_digit() || c == '.' || c == ' ')
    };
    if !digits(rest.get(..sign)?) {
        return None;
    }
    let before = text.get(..at + sign)?;
    let number: String = before
        .chars()
        .rev()
        .take_while(|c| c.is_ascii_digit() || *c == '.' || *c == ' ')
        .collect();
    let number: String = number.chars().rev().collect();
    let number = number.trim();
    (!number.is_empty()).then(|| {
        format!("{number}% is a percentage without quotes; write {number} or \"{number}%\"")
    })
}
