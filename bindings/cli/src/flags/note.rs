//! The comment that a command leaves above the line it changed: what, who, when, why.

use crate::time;

/// One line, without its end.
pub(super) fn of(what: &str, by: &str, reason: Option<&str>) -> String {
    let why = reason.map_or_else(String::new, |reason| format!(": {}", one_line(reason)));
    format!(
        "# {what} by {} at {}{why}",
        one_line(by),
        time::rfc3339(time::now())
    )
}

/// Whether a line is one of those.
pub(super) fn is_ours(line: &str) -> bool {
    said(line).is_some()
}

/// What such a line says.
pub(super) fn said(line: &str) -> Option<&str> {
    let said = line.trim().strip_prefix("# ")?;
    let (what, rest) = said.split_once(" by ")?;
    let (_, rest) = rest.split_once(" at ")?;
    let is_time = rest
        .get(..20)
        .is_some_and(|time| time.ends_with('Z') && time.contains('T'));
    (["switched", "shedding"].contains(&what.split(' ').next().unwrap_or_default()) && is_time)
        .then_some(said)
}

pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Who gives the command.
pub(crate) fn who(named: Option<&str>) -> String {
    let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    named
        .map(str::to_owned)
        .or_else(|| of("SUDO_USER"))
        .or_else(|| of("USER"))
        .or_else(|| of("LOGNAME"))
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}
