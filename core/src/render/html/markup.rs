//! The one place where text becomes markup.
//!
//! The output is a private string that takes only three things: markup that stands in our source
//! (`&'static str`), numbers, and text, which is escaped here. It is pure ASCII and well-formed
//! XML, so it can be spliced into a page of any ASCII-compatible charset and into XHTML.

use crate::render::shown::is_unsafe_to_show;

/// After so many characters without white space a line may break, style sheet or not.
const RUN: usize = 40;

/// Markup under construction.
pub(in crate::render) struct Markup {
    out: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Space,
    Escape,
}

const fn class_of(byte: u8) -> Class {
    match byte {
        b' ' | b'\n' | b'\t' => Class::Space,
        b'&' | b'<' | b'>' | b'"' | b'\'' => Class::Escape,
        b'!'..=b'~' => Class::Plain,
        _ => Class::Escape,
    }
}

/// `class_of` as a table: one look-up a byte in the loop that reads every detail.
static CLASSES: [Class; 256] = classes();

#[expect(
    clippy::indexing_slicing,
    reason = "runs in the compiler, and below 256"
)]
const fn classes() -> [Class; 256] {
    let mut table = [Class::Escape; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = class_of(byte as u8);
        byte += 1;
    }
    table
}

impl Markup {
    pub(in crate::render) fn with_capacity(bytes: usize) -> Self {
        Self {
            out: String::with_capacity(bytes),
        }
    }

    pub(in crate::render) fn into_string(self) -> String {
        self.out
    }

    /// Markup of ours, as it stands in the source.
    pub(in crate::render) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.out.push_str(markup);
        self
    }

    /// Anybody's text, for an element or a quoted attribute.
    pub(in crate::render) fn text(&mut self, text: &str) -> &mut Self {
        self.escape(text, usize::MAX);
        self
    }

    /// As [`Self::text`], for an element only: long runs without white space may break.
    pub(in crate::render) fn breakable(&mut self, text: &str) -> &mut Self {
        self.escape(text, RUN);
        self
    }

    /// A whole number.
    pub(in crate::render) fn int(&mut self, number: impl Into<u64>) -> &mut Self {
        let mut digits = [0u8; 20];
        let mut rest: u64 = number.into();
        let mut used = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            used += 1;
            if rest == 0 {
                break;
            }
        }
        let text = digits.get(digits.len() - used..).unwrap_or_default();
        self.out
            .push_str(std::str::from_utf8(text).unwrap_or_default());
        self
    }

    /// Nanoseconds as milliseconds with three decimals.
    pub(in crate::render) fn ms(&mut self, nanoseconds: u64) -> &mut Self {
        let microseconds = nanoseconds / 1_000 + u64::from(nanoseconds % 1_000 >= 500);
        self.int(microseconds / 1_000).raw(".");
        self.padded(microseconds % 1_000, 3)
    }

    /// Nanoseconds as a person would say them: three digits and a unit.
    pub(in crate::render) fn about(&mut self, nanoseconds: u64) -> &mut Self {
        let tenths_of =
            |unit: u64| nanoseconds / (unit / 10) + nanoseconds % (unit / 10) * 2 / (unit / 10);
        match nanoseconds {
            0..1_000 => self.int(nanoseconds).raw(" ns"),
            1_000..1_000_000 => self.tenths(tenths_of(1_000)).raw(" &#xb5;s"),
            1_000_000..10_000_000_000 => self.tenths(tenths_of(1_000_000)).raw(" ms"),
            _ => self.tenths(tenths_of(1_000_000_000)).raw(" s"),
        }
    }

    /// A part of a whole as an SVG length: `12.34%`.
    pub(in crate::render) fn percent(&mut self, part: u64, whole: u64) -> &mut Self {
        let whole = u128::from(whole.max(1));
        let hundredths = (u128::from(part) * 10_000 / whole).min(10_000) as u64;
        self.int(hundredths / 100).raw(".");
        self.padded(hundredths % 100, 2).raw("%")
    }

    /// A number given in tenths, with its decimal.
    pub(in crate::render) fn tenths(&mut self, tenths: u64) -> &mut Self {
        self.int(tenths / 10).raw(".").int(tenths % 10)
    }

    /// A number with at least so many digits.
    pub(in crate::render) fn padded(&mut self, number: u64, digits: u32) -> &mut Self {
        for power in (1..digits).rev() {
            if number < 10u64.saturating_pow(power) {
                self.out.push('0');
            }
        }
        self.int(number)
    }

    fn escape(&mut self, text: &str, longest_run: usize) {
        self.out.reserve(text.len());
        let (mut copied, mut skip_to, mut run) = (0, 0, 0);
        for (at, &byte) in text.as_bytes().iter().enumerate() {
            if at < skip_to {
                continue;
            }
            let class = CLASSES
                .get(usize::from(byte))
                .copied()
                .unwrap_or(Class::Escape);
            run = if class == Class::Space { 0 } else { run + 1 };
            if class != Class::Escape && run <= longest_run {
                continue;
            }
            self.out.push_str(text.get(copied..at).unwrap_or_default());
            copied = at;
            if run > longest_run {
                self.out.push_str("<wbr/>");
                run = 1;
            }
            if class == Class::Escape {
                let character = text.get(at..).and_then(|rest| rest.chars().next());
                let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
                self.character(character);
                skip_to = at + character.len_utf8();
                copied = skip_to;
            }
        }
        self.out.push_str(text.get(copied..).unwrap_or_default());
    }

    fn character(&mut self, character: char) {
        match character {
            '&' => self.out.push_str("&amp;"),
            '<' => self.out.push_str("&lt;"),
            '>' => self.out.push_str("&gt;"),
            '"' => self.out.push_str("&quot;"),
            '\'' => self.out.push_str("&#39;"),
            _ if character.is_ascii_control() => {
                self.out.push_str("\\x");
                self.hex(u32::from(character), 2);
            }
            _ if is_unsafe_to_show(character) || is_noncharacter(character) => {
                self.out.push_str("\\u{");
                self.hex(u32::from(character), 1);
                self.out.push('}');
            }
            _ => {
                self.out.push_str("&#x");
                self.hex(u32::from(character), 1);
                self.out.push(';');
            }
        }
    }

    fn hex(&mut self, number: u32, least_digits: u32) {
        let digits = (32 - number.leading_zeros()).div_ceil(4).max(least_digits);
        for place in (0..digits).rev() {
            let digit = (number >> (4 * place)) & 15;
            self.out.push(char::from_digit(digit, 16).unwrap_or('0'));
        }
    }
}

