//! What is said of each slip that tired people make: the text of a file, and each message.
//!
//! `flag_messages.txt` holds the cases: `=== toml` or `=== json`, the file (a `¶` at its end: no
//! newline there), `--- `, and the messages as `LINE:COLUMN severity: message`.

use ioprofiler::flags::file::{Layer, read};

#[test]
fn every_slip_is_said_with_its_place_and_what_to_write() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/flag_messages.txt");
    let cases = std::fs::read_to_string(path).unwrap();
    let mut said = String::new();
    for case in cases.split("=== ").skip(1) {
        let (file, _) = case.split_once("--- \n").unwrap();
        let (kind, text) = file.split_once('\n').unwrap();
        let text = text.strip_suffix("¶\n").unwrap_or(text);
        said.push_str(&format!("=== {file}--- \n"));
        for problem in read(&[Layer::new(format!("flags.{kind}"), text)], None).problems {
            said.push_str(&format!(
                "{}:{} {}: {}\n",
                problem.line,
                problem.column,
                problem.severity.as_str(),
                problem.message
            ));
        }
    }
    if said != cases {
        let new = std::env::temp_dir().join("flag_messages.txt");
        std::fs::write(&new, &said).unwrap();
        let (was, is) = cases
            .lines()
            .zip(said.lines())
            .find(|(was, is)| was != is)
            .unwrap_or(("(the end)", "(the end)"));
        panic!(
            "expected {was}\n   found {is}\nall of it: {}",
            new.display()
        );
    }
}
