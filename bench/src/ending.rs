//! What a signal ends: everything that the benchmark started, then the benchmark.

use std::collections::HashSet;
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

use crate::process;
use crate::service::PATIENCE;
use crate::trouble::Trouble;
use crate::watch::now;

static SIGNALLED: AtomicBool = AtomicBool::new(false);

/// Waits for a signal on a thread of its own. It is caught, not blocked: what is blocked stays so in the processes that are started.
pub fn on_signals() -> Result<(), Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut hangup, mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let signal = runtime.block_on(async {
            tokio::select! {
                _ = hangup.recv() => SignalKind::hangup(),
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = terminate.recv() => SignalKind::terminate(),
            }
        });
        SIGNALLED.store(true, Ordering::SeqCst);
        end_all();
        #[expect(clippy::exit, reason = "the main thread waits for answers that come no more")]
        exit(128 + signal.as_raw_value());
    })?;
    Ok(())
}

/// Returns unless a signal came: then whatever else went wrong came of it, and the signal says how the process ends.
pub fn give_way() {
    while SIGNALLED.load(Ordering::SeqCst) {
        std::thread::park();
    }
}

/// Asks each child to stop, those too that are just starting, and waits until they are gone.
fn end_all() {
    let (began, mut asked) = (now(), HashSet::new());
    while now().duration_since(began) < PATIENCE {
        let Ok(children) = process::children(std::process::id()) else { return };
        if children.is_empty() {
            return;
        }
        for id in children.into_iter().filter_map(|id| i32::try_from(id).ok()) {
            if asked.insert(id) {
                // Whoever has just gone needs no asking.
                let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
