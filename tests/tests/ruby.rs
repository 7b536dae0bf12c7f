//! The C ABI from Ruby.

use std::process::Command;

use ioprofiler_tests::php::{library, root};
use ioprofiler_tests::servers::program;
use ioprofiler_tests::shop::Shown;

#[test]
#[expect(clippy::print_stdout, reason = "tests/run reads it")]
fn ruby_prints_its_table() {
    let Some(ruby) = program("ruby") else {
        println!("skipped: ruby: it is not installed");
        return;
    };
    let output = Command::new(ruby)
        .arg(root().join("examples/ruby/hello.rb"))
        .arg(library())
        .output()
        .expect("ruby runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors, "");
    let shown = Shown::read(&String::from_utf8(output.stdout).expect("UTF-8"));
    assert!(shown.text.starts_with("# GET /listing/5773453 200 "));
    assert_eq!(shown.count("dbshard01"), 1, "{}", shown.text);
    assert_eq!(
        shown
            .having("SELECT count(*) FROM FavoriteListingUser WHERE listing_id = 5773453")
            .len(),
        1
    );
    assert!(
        shown
            .notes
            .iter()
            .any(|line| line == "note user_id = 5020244")
    );
}
