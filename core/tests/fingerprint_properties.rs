//! Properties that the fingerprint of every text has.

use ioprofiler::category::Dialect;
use ioprofiler::fingerprint::{bound, fingerprint, mask_query};
use proptest::prelude::*;
use proptest::sample::select;

const DIALECTS: [Dialect; 6] = [
    Dialect::Generic,
    Dialect::MySql,
    Dialect::PostgreSql,
    Dialect::Sqlite,
    Dialect::Keys,
    Dialect::Path,
];

/// In every secret, and in nothing else.
const MARK: &str = "Hunter";

/// Pieces of text that mean something to some dialect, in any order: mostly nonsense.
const PIECES: &[&str] = &[
    " ",
    " ",
    "\n",
    "\r",
    "\t",
    "'",
    "'",
    "\"",
    "`",
    "''",
    "\\",
    "\\\\",
    "$",
    "$$",
    "$a$",
    "$1",
    "--",
    "-- ",
    "-",
    "+",
    "/*",
    "*/",
    "/*!",
    "/*!40001 ",
    "/*M!",
    "#",
    "# ",
    "#>",
    "@",
    "@@",
    "?",
    "?1",
    "?|",
    "?a=",
    ":",
    "::",
    "://",
    "https://",
    "[",
    "]",
    "(",
    ")",
    ",",
    ";",
    ".",
    "..",
    ".5",
    "5",
    "-5",
    "1e",
    "1e-5",
    "0xFF",
    "12.",
    "a",
    "t2",
    "E",
    "E'",
    "N'",
    "x'",
    "U&",
    "U&'",
    "u&\"",
    "q'",
    "IN",
    "IN (",
    "in(",
    "VALUES",
    "VALUES (",
    "),(",
    "), (",
    "VALUE(",
    "ARRAY[",
    "SELECT",
    "select ",
    "NULL",
    "LIKE",
    "=",
    "<",
    ">",
    "|",
    "&",
    "/",
    "*",
    "%",
    "{",
    "}",
    "_",
    "~",
    "é",
    "世",
    "’",
    "\u{301}",
    "\u{a0}",
    "🎉",
    "\0",
    "\x1b",
    "a@b.c",
    "user:",
    "deadbeef1",
    "abcdefgh",
    "550e8400-e29b-41d4-a716-446655440000",
    "abcdefab-cdef-abcd-efab-cdefabcdefab",
    "GET ",
    "#x",
    "&b=",
    "=c",
    "!",
    "ROW",
    "aB",
    "LIMIT ",
];

fn nonsense() -> impl Strategy<Value = String> {
    prop::collection::vec(select(PIECES), 0..24).prop_map(|pieces| pieces.concat())
}

fn is_unparsable(text: &str) -> bool {
    text.starts_with("<unparsable, ")
}

/// What holds for each text.
fn check(dialect: Dialect, text: &str, cut: bool) {
    let out = fingerprint(dialect, text, cut);
    assert!(
        out.len() <= bound(text.len()),
        "{dialect:?} {text:?} {out:?}"
    );
    if !matches!(dialect, Dialect::Path | Dialect::Generic) {
        assert!(
            out.len() <= (text.len() + usize::from(cut)).max(40),
            "{dialect:?} {text:?} {out:?}"
        );
    }
    if is_unparsable(&out) {
        let length = format!("<unparsable, {} bytes>", text.len());
        assert_eq!(out, length, "{dialect:?} {text:?}");
    } else {
        let again = fingerprint(dialect, &out, false);
        assert_eq!(again, out, "{dialect:?} {text:?} cut {cut}");
    }
}

/// A literal of the dialect that holds `secret`, as an application's own code would quote it.
fn literal(dialect: Dialect, form: usize, secret: &str) -> String {
    let doubled = |quote: &str| secret.replace(quote, &quote.repeat(2));
    let plain = format!("'{}'", doubled("'"));
    let escaped = |quote: char| {
        let mut out = String::from(quote);
        for c in secret.chars() {
            if c == quote || c == '\\' {
                out.push('\\');
            }
            out.push(c);
        }
        out.push(quote);
        out
    };
    let dollars = |tag: &str| {
        if secret.contains('$') {
            plain.clone()
        } else {
            format!("{tag}{secret}{tag}")
        }
    };
    match (dialect, form % 6) {
        (Dialect::MySql, 0) => escaped('\''),
        (Dialect::MySql, 1) => escaped('"'),
        (Dialect::MySql, 2) => format!("N{}", escaped('\'')),
        (Dialect::MySql, 3) => format!("_utf8mb4{}", escaped('"')),
        (Dialect::MySql, 4) => format!("'{}'", secret.replace('\\', "\\\\").replace('\'', "''")),
        (Dialect::MySql, _) => format!("/*!40001 {} */", escaped('\'')).replace("*/'", "* /'"),
        (Dialect::PostgreSql, 0) => format!("E{}", escaped('\'')),
        (Dialect::PostgreSql, 1) => dollars("$$"),
        (Dialect::PostgreSql, 2) => dollars("$tag_1$"),
        (Dialect::PostgreSql, 3) => format!("E'x'\n  {}", escaped('\'')),
        (Dialect::PostgreSql, 4) => format!("U&{plain}"),
        (Dialect::Generic, 0) => format!("\"{}\"", doubled("\"")),
        (Dialect::Generic, 1) => format!("`{}`", doubled("`")),
        (Dialect::Generic, 2) => dollars("$$"),
        (Dialect::Generic, 3) => dollars("$x$"),
        (Dialect::Generic, 4) => escaped('\''),
        (Dialect::Sqlite, 0) => format!("x{plain}"),
        _ => plain,
    }
}

