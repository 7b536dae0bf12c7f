//! The first requests of a process, which a threaded server serves all at once. A binary of its
//! own, because it forgets the process's state again and again.

use ioprofiler::{Facts, Profiler};
use std::sync::Barrier;

#[test]
fn the_first_requests_of_a_process_are_all_recorded() {
    let profiler = Profiler::builder()
        .build()
        .expect("default options are right");
    let barrier = Barrier::new(4);
    for _ in 0..2_000 {
        ioprofiler::handle::after_fork_child();
        let first = || {
            barrier.wait();
            let request = profiler.begin(&Facts::web("GET", "/"));
            let begun = !request.is_none();
            drop(request.finish(200, 0));
            begun
        };
        std::thread::scope(|threads| {
            let threads = [(); 4].map(|()| threads.spawn(first));
            for thread in threads {
                assert!(thread.join().expect("no panic"), "a request was not begun");
            }
        });
    }
}
