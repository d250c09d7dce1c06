//! A network and a server in trouble, a host that is killed, and a lease that runs out, while a writer writes.

use std::time::Duration;

use gtm_test_support::Server;
use nix::sys::signal::Signal;

use super::ledger::{Ledger, Writer};
use crate::proxy::Proxy;
use crate::support::{Host, plugin};

const ROUNDS: usize = 20;
/// Shorter than some of the trouble.
const LEASE: &str = "1s";

// The proxy goes on while this waits for a line.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "how much was repeated, for who runs it with --nocapture")]
async fn nothing_is_lost_whatever_happens_to_the_network_the_server_the_host_and_its_lease() {
    let mut server = Server::start(Default::default()).unwrap();
    let mut writer = Writer::new(server.uri()).await;
    let proxy = Proxy::start(server.uri()).await;
    let (print_ops, oplog) = (plugin("print_ops"), writer.oplog.clone());
    let from = ["--uri", proxy.uri(), "--source-oplog", &oplog, "--start", "oldest", "--lease-ttl", LEASE];
    let arguments =
        [&from[..], &["--plugin", &print_ops, "--name", "trouble", "--delivery-ordering", "document"]]
            .concat();
    let mut ledger = Ledger::default();
    let mut host = Host::start(&arguments);
    for round in 0..ROUNDS {
        let count = writer.random(40);
        writer.write(count).await;
        match round % 5 {
            0 => proxy.cut(),
            1 => proxy.stall(),
            2 => proxy.delay(Duration::from_millis(20)),
            3 => {
                host.signal(Signal::SIGKILL);
                let (_, lines) = std::mem::replace(&mut host, Host::start(&arguments)).all();
                ledger.add(&lines, 0);
            }
            _ => {
                server.kill().unwrap();
                server.restart().unwrap();
            }
        }
        let count = writer.random(40);
        writer.write(count).await;
        let long = writer.random(2000);
        tokio::time::sleep(Duration::from_millis(u64::try_from(long).unwrap())).await;
        proxy.resume();
    }
    writer.write(1).await;
    host.wait_until("the last op", |line| writer.is_last(line));
    host.signal(Signal::SIGTERM);
    let (code, lines) = host.all();
    assert_eq!(code, Some(0), "{lines:?}");
    ledger.add(&lines, 0);
    assert_eq!(ledger.seen, writer.written, "nothing is missing");
    println!("{} ops, {} repeats in {ROUNDS} rounds of trouble", writer.increment, ledger.repeats);
}
