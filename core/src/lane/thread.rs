//! Which thread this is, in one instruction where the system has it in a register.
//!
//! A shared library finds a thread-local variable by a call, which costs more than all else that a
//! call by handle does; the thread's own pointer is enough to know a lane that it borrowed.

/// A number that no other living thread of this process has; never 0.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn this_thread() -> usize {
    let pointer: usize;
    // SAFETY: on Linux the first word that `fs` points to is its own address; it is never written.
    unsafe {
        core::arch::asm!(
            "mov {}, fs:0",
            out(reg) pointer,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    pointer
}

/// A number that no other living thread of this process has; never 0.
#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
#[inline(always)]
pub(crate) fn this_thread() -> usize {
    let pointer: usize;
    // SAFETY: reads the thread pointer, which user space may.
    unsafe {
        core::arch::asm!(
            "mrs {}, tpidr_el0",
            out(reg) pointer,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    pointer
}

/// A number that no other living thread of this process has; never 0.
#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
#[inline(always)]
pub(crate) fn this_thread() -> usize {
    super::context::with(|context| std::ptr::from_ref(context).addr())
}

#[cfg(test)]
mod tests {
    use super::this_thread;

    #[test]
    fn threads_that_live_at_once_have_different_numbers() {
        let mine = this_thread();
        assert_eq!(mine, this_thread());
        std::thread::scope(|threads| {
            let other = threads.spawn(|| {
                assert_ne!(this_thread(), mine);
                assert_ne!(this_thread(), 0);
            });
            assert!(other.join().is_ok());
        });
    }
}
