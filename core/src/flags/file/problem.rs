//! What is wrong in a file, said to somebody who was woken by it: where, what it is, what to write.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

/// How bad it is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// What is written works, and is probably not what was meant.
    Warning,
    /// The flag keeps its last good form, or the whole file does.
    Error,
}

impl Severity {
    /// `warning` or `error`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that is wrong in a flags file. Shown as `FILE:LINE:COLUMN: error: MESSAGE`.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as it was named.
    pub file: PathBuf,
    /// From 1; 0 where it is about the whole file.
    pub line: u32,
    /// From 1, in characters; 0 where it is about the whole file.
    pub column: u32,
    /// The flag that it is about, where it is about one. Only this flag keeps its last good form.
    pub flag: Option<String>,
    /// What it is, and what to write instead. One line.
    pub message: String,
    /// The line of the file, cut at 200 characters, for showing.
    pub source: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line != 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}: {}", self.severity.as_str(), self.message)
    }
}

/// More problems than these are not said; the last one says how many there were.
const MAX_SAID: usize = 1_000;
/// Of a line that is shown, in characters.
const MAX_SOURCE: usize = 200;
/// Of a value or a name that is shown in a message, in characters.
const MAX_SHOWN: usize = 60;

/// A place in one of the layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) layer: usize,
    pub(crate) span: Range<usize>,
}

impl Spot {
    pub(crate) fn new(layer: usize, span: Range<usize>) -> Self {
        Self { layer, span }
    }
}

#[derive(Debug)]
struct Finding {
    severity: Severity,
    flag: Option<String>,
    spot: Spot,
    /// It has no place in the layer.
    whole: bool,
    /// The parser found it: what else is said of the same line follows from it.
    slip: bool,
    message: String,
}

/// Collects what is wrong while layers are read.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
    unsaid: usize,
    bad_layers: BTreeSet<usize>,
    bad_flags: BTreeSet<String>,
    /// Layers of which older content is read: what is wrong in it was said when it was new.
    muted: BTreeSet<usize>,
}

impl Findings {
    /// This layer cannot be used as it is, because of what stands at this place.
    pub(crate) fn layer(&mut self, spot: Spot, message: impl Into<String>) {
        self.bad_layers.insert(spot.layer);
        self.add(Severity::Error, None, spot, false, message.into());
    }

    /// This layer cannot be used as it is, for a reason that has no place in it.
    pub(crate) fn whole_layer(&mut self, layer: usize, message: impl Into<String>) {
        self.bad_layers.insert(layer);
        let spot = Spot::new(layer, 0..0);
        self.add(Severity::Error, None, spot, true, message.into());
    }

    /// A line that belongs to no flag is wrong, and is not used; all else is.
    pub(crate) fn line(&mut self, spot: Spot, message: impl Into<String>) {
        self.add(Severity::Error, None, spot, false, message.into());
    }

    /// This flag cannot be used as it is.
    pub(crate) fn flag(&mut self, flag: &str, spot: Spot, message: impl Into<String>) {
        self.bad_flags.insert(flag.to_owned());
        self.add(
            Severity::Error,
            Some(flag.to_owned()),
            spot,
            false,
            message.into(),
        );
    }

    pub(crate) fn warn(&mut self, flag: Option<&str>, spot: Spot, message: impl Into<String>) {
        self.add(
            Severity::Warning,
            flag.map(str::to_owned),
            spot,
            false,
            message.into(),
        );
    }

    fn add(
        &mut self,
        severity: Severity,
        flag: Option<String>,
        spot: Spot,
        whole: bool,
        message: String,
    ) {
        if self.muted.contains(&spot.layer) {
            return;
        }
        if self.list.len() >= MAX_SAID {
            self.unsaid += 1;
            return;
        }
        self.list.push(Finding {
            severity,
            flag,
            spot,
            whole,
            slip: false,
            message,
        });
    }

    /// As [`Self::layer`], of the text itself. What is wrong with all of it is said once.
    pub(crate) fn slip_of_layer(&mut self, spot: Spot, message: String) {
        if self
            .list
            .last()
            .is_some_and(|last| last.slip && last.message == message)
        {
            return;
        }
        self.layer(spot, message);
        self.mark_slip();
    }

    /// As [`Self::flag`], of the text itself.
    pub(crate) fn slip_of_flag(&mut self, flag: &str, spot: Spot, message: String) {
        self.flag(flag, spot, message);
        self.mark_slip();
    }

    fn mark_slip(&mut self) {
        if let Some(last) = self.list.last_mut() {
            last.slip = true;
        }
    }

