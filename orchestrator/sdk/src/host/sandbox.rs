//! Where workflow code is run: without tokio's drivers, silent in replay, its panics caught with their place.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Once, OnceLock};

use millrace_core::Blocked;
use tokio::runtime::{Builder, Runtime};
use tracing::dispatcher::{self, Dispatch};

use super::foreign;

/// What the hook saw of a panic.
struct Seen {
    at: Option<String>,
    /// Only if it was a foreign wait that panicked: what it was.
    foreign: Option<String>,
}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// Runs workflow code; a panic becomes a reason why the run is blocked.
pub(super) fn run<T>(silent: bool, code: impl FnOnce() -> Result<T, Blocked>) -> Result<T, Blocked> {
    install_hook();
    // A tokio timer or socket then panics at the author's line, instead of waiting for a wake that replay never sees.
    let _no_drivers = runtime().map(Runtime::enter);
    let _silence = silent.then(|| dispatcher::set_default(&Dispatch::none()));
    let outside = INSIDE.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(code));
    INSIDE.set(outside);
    result.unwrap_or_else(|payload| Err(blocked(&*payload)))
}

/// One runtime without drivers for the process; nothing ever runs on it.
fn runtime() -> Option<&'static Runtime> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_current_thread().build().ok()).as_ref()
}

fn blocked(payload: &(dyn Any + Send)) -> Blocked {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    let message = text.or_else(|| payload.downcast_ref::<String>().cloned());
    let seen = SEEN.take();
    let (at, foreign) = seen.map_or((None, None), |seen| (seen.at, seen.foreign));
    match foreign {
        Some(on) => Blocked::Foreign { on, at },
        None => Blocked::Panic { message: message.unwrap_or_else(|| "a panic without a message".into()), at },
    }
}

/// Remembers where workflow code panics; everything else is left to the hook that was there before.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !INSIDE.get() {
                return previous(info);
            }
            let seen = seen(info);
            if seen.foreign.is_none() {
                previous(info);
            }
            SEEN.set(Some(seen));
        }));
    });
}

fn seen(info: &PanicHookInfo<'_>) -> Seen {
    let at = info.location().map(ToString::to_string);
    let message = info.payload_as_str().unwrap_or_default();
    let foreign = lacks_driver(message).then(|| foreign::tokio_call(&Backtrace::force_capture().to_string()));
    Seen { at, foreign }
}

/// Whether this is how tokio says that there is no timer, socket or signal driver.
fn lacks_driver(message: &str) -> bool {
    message.contains("A Tokio 1.x context was found, but")
        || message.contains("there is no reactor running")
        || message.contains("there is no timer running")
        || message.contains("there is no signal driver running")
}
