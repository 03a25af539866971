//! Contains panics of a library that reads files.
//!
//! The Parquet reader checks most of what it reads, but some damage makes it panic (a negative offset in the footer, for example). A damaged
//! file is a user's everyday problem, so it must end as a diagnostic, and without a panic's message before it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Runs `read`; `None` if it panics. What it was building is dropped, so that nothing half built is seen afterwards.
pub(super) fn contained<T>(read: impl FnOnce() -> T) -> Option<T> {
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    let outer = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    QUIET.set(outer);
    result.ok()
}
