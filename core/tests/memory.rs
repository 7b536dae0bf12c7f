//! The bound on memory, in a process of its own: it counts all requests of the process.

use ioprofiler::{Category, Facts, Profiler, Request};

static DB: Category = Category::leaf("dbshard01");

fn begin(profiler: &Profiler) -> Request {
    profiler.begin(&Facts::web("GET", "/listing/5773453"))
}

#[test]
fn ten_thousand_live_requests_keep_within_the_memory_bound() {
    let profiler = Profiler::builder()
        .max_live_requests(10_000)
        .build()
        .expect("fine");
    let requests: Vec<Request> = (0..10_000).map(|_| begin(&profiler)).collect();
    for request in &requests {
        request.run(|| {
            for call in 0..30 {
                ioprofiler::span(&DB, format!("SELECT {call} {}", "x".repeat(80))).run(|| {});
            }
        });
    }
    let memory = profiler.stats().memory;
    assert!(memory <= 65 << 20, "{memory}");
    let refused = begin(&profiler);
    let unlisted = requests
        .iter()
        .filter(|request| request.snapshot().unlisted > 0)
        .count();
    for request in requests {
        let profile = request.finish(200, 0);
        assert_eq!(profile.totals[0].calls, 30);
    }
    assert!(refused.is_none(), "the 10,001st");
    assert_eq!(profiler.stats().refused_live, 1);
    assert!(unlisted > 0, "30 calls each do not fit into 64 MiB");
}
