//! Tables for people: columns that fit the terminal and use all of it, colours that nobody needs.
//!
//! Whatever is shown was sent by somebody: it is one line, and no byte of it drives the terminal.

use std::borrow::Cow;
use std::io::IsTerminal as _;

use ioprofiler::render::shown::{is_unsafe_to_show, push_line};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// A terminal that says nothing of itself has so many columns.
const WIDTH: usize = 80;
/// Between two columns.
const GAP: &str = "  ";

/// What it is written on.
#[derive(Clone, Copy)]
pub(super) struct Paper {
    /// Lines are no longer, where there is an end to them.
    pub(super) width: Option<usize>,
    pub(super) colours: bool,
}

impl Paper {
    /// A terminal has its width; a pipe has none, unless COLUMNS says so.
    pub(super) fn stdout() -> Self {
        let out = std::io::stdout();
        let named = || {
            let columns = std::env::var("COLUMNS").ok()?;
            columns.parse().ok().filter(|columns| *columns > 0)
        };
        if !out.is_terminal() {
            return Self {
                width: named(),
                colours: false,
            };
        }
        let size = rustix::termios::tcgetwinsize(out).ok();
        let width = size.map(|size| usize::from(size.ws_col));
        Self {
            width: width
                .filter(|width| *width > 0)
                .or_else(named)
                .or(Some(WIDTH)),
            colours: colours_are_wanted(),
        }
    }
}

fn colours_are_wanted() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// How something stands out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Paint {
    #[default]
    Plain,
    Bold,
    Dim,
    Red,
    Yellow,
}

impl Paint {
    pub(super) fn on(self, text: &str, colours: bool) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "31",
            Self::Yellow => "33",
        };
        if colours && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[m")
        } else {
            text.to_owned()
        }
    }
}

/// Somebody's text as one line that hides nothing and drives nothing.
pub(super) fn shown(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    push_line(&mut line, text);
    line
}

/// JSON in which what could drive a terminal is an escape. Outside strings there is no such thing.
pub(super) fn safe_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut units = [0; 2];
    for character in text.chars() {
        if is_unsafe_to_show(character) && character != '\n' {
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(character);
        }
    }
    out
}

/// A value for a program.
pub(super) fn json(value: &serde_json::Value) -> String {
    safe_json(&format!("{value:#}\n"))
}

/// `text` in so many columns; where it is cut, it says so.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut room = width.saturating_sub(1);
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if wide > room {
            break;
        }
        room -= wide;
        out.push(character);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// One column.
pub(super) struct Column {
    title: Cow<'static, str>,
    right: bool,
    /// Where there is no room it may be cut to so many.
    least: Option<usize>,
}

impl Column {
    pub(super) fn left(title: impl Into<Cow<'static, str>>) -> Self {
        Self {
            title: title.into(),
            right: false,
            least: None,
        }
    }

    pub(super) fn right(title: impl Into<Cow<'static, str>>) -> Self {
        Self {
            right: true,
            ..Self::left(title)
        }
    }

    /// It may be cut, to no less than this.
    pub(super) fn cut_to(mut self, least: usize) -> Self {
        self.least = Some(least);
        self
    }
}

/// Rows under columns.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<(Vec<String>, Paint)>,
}

