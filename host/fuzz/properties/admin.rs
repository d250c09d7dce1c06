//! Any bytes, sent to the admin API by who has no token: it answers, or closes the connection, and lets nobody in.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::time::Duration;

use gtm_delivery::HostControl;
use gtm_host::admin::Admin;
use tokio_util::sync::CancellationToken;

/// Far more than any answer takes.
const LIMIT: Duration = Duration::from_secs(60);
/// What needs no token.
const OPEN: [&str; 2] = ["/health", "/ready"];

/// Where it listens.
static ADMIN: LazyLock<SocketAddr> = LazyLock::new(|| {
    let admin = Admin::at_address(
        &"127.0.0.1:0".parse().expect("an address"),
        Some("a-long-token-that-nobody-has-00000"),
    );
    let admin = admin.expect("it listens");
    let address = admin.local_addr().expect("it has an address");
    let serving = admin.serve(HostControl::new("fuzz", None, CancellationToken::new()), LIMIT);
    std::mem::forget(serving.expect("it serves"));
    address
});

pub fn run(bytes: &[u8]) {
    let mut stream = TcpStream::connect(*ADMIN).expect("it takes connections");
    stream.set_read_timeout(Some(LIMIT)).expect("a time can be set");
    // It may close the connection while this is sent.
    let sent = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert!(sent.is_err() || error.kind() == std::io::ErrorKind::ConnectionReset, "{error}");
    }
    let answer = String::from_utf8_lossy(&answer);
    let asked = String::from_utf8_lossy(bytes);
    if answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200") {
        assert!(OPEN.iter().any(|open| asked.contains(open)), "{asked:?}: {answer}");
        assert!(!answer.contains("\"pipeline\""), "{asked:?}: {answer}");
    }
}
