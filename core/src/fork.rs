//! Which process this is: a generation that a fork changes without running any of our code.
//!
//! Forking is what kills hosts most. What a fork can tear (pools, lanes, slots, the queue, the
//! collector's thread) hangs behind one pointer, and that pointer counts only while the word in
//! [`GENERATION`] says so. On Linux the word lies in a page that the kernel wipes in the child
//! (`MADV_WIPEONFORK`), so it also works for forks that run no hooks: `_Fork`, `clone`, uWSGI.
//! Elsewhere a `pthread_atfork` handler stores one atomic.
//!
//! The child forgets what it inherited: no drop, no join, no lock, no log. Its generation is the
//! parent's plus one, and it builds its own state at first use.

use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// A fresh process, or a child that has not built its state yet.
const FRESH: u32 = 0;
/// Somebody is building the state right now.
const BUILDING: u32 = 1;
/// Generations count from here.
const FIRST: u32 = 2;

/// The word before a page was mapped, and where none can be.
static PLAIN: AtomicU32 = AtomicU32::new(FRESH);
/// Where the word is. Only ever replaced once, before the first state is built.
static GENERATION: AtomicPtr<AtomicU32> = AtomicPtr::new((&raw const PLAIN).cast_mut());
/// The last generation anybody had; ordinary memory, so a child knows its parent's.
static LAST: AtomicU32 = AtomicU32::new(FIRST - 1);
/// Guards the one replacement of `GENERATION`.
static MAPPED: AtomicU32 = AtomicU32::new(0);

#[inline(always)]
fn word() -> &'static AtomicU32 {
    // SAFETY: the pointer is either to `PLAIN` or to a mapped page, and neither is ever released.
    unsafe { &*GENERATION.load(Ordering::Relaxed) }
}

/// This process's generation; 0 or 1 while it has no state of its own.
#[inline(always)]
pub(crate) fn generation() -> u32 {
    word().load(Ordering::Acquire)
}

/// State that a child must not share with its parent.
pub(crate) struct PerProcess<T: 'static> {
    state: AtomicPtr<T>,
}

impl<T: Sync> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self {
            state: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// This process's state, if it was built.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&'static T> {
        if generation() < FIRST {
            return None;
        }
        let state = self.state.load(Ordering::Acquire);
        // SAFETY: this process stored a leaked box here, which is never freed, before it set the word.
        unsafe {
            std::hint::assert_unchecked(!state.is_null());
            Some(&*state)
        }
    }

    /// This process's state, built at first use. `None` only where another thread began to build
    /// it and has not run since, or when memory is out; callers drop what they were about to do, and count it.
    ///
    /// `build` gets the inherited state of the parent, of which only atomics may be read, and this
    /// process's generation.
    #[inline]
    pub(crate) fn get_or_build(
        &self,
        build: impl FnOnce(Option<&'static T>, u32) -> Option<&'static T>,
    ) -> Option<&'static T> {
        match self.get() {
            Some(state) => Some(state),
            None => self.build(build),
        }
    }

    /// Another thread builds the state, which takes it some microseconds of its running: the first
    /// requests of a threaded server all come here at once, and none of them shall be lost. Where
    /// the builder does not run for a tenth of a second, the caller goes without.
    #[cold]
    fn wait_for_builder(&self) -> Option<&'static T> {
        for attempt in 0..1_100 {
            if word().load(Ordering::Acquire) != BUILDING {
                break;
            }
            if attempt < 100 {
                std::thread::yield_now();
            } else {
                std::thread::sleep(std::time::Duration::from_micros(100));
            }
        }
        self.get()
    }

    #[cold]
    fn build(
        &self,
        build: impl FnOnce(Option<&'static T>, u32) -> Option<&'static T>,
    ) -> Option<&'static T> {
        map_once();
        if word()
            .compare_exchange(FRESH, BUILDING, Ordering::AcqRel, Ordering::Acquire)
            .is_err()
        {
            return self.wait_for_builder();
        }
        let generation = LAST.load(Ordering::Relaxed).saturating_add(1);
        // SAFETY: a pointer stored here was leaked by this process or an ancestor; the memory is
        // still mapped (copy on write), and it is forgotten on purpose, never dropped.
        let inherited = unsafe { self.state.load(Ordering::Acquire).as_ref() };
        let Some(built) = build(inherited, generation) else {
            word().store(FRESH, Ordering::Release);
            return None;
        };
        self.state
            .store(std::ptr::from_ref(built).cast_mut(), Ordering::Release);
        LAST.store(generation, Ordering::Relaxed);
        word().store(generation, Ordering::Release);
        Some(built)
    }
}

/// Makes the word one that a fork resets. Called before the first state is built; a loser of the
/// race goes on with whatever the winner has installed by then.
fn map_once() {
    if MAPPED
        .compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire)
        .is_err()
    {
        // A second builder may not overtake the first one's mapping, or the word it sets would be
        // replaced under it. The mapping takes two system calls; in a child it is inherited.
        for _ in 0..1_000_000 {
            if MAPPED.load(Ordering::Acquire) == 2 {
                return;
            }
            std::thread::yield_now();
        }
        return;
    }
    if let Some(page) = wiped_page() {
        GENERATION.store(page, Ordering::Release);
    } else {
        reset_by_hook();
    }
    MAPPED.store(2, Ordering::Release);
}

