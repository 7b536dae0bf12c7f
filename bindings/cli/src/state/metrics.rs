//! `ioprofiler metrics`: everything that was counted, as Prometheus reads it.

use ioprofiler::collect::state::merged_series;
use ioprofiler::sinks::Exposition;
use serde_json::json;

use super::Common;
use super::table::json as to_json;
use crate::Done;
use crate::options::{Options, Wrong};

const HELP: &str = "\
usage: ioprofiler metrics [--openmetrics] [--json]

Prints everything that the processes counted since they began, those that have
ended included, as a scrape of Prometheus reads it: for its node_exporter's
textfile collector, where nothing of the program is mounted at /metrics.

  --openmetrics    in OpenMetrics 1.0, else in the text format 0.0.4
  --json           for another program, as ioprofiler series --json
  --state-dir DIR  as the program has it in its option state_dir
  or IOPROFILER_STATE_DIR=DIR in the environment
";

const ALLOWED: &str = "--openmetrics, --json, --state-dir";

pub(super) fn run(options: &mut Options) -> Result<Done, Wrong> {
    let mut accept = "text/plain";
    let common = Common::parse(options, None, ALLOWED, |name, _| {
        let is_it = name == "--openmetrics";
        if is_it {
            accept = "application/openmetrics-text";
        }
        Ok(is_it)
    })?;
    if options.wants_help() {
        return Ok(Done::said(HELP));
    }
    let mut folder = common.folder()?;
    let all = folder.read(|path| Ok(merged_series(path)))?;
    let mut done = Done::said(if common.json {
        to_json(&json!({"series": all, "passed_over": folder.passed_over()}))
    } else {
        Exposition::of(&all, accept).body
    });
    if all.is_empty() && !common.json {
        done.remarks = "nothing was counted yet\n".to_owned();
    }
    done.remarks.push_str(&folder.remark());
    Ok(done)
}
