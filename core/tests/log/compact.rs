//! The compact note.

use crate::page;
use ioprofiler::notes::Note;
use ioprofiler::profile::ProfileData;
use ioprofiler::{Facts, NoteFormat, Profiler};
use proptest::prelude::*;

#[test]
fn the_note_of_the_original() {
    let mut data = page();
    data.notes[0] = Note::new("ab_ids", "6;12;14");
    data.notes[1] = Note::new("ab_variants", "0;0;1");
    let format = NoteFormat::parse(NoteFormat::ETSY).unwrap();
    assert_eq!(format.write(&data), "6;12;14 0;0;1 5020244 8912896 373846");
    assert_eq!(format.write(&ProfileData::default()), "- - - - 0");
}

#[test]
fn it_ends_at_a_field_and_says_so() {
    let mut data = page();
    data.notes = vec![
        Note::new("a", "aaa"),
        Note::new("b", "bbb"),
        Note::new("c", "ccc"),
    ];
    let format = NoteFormat::parse("%{a}n %{b}n %{c}n").unwrap();
    for (most, wanted) in [
        (11, "aaa bbb ccc"),
        (10, "aaa bbb ~"),
        (9, "aaa bbb ~"),
        (8, "aaa ~"),
        (5, "aaa ~"),
        (4, "~"),
        (1, "~"),
    ] {
        assert_eq!(
            format.clone().max_bytes(most).unwrap().write(&data),
            wanted,
            "{most}"
        );
    }
    assert!(format.clone().max_bytes(0).is_err());
    assert!(format.max_bytes(1_001).is_err());
}

#[test]
fn formats_that_would_leave_the_alphabet_are_refused() {
    for bad in [
        "", " ", "%h ", " %h", "%h  %u", "\"%r\"", "%h\t%u", "é", "%t", "a%%", "%Z",
    ] {
        assert!(NoteFormat::parse(bad).is_err(), "{bad:?}");
    }
    let tame = NoteFormat::parse("u=%u;m=%m %{sec}t - %{User-Agent}i %r").unwrap();
    assert_eq!(
        tame.write(&page()),
        "u=5020244;m=GET 1288789982 - Mozilla/5.0%20%28Windows%29 GET%20/listing/5773453%3Fref=cat%20HTTP/1.1"
    );
    assert_eq!(tame.request_headers(), ["user-agent"]);
}

#[test]
fn a_live_request_gives_its_note_and_a_finished_one_too() {
    let format = NoteFormat::parse("%{user_id}n %{calls}n %s").unwrap();
    let profiler = Profiler::builder().note_format(format).build().unwrap();
    let request = profiler.begin(&Facts::web("GET", "/"));
    assert_eq!(request.compact_note().as_deref(), Some("- 0 -"));
    request.note("user_id", 5_020_244);
    request.run(|| ioprofiler::span("dbshard01", "SELECT 1").run(|| {}));
    assert_eq!(request.compact_note().as_deref(), Some("5020244 1 -"));
    let profile = request.finish(404, 0);
    assert_eq!(request.compact_note().as_deref(), Some("5020244 1 404"));
    assert_eq!(
        profiler.note_format().unwrap().write(&profile),
        "5020244 1 404"
    );
    assert_eq!(ioprofiler::Request::none().compact_note(), None);
}

proptest! {
    #[test]
    fn no_server_can_be_harmed(
        text in any::<String>(),
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        most in 1..1_000_usize,
    ) {
        let mut data = page();
        data.notes = vec![Note::new("text", &text)];
        data.facts.headers[1].1 = bytes;
        data.facts.path = text;
        let format = NoteFormat::parse("%{app_us}n %{text}n %{User-Agent}i %U").unwrap();
        let note = format.max_bytes(most).unwrap().write(&data);
        let is_tame = |byte: u8| byte.is_ascii_alphanumeric() || b"._~:;,/@+=-% ".contains(&byte);
        prop_assert!(note.bytes().all(is_tame), "{}", note);
        prop_assert!((1..=most).contains(&note.len()));
        let fields: Vec<&str> = note.split(' ').collect();
        prop_assert!(fields.iter().all(|field| !field.is_empty()));
        prop_assert!(fields.len() == 4 || fields.last() == Some(&"~"), "{}", note);
        prop_assert_eq!(fields.iter().filter(|field| **field == "~").count(), usize::from(fields.len() < 4 || fields[3] == "~"));
    }
}
