//! `ioprofiler slow`: requests that are kept, the slowest first.

use std::time::Duration;

use ioprofiler::collect::state::{KeptRequest, kept_requests};
use ioprofiler::render::shown::{ms, thousands};
use serde_json::json;

use super::rows::{many, what};
use super::table::{Column, Paint, Paper, Table, json as to_json, shown};
use super::when::Now;
use super::{Common, duration, ns};
use crate::Done;
use crate::options::{Options, Wrong};
use crate::time::roughly;

const HELP: &str = "\
usage: ioprofiler slow [ROUTE] [--errors] [--since TIME] [--json]

Lists the requests that are kept, the slowest first: of each route the slowest
and the last that failed. Times are in milliseconds. ROUTE is a route as it is
shown, or a part of some; ioprofiler show ID prints one, call by call, and
takes the first letters of an id.

  --errors         those that failed only
  --since TIME     those that began within that time: 90s, 30m or 8h
  --json           for a program, times in nanoseconds
  --state-dir DIR  as the program has it in its option state_dir
  or IOPROFILER_STATE_DIR=DIR in the environment
";

const ALLOWED: &str = "ROUTE, --errors, --since, --json, --state-dir";
/// No id is shown shorter, though less would tell it from the others.
const SHORTEST_ID: usize = 8;
/// More are not named where none was found.
const MOST_ROUTES: usize = 10;
/// Where a line has so many columns, ids are shown whole.
const WIDE: usize = 120;

