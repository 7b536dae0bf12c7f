//! Finds the end tag of the body, reading a page as a browser's tokenizer reads it.
//!
//! Only what decides whether a `</body>` is a tag is followed: comments, quoted attributes, and
//! elements whose content is text (the HTML standard, 13.2.5). One pass, linear, whatever the
//! input; an unclosed comment, script or quote swallows the rest, as it does in the browser.

/// How near to the page's end, in bytes, the end tag must be.
pub const TAIL: usize = 64 << 10;

/// Elements whose content is text up to their own end tag. `noscript` is one where scripts run,
/// and nobody wants the panel in there elsewhere.
const TEXT_ELEMENTS: [&str; 8] = [
    "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "noscript",
];

/// The place before the last end tag `</body`, if it is near the end of this HTML page.
pub(super) fn in_html(page: &[u8]) -> Option<usize> {
    let mut reader = Reader { page, at: 0 };
    let mut last = None;
    // Depth of `svg` and `math`, where XML's empty tags and CDATA sections count.
    let mut foreign = 0_usize;
    while let Some(start) = reader.next_tag() {
        let Some(tag) = reader.tag(foreign > 0) else {
            break;
        };
        let Markup::Tag {
            name,
            closing,
            empty,
        } = tag
        else {
            continue;
        };
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if closing {
            if is("body") {
                last = Some(start);
            } else if is("svg") || is("math") {
                foreign = foreign.saturating_sub(1);
            }
        } else if foreign > 0 && empty {
            // `<script/>` in SVG is whole.
        } else if is("svg") || is("math") {
            foreign += 1;
        } else if is("plaintext") {
            break;
        } else if is("script") {
            if reader.skip_script().is_none() {
                break;
            }
        } else if let Some(known) = TEXT_ELEMENTS.iter().find(|known| is(known))
            && reader.skip_text(known).is_none()
        {
            break;
        }
    }
    near_the_end(page, last)
}

/// The same for XHTML: names in lower case, no text elements, and nothing left open.
pub(super) fn in_xhtml(page: &[u8]) -> Option<usize> {
    let mut reader = Reader { page, at: 0 };
    let mut last = None;
    while let Some(start) = reader.next_tag() {
        if let Markup::Tag {
            name: b"body",
            closing: true,
            ..
        } = reader.xml_tag()?
        {
            last = Some(start);
        }
    }
    near_the_end(page, last)
}

fn near_the_end(page: &[u8], place: Option<usize>) -> Option<usize> {
    place.filter(|&at| page.len() - at <= TAIL)
}

enum Markup<'a> {
    Tag {
        name: &'a [u8],
        closing: bool,
        /// Ends with `/>`.
        empty: bool,
    },
    /// A comment, a doctype, an instruction, or only a `<` in the text.
    Other,
}

/// Where the reader is within a tag, behind its name.
#[derive(Clone, Copy)]
enum Within {
    BetweenAttributes,
    BehindSlash,
    Name,
    BehindName,
    BeforeValue,
    PlainValue,
    Quoted(u8),
}

