//! What leaves the process carries nobody's data.

use ioprofiler::profile::ProfileData;
use ioprofiler::render::{Details, json, server_timing, text, ticket, trace};

use crate::profiles::{Page, called_from, leaf, scope};

/// A profile that holds a secret wherever it can.
fn secretive() -> ProfileData {
    let mut page = Page::new("/reset/hunter2hunter2", 10_000);
    let facts = &mut page.0.facts;
    facts.query = Some("token=hunter2&hunter2".to_owned());
    facts.peer = Some("hunter2 peer".to_owned());
    facts.user = Some("hunter2 user".to_owned());
    facts.visitor = Some("hunter2 visitor".to_owned());
    facts.viewer = Some("hunter2 viewer".to_owned());
    facts.groups = vec!["hunter2 group".to_owned()];
    facts.headers = vec![("cookie".to_owned(), b"hunter2".to_vec())];
    facts.error = Some("no such user: hunter two".to_owned());
    let mut span = leaf(
        "dbshard01",
        "SELECT 1 FROM users WHERE password = 'hunter2'",
        100,
        10,
    );
    span.target = Some("mysql://root:hunter2@db:3306".to_owned());
    page.add(called_from(span, "/home/hunter2/shop/src/views.rs", 1));
    page.add(scope("template", "/accounts/hunter2hunter2", 100, 10));
    for nth in 0..6 {
        page.add(leaf(
            "memcache_get",
            &format!("session:hunter{nth}2"),
            200 + nth,
            1,
        ));
    }
    page.done()
}

#[test]
fn masked_forms_hold_no_secret() {
    let mut data = secretive();
    for route in [None, Some("/reset/{token}".to_owned())] {
        data.facts.route = route;
        for masked in [
            ticket(&data),
            json(&data, Details::Fingerprint),
            trace(&data, Details::Fingerprint),
            server_timing(&data),
        ] {
            assert!(!masked.contains("hunter"), "{masked}");
            assert!(masked.contains("dbshard01"), "{masked}");
        }
        for full in [
            text(&data),
            json(&data, Details::Full),
            trace(&data, Details::Full),
        ] {
            assert!(full.contains("password = 'hunter2'"), "{full}");
        }
    }
}

#[test]
fn a_ticket_shows_the_shape() {
    let ticket = ticket(&secretive());
    assert!(ticket.starts_with("# GET /reset/?"), "{ticket}");
    assert!(
        ticket.contains(
            "[dbshard01] 0.010 ms SELECT ? FROM users WHERE password = ?  @0.100 src/views.rs:1\n"
        ),
        "{ticket}"
    );
}

#[test]
fn masking_is_the_default() {
    assert_eq!(Details::default(), Details::Fingerprint);
}
