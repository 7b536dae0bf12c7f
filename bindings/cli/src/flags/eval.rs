//! `flags eval`: what somebody gets, step by step.

use std::path::PathBuf;

use ioprofiler::flags::{Explanation, Snapshot, Subject, compile};
use serde_json::json;

use super::files::Files;
use super::given::Given;
use super::{nearest, remark};
use crate::Done;
use crate::options::{Wrong, text};

pub(super) fn run(mut given: Given) -> Result<Done, Wrong> {
    // FILE… FLAG, or only FLAG where the files are named otherwise.
    let flag = match given.words.pop() {
        Some(word) => text("the flag's name", word)?,
        None => return Err(Wrong::Usage("the flag's name is missing".to_owned())),
    };
    let named: Vec<PathBuf> = given.named_files();
    let loaded = Files::of(&named, given.state_dir.as_ref())?.load();
    if loaded.flag(&flag).is_none() && loaded.reading.kept_layers.is_empty() {
        let meant = nearest(&flag, loaded.names());
        return Err(Wrong::Failed(format!("no file has a flag {flag:?}{meant}")));
    }
    let remark = remark(&loaded.reading);
    let snapshot = compile(loaded.reading.document);
    let explanation = explain(&snapshot, &flag, &given);
    let mut done = Done::said(if given.json {
        as_json(&snapshot, &flag, &explanation)
    } else {
        explanation.to_string()
    });
    if let Some(remark) = remark {
        done.remarks = remark;
    }
    Ok(done)
}

/// For those who were named on the command line.
fn explain(snapshot: &Snapshot, flag: &str, given: &Given) -> Explanation {
    let groups: Vec<&str> = given.groups.iter().map(String::as_str).collect();
    let attributes = given.attributes.iter();
    let attributes: Vec<(&str, &str)> = attributes
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let text = |id: &Option<String>| id.clone().unwrap_or_default();
    let (user, visitor) = (text(&given.user), text(&given.visitor));
    let request = text(&given.request);
    // An empty id is nobody's.
    let who = Subject::user(&user)
        .with_visitor(&visitor)
        .with_request(&request)
        .in_groups(&groups)
        .with_attributes(&attributes);
    snapshot.explain(flag, &who)
}

fn as_json(snapshot: &Snapshot, flag: &str, explanation: &Explanation) -> String {
    let decision = explanation.decision();
    let steps: Vec<_> = explanation
        .steps()
        .iter()
        .map(|step| json!({"rule": step.rule, "says": step.says, "decided": step.decided}))
        .collect();
    let all = json!({
        "flag": flag,
        "state": decision.state().as_str(),
        "variant": decision.variant(),
        "reason": decision.reason().as_str(),
        "group": decision.group(),
        "bucket": explanation.bucket(),
        "version": snapshot.version_text(),
        "data": snapshot_data(snapshot, flag, decision.variant()),
        "steps": steps,
    });
    format!("{all:#}\n")
}

fn snapshot_data(snapshot: &Snapshot, flag: &str, variant: &str) -> serde_json::Value {
    let mut flags = snapshot.document().flags.iter();
    let spec = flags.find(|spec| spec.name == flag);
    let data = spec.and_then(|spec| spec.data.iter().find(|(name, _)| name == variant));
    data.and_then(|(_, json)| serde_json::from_str(json).ok())
        .unwrap_or_default()
}
