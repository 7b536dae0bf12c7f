//! The language of formats, and each directive.

use crate::page;
use ioprofiler::LogFormat;
use ioprofiler::log_format::read::read_line;
use ioprofiler::notes::Note;
use ioprofiler::profile::ProfileData;
use proptest::prelude::*;

fn line(format: &str, data: &ProfileData) -> String {
    let format = LogFormat::parse(format).unwrap().time_zone("UTC").unwrap();
    format.line(data)
}

/// The end of the line is the original's, byte for byte.
#[test]
fn the_line_of_the_original() {
    let format = r#"%{host}n %h %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" - %{ab_ids}n %{ab_variants}n %{user_id}n %{memory}n %{app_us}n %D"#;
    assert_eq!(
        line(format, &page()),
        concat!(
            r#"web0022 10.0.0.1 [03/Nov/2010:13:13:02 +0000] "GET /listing/5773453?ref=cat HTTP/1.1" "#,
            r#"200 5120 "http://www.etsy.example/" "Mozilla/5.0 (Windows)" - "#,
            "6;12;14;15 0;0;1;0 5020244 8912896 373846 842158"
        )
    );
}

#[test]
fn each_directive() {
    let data = page();
    for (format, wanted) in [
        ("%h %a %l %u", "10.0.0.1 10.0.0.1 - 5020244"),
        ("%t", "[03/Nov/2010:13:13:02 +0000]"),
        (
            "%{%Y}t %{sec}t %{msec}t %{usec}t",
            "2010 1288789982 1288789982668 1288789982668000",
        ),
        ("%{end:msec}t", "1288789983510"),
        (
            "%r|%m|%U|%q|%H",
            "GET /listing/5773453?ref=cat HTTP/1.1|GET|/listing/5773453|?ref=cat|HTTP/1.1",
        ),
        ("%s %>s %<s %b %B", "200 200 200 5120 5120"),
        (
            "%D %T %{s}T %{ms}T %{us}T %{MS}T",
            "842158 0 0 842 842158 842",
        ),
        ("%v %V %p", "www.etsy.example www.etsy.example 80"),
        ("%{Referer}i %{nothing}i", "http://www.etsy.example/ -"),
        (
            "%{Content-Type}o %{Set-Cookie}o %{X}o",
            "text/html a=1, b=2 -",
        ),
        ("%{uaid}C %{UAID}C %{none}C", "77 77 -"),
        (
            "%{user_id}n %{request_id}n %{route}n %{nothing}n",
            "5020244 7391ba500041194080da1a2b33482537 unknown -",
        ),
        ("%{calls}n %{dbshard01.calls}n %{x.us}n", "0 0 0"),
        ("100%% %%{x}n", "100% %{x}n"),
        ("%200,304h %!200,304h %404h %!404h", "10.0.0.1 - - 10.0.0.1"),
        (r#"\"%m\" \\ \t\x"#, "\"GET\" \\ \t\\x"),
    ] {
        assert_eq!(line(format, &data), wanted, "{format}");
    }
}

#[test]
fn what_is_absent() {
    let mut data = ProfileData::default();
    data.started_at = 0;
    assert_eq!(
        line(
            "%h %l %u %>s %b %B %H %q|%V %p %{a}i %{a}o %{a}C %{app_us}n %{calls}n %{io_us}n %{trace_id}n",
            &data
        ),
        "- - - - - 0 - |- 80 - - - 0 - - -"
    );
    data.facts.user = Some(String::new());
    data.facts.status = Some(0);
    data.facts.bytes_out = Some(0);
    assert_eq!(line("%u %s %b %B", &data), "\"\" - - 0");
    data.facts.host = Some("WWW.Etsy.example:8080".to_owned());
    assert_eq!(line("%V %p", &data), "www.etsy.example 8080");
    data.facts.host = Some("[::1]".to_owned());
    data.facts.scheme = Some("https".to_owned());
    assert_eq!(line("%V %p", &data), "[::1] 443");
    let named = LogFormat::parse("%v %V").unwrap().server_name("shop");
    assert_eq!(named.line(&data), "shop [::1]");
}

#[test]
fn errors_name_the_directive_and_its_column() {
    for (format, wanted) in [
        ("", "log format: it is empty"),
        (
            "combine",
            "log format: it has no directive; allowed: \"common\", \"combined\"",
        ),
        ("%h %Z", "log format, column 4: %Z is not known"),
        ("é%h %f", "log format, column 5: %f is not known"),
        ("%h %k", "log format, column 4: %k is not known"),
        ("%\u{202e}", "log format, column 1: %\\u{202e} is not known"),
        (
            "%h %",
            "log format, column 4: the format ends within a directive",
        ),
        ("%>", "log format, column 1: the format ends"),
        ("%{Referer", "log format, column 1: `{` without `}`"),
        ("%i", "log format, column 1: %i needs a name"),
        (
            "%{}n",
            "log format, column 1: %n needs a name, as in %{user_id}n",
        ),
        ("%{c}a", "log format, column 1: %{c}a: %a takes no argument"),
        (
            "%{m}T",
            "log format, column 1: %{m}T: allowed are s, ms and us",
        ),
        ("%h %{%Q}t", "log format, column 4: %{%Q}t: %Q is no time"),
        ("%99h", "log format, column 2: 99 is not a status"),
        (
            "%99999999h",
            "log format, column 2: 99999999 is not a status",
        ),
        (
            "%h\n",
            "log format, column 3: a line cannot contain a line's end",
        ),
        (
            "%h\\n",
            "log format, column 3: a line cannot contain a line's end",
        ),
        (
            "\u{1b}",
            "log format, column 1: a line cannot contain a control character",
        ),
    ] {
        let error = LogFormat::parse(format).unwrap_err().to_string();
        assert!(error.starts_with(wanted), "{format:?}: {error}");
    }
    assert!(LogFormat::json().time_zone("Nowhere/Land").is_err());
}

#[test]
fn a_format_says_what_it_needs() {
    let format = LogFormat::parse("%{Referer}i %{referer}i %{A}C %{X-B}o %h").unwrap();
    assert_eq!(format.request_headers(), ["cookie", "referer"]);
    assert_eq!(format.answer_headers(), ["x-b"]);
    assert!(!format.needs_calls());
    assert!(!LogFormat::parse("combined").unwrap().needs_calls());
    for name in [
        "calls",
        "errors",
        "io_us",
        "io_sum_us",
        "other_us",
        "a.calls",
        "a.us",
    ] {
        assert!(
            LogFormat::parse(&format!("%{{{name}}}n"))
                .unwrap()
                .needs_calls(),
            "{name}"
        );
    }
}

#[test]
fn a_line_is_cut_where_it_must_be() {
    let mut data = page();
    data.facts.path = "/\"".repeat(4_000);
    data.facts.headers[1].1 = vec![0xff; 8_000];
    let mut notes: Vec<Note> = (0..64)
        .map(|n| Note::new(format!("n{n}"), &"é".repeat(500)))
        .collect();
    data.notes.append(&mut notes);
    for format in ["combined", "json", "%{n1}n %{n2}n %{n3}n %{n4}n"] {
        let format = LogFormat::parse(format).unwrap();
        for most in [4_095, 1_000, 300] {
            let mut line = b"before\n".to_vec();
            assert!(format.write_at_most(&data, &mut line, most), "{most}");
            assert!(line.len() <= most + 7, "{} > {most}", line.len());
            assert!(line.starts_with(b"before\n"));
            if format.is_json() {
                let read: serde_json::Value = serde_json::from_slice(&line[7..]).unwrap();
                assert_eq!(read["cut"], true);
            }
        }
        let mut line = Vec::new();
        assert!(!format.write_at_most(&page(), &mut line, 4_095));
        assert_eq!(line, format.line(&page()).as_bytes());
    }
}

const FORMATS: [&str; 3] = [
    r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %{note}n %{other}n %D"#,
    r#""%U" "%q" "%{User-Agent}i" %{note}n"#,
    r#"%{other}n|%{note}n "%{Referer}i"|%m"#,
];

proptest! {
    /// Whatever clients and applications say: one line, ASCII, and each field comes back.
    #[test]
    fn what_was_written_can_be_read(
        path in any::<String>(),
        query in any::<Option<String>>(),
        agent in prop::collection::vec(any::<u8>(), 0..300),
        referer in prop::collection::vec(any::<u8>(), 0..300),
        note in any::<String>(),
        other in any::<i64>(),
        user in "[a-zA-Z ]{0,20}[a-z]",
        which in 0..FORMATS.len(),
    ) {
        let mut data = page();
        data.facts.path = path.clone();
        data.facts.query = query.clone();
        data.facts.user = Some(user.clone());
        data.facts.headers[0].1 = referer.clone();
        data.facts.headers[1].1 = agent.clone();
        data.notes = vec![Note::new("note", &note), Note::new("other", other)];
        let format = LogFormat::parse(FORMATS[which]).unwrap();
        let line = format.line(&data);
        prop_assert!(line.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{line:?}");
        let values = read_line(&format, &line);
        prop_assert!(values.is_some(), "{line}");
        let absent = |bytes: &[u8]| (bytes != b"-").then(|| bytes.to_vec());
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        for (name, read) in values.unwrap() {
            let wanted = match name.as_str() {
                "%{User-Agent}i" => absent(&agent),
                "%{Referer}i" => absent(&referer),
                "%{note}n" => (!note.is_empty()).then(|| note.clone().into_bytes()),
                "%{other}n" => Some(other.to_string().into_bytes()),
                "%u" => Some(user.clone().into_bytes()),
                "%r" => Some(format!("GET {path}{query} HTTP/1.1").into_bytes()),
                "%q" => absent(query.as_bytes()),
                "%s" => Some(b"200".to_vec()),
                "%D" => Some(b"842158".to_vec()),
                _ => continue,
            };
            prop_assert_eq!(read, wanted, "{} in {}", name, line);
        }
    }

    #[test]
    fn any_format_is_read_or_refused(format in any::<String>(), of in "[%{}a-zA-Z0-9<>!,\\\\\" ]{0,30}") {
        for format in [format, of] {
            if let Ok(format) = LogFormat::parse(&format) {
                let line = format.line(&page());
                prop_assert!(!line.contains('\n'));
                if let Ok(Some(reader)) = format.reader() {
                    let _ = reader.read(line.as_bytes(), &mut Vec::new());
                }
            }
        }
    }

    #[test]
    fn any_line_is_read_or_refused(line in prop::collection::vec(any::<u8>(), 0..200), which in 0..FORMATS.len()) {
        let reader = LogFormat::parse(FORMATS[which]).unwrap().reader().unwrap().unwrap();
        let mut values = Vec::new();
        if reader.read(&line, &mut values).is_ok() {
            prop_assert_eq!(values.len(), reader.names().count());
        }
    }
}