/// Well-formed SQL around literals; `{}` is a literal's place.
fn frames(dialect: Dialect) -> Vec<&'static str> {
    let mut frames = vec![
        "SELECT a, {} FROM t WHERE b = {} AND c IN ({}, {}) ",
        "INSERT INTO t (a, b) VALUES ({}, 5), (-7, {}) ",
        "UPDATE t SET a = {}, b=b-5 WHERE lower(c) LIKE {} ",
        "WHERE a IN (SELECT x FROM y WHERE z = {}) OR q = {}-1 ",
        "/* note */ SELECT ( {} ) -- note\n, {} ",
    ];
    match dialect {
        Dialect::MySql => frames.extend([
            "SELECT `a b` # it's\n, {} ",
            "SELECT 5--{}, '\\'', {} ",
            "/*!50001 SELECT {} */ + {} ",
            "SELECT \"\\\"'\", {} -- \"'\n",
        ]),
        Dialect::PostgreSql => frames.extend([
            "SELECT \"a'b\", {}::text, ARRAY[{},{}] ",
            "SELECT $1, $q$ '\" $q$, {} /* /* ' */ \" */ ",
            "SELECT 'C:\\', {}, E'\\'', d #>> {} ",
        ]),
        Dialect::Sqlite => frames.extend([
            "SELECT [a'b], `c'd`, \"e'f\", {} ",
            "SELECT ?1, :a, 'C:\\', {} /* ' */ ",
        ]),
        _ => frames.extend(["found {} in `x` and \"y\" {} ", "GET /users/5?a=b {} "]),
    }
    frames
}

fn fill(frame: &str, literals: &mut dyn FnMut() -> String) -> String {
    let mut out = String::new();
    for (i, piece) in frame.split("{}").enumerate() {
        if i > 0 {
            out.push_str(&literals());
        }
        out.push_str(piece);
    }
    out
}

fn secret() -> impl Strategy<Value = String> {
    let characters: &[&str] = &[
        "'", "\"", "`", "\\", "$", " ", "x", "7", "*", "-- ", "\n", "(", ")", ",", "é", "’", "#",
        "]", ";",
    ];
    let side = prop::collection::vec(select(characters), 0..5).prop_map(|side| side.concat());
    (side.clone(), side).prop_map(|(left, right)| format!("{left} {MARK} {right}"))
}

fn sql_dialect() -> impl Strategy<Value = Dialect> {
    select(&DIALECTS[..4])
}

fn statement(dialect: Dialect, picks: &[(usize, usize, String)]) -> String {
    let frames = frames(dialect);
    let mut next = 0;
    picks
        .iter()
        .map(|(frame, ..)| {
            fill(frames[frame % frames.len()], &mut || {
                next += 1;
                let (_, form, secret) = &picks[next % picks.len()];
                literal(dialect, *form, secret)
            })
        })
        .collect()
}

