//! A metric sink's own thread, and what waits for it.
//!
//! Each sink that sends over the network has a thread, which its first parcel starts: a server that
//! hangs, refuses or is gone holds up neither pages nor other sinks. What cannot be sent waits,
//! bounded in bytes, and is tried again after a while that grows; what is too much is dropped, the
//! oldest first. Whatever becomes of a value is counted: produced is sent, dropped or waiting.

use super::destination::SinkConfig;
use super::parcel::{MetricSink, Packet, Parcel, Unsent};
use super::pause::Pause;
use crate::fork;
use crate::stats::SinkStats;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Parcels that wait to be encoded.
const MOST_PARCELS: usize = 64;
/// Encoded, they may have so many bytes.
const MOST_BYTES: usize = 4 << 20;
/// One packet has so long.
const SEND_WITHIN: Duration = Duration::from_secs(5);

/// What became of the values of one sink, in this process.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    pub(crate) produced: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) dropped: AtomicU64,
    /// Attempts that failed, and why the last one did.
    pub(crate) failures: AtomicU64,
    pub(crate) why: Mutex<String>,
    /// Parcels that were taken, and those that were encoded or dropped.
    taken: AtomicU64,
    worked_on: AtomicU64,
    /// Packets that wait.
    waiting: AtomicU64,
    /// Somebody waits for all to be sent: no pauses now.
    hurry: AtomicBool,
    /// The thread is to send what it can and end.
    closed: AtomicBool,
}

impl Fate {
    fn count_failure(&self, why: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if let Some(mut there) = self.why.try_lock() {
            why.clone_into(&mut there);
        }
    }

    pub(crate) fn stats(&self, name: &'static str) -> SinkStats {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SinkStats {
            name,
            produced: count(&self.produced),
            sent: count(&self.sent),
            dropped: count(&self.dropped),
            failures: count(&self.failures),
            why: self
                .why
                .try_lock()
                .map(|why| why.clone())
                .unwrap_or_default(),
        }
    }

    /// A packet is done with: so many of its points were refused, and the rest was sent.
    fn settle(&self, points: u64, refused: u64, why: Option<&str>) {
        let refused = refused.min(points);
        self.sent.fetch_add(points - refused, Ordering::Relaxed);
        self.drop_points(refused);
        if let Some(why) = why {
            self.count_failure(why);
        }
    }

    fn drop_points(&self, points: u64) {
        self.dropped.fetch_add(points, Ordering::Relaxed);
    }

    fn is_idle(&self) -> bool {
        self.worked_on.load(Ordering::Acquire) == self.taken.load(Ordering::Acquire)
            && self.waiting.load(Ordering::Acquire) == 0
    }
}

/// A metric sink, as the collector sees it.
pub(crate) struct Outbox {
    config: Arc<dyn SinkConfig>,
    pub(crate) fate: Arc<Fate>,
    way: Way,
}

enum Way {
    /// A thread sends; the first parcel starts it.
    NotYet,
    ByThread(Sender<Parcel>),
    /// The profiler has no threads: whoever flushes sends.
    Here(Box<dyn MetricSink>),
}

impl Outbox {
    pub(crate) fn new(config: Arc<dyn SinkConfig>, threadless: bool) -> Self {
        let way = if threadless {
            Way::Here(config.make())
        } else {
            Way::NotYet
        };
        Self {
            config,
            fate: Arc::default(),
            way,
        }
    }

    pub(crate) fn config(&self) -> &dyn SinkConfig {
        &*self.config
    }

    /// Hands a parcel over. `false` where it does not take it now.
    pub(crate) fn put(&mut self, parcel: Parcel) -> bool {
        if let Way::NotYet = self.way {
            self.start();
        }
        match &mut self.way {
            Way::NotYet => false,
            Way::ByThread(sender) => {
                self.fate.taken.fetch_add(1, Ordering::Release);
                let taken = sender.try_send(parcel).is_ok();
                if !taken {
                    self.fate.taken.fetch_sub(1, Ordering::Release);
                }
                taken
            }
            Way::Here(sink) => {
                send_here(&mut **sink, &parcel, &self.fate);
                true
            }
        }
    }

