//! Finds out what a workflow waits on when nothing of ours will wake it.

use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::ptr;
use std::task::{RawWaker, RawWakerVTable, Waker};

use millrace_core::Blocked;

const UNKNOWN: &str = "something other than the workflow context";

thread_local! {
    /// How the tracing waker came to be cloned.
    static CLONED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A waker that wakes nobody: when a future clones it to keep it, the future gives itself away by the call stack.
const TRACING: RawWakerVTable = RawWakerVTable::new(clone, ignore, ignore, ignore);

fn clone(_: *const ()) -> RawWaker {
    CLONED.with_borrow_mut(|cloned| {
        cloned.get_or_insert_with(|| Backtrace::force_capture().to_string());
    });
    RawWaker::new(ptr::null(), &TRACING)
}

fn ignore(_: *const ()) {}

/// Polls once more, to see which future keeps the waker.
pub(super) fn find(poll: impl FnOnce(&Waker)) -> Blocked {
    CLONED.set(None);
    #[allow(
        unsafe_code,
        reason = "only a raw waker can tell that it is cloned; its functions never use the pointer"
    )]
    // SAFETY: the functions of the table are safe for any pointer, and are thread-safe.
    let waker = unsafe { Waker::new(ptr::null(), &TRACING) };
    poll(&waker);
    let (on, at) = CLONED.take().map_or((None, None), |trace| waiting(&trace));
    Blocked::Foreign { on: on.unwrap_or_else(|| UNKNOWN.into()), at }
}

/// One line of a printed backtrace and, if it is known, its place.
struct Frame<'a> {
    symbol: &'a str,
    at: Option<&'a str>,
}

impl Frame<'_> {
    /// Whether the frame's place is in code that the author wrote.
    fn is_authors(&self) -> bool {
        let foreign = ["/rustc/", "/.cargo/", "/registry/src/", "/library/"];
        self.at.is_some_and(|at| !foreign.iter().any(|part| at.contains(part)))
    }
}

fn frames(trace: &str) -> Vec<Frame<'_>> {
    let mut frames: Vec<Frame<'_>> = Vec::new();
    for line in trace.lines().map(str::trim) {
        if let Some(at) = line.strip_prefix("at ") {
            if let Some(frame) = frames.last_mut() {
                frame.at = Some(at);
            }
        } else if let Some((_, symbol)) = line.split_once(": ") {
            frames.push(Frame { symbol, at: None });
        }
    }
    frames
}

/// The outermost future below the author's code, and the author's line.
fn waiting(trace: &str) -> (Option<String>, Option<String>) {
    let frames = frames(trace);
    let cloned = frames.iter().rposition(|f| f.symbol.contains("Waker as core::clone::Clone>::clone"));
    let cloned =
        cloned.or_else(|| frames.iter().position(|f| f.symbol.contains("millrace::host::foreign::clone")));
    let below = frames.get(cloned.map_or(0, |i| i + 1)..).unwrap_or_default();
    let author = below.iter().position(Frame::is_authors);
    let on = below.iter().take(author.unwrap_or(below.len())).rev().find_map(|frame| polled(frame.symbol));
    let at = author.and_then(|i| below.get(i)).and_then(|frame| frame.at);
    (on.map(str::to_owned), at.map(str::to_owned))
}

/// `X` of `<X as core::future::future::Future>::poll`.
fn polled(symbol: &str) -> Option<&str> {
    let (on, _) = symbol.strip_prefix('<')?.split_once(" as core::future::future::Future>::poll")?;
    Some(on)
}

/// The function of tokio that the author called: the outermost of tokio's frames.
pub(super) fn tokio_call(trace: &str) -> String {
    let frames = frames(trace);
    let is_tokios = |frame: &&Frame<'_>| {
        let symbol = frame.symbol.trim_start_matches('<');
        symbol.starts_with("tokio::") && !symbol.contains("panic")
    };
    let call = frames.iter().skip_while(|frame| !is_tokios(frame)).take_while(is_tokios).last();
    call.map_or_else(|| "a tokio timer or socket".into(), |frame| frame.symbol.to_owned())
}
