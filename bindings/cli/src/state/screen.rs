//! A terminal that is written over and over, and given back as it was.
//!
//! However this ends, by a key, a signal, an error or a panic: the alternate screen is left, the
//! cursor is back, and keys are echoed again.

use std::io::{Error, IsTerminal as _, Read as _, Result, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::low_level::{emulate_default_handler, pipe};

/// The alternate screen, no cursor, no line that goes on in the next one; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Of a terminal that does not say.
const HEIGHT: usize = 24;

/// What is to be done next.
pub(super) enum Asked {
    /// Draw again.
    Nothing,
    Leave,
}

/// A signal that was not taken care of yet.
struct Signal {
    number: i32,
    came: Arc<AtomicBool>,
}

/// The terminal, while it is ours.
pub(super) struct Screen {
    /// As it was; nothing where keys come from elsewhere.
    modes: Option<Termios>,
    signals: Vec<Signal>,
    /// Readable where a signal came.
    woken: UnixStream,
    /// Nothing more comes from the keyboard.
    is_deaf: bool,
    is_in: bool,
}

impl Screen {
    pub(super) fn enter() -> Result<Self> {
        let (woken, waker) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        let mut signals = Vec::new();
        for number in [SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP] {
            let came = Arc::new(AtomicBool::new(false));
            // In this order: who is woken sees which it was.
            signal_hook::flag::register(number, Arc::clone(&came))?;
            pipe::register(number, waker.try_clone()?)?;
            signals.push(Signal { number, came });
        }
        let stdin = std::io::stdin();
        let modes = stdin.is_terminal().then(|| tcgetattr(&stdin)).transpose()?;
        let mut screen = Self {
            is_deaf: modes.is_none(),
            modes,
            signals,
            woken,
            is_in: false,
        };
        screen.show()?;
        Ok(screen)
    }

    fn show(&mut self) -> Result<()> {
        self.is_in = true;
        if let Some(modes) = &self.modes {
            let mut ours = modes.clone();
            ours.local_modes
                .remove(LocalModes::ICANON | LocalModes::ECHO);
            tcsetattr(std::io::stdin(), OptionalActions::Flush, &ours)?;
        }
        write(ENTER)
    }

    /// Gives the terminal back.
    fn hide(&mut self) {
        if !std::mem::take(&mut self.is_in) {
            return;
        }
        let _ = write(LEAVE);
        if let Some(modes) = &self.modes {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, modes);
        }
    }

    pub(super) fn height(&self) -> usize {
        let size = tcgetwinsize(std::io::stdout()).ok();
        let height = size.map(|size| usize::from(size.ws_row));
        height.filter(|height| *height > 0).unwrap_or(HEIGHT)
    }

    /// Writes lines over those that are there, in one go, without a flicker.
    pub(super) fn draw(&mut self, lines: &[String]) -> Result<()> {
        let mut frame = String::from("\x1b[H");
        for (place, line) in lines.iter().enumerate() {
            if place > 0 {
                frame.push_str("\r\n");
            }
            frame.push_str(line);
            frame.push_str("\x1b[K");
        }
        frame.push_str("\x1b[J");
        write(&frame)
    }

    /// Waits until then, or until a key or a signal says otherwise.
    pub(super) fn wait(&mut self, until: Instant) -> Result<Asked> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Asked::Nothing);
            }
            let (key, woken) = self.poll(left)?;
            if woken && let Some(asked) = self.take_signals()? {
                return Ok(asked);
            }
            if key && self.take_keys() {
                return Ok(Asked::Leave);
            }
        }
    }

    fn poll(&self, left: std::time::Duration) -> Result<(bool, bool)> {
        let stdin = std::io::stdin();
        let mut polled = vec![PollFd::new(&self.woken, PollFlags::IN)];
        if !self.is_deaf {
            polled.push(PollFd::new(&stdin, PollFlags::IN));
        }
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = polled.iter().map(|one| !one.revents().is_empty());
        let woken = ready.next().unwrap_or(false);
        Ok((ready.next().unwrap_or(false), woken))
    }

    /// Whether a key was pressed that means leave.
    fn take_keys(&mut self) -> bool {
        let mut keys = [0; 64];
        // Not by the buffer of the library, which poll knows nothing of.
        match rustix::io::read(std::io::stdin(), &mut keys) {
            Ok(0) | Err(_) => {
                self.is_deaf = true;
                false
            }
            Ok(read) => keys.iter().take(read).any(|key| matches!(key, b'q' | b'Q')),
        }
    }

    fn take_signals(&mut self) -> Result<Option<Asked>> {
        let mut bytes = [0; 64];
        while matches!(self.woken.read(&mut bytes), Ok(read) if read > 0) {}
        let came: Vec<i32> = self
            .signals
            .iter()
            .filter(|signal| signal.came.swap(false, Ordering::AcqRel))
            .map(|signal| signal.number)
            .collect();
        let mut asked = None;
        for number in came {
            match number {
                SIGWINCH => asked = asked.or(Some(Asked::Nothing)),
                SIGINT => asked = Some(Asked::Leave),
                SIGTSTP => {
                    self.hide();
                    // Stops here, and goes on when the shell says so.
                    emulate_default_handler(SIGTSTP)?;
                    self.show()?;
                    asked = asked.or(Some(Asked::Nothing));
                }
                number => {
                    self.hide();
                    emulate_default_handler(number)?;
                }
            }
        }
        Ok(asked)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.hide();
    }
}

fn write(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush().map_err(|error| Error::new(error.kind(), error))
}
