//! Files with flags, as deploys have them.

use std::fmt::Write as _;

/// A file of so many flags with so many keys each, from 6 to 12; each `round` says something else.
/// TOML as people write it; JSON of the same, if the name says so.
pub(crate) fn text(name: &str, flags: usize, keys: usize, round: usize) -> String {
    let mut toml = String::from("# Deployed with the site.\n");
    for number in 0..flags {
        let _ = write!(toml, "\n[flags.flag{number}]\n");
        for line in lines(number, round).iter().take(keys) {
            toml.push_str(line);
            toml.push('\n');
        }
    }
    if !name.ends_with(".json") {
        return toml;
    }
    use ioprofiler::flags::file::{Layer, native_json, read};
    native_json(&read(&[Layer::new("flags.toml", toml)], None).document.flags)
}

fn lines(number: usize, round: usize) -> [String; 12] {
    let percent = (number + round) % 50;
    [
        format!("description = \"What flag {number} is for, in some words\""),
        "owner = \"search-team\"".to_owned(),
        format!("enabled = {{ blue = 10, green = {percent} }}  # ramping up"),
        format!("priority = {}", number % 9 + 1),
        "expires = 2027-01-31".to_owned(),
        "groups = { staff = \"on\", beta = \"green\" }".to_owned(),
        format!("users = {{ \"5020244\" = \"green\", \"{number}\" = \"blue\" }}"),
        "dark = 20".to_owned(),
        "bucket_by = \"visitor\"".to_owned(),
        format!("id = {}", number + 1),
        "variants = { blue = 1, green = 2 }".to_owned(),
        format!("salt = \"flag {number}, drawn in 2026\""),
    ]
}
