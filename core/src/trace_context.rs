//! W3C trace context: which trace a request belongs to.

/// The `traceparent` header, read as strictly as the specification demands: whatever is wrong with
/// it, it is as if it had not come.
///
/// Its sampled bit is the sender's wish about traces; it never opens the gate.
///
/// ```
/// use ioprofiler::TraceContext;
///
/// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let trace = TraceContext::parse(header).unwrap();
/// assert_eq!(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert!(trace.sampled);
/// assert!(TraceContext::parse(&header.to_uppercase()).is_none());
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext<'a> {
    /// 32 hex digits, not all zero.
    pub trace_id: &'a str,
    /// The caller's span: 16 hex digits, not all zero.
    pub parent_id: &'a str,
    /// Whether the caller records this trace.
    pub sampled: bool,
}

const LENGTH: usize = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".len();

impl<'a> TraceContext<'a> {
    /// Reads a header's value. A version above 00 may have more behind its first four fields.
    #[must_use]
    pub fn parse(header: &'a str) -> Option<Self> {
        let version = hex(header, 0, 2).filter(|version| *version != "ff")?;
        let more = header.get(LENGTH..)?;
        if !more.is_empty() && (version == "00" || !more.starts_with('-')) {
            return None;
        }
        let dashes = [2, 35, 52].map(|at| header.get(at..=at) == Some("-"));
        if dashes != [true; 3] {
            return None;
        }
        let flags = u8::from_str_radix(hex(header, 53, 55)?, 16).ok()?;
        Some(Self {
            trace_id: hex(header, 3, 35).filter(is_not_zero)?,
            parent_id: hex(header, 36, 52).filter(is_not_zero)?,
            sampled: flags & 1 != 0,
        })
    }
}

fn hex(text: &str, from: usize, to: usize) -> Option<&str> {
    let is_lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.get(from..to)
        .filter(|hex| hex.bytes().all(is_lower_hex))
}

fn is_not_zero(id: &&str) -> bool {
    id.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    #[test]
    fn good_ones_are_read() {
        for (text, sampled) in [
            (format!("00-{TRACE}-{PARENT}-01"), true),
            (format!("00-{TRACE}-{PARENT}-00"), false),
            (format!("00-{TRACE}-{PARENT}-03"), true),
            (format!("cc-{TRACE}-{PARENT}-02"), false),
            (
                format!("cc-{TRACE}-{PARENT}-01-what the future brings"),
                true,
            ),
            (format!("01-{TRACE}-{PARENT}-01-"), true),
        ] {
            let read = TraceContext::parse(&text);
            let wanted = TraceContext {
                trace_id: TRACE,
                parent_id: PARENT,
                sampled,
            };
            assert_eq!(read, Some(wanted), "{text}");
        }
    }

    #[test]
    fn bad_ones_are_as_if_they_had_not_come() {
        let zero = "0".repeat(32);
        for text in [
            String::new(),
            "00".to_owned(),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("0x-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("00-{TRACE}-{PARENT}-01-more"),
            format!("01-{TRACE}-{PARENT}-01more"),
            format!("00-{TRACE}-{PARENT}-0"),
            format!("00-{TRACE}-{PARENT}-0G"),
            format!("00-{TRACE}-{PARENT}-+1"),
            format!("00-{zero}-{PARENT}-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", PARENT.to_uppercase()),
            format!("00_{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}_{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}_01"),
            format!(" 00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01 "),
            format!("00-é{}-{PARENT}-01", TRACE.get(2..).unwrap()),
        ] {
            assert_eq!(TraceContext::parse(&text), None, "{text}");
        }
    }
}