fn picks() -> impl Strategy<Value = Vec<(usize, usize, String)>> {
    prop::collection::vec((any::<usize>(), any::<usize>(), secret()), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nonsense_is_bounded_and_stable(text in nonsense(), cut: bool) {
        for dialect in DIALECTS {
            check(dialect, &text, cut);
        }
        let masked = mask_query(&text);
        prop_assert!(masked.len() <= 2 * text.len());
        prop_assert_eq!(mask_query(&masked), masked);
    }

    #[test]
    fn any_text_is_bounded_and_stable(text in any::<String>(), cut: bool) {
        for dialect in DIALECTS {
            check(dialect, &text, cut);
        }
    }

    #[test]
    fn a_secret_in_a_literal_never_shows(dialect in sql_dialect(), picks in picks()) {
        let text = statement(dialect, &picks);
        let out = fingerprint(dialect, &text, false);
        prop_assert!(!out.contains(MARK), "{:?} {:?} {:?}", dialect, text, out);
    }

    /// Who did not name the dialect gives nothing away either.
    #[test]
    fn nor_when_the_dialect_is_unknown(dialect in sql_dialect(), picks in picks()) {
        let text = statement(dialect, &picks);
        let out = fingerprint(Dialect::Generic, &text, false);
        prop_assert!(!out.contains(MARK), "{:?} {:?} {:?}", dialect, text, out);
    }

    /// Well-formed SQL is read, not given up.
    #[test]
    fn plain_statements_are_readable(dialect in sql_dialect(), frame: usize, form: usize) {
        let frames = frames(dialect);
        let text = fill(frames[frame % frames.len()], &mut || literal(dialect, form, MARK));
        // MySQL's `/*! … */` cannot stand in itself.
        if text.matches("/*!").count() > 1 || text.contains("--/*") {
            return Ok(());
        }
        let out = fingerprint(dialect, &text, false);
        prop_assert!(!is_unparsable(&out), "{:?} {:?}", dialect, text);
        prop_assert!(!out.contains(MARK), "{:?} {:?} {:?}", dialect, text, out);
    }

    #[test]
    fn nor_when_the_recorder_cut_the_text(
        dialect in sql_dialect(), picks in picks(), at in any::<prop::sample::Index>(),
    ) {
        let text = statement(dialect, &picks);
        let mut end = at.index(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let out = fingerprint(dialect, &text[..end], true);
        prop_assert!(!out.contains(MARK), "{:?} {:?} {:?}", dialect, &text[..end], out);
        check(dialect, &text[..end], true);
    }

    #[test]
    fn other_literals_same_fingerprint(
        dialect in sql_dialect(), frame: usize,
        one in prop::collection::vec("[a-z0-9 ;(),*-]{0,12}", 4),
        two in prop::collection::vec("[a-z0-9 ;(),*-]{0,12}", 4),
    ) {
        let frames = frames(dialect);
        let frame = frames[frame % frames.len()];
        let fill_from = |from: &[String]| {
            let mut from = from.iter().cycle();
            fill(frame, &mut || format!("'{}'", from.next().map_or("", String::as_str)))
        };
        let first = fingerprint(dialect, &fill_from(&one), false);
        let second = fingerprint(dialect, &fill_from(&two), false);
        // Strings that hold `*/` inside MySQL's `/*! … */` are unreadable, and rightly so.
        if !is_unparsable(&first) && !is_unparsable(&second) {
            prop_assert_eq!(first, second);
        } else {
            prop_assert!(one.iter().chain(&two).any(|text| text.contains("*")) || dialect == Dialect::Generic
                || frame.contains("'"));
        }
    }

    #[test]
    fn numbers_and_list_lengths_do_not_matter(
        dialect in sql_dialect(), one in prop::collection::vec(any::<i64>(), 1..9),
        two in prop::collection::vec(any::<f64>(), 1..9),
    ) {
        let join = |items: Vec<String>, with: &str| items.join(with);
        let text = |items: Vec<String>| format!(
            "SELECT a FROM t1 WHERE x = {} AND id IN ({}) UNION VALUES ({})",
            items[0], join(items.clone(), ", "), join(items.clone(), "), ("),
        );
        let ints = text(one.iter().map(ToString::to_string).collect());
        let floats = text(two.iter().filter(|x| x.is_finite()).map(|x| format!("{x:e}"))
            .chain(["0".into()]).collect());
        let expected = "SELECT a FROM t1 WHERE x = ? AND id IN (?) UNION VALUES (?)";
        prop_assert_eq!(fingerprint(dialect, &ints, false), expected);
        prop_assert_eq!(fingerprint(dialect, &floats, false), expected);
    }

    #[test]
    fn keys_and_paths_lose_ids(id in "[0-9]{1,12}|[0-9a-f]{8,40}|[a-z]{1,5}@[a-z]{1,5}[.]com") {
        prop_assert_eq!(fingerprint(Dialect::Keys, &format!("user:{id}:name"), false), "user:?:name");
        if id.len() > 2 {
            prop_assert_eq!(fingerprint(Dialect::Path, &format!("/user/{id}/x"), false), "/user/?/x");
        }
    }
}

/// Texts made to be read again and again. One that took more than linear time would take hours.
#[test]
fn adversaries() {
    for dialect in DIALECTS {
        for first in PIECES {
            for second in [" ", "a", "'", "(", "$a", "/*"] {
                let unit = format!("{first}{second}");
                check(dialect, &unit.repeat((2 << 10) / unit.len()), false);
            }
            let whole = first.repeat((8 << 10) / first.len());
            check(dialect, &whole, false);
            check(dialect, &format!("({whole}"), true);
        }
    }
}

/// The most that is ever read.
#[test]
fn longest_details() {
    for dialect in DIALECTS {
        for unit in [
            "'",
            "$a",
            "/*",
            "((",
            "a@",
            "\"]",
            "?a",
            "1-",
            "--",
            "VALUES (1),",
        ] {
            check(dialect, &unit.repeat((64 << 10) / unit.len()), true);
        }
    }
}

#[test]
fn more_than_64_kib_is_cut() {
    let long = format!(
        "SELECT a FROM t WHERE b = '{MARK} {}'",
        "é".repeat(64 << 10)
    );
    assert_eq!(
        fingerprint(Dialect::MySql, &long, false),
        "SELECT a FROM t WHERE b ="
    );
    let words = "é ".repeat(64 << 10);
    assert!(fingerprint(Dialect::MySql, &words, false).len() <= 64 << 10);
}