impl Table {
    pub(super) fn new(columns: Vec<Column>) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Its cells are shown as they are: see [`shown`].
    pub(super) fn row(&mut self, cells: Vec<String>, paint: Paint) {
        self.rows.push((cells, paint));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A line each, the titles first.
    pub(super) fn lines(&self, paper: Paper) -> Vec<String> {
        let widths = self.widths(paper.width);
        let titles = self
            .columns
            .iter()
            .map(|column| column.title.clone().into_owned());
        let titles: Vec<String> = titles.collect();
        let head = (&titles, Paint::Dim);
        let rows = self.rows.iter().map(|(cells, paint)| (cells, *paint));
        std::iter::once(head)
            .chain(rows)
            .map(|(cells, paint)| {
                let line = self.line(cells, &widths);
                let line = paper.width.map_or(line.clone(), |width| cut(&line, width));
                paint.on(&line, paper.colours)
            })
            .collect()
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, column), width) in cells.iter().zip(&self.columns).zip(widths) {
            if !line.is_empty() {
                line.push_str(GAP);
            }
            let cell = cut(cell, *width);
            let blanks = " ".repeat(width.saturating_sub(cell.width()));
            if column.right {
                line.push_str(&blanks);
                line.push_str(&cell);
            } else {
                line.push_str(&cell);
                line.push_str(&blanks);
            }
        }
        line.truncate(line.trim_end().len());
        line
    }

    /// As wide as what is in them; where that is too much, the widest that may be cut is.
    fn widths(&self, most: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|c| c.title.width()).collect();
        for (cells, _) in &self.rows {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.width());
            }
        }
        let Some(most) = most else { return widths };
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(most);
        while over > 0 {
            let cuttable = widths.iter_mut().zip(&self.columns);
            let cuttable = cuttable
                .filter(|(width, column)| column.least.is_some_and(|least| **width > least));
            let Some((width, _)) = cuttable.max_by_key(|(width, _)| **width) else {
                break;
            };
            *width -= 1;
            over -= 1;
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(vec![
            Column::right("PID"),
            Column::left("REQUEST").cut_to(8),
            Column::left("IN").cut_to(10),
        ]);
        table.row(
            vec![
                "4711".into(),
                "GET /listing/{id}".into(),
                "SELECT * FROM listing".into(),
            ],
            Paint::Red,
        );
        table.row(
            vec!["7".into(), "GET /検索".into(), "-".into()],
            Paint::Plain,
        );
        table
    }

    fn lines(width: Option<usize>) -> Vec<String> {
        let colours = false;
        table().lines(Paper { width, colours })
    }

    #[test]
    fn columns_use_the_room_that_there_is() {
        assert_eq!(
            lines(None),
            [
                " PID  REQUEST            IN",
                "4711  GET /listing/{id}  SELECT * FROM listing",
                "   7  GET /検索          -",
            ]
        );
        assert_eq!(
            lines(Some(30)),
            [
                " PID  REQUEST      IN",
                "4711  GET /listi…  SELECT * F…",
                "   7  GET /検索    -",
            ]
        );
        for width in 0..60 {
            let all = lines(Some(width));
            assert!(
                all.iter().all(|line| line.width() <= width),
                "{width} {all:?}"
            );
        }
    }

    #[test]
    fn colours_are_around_what_is_cut() {
        let paper = Paper {
            width: Some(30),
            colours: true,
        };
        let lines = table().lines(paper);
        assert_eq!(lines[1], "\x1b[31m4711  GET /listi…  SELECT * F…\x1b[m");
        assert_eq!(lines[2], "   7  GET /検索    -");
    }

    #[test]
    fn what_could_drive_a_terminal_is_an_escape() {
        assert_eq!(shown("a\x1b[2J\u{9b}b\nc"), r"a\x1b[2J\u{9b}b c");
        let json = json(&serde_json::json!({"a": "\u{9b}\u{202e}\x1b é\u{e0001}"}));
        assert_eq!(
            json,
            "{\n  \"a\": \"\\u009b\\u202e\\u001b é\\udb40\\udc01\"\n}\n"
        );
        let back: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(back["a"], "\u{9b}\u{202e}\x1b é\u{e0001}");
    }

    #[test]
    fn a_text_is_cut_to_columns() {
        for (width, wanted) in [
            (9, "検索 abcd"),
            (8, "検索 ab…"),
            (4, "検…"),
            (1, "…"),
            (0, ""),
        ] {
            assert_eq!(cut("検索 abcd", width), wanted);
        }
    }
}