pub(super) fn run(options: &mut Options) -> Result<Done, Wrong> {
    let (mut errors, mut since): (bool, Option<Duration>) = (false, None);
    let common = Common::parse(options, Some("ROUTE"), ALLOWED, |name, options| {
        match name {
            "--errors" => errors = true,
            "--since" => since = Some(duration(name, options)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if options.wants_help() {
        return Ok(Done::said(HELP));
    }
    let mut folder = common.folder()?;
    let all = folder.read(kept_requests)?;
    let now = Now::new();
    let is_exact = |route: &str| all.iter().any(|request| request.route == *route);
    let is_route = |request: &KeptRequest| match common.word.as_deref() {
        None => true,
        Some(route) if is_exact(route) => request.route == route,
        Some(part) => request.route.contains(part),
    };
    let kept: Vec<&KeptRequest> = all
        .iter()
        .filter(|request| is_route(request))
        .filter(|request| !errors || request.reason == "error")
        .filter(|request| since.is_none_or(|since| now.since(request.started_at) <= ns(since)))
        .collect();
    let mut done = Done::said(if common.json {
        let list = json!({"requests": kept, "passed_over": folder.passed_over()});
        to_json(&list)
    } else {
        text(&kept, &all, &now)
    });
    if kept.is_empty() && !common.json {
        done.remarks = nothing(&all, &now);
        if !all.iter().any(is_route) {
            done.remarks.push_str(&they_are_of(&all));
        }
    }
    done.remarks.push_str(&folder.remark());
    Ok(done)
}

fn text(kept: &[&KeptRequest], all: &[KeptRequest], now: &Now) -> String {
    if kept.is_empty() {
        return String::new();
    }
    let paper = Paper::stdout();
    let is_wide = paper.width.is_none_or(|width| width >= WIDE);
    let hosts = all
        .iter()
        .any(|request| request.host != all.first().map_or("", |r| &r.host));
    let mut columns = vec![
        Column::right("MS"),
        Column::left("REQUEST").cut_to(16),
        Column::left("STATUS"),
        Column::right("CALLS"),
        Column::left("BEGAN"),
        Column::left("ID").cut_to(SHORTEST_ID),
    ];
    if hosts && is_wide {
        columns.push(Column::left("HOST"));
    }
    let mut table = Table::new(columns);
    let ids = Ids::of(all);
    for request in kept {
        let failed = request.reason == "error";
        let id = if is_wide {
            &request.id
        } else {
            ids.short(&request.id)
        };
        let cells = vec![
            ms(request.page_ns),
            what(&request.kind, &request.method, &request.route),
            status(request),
            thousands(request.calls),
            now.clock_or_day(request.started_at),
            shown(id),
            shown(&request.host),
        ];
        table.row(cells, if failed { Paint::Red } else { Paint::Plain });
    }
    let mut text = table.lines(paper).join("\n");
    text.push('\n');
    text
}

/// `503`; where the status does not say that it failed, `200 error`.
fn status(request: &KeptRequest) -> String {
    let failed = request.reason == "error";
    match request.status {
        Some(status) if failed && status < 500 => format!("{status} error"),
        Some(status) => status.to_string(),
        None if failed => "error".to_owned(),
        None => "-".to_owned(),
    }
}

/// Why a list is empty.
pub(super) fn nothing(all: &[KeptRequest], now: &Now) -> String {
    if all.is_empty() {
        return "no request is kept: none ended lately\n".to_owned();
    }
    format!("none of {}\n", in_words(all, now))
}

/// Which routes there are, where none is called as somebody thought.
fn they_are_of(all: &[KeptRequest]) -> String {
    let routes = routes(all);
    let mut names: Vec<String> = routes.iter().take(MOST_ROUTES).map(|r| shown(r)).collect();
    match routes.len().saturating_sub(MOST_ROUTES) {
        0 => {}
        more => names.push(format!("and {more} more")),
    }
    match names.is_empty() {
        true => String::new(),
        false => format!("they are of: {}\n", names.join(", ")),
    }
}

fn routes(all: &[KeptRequest]) -> Vec<&str> {
    let mut routes: Vec<&str> = all.iter().map(|request| request.route.as_str()).collect();
    routes.sort_unstable();
    routes.dedup();
    routes
}

/// `the 23 requests that are kept, of 4 routes, of the last 14 min`.
pub(super) fn in_words(all: &[KeptRequest], now: &Now) -> String {
    let oldest = all.iter().map(|request| request.started_at).min();
    let seconds = now.since(oldest.unwrap_or(now.at)) / 1_000_000_000;
    format!(
        "the {} that {} kept, of {}, of the last {}",
        many(all.len() as u64, "request"),
        if all.len() == 1 { "is" } else { "are" },
        many(routes(all).len() as u64, "route"),
        roughly(seconds)
    )
}

/// Ids, to be cut to what tells them apart.
struct Ids<'a>(Vec<&'a str>);

impl<'a> Ids<'a> {
    fn of(all: &'a [KeptRequest]) -> Self {
        let mut ids: Vec<&str> = all.iter().map(|request| request.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        Self(ids)
    }

    /// So much of an id that no other begins with it.
    fn short<'i>(&self, id: &'i str) -> &'i str {
        let common = |other: &str| {
            let pairs = id.chars().zip(other.chars());
            pairs.take_while(|(a, b)| a == b).count()
        };
        let place = self.0.partition_point(|known| *known < id);
        let before = place.checked_sub(1).and_then(|place| self.0.get(place));
        let beside = before.into_iter().chain(self.0.get(place + 1));
        let needed = beside.map(|other| common(other) + 1).max().unwrap_or(0);
        let end = id.char_indices().nth(needed.max(SHORTEST_ID));
        end.and_then(|(end, _)| id.get(..end)).unwrap_or(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_as_long_as_they_must_be() {
        let ids = Ids(vec![
            "0123456789a",
            "0123456789ab",
            "4bf92f350000",
            "5é",
            "short",
        ]);
        for (id, wanted) in [
            ("4bf92f350000", "4bf92f35"),
            ("short", "short"),
            ("5é", "5é"),
            ("0123456789ab", "0123456789ab"),
            ("0123456789a", "0123456789a"),
        ] {
            assert_eq!(ids.short(id), wanted);
        }
    }
}