/// What Unicode keeps for no character, and XML forbids in part.
fn is_noncharacter(character: char) -> bool {
    u32::from(character) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(make: impl FnOnce(&mut Markup)) -> String {
        let mut markup = Markup::with_capacity(0);
        make(&mut markup);
        markup.into_string()
    }

    #[test]
    fn numbers() {
        let ms = |nanoseconds| made(|out| _ = out.ms(nanoseconds));
        assert_eq!(ms(0), "0.000");
        assert_eq!(ms(902_000), "0.902");
        assert_eq!(ms(236_311_500), "236.312");
        assert_eq!(ms(u64::MAX), "18446744073709.552");
        let about = |nanoseconds| made(|out| _ = out.about(nanoseconds));
        assert_eq!(about(999), "999 ns");
        assert_eq!(about(33_049), "33.0 &#xb5;s");
        assert_eq!(about(126_795_000), "126.8 ms");
        assert_eq!(about(61_000_000_000), "61.0 s");
        assert_eq!(made(|out| _ = out.percent(1, 3)), "33.33%");
        assert_eq!(made(|out| _ = out.percent(7, 0)), "100.00%");
        assert_eq!(made(|out| _ = out.padded(7, 3)), "007");
        assert_eq!(made(|out| _ = out.padded(0, 2)), "00");
    }

    #[test]
    fn text_becomes_harmless_ascii() {
        let text = |text: &'static str| made(|out| _ = out.text(text));
        assert_eq!(text("</script><!--"), "&lt;/script&gt;&lt;!--");
        assert_eq!(text("a\"b'c&d"), "a&quot;b&#39;c&amp;d");
        assert_eq!(
            text("\0\x1b\r\n\t\u{7f}\u{85}"),
            "\\x00\\x1b\\x0d\n\t\\x7f\\u{85}"
        );
        assert_eq!(text("caf\u{e9} \u{1f600}"), "caf&#xe9; &#x1f600;");
        assert_eq!(
            text("a\u{202e}b\u{feff}\u{ffff}"),
            "a\\u{202e}b\\u{feff}\\u{ffff}"
        );
    }

    #[test]
    fn long_runs_may_break() {
        let long = "x".repeat(RUN + 1);
        let broken = made(|out| _ = out.breakable(&long));
        assert_eq!(broken, format!("{}<wbr/>x", "x".repeat(RUN)));
        assert_eq!(made(|out| _ = out.breakable("a b")), "a b");
        assert_eq!(made(|out| _ = out.text(&long)), long);
    }
}
