//! What the operating system says to the controller: stop, and read the tree again.

use std::io;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Cancels `stop` on SIGTERM and SIGINT and tells `reload` on SIGHUP, from now on.
///
/// # Errors
/// If the operating system refuses; nothing is listened for then.
#[cfg(unix)]
pub fn listen(stop: CancellationToken, reload: Arc<Notify>) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                Some(()) = terminate.recv() => stop.cancel(),
                Some(()) = interrupt.recv() => stop.cancel(),
                Some(()) = hang_up.recv() => reload.notify_one(),
                else => break,
            }
        }
    });
    Ok(())
}

/// Cancels `stop` on Ctrl-C, from now on. There is no SIGHUP here.
///
/// # Errors
/// None here.
#[cfg(not(unix))]
pub fn listen(stop: CancellationToken, reload: Arc<Notify>) -> io::Result<()> {
    tokio::spawn(async move {
        let _keep = reload;
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    Ok(())
}

/// Cancels `stop` on SIGTERM and SIGINT, from now on: for what begins, ends and may be interrupted.
///
/// # Errors
/// If the operating system refuses; nothing is listened for then.
pub fn listen_to_stop(stop: CancellationToken) -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.cancel();
        });
        Ok(())
    }
    #[cfg(not(unix))]
    listen(stop, Arc::default())
}
