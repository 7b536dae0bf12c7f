//! What a slip in TOML is, and what to write instead.

use super::problem::shown;
use std::ops::Range;

/// Words that people write for on and off.
const ON: [&str; 6] = ["on", "yes", "enabled", "enable", "true", "y"];
const OFF: [&str; 8] = [
    "off", "no", "disabled", "disable", "false", "none", "null", "n",
];

/// The message for what the parser says of a place. `first` is the line where the same key stands
/// before.
pub(super) fn of(said: &str, at: &Range<usize>, text: &str, first: Option<usize>) -> String {
    let line = line_at(text, at.start);
    let found = text.get(at.clone()).unwrap_or_default();
    if let Some(message) = whole_file(said, text, line) {
        return message;
    }
    if said.starts_with("string values must be quoted") {
        return unquoted(found.trim(), key_of(line));
    }
    if said == "duplicate key" {
        return duplicate(found, line, first);
    }
    if said.starts_with("key with no value") || said.starts_with("extra `=`") {
        return no_equals(line);
    }
    if said.starts_with("invalid unquoted key") || said.starts_with("unquoted keys cannot be empty")
    {
        return bad_key(found, line);
    }
    if said.starts_with("unclosed table")
        || line.trim_start().starts_with('[') && !line.contains(']')
    {
        return bad_header(line);
    }
    if said.starts_with("unexpected key or value") {
        return after_value(text, at.start, line);
    }
    shape(said, line)
}

/// What concerns the file as a whole.
fn whole_file(said: &str, text: &str, line: &str) -> Option<String> {
    let start = text.trim_start_matches('\u{feff}').trim_start();
    if start.starts_with('{') {
        return Some("this is JSON in a file named .toml; name it .json, or write TOML".to_owned());
    }
    if start.starts_with("<!") || start.starts_with("<html") {
        return Some("this is a page of HTML, not a flags file: a download went wrong".to_owned());
    }
    if start.starts_with("---") {
        return Some(
            "this is YAML; flags are written in TOML, as in: enabled = \"off\"".to_owned(),
        );
    }
    if ["<<<<<<<", "=======", ">>>>>>>"]
        .iter()
        .any(|mark| line.starts_with(mark))
    {
        return Some(
            "a merge conflict stands here; take one side, and take the marks out".to_owned(),
        );
    }
    if line.contains('\0') {
        return Some("zero bytes stand here: the file was not written to its end".to_owned());
    }
    if said.starts_with("recursion limit") {
        return Some("nested too deep; a flag needs 4 levels".to_owned());
    }
    if said.starts_with("carriage return") {
        return Some(
            "the lines end in old Mac style; save the file with Unix line ends".to_owned(),
        );
    }
    None
}

/// A value without its quotes.
fn unquoted(found: &str, key: &str) -> String {
    if found.is_empty() {
        return format!(
            "nothing stands after `=`; write a value, as in {key} = \"off\", or put # before the line to take it out"
        );
    }
    let short = shown(found);
    if let Some(number) = found.strip_suffix('%').map(str::trim)
        && number.parse::<f64>().is_ok()
    {
        return format!(
            "{short} is a percentage without quotes; write {key} = {number} or {key} = \"{number}%\""
        );
    }
    let plain = found.trim_matches(['“', '”', '„', '‘', '’', '«', '»', '`', '\'', '"']);
    if plain != found {
        return format!(
            "{short} has quotation marks that are not the plain ones; write {key} = \"{}\"",
            shown(plain)
        );
    }
    let word = plain.to_lowercase();
    let meant = if ON.contains(&word.as_str()) {
        "on"
    } else if OFF.contains(&word.as_str()) {
        "off"
    } else {
        plain
    };
    format!(
        "{short} is a word without quotes; write {key} = \"{}\"",
        shown(meant)
    )
}

fn duplicate(found: &str, line: &str, first: Option<usize>) -> String {
    let first = first.map_or_else(String::new, |line| {
        format!(" (the first is in line {line})")
    });
    if line.trim_start().starts_with('[') {
        return format!(
            "a second {}{first}; a table stands once: put its lines together under one",
            shown(line.trim())
        );
    }
    format!(
        "a second `{}` line{first}: which one holds cannot be told; keep one, and put # before the other",
        shown(found)
    )
}

fn no_equals(line: &str) -> String {
    let line = line.trim();
    if line.starts_with("//")
        || line.starts_with("--")
        || line.starts_with("/*")
        || line.starts_with(';')
    {
        return "a comment begins with #".to_owned();
    }
    if line.contains("==") {
        return "one = is enough, as in enabled = \"off\"".to_owned();
    }
    if let Some((key, value)) = line.split_once(':')
        && !key.contains('=')
    {
        return format!(
            "`:` stands where `=` belongs; write {} = {}",
            shown(key.trim()),
            shown(value.trim().trim_end_matches(','))
        );
    }
    if let Some((key, value)) = line.split_once(char::is_whitespace)
        && key != "-"
    {
        return format!(
            "`=` is missing; write {} = {}",
            shown(key),
            shown(value.trim().trim_start_matches('=').trim_start())
        );
    }
    format!(
        "`{}` is not a line of TOML; a line is KEY = VALUE, as in enabled = \"off\", or [flags.NAME], or begins with #",
        shown(line)
    )
}