    /// Something is wrong about this flag that does not keep it from being used.
    pub(crate) fn about(&mut self, flag: &str, spot: Spot, message: impl Into<String>) {
        self.add(
            Severity::Error,
            Some(flag.to_owned()),
            spot,
            false,
            message.into(),
        );
    }

    /// From now on nothing is said of this layer.
    pub(crate) fn mute(&mut self, layer: usize) {
        self.muted.insert(layer);
    }

    /// Adds what another one has.
    pub(crate) fn take(&mut self, other: Self) {
        for finding in other.list {
            if self.list.len() < MAX_SAID {
                self.list.push(finding);
            } else {
                self.unsaid += 1;
            }
        }
        self.unsaid += other.unsaid;
        self.bad_layers.extend(other.bad_layers);
        self.bad_flags.extend(other.bad_flags);
    }

    /// Adds the flags that another one found bad, without saying so.
    pub(crate) fn take_bad_flags(&mut self, other: Self) {
        self.bad_flags.extend(other.bad_flags);
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn is_bad_layer(&self, layer: usize) -> bool {
        self.bad_layers.contains(&layer)
    }

    pub(crate) fn is_bad_flag(&self, flag: &str) -> bool {
        self.bad_flags.contains(flag)
    }

    /// As problems, in the order of files and lines. `layers` gives name and text of each.
    pub(crate) fn into_problems(self, layers: &[(PathBuf, &str)]) -> Vec<Problem> {
        if self.list.is_empty() {
            return Vec::new();
        }
        let lines: Vec<Lines<'_>> = layers.iter().map(|(_, text)| Lines::of(text)).collect();
        let mut list = self.list;
        list.sort_by_key(|finding| (finding.spot.layer, finding.spot.span.start));
        let line_of = |finding: &Finding| {
            let lines = lines.get(finding.spot.layer);
            (
                finding.spot.layer,
                lines.map_or(0, |lines| lines.line(finding.spot.span.start)),
            )
        };
        let slips: BTreeSet<(usize, u32)> = list
            .iter()
            .filter(|finding| finding.slip)
            .map(line_of)
            .collect();
        let mut problems: Vec<Problem> = list
            .into_iter()
            .filter(|finding| finding.slip || finding.whole || !slips.contains(&line_of(finding)))
            .filter_map(|finding| {
                let (path, _) = layers.get(finding.spot.layer)?;
                let lines = lines.get(finding.spot.layer)?;
                let (line, column, source) = if finding.whole {
                    (0, 0, String::new())
                } else {
                    lines.place(finding.spot.span.start)
                };
                Some(Problem {
                    severity: finding.severity,
                    file: path.clone(),
                    line,
                    column,
                    flag: finding.flag,
                    message: finding.message,
                    source,
                })
            })
            .collect();
        if self.unsaid > 0
            && let Some(last) = problems.last().cloned()
        {
            problems.push(Problem {
                line: 0,
                column: 0,
                flag: None,
                message: format!("and {} more problems", self.unsaid),
                source: String::new(),
                ..last
            });
        }
        problems
    }
}

/// Where the lines of a text begin.
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        // A line takes some thirty bytes.
        let mut starts = Vec::with_capacity(text.len() / 30 + 1);
        starts.push(0);
        starts.extend(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1));
        Self { text, starts }
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, offset: usize) -> u32 {
        let line = self.starts.partition_point(|start| *start <= offset);
        u32::try_from(line).unwrap_or(u32::MAX)
    }

    /// Line and column of a byte, from 1, and the line itself.
    pub(crate) fn place(&self, offset: usize) -> (u32, u32, String) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self
            .starts
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or(0);
        let column = self
            .text
            .get(start..offset)
            .map_or(0, |before| before.chars().count())
            + 1;
        let rest = self.text.get(start..).unwrap_or_default();
        let source = rest.lines().next().unwrap_or_default();
        (
            u32::try_from(line).unwrap_or(u32::MAX),
            u32::try_from(column).unwrap_or(u32::MAX),
            source.chars().take(MAX_SOURCE).collect(),
        )
    }
}

/// A value or name as it is shown in a message: short, on one line, without what moves the text of
/// a terminal.
pub(crate) fn shown(text: &str) -> String {
    let mut short = String::new();
    for (at, c) in text.chars().enumerate() {
        if at == MAX_SHOWN {
            short.push('…');
            break;
        }
        let moves = matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || moves {
            short.extend(c.escape_default());
        } else {
            short.push(c);
        }
    }
    short
}