    /// As [`Self::put`], for what will not be offered again: counted where it is not taken.
    pub(crate) fn put_or_drop(&mut self, parcel: Parcel) {
        if !self.put(parcel) {
            self.fate.produced.fetch_add(1, Ordering::Relaxed);
            self.fate.drop_points(1);
        }
    }

    fn start(&mut self) {
        let (sender, receiver) = bounded(MOST_PARCELS);
        let (config, fate) = (Arc::clone(&self.config), Arc::clone(&self.fate));
        if fork::spawn_quietly(move || Runner::new(&*config, &fate, receiver).run()) {
            self.way = Way::ByThread(sender);
        }
    }

    /// Has everything sent as soon as may be, and waits for it. `false` when the time is over first.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        while !self.fate.is_idle() {
            if Instant::now() >= deadline {
                self.fate.hurry.store(false, Ordering::Relaxed);
                return false;
            }
            self.fate.hurry.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.fate.closed.store(true, Ordering::Release);
    }
}

fn send_here(sink: &mut dyn MetricSink, parcel: &Parcel, fate: &Fate) {
    for packet in encode(sink, parcel, fate) {
        let (refused, why) = match sink.send(&packet, Duration::ZERO) {
            Ok(()) => (0, None),
            Err(Unsent::Partly(refused, why)) => (refused, Some(why)),
            Err(Unsent::NotYet(_)) => (packet.points, None),
            Err(Unsent::Later(why) | Unsent::After(_, why) | Unsent::Never(why)) => {
                (packet.points, Some(why))
            }
        };
        fate.settle(packet.points, refused, why.as_deref());
    }
}

fn encode(sink: &mut dyn MetricSink, parcel: &Parcel, fate: &Fate) -> Vec<Packet> {
    let packets = catch_unwind(AssertUnwindSafe(|| sink.encode(parcel))).unwrap_or_else(|_| {
        fate.count_failure("a panic while it was encoded");
        Vec::new()
    });
    let points: u64 = packets.iter().map(|packet| packet.points).sum();
    fate.produced.fetch_add(points, Ordering::Relaxed);
    packets
}

/// The thread's side.
struct Runner<'a> {
    sink: Box<dyn MetricSink>,
    fate: &'a Fate,
    parcels: Receiver<Parcel>,
    waiting: VecDeque<Packet>,
    bytes: usize,
    pause: Pause,
}

impl<'a> Runner<'a> {
    fn new(config: &dyn SinkConfig, fate: &'a Fate, parcels: Receiver<Parcel>) -> Self {
        Self {
            sink: config.make(),
            fate,
            parcels,
            waiting: VecDeque::new(),
            bytes: 0,
            pause: Pause::default(),
        }
    }

    fn run(mut self) {
        while !self.fate.closed.load(Ordering::Acquire) {
            self.take();
            self.send();
        }
        // One last try, then the rest is given up.
        while let Ok(parcel) = self.parcels.try_recv() {
            self.add(&parcel);
        }
        self.pause = Pause::default();
        self.send();
        self.fate
            .drop_points(self.waiting.iter().map(|packet| packet.points).sum());
        self.fate.waiting.store(0, Ordering::Release);
    }