fn bad_key(found: &str, line: &str) -> String {
    let trimmed = line.trim();
    if trimmed.starts_with("//") || trimmed.starts_with("/*") || trimmed.starts_with(';') {
        return "a comment begins with #".to_owned();
    }
    if trimmed.starts_with('=') {
        return "a key is missing before `=`, as in enabled = \"off\"".to_owned();
    }
    if trimmed.starts_with('[') {
        return bad_header(line);
    }
    if found.contains(':') {
        return no_equals(line);
    }
    format!(
        "`{}` may not stand in a name without quotes; write the name in quotes, as in \"ann@example.com\" = \"on\"",
        shown(found)
    )
}

fn bad_header(line: &str) -> String {
    let name = line.trim().trim_matches(['[', ']']).trim();
    if let Some(flag) = name.strip_prefix("flags.")
        && !flag
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
        && !flag.contains('"')
        && line.contains(']')
    {
        return format!(
            "a name with other letters than a-z, 0-9, _ and - needs quotes; write [flags.\"{}\"]",
            shown(flag)
        );
    }
    if !line.contains(']') {
        return format!("the closing `]` is missing; write [{}]", shown(name));
    }
    format!(
        "{} is no table; write [flags.NAME] or [shed]",
        shown(line.trim())
    )
}

fn after_value(text: &str, offset: usize, line: &str) -> String {
    let rest = text.get(offset..).unwrap_or_default();
    let rest = rest.lines().next().unwrap_or_default().trim();
    if line.trim_start().starts_with('[') {
        return format!(
            "`{}` belongs on a line of its own, below the table's name",
            shown(rest)
        );
    }
    if rest.starts_with("//") || rest.starts_with("--") {
        return "a comment begins with #".to_owned();
    }
    if rest == "," || rest == ";" {
        return format!("a line ends without `{rest}`; take it out");
    }
    if rest.starts_with('%') {
        let key = key_of(line);
        return format!(
            "a percentage with its sign needs quotes; write {key} = 10 or {key} = \"10%\""
        );
    }
    format!(
        "`{}` stands after the value; one key and value a line, and a comment begins with #",
        shown(rest)
    )
}

/// Quotes, brackets, numbers.
fn shape(said: &str, line: &str) -> String {
    let key = key_of(line);
    if said.contains("multi-line") {
        return "the closing \"\"\" is missing: this text goes on to the end of the file"
            .to_owned();
    }
    if said.contains("basic string") && said.ends_with("expected `\"`") {
        return "the closing \" is missing in this line".to_owned();
    }
    if said.contains("literal string") && said.ends_with("expected `'`") {
        return "the closing ' is missing in this line; it must be the mark that it began with"
            .to_owned();
    }
    if said.contains("string") || said.contains("escape") {
        return "this text has a sign that cannot stand in it; for a backslash write \\\\"
            .to_owned();
    }
    if said.contains("inline table") || said.contains("key-value pairs") {
        return "the closing `}` or a comma is missing here or above; write all of it on one line, as in enabled = { blue = 10, green = 20 }".to_owned();
    }
    if said.contains("array") || said.contains("comma") {
        return format!(
            "the closing `]` or a comma is missing here or above; write {key} = [\"one\", \"two\"]"
        );
    }
    if said.contains("date")
        || said.contains("time")
        || said.contains("month")
        || said.contains("day")
    {
        return format!("no such day; write {key} = 2027-01-31, year, month and day");
    }
    if [
        "mantissa", "fraction", "zero", "digit", "integer", "number", "exponent", "radix",
    ]
    .iter()
    .any(|word| said.contains(word))
        || said.starts_with("`_`")
    {
        return format!(
            "this number cannot be read; write it plainly, as in {key} = 10 or {key} = 0.5"
        );
    }
    if said.contains("cannot extend value") {
        return format!(
            "`{}` was given a plain value before, and cannot have keys of its own too; keep one of the two",
            shown(key)
        );
    }
    format!(
        "`{}` cannot be read ({}); a line is KEY = VALUE, as in enabled = \"off\", or [flags.NAME], or begins with #",
        shown(line.trim()),
        shown(said)
    )
}

/// Whether the line of this offset is the header of a table, and the offset is not in a value.
pub(super) fn is_header(text: &str, offset: usize) -> bool {
    line_at(text, offset).trim_start().starts_with('[')
}

/// The line where the key at this place stands first.
pub(super) fn first_of_duplicate(text: &str, at: &Range<usize>) -> Option<usize> {
    let before = text.get(..at.start)?;
    let this = line_at(text, at.start).trim();
    if this.starts_with('[') {
        let name = this.split(']').next()?;
        return before
            .lines()
            .position(|line| line.trim().split(']').next() == Some(name))
            .map(|line| line + 1);
    }
    let key = text.get(at.clone())?;
    let lines: Vec<&str> = before.lines().collect();
    let section = lines
        .iter()
        .rposition(|line| line.trim_start().starts_with('['));
    lines
        .iter()
        .enumerate()
        .skip(section.unwrap_or(0))
        .find(|(_, line)| plain_key(line) == key.trim_matches(['"', '\'']))
        .map(|(at, _)| at + 1)
}

/// The key of a line, without quotes.
pub(super) fn plain_key(line: &str) -> &str {
    let key = line.split_once('=').map_or("", |(key, _)| key.trim());
    key.trim_matches(['"', '\''])
}

/// What stands before `=`, for a message.
fn key_of(line: &str) -> &str {
    let key = line.split('=').next().unwrap_or_default().trim();
    if key.is_empty() || key.len() > 60 || key.starts_with('[') {
        "enabled"
    } else {
        key
    }
}

pub(super) fn line_at(text: &str, offset: usize) -> &str {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let start = text
        .get(..offset)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |at| at + 1);
    text.get(start..)
        .unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default()
}
