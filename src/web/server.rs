//! The server: listens, takes no more than it can bear, and ends when it is told to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::web::patience::Patient;
use crate::web::proxies::TrustedProxies;

/// How many connections there are at once. Whoever comes besides has those closed that are kept for a next request; if
/// all are being answered, they wait until one is over.
const CONNECTIONS: usize = 256;
/// How often they are, while somebody waits.
const CROWDED: Duration = Duration::from_millis(100);
/// How long whoever came has at the least until their first request is there.
const FIRST_WORDS: Duration = Duration::from_secs(1);
/// How long the head of a request may take, and how long a connection is kept for the next one.
const HEAD: Duration = Duration::from_secs(15);
/// How large the head of a request may be, in bytes.
const HEAD_SIZE: usize = 32 * 1024;
/// How long a connection may last in all.
const LIFETIME: Duration = Duration::from_secs(20 * 60);
/// How long answers under way may take to end when the program stops.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long to wait after a connection could not be taken: mostly there are too many files open.
const BREATH: Duration = Duration::from_millis(200);

/// From where a request came: whoever opened the connection, or whom a proxy names that the operator trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// A place to listen at, which nobody answers at yet.
#[derive(Debug)]
pub struct Entrance {
    listener: TcpListener,
    address: SocketAddr,
}

impl Entrance {
    /// Begins to listen; for port 0 at one that is free.
    ///
    /// # Errors
    /// If somebody else listens there, or the address is not this machine's.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Returns where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is cancelled, and then lets answers under way end.
    pub async fn serve(self, routes: Router, proxies: TrustedProxies, stop: CancellationToken) {
        let proxies = Arc::new(proxies);
        let crowd = Arc::new(Crowd::default());
        let connections = TaskTracker::new();
        loop {
            let taken = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                taken = crowd.next(&self.listener) => taken,
            };
            match taken {
                Ok((stream, peer, place)) => {
                    let (routes, proxies) = (routes.clone(), proxies.clone());
                    let (crowd, stop) = (crowd.clone(), stop.clone());
                    connections.spawn(async move {
                        answer(stream, peer, routes, proxies, &crowd, stop).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!("a connection could not be taken: {error}");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        drop(self.listener);
        connections.close();
        // What is left then is cut off with the program.
        let _ = tokio::time::timeout(FAREWELL, connections.wait()).await;
    }
}

/// Whoever is connected.
struct Crowd {
    places: Arc<Semaphore>,
    /// Rings while somebody waits for a place.
    somebody_waits: Notify,
}

impl Default for Crowd {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(CONNECTIONS)), somebody_waits: Notify::new() }
    }
}

impl Crowd {
    /// Waits for whoever comes, and then for a place for them.
    async fn next(&self, listener: &TcpListener) -> io::Result<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
        let (stream, peer) = listener.accept().await?;
        loop {
            let place = self.places.clone().acquire_owned();
            match tokio::time::timeout(CROWDED, place).await {
                Ok(place) => return Ok((stream, peer.ip(), place.map_err(io::Error::other)?)),
                Err(_) => self.somebody_waits.notify_waiters(),
            }
        }
    }

    /// Waits until a connection has to make room that began at a moment; `was_asked` says whether a whole request came
    /// by it.
    async fn is_needed(&self, began: Instant, was_asked: &AtomicBool) {
        loop {
            self.somebody_waits.notified().await;
            if was_asked.load(Ordering::Relaxed) || began.elapsed() >= FIRST_WORDS {
                return;
            }
        }
    }
}

async fn answer(
    stream: TcpStream,
    peer: IpAddr,
    routes: Router,
    proxies: Arc<TrustedProxies>,
    crowd: &Crowd,
    stop: CancellationToken,
) {
    let (began, was_asked) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let asked = was_asked.clone();
    // An answer is sent when it is there, and not when there is more of it.
    let _ = stream.set_nodelay(true);
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        let client = proxies.client(peer, request.headers());
        request.extensions_mut().insert(Peer(client));
        routes.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_SIZE)
        .serve_connection(TokioIo::new(Patient::new(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::time::timeout(LIFETIME, async {
        tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
            () = crowd.is_needed(began, &was_asked) => {
                if !was_asked.load(Ordering::Relaxed) {
                    return Ok(());
                }
                // One that is being answered is, to its end; one that is kept for a next request ends at once.
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        }
    });
    if let Ok(Err(error)) = ended.await {
        tracing::debug!("a connection broke: {error}");
    }
}