/// For hosts that fork in a way no hook or page sees: forgets what was inherited.
///
/// Harmless in a parent too, but for requests in flight, which then end unseen.
pub(crate) fn after_fork_child() {
    word().store(FRESH, Ordering::Release);
}

#[cfg(target_os = "linux")]
fn wiped_page() -> Option<*mut AtomicU32> {
    let size = 4096;
    // SAFETY: a fresh private anonymous mapping; no memory of ours is touched.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the page was mapped above with this size.
    if unsafe { libc::madvise(page, size, libc::MADV_WIPEONFORK) } == 0 {
        return Some(page.cast());
    }
    // SAFETY: as above; nobody has the pointer yet.
    unsafe { libc::munmap(page, size) };
    None
}

#[cfg(not(target_os = "linux"))]
fn wiped_page() -> Option<*mut AtomicU32> {
    None
}

fn reset_by_hook() {
    extern "C" fn child() {
        word().store(FRESH, Ordering::Release);
    }
    // SAFETY: the handler only stores one atomic, which is allowed in the child of a fork.
    unsafe { libc::pthread_atfork(None, None, Some(child)) };
}

/// A place that is filled once (or replaced whole) with something that then lives for ever: what
/// survives a fork is kept in these, because no half-done initialisation can hang a child.
pub(crate) struct Forever<T: 'static>(AtomicPtr<T>);

impl<T: Sync> Forever<T> {
    pub(crate) const fn empty() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&'static T> {
        // SAFETY: null, or made from a `&'static T` below.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Fills the place, or gives what another thread put there first.
    pub(crate) fn set(&self, thing: &'static T) -> Result<(), &'static T> {
        let new = std::ptr::from_ref(thing).cast_mut();
        let null = std::ptr::null_mut();
        match self
            .0
            .compare_exchange(null, new, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => Ok(()),
            // SAFETY: not null, so made from a `&'static T` here.
            Err(there) => unsafe { there.as_ref() }.map_or(Ok(()), Err),
        }
    }

    /// Puts something else there, if it is still as it was when the caller looked; else gives what
    /// another thread put there.
    pub(crate) fn replace_if(
        &self,
        before: Option<&'static T>,
        thing: &'static T,
    ) -> Result<(), &'static T> {
        let pointer = |thing: Option<&'static T>| {
            thing.map_or(std::ptr::null_mut(), |thing| {
                std::ptr::from_ref(thing).cast_mut()
            })
        };
        match self.0.compare_exchange(
            pointer(before),
            pointer(Some(thing)),
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            Ok(_) => Ok(()),
            // SAFETY: null, or made from a `&'static T` here.
            Err(there) => unsafe { there.as_ref() }.map_or(Ok(()), Err),
        }
    }

    /// Puts something else there; what was there stays alive for those who hold it.
    pub(crate) fn replace(&self, thing: &'static T) {
        self.0
            .store(std::ptr::from_ref(thing).cast_mut(), Ordering::Release);
    }
}

/// Starts a thread of ours: small, named, and with all signals blocked, so that the host's handlers
/// never run on it. `false` where the system gives no thread.
pub(crate) fn spawn_quietly(work: impl FnOnce() + Send + 'static) -> bool {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are ours; `sigfillset` fills the first, `pthread_sigmask` the second.
    let masked = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) == 0
    };
    let builder = std::thread::Builder::new()
        .name("ioprofiler".to_owned())
        .stack_size(512 << 10);
    let spawned = builder.spawn(work).is_ok();
    if masked {
        // SAFETY: `before` was filled above; this thread gets its own mask back.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        }
    }
    spawned
}

/// The machine's name.
pub(crate) fn host_name() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: the buffer is ours and its length is given, one less so that it ends with NUL.
    let failed = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) } != 0;
    if failed {
        return String::new();
    }
    std::ffi::CStr::from_bytes_until_nul(&name)
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Runs something on a thread of the host's that may write to a pipe nobody reads, and keeps the
/// signal that this raises from the host: it would end the process.
pub(crate) fn without_sigpipe<R>(work: impl FnOnce() -> R) -> R {
    let mut sigpipe = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are ours; the first two calls fill the first, `pthread_sigmask` the second.
    let masked = unsafe {
        libc::sigemptyset(sigpipe.as_mut_ptr());
        libc::sigaddset(sigpipe.as_mut_ptr(), libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, sigpipe.as_ptr(), before.as_mut_ptr()) == 0
    };
    let was_pending = is_sigpipe_pending();
    let result = work();
    if masked {
        if is_sigpipe_pending() && !was_pending {
            let mut signal = 0;
            // SAFETY: the set was filled above; the signal is blocked and pending, so this takes it
            // away without waiting.
            unsafe { libc::sigwait(sigpipe.as_ptr(), &raw mut signal) };
        }
        // SAFETY: `before` was filled above; this thread gets its own mask back.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        }
    }
    result
}

fn is_sigpipe_pending() -> bool {
    let mut pending = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is ours, and filled by `sigpending` before it is looked at.
    unsafe {
        libc::sigpending(pending.as_mut_ptr()) == 0
            && libc::sigismember(pending.as_ptr(), libc::SIGPIPE) == 1
    }
}