struct Reader<'a> {
    page: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        self.page.get(self.at..).unwrap_or_default()
    }

    /// Goes to the next `<` and answers where it is.
    fn next_tag(&mut self) -> Option<usize> {
        self.at += self.rest().iter().position(|&b| b == b'<')?;
        Some(self.at)
    }

    /// Reads what begins at this `<`; `None` where the page ends inside it.
    fn tag(&mut self, foreign: bool) -> Option<Markup<'a>> {
        match *self.rest() {
            [b'<', b'!', b'-', b'-', ..] => self.skip_comment(),
            [b'<', b'!', b'[', b'C', b'D', b'A', b'T', b'A', b'[', ..] if foreign => {
                self.skip_behind(b"]]>", 9)
            }
            [b'<', b'!' | b'?', ..] => self.skip_behind(b">", 2),
            [b'<', b'/', first, ..] if first.is_ascii_alphabetic() => self.named_tag(2),
            [b'<', b'/', ..] => self.skip_behind(b">", 2),
            [b'<', first, ..] if first.is_ascii_alphabetic() => self.named_tag(1),
            _ => {
                self.at += 1;
                Some(Markup::Other)
            }
        }
    }

    /// The same by XML's rules.
    fn xml_tag(&mut self) -> Option<Markup<'a>> {
        match *self.rest() {
            [b'<', b'!', b'-', b'-', ..] => self.skip_behind(b"-->", 4),
            [b'<', b'!', b'[', ..] => self.skip_behind(b"]]>", 3),
            [b'<', b'?', ..] => self.skip_behind(b"?>", 2),
            [b'<', b'!', ..] => self.skip_doctype(),
            [b'<', b'/', ..] => self.named_tag(2),
            _ => self.named_tag(1),
        }
    }

    /// A comment ends with `-->` or `--!>`; `<!-->` and `<!--->` are whole ones.
    fn skip_comment(&mut self) -> Option<Markup<'a>> {
        let comment = self.rest();
        let mut from = 2;
        loop {
            let dashes = from + find(comment.get(from..)?, b"--")?;
            match comment.get(dashes + 2..)? {
                [b'>', ..] => {
                    self.at += dashes + 3;
                    return Some(Markup::Other);
                }
                [b'!', b'>', ..] if dashes >= 4 => {
                    self.at += dashes + 4;
                    return Some(Markup::Other);
                }
                _ => from = dashes + 1,
            }
        }
    }

    /// A doctype, with or without declarations of its own in brackets.
    fn skip_doctype(&mut self) -> Option<Markup<'a>> {
        let end = self.rest().iter().position(|&b| b == b'>' || b == b'[')?;
        if self.rest().get(end) == Some(&b'[') {
            self.skip_behind(b"]", end)?;
        }
        self.skip_behind(b">", 0)
    }

    /// Goes behind the next `mark`, looking for it from `from` on.
    fn skip_behind(&mut self, mark: &[u8], from: usize) -> Option<Markup<'a>> {
        let at = find(self.rest().get(from..)?, mark)?;
        self.at += from + at + mark.len();
        Some(Markup::Other)
    }

    /// Reads a tag whose name begins after `before` bytes.
    fn named_tag(&mut self, before: usize) -> Option<Markup<'a>> {
        let tag = self.rest().get(before..)?;
        let length = tag.iter().position(|&b| ends_name(b))?;
        let (name, behind) = tag.split_at_checked(length)?;
        let (attributes, empty) = attributes(behind)?;
        self.at += before + length + attributes;
        Some(Markup::Tag {
            name,
            closing: before == 2,
            empty,
        })
    }

    /// Goes to the end tag of the text element `name`.
    fn skip_text(&mut self, name: &str) -> Option<()> {
        loop {
            self.next_tag()?;
            if self
                .rest()
                .strip_prefix(b"</")
                .is_some_and(|tag| begins_tag(tag, name))
            {
                return Some(());
            }
            self.at += 1;
        }
    }

    /// Goes to the end tag of a script. `<!-- <script>` hides the next `</script>`, up to `-->`.
    fn skip_script(&mut self) -> Option<()> {
        let (mut escaped, mut hidden) = (false, false);
        loop {
            let next = self.rest().iter().position(|&b| b == b'<' || b == b'-')?;
            self.at += next;
            let rest = self.rest();
            if rest.starts_with(b"<!--") {
                escaped = true;
                // On the dashes: `<!-->` is whole.
                self.at += 2;
                continue;
            } else if rest.starts_with(b"-->") {
                (escaped, hidden) = (false, false);
            } else if rest
                .strip_prefix(b"</")
                .is_some_and(|tag| begins_tag(tag, "script"))
            {
                if !hidden {
                    return Some(());
                }
                hidden = false;
            } else if rest
                .strip_prefix(b"<")
                .is_some_and(|tag| begins_tag(tag, "script"))
            {
                hidden |= escaped;
            }
            self.at += 1;
        }
    }
}

/// The length of a tag's rest, up to and with its `>`, and whether it ends with `/>`.
fn attributes(tag: &[u8]) -> Option<(usize, bool)> {
    let mut within = Within::BetweenAttributes;
    for (at, &byte) in tag.iter().enumerate() {
        let space = byte.is_ascii_whitespace();
        within = match (within, byte) {
            (Within::Quoted(quote), _) if byte == quote => Within::BetweenAttributes,
            (Within::Quoted(_), _) => within,
            (_, b'>') => return Some((at + 1, matches!(within, Within::BehindSlash))),
            (Within::BeforeValue, b'"' | b'\'') => Within::Quoted(byte),
            (Within::BeforeValue, _) if space => within,
            (Within::BeforeValue | Within::PlainValue, _) if !space => Within::PlainValue,
            (Within::Name | Within::BehindName, b'=') => Within::BeforeValue,
            (Within::Name | Within::BehindName, _) if space => Within::BehindName,
            (_, b'/') => Within::BehindSlash,
            _ if space => Within::BetweenAttributes,
            _ => Within::Name,
        };
    }
    None
}

/// Whether `tag` begins with this name, and the name ends there.
fn begins_tag(tag: &[u8], name: &str) -> bool {
    tag.split_at_checked(name.len())
        .is_some_and(|(head, behind)| {
            head.eq_ignore_ascii_case(name.as_bytes())
                && behind.first().is_some_and(|&b| ends_name(b))
        })
}

fn ends_name(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'/' || byte == b'>'
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    text.windows(mark.len()).position(|window| window == mark)
}
