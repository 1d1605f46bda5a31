//! Draws the board on a terminal.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::Writer;
use super::board::Board;
use super::event::Event;
use super::paint::Paint;
use super::text::fit;

/// How often the times on the running lines move on.
const TICK: Duration = Duration::from_millis(100);
/// At most this many changing lines, and never more than half of the terminal.
const MAX_LINES: u16 = 16;

/// Tells a terminal's height and width, in characters.
pub(super) type Size = Box<dyn Fn() -> (u16, u16) + Send + Sync>;

/// A terminal with lines that change at its bottom.
#[derive(Debug)]
pub(super) struct Terminal {
    shared: Arc<Shared>,
    ticker: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    live: Mutex<Live>,
    /// Wakes the ticker when `Live::ended` is set.
    ended: Condvar,
}

#[derive(Debug)]
struct Live {
    board: Board,
    screen: Screen,
    lines: MultiProgress,
    bars: Vec<ProgressBar>,
    ended: bool,
}

impl Terminal {
    pub(super) fn new(writer: Writer, size: Size, color: bool) -> Self {
        let screen = Screen {
            writer: Arc::new(Mutex::new(writer)),
            size: size.into(),
        };
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        let live = Live {
            board: Board::new(Paint { color }),
            screen,
            lines: MultiProgress::with_draw_target(target),
            bars: Vec::new(),
            ended: false,
        };
        let shared = Arc::new(Shared {
            live: Mutex::new(live),
            ended: Condvar::new(),
        });
        let for_ticker = Arc::clone(&shared);
        let ticker = thread::spawn(move || for_ticker.tick());
        Self {
            shared,
            ticker: Some(ticker),
        }
    }

    pub(super) fn event(&self, event: &Event) {
        let mut live = self.shared.live();
        let now = Instant::now();
        if let Some(line) = live.board.apply(event, now) {
            let width = live.width();
            live.scroll(&format!("{}\n", fit(&line, width)));
        }
        // Log lines and byte counts come by the thousand: the next tick shows the latest.
        if !matches!(event, Event::Log { .. } | Event::Bytes { .. }) {
            live.draw(now);
        }
    }

    /// Ends the lines that change, and writes `text` where they were.
    pub(super) fn finish(&self, text: &str) {
        let mut live = self.shared.live();
        live.board.clear();
        live.draw(Instant::now());
        live.scroll(text);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.finish("");
        self.shared.live().ended = true;
        self.shared.ended.notify_all();
        if let Some(ticker) = self.ticker.take() {
            // A ticker that panicked has nothing left to stop.
            let _ = ticker.join();
        }
    }
}

impl Shared {
    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self) {
        let mut live = self.live();
        while !live.ended {
            live.draw(Instant::now());
            live = self
                .ended
                .wait_timeout(live, TICK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Live {
    /// One column stays free: a character in the last one makes some terminals wrap.
    fn width(&self) -> usize {
        usize::from(self.screen.width().saturating_sub(1))
    }

    fn draw(&mut self, now: Instant) {
        let height = usize::from((self.screen.height() / 2).clamp(1, MAX_LINES));
        let lines = self.board.lines(now, self.width(), height);
        while self.bars.len() > lines.len() {
            if let Some(bar) = self.bars.pop() {
                bar.finish_and_clear();
                self.lines.remove(&bar);
            }
        }
        while self.bars.len() < lines.len() {
            let style = ProgressStyle::with_template("{msg}").expect("the template is valid");
            let bar = ProgressBar::no_length().with_style(style);
            self.bars.push(self.lines.add(bar));
        }
        for (bar, line) in self.bars.iter().zip(lines) {
            bar.set_message(line);
        }
    }

    /// Writes lines above those that change.
    fn scroll(&self, text: &str) {
        let written = self.lines.suspend(|| {
            self.screen
                .write_str(text)
                .and_then(|()| self.screen.flush())
        });
        debug_assert!(written.is_ok(), "the screen swallows errors");
    }
}

/// A terminal's screen, written with the escape sequences of ECMA-48.
#[derive(Clone)]
struct Screen {
    writer: Arc<Mutex<Writer>>,
    size: Arc<dyn Fn() -> (u16, u16) + Send + Sync>,
}

impl Screen {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn move_cursor(&self, count: usize, direction: char) -> io::Result<()> {
        // A count of 0 would move by one.
        if count == 0 {
            Ok(())
        } else {
            self.write_str(&format!("\x1b[{count}{direction}"))
        }
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Screen").finish_non_exhaustive()
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        (self.size)().1
    }

    fn height(&self) -> u16 {
        (self.size)().0
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        self.move_cursor(count, 'A')
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        self.move_cursor(count, 'B')
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        self.move_cursor(count, 'C')
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        self.move_cursor(count, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(&format!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        // A terminal that has gone away must not stop the work, and indicatif panics on errors.
        let _ = self.writer().write_all(text.as_bytes());
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.write_str("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let _ = self.writer().flush();
        Ok(())
    }
}
