//! The language of Apache's `LogFormat`, read strictly: what Apache would pass over or write as it
//! stands is an error here.

use super::Item;
use super::directive::{Condition, Directive, Unit, What};
use super::ready::NoteName;
use super::time::TimeFormat;
use crate::error::Error;

/// What an unknown directive's message lists.
const KNOWN: &str = "%h %a %l %u %t %{FORMAT}t %r %m %U %q %H %s %>s %b %B %D %T %{ms}T %v %V %p \
                     %{HEADER}i %{HEADER}o %{NOTE}n %{COOKIE}C %%";

/// The pieces of a format.
pub(super) fn items(format: &str) -> Result<Vec<Item>, Error> {
    let mut parser = Parser {
        format,
        at: 0,
        items: Vec::new(),
    };
    while let Some(next) = parser.peek() {
        match next {
            '%' => parser.directive()?,
            '\\' => parser.escape()?,
            '\n' | '\r' => {
                return Err(parser.wrong(parser.at, "a line cannot contain a line's end"));
            }
            next if next.is_control() && next != '\t' => {
                return Err(parser.wrong(parser.at, "a line cannot contain a control character"));
            }
            next => parser.literal(next),
        }
    }
    // A misspelled `combined` would be what every line says.
    if !format.contains('%') {
        let what = if format.is_empty() {
            "it is empty"
        } else {
            "it has no directive"
        };
        return Err(Error::new(format!(
            "log format: {what}; allowed: \"common\", \"combined\", \"json\", or {KNOWN}"
        )));
    }
    Ok(parser.items)
}

struct Parser<'a> {
    format: &'a str,
    at: usize,
    items: Vec<Item>,
}

/// What stands between `%` and the letter.
#[derive(Default)]
struct Modifiers<'a> {
    argument: Option<&'a str>,
    negated: bool,
    statuses: Vec<u16>,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.format.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Columns count characters, from 1.
    fn wrong(&self, at: usize, what: impl AsRef<str>) -> Error {
        let before = self.format.get(..at).unwrap_or(self.format);
        let column = before.chars().count() + 1;
        Error::new(format!("log format, column {column}: {}", what.as_ref()))
    }

    fn literal(&mut self, text: char) {
        self.at += text.len_utf8();
        self.push(text);
    }

    fn push(&mut self, text: char) {
        if let Some(Item::Literal(literal)) = self.items.last_mut() {
            literal.push(text);
        } else {
            self.items.push(Item::Literal(text.to_string()));
        }
    }

    /// `\"` is what a format from Apache's configuration has for a quote.
    fn escape(&mut self) -> Result<(), Error> {
        let from = self.at;
        self.take();
        match self.peek() {
            Some(quote @ ('"' | '\\')) => self.literal(quote),
            Some('t') => {
                self.take();
                self.push('\t');
            }
            Some('n' | 'r') => {
                return Err(self.wrong(from, "a line cannot contain a line's end"));
            }
            _ => self.push('\\'),
        }
        Ok(())
    }

    fn directive(&mut self) -> Result<(), Error> {
        let from = self.at;
        self.take();
        let mut modifiers = Modifiers::default();
        let letter = loop {
            match self.peek() {
                None => return Err(self.wrong(from, "the format ends within a directive")),
                Some('!') => {
                    modifiers.negated = !modifiers.negated;
                    self.take();
                }
                Some('<' | '>' | ',') => {
                    self.take();
                }
                Some('0'..='9') => modifiers.statuses.push(self.status()?),
                Some('{') => modifiers.argument = Some(self.argument(from)?),
                Some(letter) => {
                    self.take();
                    break letter;
                }
            }
        };
        if letter == '%' {
            self.push('%');
            return Ok(());
        }
        let what = self.what(from, letter, modifiers.argument)?;
        let only = (!modifiers.statuses.is_empty()).then_some(Condition {
            negated: modifiers.negated,
            statuses: modifiers.statuses,
        });
        self.items.push(Item::Directive(Directive { what, only }));
        Ok(())
    }

    fn status(&mut self) -> Result<u16, Error> {
        let from = self.at;
        while self.peek().is_some_and(|next| next.is_ascii_digit()) {
            self.take();
        }
        let digits = self.format.get(from..self.at).unwrap_or("");
        let status = digits
            .parse()
            .ok()
            .filter(|status| (100..1_000).contains(status));
        status.ok_or_else(|| self.wrong(from, format!("{digits} is not a status")))
    }

    fn argument(&mut self, from: usize) -> Result<&'a str, Error> {
        let (_, rest) = self.rest().split_at_checked(1).unwrap_or_default();
        let Some(length) = rest.find('}') else {
            return Err(self.wrong(from, "`{` without `}`"));
        };
        self.at += length + 2;
        Ok(rest.get(..length).unwrap_or(""))
    }

    fn what(&self, from: usize, letter: char, argument: Option<&str>) -> Result<What, Error> {
        let named = || match argument {
            None | Some("") => {
                let example = match letter {
                    'n' => "user_id",
                    'C' => "session",
                    'o' => "Content-Type",
                    _ => "Referer",
                };
                let what = format!("%{letter} needs a name, as in %{{{example}}}{letter}");
                Err(self.wrong(from, what))
            }
            Some(name) => Ok(name.to_owned()),
        };
        let what = match letter {
            't' => {
                let time = TimeFormat::parse(argument.unwrap_or(""));
                return time.map(What::Time).map_err(|why| self.wrong(from, why));
            }
            'T' => return self.unit(from, argument).map(What::Duration),
            'i' => return named().map(What::RequestHeader),
            'o' => return named().map(What::AnswerHeader),
            'C' => return named().map(What::Cookie),
            'n' => return named().map(|name| What::Note(NoteName::new(name))),
            'h' => What::RemoteHost,
            'a' => What::RemoteAddress,
            'l' => What::LogName,
            'u' => What::User,
            'r' => What::RequestLine,
            'm' => What::Method,
            'U' => What::Path,
            'q' => What::Query,
            'H' => What::Protocol,
            's' => What::Status,
            'b' => What::BytesOrDash,
            'B' => What::Bytes,
            'D' => What::Duration(Unit::Microseconds),
            'v' => What::ServerName,
            'V' => What::HostName,
            'p' => What::Port,
            other => {
                let shown = crate::text::is_unsafe_to_show(other);
                let name = if shown {
                    other.escape_unicode().to_string()
                } else {
                    other.to_string()
                };
                return Err(self.wrong(
                    from,
                    format!("%{name} is not known to a library in the application; known: {KNOWN}"),
                ));
            }
        };
        match argument {
            None => Ok(what),
            Some(argument) => Err(self.wrong(
                from,
                format!("%{{{argument}}}{letter}: %{letter} takes no argument here"),
            )),
        }
    }

    fn unit(&self, from: usize, argument: Option<&str>) -> Result<Unit, Error> {
        match argument.unwrap_or("s").to_ascii_lowercase().as_str() {
            "s" | "" => Ok(Unit::Seconds),
            "ms" => Ok(Unit::Milliseconds),
            "us" => Ok(Unit::Microseconds),
            other => Err(self.wrong(from, format!("%{{{other}}}T: allowed are s, ms and us"))),
        }
    }
}
