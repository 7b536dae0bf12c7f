//! `ioprofiler slow` and `show`: requests that were kept.

use super::worker::Worker;
use super::*;

fn column<'a>(text: &'a str, title: &str) -> Vec<&'a str> {
    let mut lines = text.lines();
    let titles = lines.next().unwrap();
    let place = titles
        .split_whitespace()
        .position(|name| name == title)
        .unwrap();
    // A request is two words.
    let place = if place > 1 { place + 1 } else { place };
    lines
        .map(|line| line.split_whitespace().nth(place).unwrap())
        .collect()
}

#[test]
fn the_slowest_first_of_all_routes_or_of_one() {
    let folder = Folder::new("slow");
    let mut worker = Worker::start(&folder.state());
    worker.order("serve 7 /listing/{id} 200 4");
    worker.order("serve 2 /listing/{id}/photos 200 20");
    worker.order("serve 1 /search 503 1");
    let text = folder.out("slow");
    let times: Vec<f64> = column(&text, "MS")
        .iter()
        .map(|ms| ms.parse().unwrap())
        .collect();
    assert_eq!(times.len(), 5 + 2 + 1, "five of each route: {text}");
    assert!(
        times.is_sorted_by(|a, b| a >= b) && times[0] >= 20.0,
        "{text}"
    );
    line_with(&text, &["GET /search", "503", " 1  "]);
    // As it is called, or a part of it.
    assert_eq!(folder.out("slow /listing/{id}").lines().count(), 1 + 5);
    assert_eq!(folder.out("slow listing").lines().count(), 1 + 7);
    assert_eq!(folder.out("slow photos").lines().count(), 1 + 2);
    let failed = folder.out("slow --errors");
    assert_eq!(column(&failed, "STATUS"), ["503"]);
    assert_eq!(folder.out("slow --since 1h"), text);

    let output = folder.run("slow nothing");
    assert!(output.status.success() && output.stdout.is_empty());
    let said = err(&output);
    assert!(
        said.starts_with("none of the 8 requests that are kept, of 3 routes, of the last "),
        "{said}"
    );
    assert_eq!(
        said.lines().nth(1),
        Some("they are of: /listing/{id}, /listing/{id}/photos, /search")
    );
    let json = folder.json("slow --errors");
    let [failed] = &json["requests"].as_array().unwrap()[..] else {
        panic!("{json}")
    };
    assert_eq!(
        (&failed["route"], &failed["reason"]),
        (&"/search".into(), &"error".into())
    );
    assert_eq!(failed["calls"], 1);
}

#[test]
fn one_is_shown_by_its_id_or_the_first_letters_of_it() {
    let folder = Folder::new("show");
    let mut worker = Worker::start(&folder.state());
    worker.order("one 4bf92f3577b34da6 /listing/{id}");
    worker.order("one 4bf92f3577b3ffff /search");
    worker.order("one 77a1e2c3 /about");
    let text = folder.out("show 4bf92f3577b34da6");
    assert!(text.starts_with("# GET /listing/{id} 200 "), "{text}");
    assert!(text.contains(" request 4bf92f3577b34da6 "), "{text}");
    line_with(&text, &["[memcache_get] ", " ms listing:?"]);
    line_with(&text, &["TOTAL PAGE EXEC"]);
    assert_eq!(folder.out("show 4bf92f3577b34"), text);
    assert_eq!(folder.out("show 4bf92f3577b34da6"), text);
    let json = folder.json("show 77a1");
    assert_eq!(
        (&json["format"], &json["version"], &json["kept"]["id"]),
        (&"ioprofiler.profile".into(), &1.into(), &"77a1e2c3".into())
    );

    let output = folder.run("show 4bf92f35");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        err(&output),
        "ioprofiler: 2 requests begin so:\n  4bf92f3577b34da6\n  4bf92f3577b3ffff\n"
    );
    // In 80 columns an id is as long as it must be.
    let narrow = command(Some(&folder.state()))
        .env("COLUMNS", "80")
        .arg("slow")
        .output()
        .unwrap();
    let narrow = out(&narrow);
    let mut ids = column(&narrow, "ID");
    ids.sort_unstable();
    assert_eq!(
        ids,
        ["4bf92f3577b34", "4bf92f3577b3f", "77a1e2c3"],
        "{narrow}"
    );
    for id in ids {
        folder.out(&format!("show {id}"));
    }
}

#[test]
fn of_an_unknown_id_it_says_why_it_may_not_be_there() {
    let folder = Folder::new("unknown");
    let mut worker = Worker::start(&folder.state());
    worker.order("one 4bf92f35 /");
    let said = |line: &str| {
        let output = folder.run(line);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(output.stdout.is_empty());
        err(&output)
    };
    let unknown = said("show ffffffff");
    assert!(
        unknown.starts_with("ioprofiler: ffffffff is not kept\n"),
        "{unknown}"
    );
    assert!(
        unknown.contains(
            "of each route, the 5 slowest requests and the last 5 that failed,\nfor 15 min; "
        ),
        "{unknown}"
    );
    assert!(
        unknown.contains("see the 1 request that is kept, of 1 route"),
        "{unknown}"
    );
    worker
        .order("hang 77a1 /search dbshard02")
        .order("wait 1100");
    let pid = worker.pid();
    let live = said("show 77a1");
    assert_eq!(
        live,
        format!(
            "ioprofiler: 77a1 has not ended yet: pid {pid} is in GET /search; see ioprofiler top\n"
        )
    );
    worker.kill();
    let killed = said("show 77a1");
    let begin =
        format!("ioprofiler: 77a1 never ended: pid {pid} was in GET /search when it was killed, ");
    assert!(killed.starts_with(&begin), "{killed}");
    assert_eq!(folder.run("show").status.code(), Some(2));
}
