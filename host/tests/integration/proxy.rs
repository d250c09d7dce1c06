//! A network between a client and a server that fails as it is told.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// A way to a server. Dropped, it takes no more connections.
pub struct Proxy {
    uri: String,
    ways: Arc<watch::Sender<Way>>,
    /// The answer to the next request with this word in it is lost.
    lose: Arc<Mutex<Option<String>>>,
    _listening: AbortOnDropHandle<()>,
}

/// How things go.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Open { delay: Duration },
    Stalled,
    Cut,
}

const OPEN: Way = Way::Open { delay: Duration::ZERO };

impl Proxy {
    /// A way to the server at `target`, a URI of one host.
    pub async fn start(target: &str) -> Self {
        let rest = target.strip_prefix("mongodb://").unwrap();
        let (host, options) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, host) = host.rsplit_once('@').map_or(("", host), |(login, host)| (login, host));
        let login = if login.is_empty() { String::new() } else { format!("{login}@") };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("mongodb://{login}{}/{options}", listener.local_addr().unwrap());
        let ways = Arc::new(watch::Sender::new(OPEN));
        let lose = Arc::default();
        let listening = tokio::spawn(listen(listener, host.to_owned(), ways.clone(), Arc::clone(&lose)));
        Self { uri, ways, lose, _listening: AbortOnDropHandle::new(listening) }
    }

    /// The server, by this way.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Nothing comes through, and nobody is told so.
    pub fn stall(&self) {
        self.ways.send_replace(Way::Stalled);
    }

    /// All connections end, and new ones at once.
    pub fn cut(&self) {
        self.ways.send_replace(Way::Cut);
    }

    /// All is well again. What was stalled comes through.
    pub fn resume(&self) {
        self.ways.send_replace(OPEN);
    }

    /// Everything takes so much longer, in each direction.
    pub fn delay(&self, delay: Duration) {
        self.ways.send_replace(Way::Open { delay });
    }

    /// The next request with `word` in it comes through; instead of the answer, its connection ends.
    pub fn lose_answer_to(&self, word: &str) {
        *self.lose.lock().unwrap() = Some(word.to_owned());
    }

    /// Whether such an answer is still to be lost.
    pub fn is_to_lose(&self) -> bool {
        self.lose.lock().unwrap().is_some()
    }
}

type Lose = Arc<Mutex<Option<String>>>;

async fn listen(listener: TcpListener, target: String, ways: Arc<watch::Sender<Way>>, lose: Lose) {
    while let Ok((client, _)) = listener.accept().await {
        let (target, mut way, lose) = (target.clone(), ways.subscribe(), lose.clone());
        tokio::spawn(async move {
            let cut = {
                let mut way = way.clone();
                async move { way.wait_for(|way| *way == Way::Cut).await.is_ok() }
            };
            tokio::select! {
                _ = cut => {}
                _ = carry(client, target, &mut way, lose) => {}
            }
        });
    }
}

/// Carries one connection until an end closes it.
async fn carry(
    client: TcpStream,
    target: String,
    way: &mut watch::Receiver<Way>,
    lose: Lose,
) -> io::Result<()> {
    let server = TcpStream::connect(target).await?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let lost = watch::Sender::new(false);
    tokio::select! {
        end = copy(from_client, to_server, way.clone(), |bytes| {
            let mut lose = lose.lock().unwrap();
            let meant = lose.as_ref().is_some_and(|word| bytes.windows(word.len()).any(|part| part == word.as_bytes()));
            if meant {
                *lose = None;
                lost.send_replace(true);
            }
            true
        }) => end,
        end = copy(from_server, to_client, way.clone(), |_| !*lost.borrow()) => end,
    }
}

/// Copies what `passes`, until it does not.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
    passes: impl Fn(&[u8]) -> bool,
) -> io::Result<()> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut bytes).await?;
        if count == 0 || !passes(&bytes[..count]) {
            return Ok(());
        }
        let open = way.wait_for(|way| matches!(way, Way::Open { .. })).await.map(|way| *way);
        if let Ok(Way::Open { delay }) = open {
            tokio::time::sleep(delay).await;
        }
        to.write_all(&bytes[..count]).await?;
    }
}