    /// Waits for a parcel, or until it is time to try again.
    fn take(&mut self) {
        // Who closes hangs up; who hurries sends nothing, and hurries only where something waits.
        let look = if self.waiting.is_empty() {
            Duration::from_secs(3_600)
        } else {
            Duration::from_millis(25)
        };
        match self.parcels.recv_timeout(look) {
            Ok(parcel) => self.add(&parcel),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                self.fate.closed.store(true, Ordering::Release);
            }
        }
        // No more than there are now: who hands over without a pause must not keep it from sending.
        for _ in 0..self.parcels.len() {
            if let Ok(parcel) = self.parcels.try_recv() {
                self.add(&parcel);
            }
        }
    }

    fn add(&mut self, parcel: &Parcel) {
        for packet in encode(&mut *self.sink, parcel, self.fate) {
            self.bytes += packet.bytes.len();
            self.waiting.push_back(packet);
        }
        while self.bytes > MOST_BYTES
            && let Some(oldest) = self.pop()
        {
            self.fate.drop_points(oldest.points);
        }
        // What waits is told before the parcel is: who flushes must see one of them.
        self.tell_waiting();
        self.fate.worked_on.fetch_add(1, Ordering::Release);
    }

    fn pop(&mut self) -> Option<Packet> {
        let packet = self.waiting.pop_front()?;
        self.bytes -= packet.bytes.len();
        Some(packet)
    }

    fn tell_waiting(&self) {
        self.fate
            .waiting
            .store(self.waiting.len() as u64, Ordering::Release);
    }

    fn send(&mut self) {
        let hurries = self.fate.hurry.swap(false, Ordering::Relaxed);
        if !self.pause.is_over(hurries) {
            return;
        }
        while let Some(packet) = self.next() {
            let (sink, points) = (&mut self.sink, packet.points);
            let sent = catch_unwind(AssertUnwindSafe(|| sink.send(&packet, SEND_WITHIN)));
            let sent =
                sent.unwrap_or_else(|_| Err(Unsent::Never("a panic while it was sent".to_owned())));
            match sent {
                Ok(()) => {
                    self.pause = Pause::default();
                    self.fate.settle(points, 0, None);
                }
                Err(Unsent::Partly(refused, why)) => {
                    self.pause = Pause::default();
                    self.fate.settle(points, refused, Some(&why));
                }
                Err(Unsent::Never(why)) => self.fate.settle(points, points, Some(&why)),
                Err(unsent) => {
                    self.put_off(packet, unsent);
                    break;
                }
            }
            self.tell_waiting();
        }
        self.tell_waiting();
    }

    /// Takes the packet that is to be sent now, with what the sink sends in one go with it.
    fn next(&mut self) -> Option<Packet> {
        let mut first = self.pop()?;
        while let Some(second) = self.waiting.front() {
            let sink = &mut self.sink;
            let join = AssertUnwindSafe(|| sink.join(&mut first, second));
            if !catch_unwind(join).unwrap_or(false) {
                break;
            }
            self.pop();
        }
        Some(first)
    }

    /// Keeps a packet for later.
    fn put_off(&mut self, packet: Packet, unsent: Unsent) {
        self.bytes += packet.bytes.len();
        self.waiting.push_front(packet);
        match unsent {
            Unsent::NotYet(wait) => self.pause.set(wait),
            Unsent::After(wait, why) => {
                self.fate.count_failure(&why);
                self.pause.set(wait);
            }
            Unsent::Later(why) | Unsent::Partly(_, why) | Unsent::Never(why) => {
                self.fate.count_failure(&why);
                self.pause.grow();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::destination::Wants;
    use super::*;
    use crate::collect::{Event, EventKind};
    use crate::error::Error;

    /// How the other end behaves.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Mood {
        Good,
        Gone,
        Refuses,
        RefusesOne,
        NamesATime,
        Limits,
        Hangs,
        Panics,
    }

    #[derive(Clone, Debug)]
    struct Fake {
        mood: Arc<Mutex<Mood>>,
        got: Arc<Mutex<Vec<Vec<u8>>>>,
        /// Of each packet.
        size: usize,
        joins: bool,
        /// How long it takes to make a packet.
        slow: Duration,
    }

    impl Fake {
        fn new(mood: Mood) -> Self {
            Self {
                mood: Arc::new(Mutex::new(mood)),
                got: Arc::default(),
                size: 10,
                joins: false,
                slow: Duration::ZERO,
            }
        }
    }

    impl SinkConfig for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }
        fn check(&self) -> Result<(), Error> {
            Ok(())
        }
        fn interval(&self) -> Duration {
            Duration::from_secs(1)
        }
        fn wants(&self) -> Wants {
            Wants::default()
        }
        fn is_datagram(&self) -> bool {
            false
        }
        fn make(&self) -> Box<dyn MetricSink> {
            Box::new(self.clone())
        }
    }

    impl MetricSink for Fake {
        fn encode(&mut self, parcel: &Parcel) -> Vec<Packet> {
            let Parcel::Event(event) = parcel else {
                return Vec::new();
            };
            assert_ne!(event.what, "panic");
            std::thread::sleep(self.slow);
            let mut bytes = event.what.clone().into_bytes();
            bytes.resize(self.size, b'.');
            vec![Packet {
                bytes,
                points: 3,
                place: "",
            }]
        }

        fn join(&mut self, first: &mut Packet, next: &Packet) -> bool {
            if self.joins {
                first.bytes.extend_from_slice(&next.bytes);
                first.points += next.points;
            }
            self.joins
        }

        fn send(&mut self, packet: &Packet, within: Duration) -> Result<(), Unsent> {
            let mood = *self.mood.lock();
            match mood {
                Mood::Good => self.got.lock().push(packet.bytes.clone()),
                Mood::Gone => return Err(Unsent::Later("gone".to_owned())),
                Mood::Refuses => return Err(Unsent::Never("no".to_owned())),
                Mood::RefusesOne => return Err(Unsent::Partly(1, "not that one".to_owned())),
                Mood::NamesATime => return Err(Unsent::After(LONG, "in an hour".to_owned())),
                Mood::Limits => return Err(Unsent::NotYet(LONG)),
                Mood::Hangs => std::thread::sleep(within),
                Mood::Panics => panic!("injected"),
            }
            Ok(())
        }
    }

    const LONG: Duration = Duration::from_secs(3_600);

    fn event(what: &str) -> Parcel {
        Parcel::Event(Arc::new(Event::new(EventKind::Own, what)))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    /// Produced, sent, dropped.
    fn counts(outbox: &Outbox) -> (u64, u64, u64) {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Fate {
            produced,
            sent,
            dropped,
            ..
        } = &*outbox.fate;
        (count(produced), count(sent), count(dropped))
    }

    #[test]
    fn what_waited_for_a_server_is_sent_when_it_is_back_in_order() {
        let fake = Fake::new(Mood::Gone);
        let mut outbox = Outbox::new(Arc::new(fake.clone()), false);
        for number in 0..20 {
            assert!(outbox.put(event(&number.to_string())));
        }
        assert!(!outbox.flush(Instant::now() + Duration::from_millis(100)));
        assert_eq!(&*outbox.fate.why.lock(), "gone");
        assert_eq!(counts(&outbox), (60, 0, 0));
        *fake.mood.lock() = Mood::Good;
        assert!(outbox.flush(soon()));
        assert_eq!(counts(&outbox), (60, 60, 0));
        let got = fake.got.lock();
        let wanted = (0..20).map(|number: u32| {
            let mut bytes = number.to_string().into_bytes();
            bytes.resize(10, b'.');
            bytes
        });
        assert!(got.iter().cloned().eq(wanted));
    }

    #[test]
    fn what_is_too_much_is_dropped_the_oldest_first_and_counted() {
        let mut fake = Fake::new(Mood::Gone);
        fake.size = 1 << 20;
        let mut outbox = Outbox::new(Arc::new(fake.clone()), false);
        for number in 0..10 {
            assert!(outbox.put(event(&number.to_string())));
            while outbox.fate.worked_on.load(Ordering::Acquire) <= number {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        *fake.mood.lock() = Mood::Good;
        assert!(outbox.flush(soon()));
        assert_eq!(counts(&outbox), (30, 12, 18));
        let first: Vec<u8> = fake.got.lock().iter().map(|bytes| bytes[0]).collect();
        assert_eq!(first, b"6789");
    }

    #[test]
    fn what_is_refused_or_makes_it_panic_is_dropped_and_the_rest_goes_on() {
        let fake = Fake::new(Mood::Refuses);
        let mut outbox = Outbox::new(Arc::new(fake.clone()), false);
        outbox.put(event("a"));
        assert!(outbox.flush(soon()));
        *fake.mood.lock() = Mood::Panics;
        outbox.put(event("b"));
        assert!(outbox.flush(soon()));
        outbox.put(event("panic"));
        assert!(outbox.flush(soon()));
        *fake.mood.lock() = Mood::Good;
        outbox.put(event("c"));
        assert!(outbox.flush(soon()));
        assert_eq!(counts(&outbox), (9, 3, 6));
        assert_eq!(outbox.fate.failures.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn what_is_refused_of_a_packet_is_counted_apart_and_not_tried_again() {
        let fake = Fake::new(Mood::RefusesOne);
        let mut outbox = Outbox::new(Arc::new(fake.clone()), false);
        outbox.put(event("a"));
        assert!(outbox.flush(soon()));
        assert_eq!(counts(&outbox), (3, 2, 1));
        assert_eq!(&*outbox.fate.why.lock(), "not that one");
        let mut here = Outbox::new(Arc::new(fake), true);
        here.put(event("a"));
        assert_eq!(counts(&here), (3, 2, 1));
    }

    #[test]
    fn a_time_that_was_named_is_waited_for_even_in_a_hurry() {
        for (mood, failures) in [(Mood::NamesATime, 1), (Mood::Limits, 0)] {
            let fake = Fake::new(mood);
            let mut outbox = Outbox::new(Arc::new(fake.clone()), false);
            outbox.put(event("a"));
            assert!(!outbox.flush(Instant::now() + Duration::from_millis(200)));
            *fake.mood.lock() = Mood::Good;
            outbox.put(event("b"));
            assert!(!outbox.flush(Instant::now() + Duration::from_millis(200)));
            assert_eq!(counts(&outbox), (6, 0, 0));
            let failed = outbox.fate.failures.load(Ordering::Relaxed);
            assert_eq!(failed, failures, "{mood:?}");
        }
    }

    #[test]
    fn who_hands_over_without_a_pause_does_not_keep_it_from_sending() {
        let mut fake = Fake::new(Mood::Good);
        fake.slow = Duration::from_millis(1);
        let mut outbox = Outbox::new(Arc::new(fake.clone()), false);
        let deadline = soon();
        while fake.got.lock().is_empty() {
            assert!(Instant::now() < deadline, "nothing is ever sent");
            let _ = outbox.put(event("a"));
        }
    }

    #[test]
    fn what_waits_is_joined_and_sent_in_one_go() {
        let mut fake = Fake::new(Mood::Gone);
        fake.joins = true;
        let mut outbox = Outbox::new(Arc::new(fake.clone()), false);
        for number in 0..5 {
            outbox.put(event(&number.to_string()));
        }
        assert!(!outbox.flush(Instant::now() + Duration::from_millis(100)));
        *fake.mood.lock() = Mood::Good;
        assert!(outbox.flush(soon()));
        assert_eq!(counts(&outbox), (15, 15, 0));
        let got = fake.got.lock();
        assert_eq!(got.len(), 1);
        let wanted = "0.........1.........2.........3.........4.........";
        assert_eq!(got[0], wanted.as_bytes());
    }

    #[test]
    fn a_server_that_hangs_holds_nobody_up() {
        let fake = Fake::new(Mood::Hangs);
        let mut outbox = Outbox::new(Arc::new(fake), false);
        let begun = Instant::now();
        let mut taken = 0_u64;
        for _ in 0..1_000 {
            taken += u64::from(outbox.put(event("x")));
        }
        outbox.put_or_drop(event("one too many"));
        assert!(!outbox.flush(Instant::now() + Duration::from_millis(50)));
        drop(outbox);
        assert!(taken >= MOST_PARCELS as u64);
        assert!(begun.elapsed() < SEND_WITHIN, "it was waited for");
    }

    #[test]
    fn without_a_thread_whoever_puts_sends() {
        let fake = Fake::new(Mood::Good);
        let mut outbox = Outbox::new(Arc::new(fake.clone()), true);
        assert!(outbox.put(event("a")));
        assert_eq!(counts(&outbox), (3, 3, 0));
        *fake.mood.lock() = Mood::Gone;
        assert!(outbox.put(event("b")));
        assert_eq!(counts(&outbox), (6, 3, 3));
    }
}
