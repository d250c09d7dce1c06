//! Does what a plugin should not, where its config says: `filter` or `handle` set to one of the
//! names in `misbehave`. `namespace` limits it to one, as other tests use the same server.
#![allow(clippy::panic, clippy::print_stdout, clippy::print_stderr, reason = "that is its purpose")]

use gtm_plugin::{Config, ConfigError, Failure, Op, Outcome, Plugin, config, log, mail, plugin};

#[plugin]
struct Misbehave;

impl Plugin for Misbehave {
    fn new(_: Config) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn filter(&self, op: &Op) -> bool {
        if config::get("namespace").is_some_and(|wanted| op.namespace() != wanted.as_str()) {
            return false;
        }
        let _ = misbehave("filter", op);
        true
    }

    fn handle(&self, op: &Op) -> Outcome {
        misbehave("handle", op)?;
        log::info!("handled at attempt {}", op.attempt());
        Ok(())
    }
}

fn misbehave(call: &str, op: &Op) -> Outcome {
    match config::get(call).as_deref() {
        Some("panic") => panic!("as I was told to"),
        Some("panic-once") if op.attempt() == 1 => panic!("only once"),
        Some("loop") => loop {
            std::hint::black_box(op.attempt());
        },
        Some("eat-memory") => {
            let mut eaten = Vec::new();
            loop {
                eaten.push(std::hint::black_box(vec![1_u8; 1 << 20]));
            }
        }
        Some("recurse") => {
            std::hint::black_box(recurse(op.attempt()));
            Ok(())
        }
        Some("sleep") => {
            std::thread::sleep(std::time::Duration::from_secs(3600));
            Ok(())
        }
        Some("nap") => {
            std::thread::sleep(std::time::Duration::from_millis(20));
            Ok(())
        }
        Some("mail") => mail::send(&mail::Message::to("ada@example.com").text("from the filter"))
            .map(drop)
            .inspect_err(|error| log::error!("no mail: {error}"))
            .map_err(Failure::from),
        Some("print") => {
            println!("printed by {call}");
            eprintln!("and to standard error");
            Ok(())
        }
        Some("spy") => {
            spy();
            Ok(())
        }
        Some("flood") => {
            log::info!("{}", "x".repeat(1 << 20));
            Ok(())
        }
        // Lines without end.
        Some("log") => loop {
            log::info!("and another line");
        },
        Some("list") => {
            list(100);
            Ok(())
        }
        Some("list-many") => {
            list(1000);
            Ok(())
        }
        // Lines with an end.
        Some("log-burst") => {
            (0..200).for_each(|n| log::info!("line {n}"));
            Ok(())
        }
        // Far more than is kept of what is printed.
        Some("print-much") => {
            (0..100_000).for_each(|n| println!("{n} {}", "x".repeat(1000)));
            Ok(())
        }
        Some("say-much") => Err(Failure::reject("x".repeat(40 << 20))),
        // The same as many lines, of which each is short.
        Some("say-lines") => Err(Failure::reject("x\n".repeat(20 << 20))),
        Some("say-too-much") => Err(Failure::reject("x".repeat(100 << 20))),
        Some("log-too-much") => {
            log::info!("{}", "x".repeat(100 << 20));
            Ok(())
        }
        // Each byte of the text becomes six.
        Some("encode-much") => {
            let mut document = gtm_plugin::bson::RawDocumentBuf::new();
            document.append(gtm_plugin::bson::raw::cstr!("text"), "\u{1}".repeat(15 << 20));
            let mut refusals = Vec::new();
            for _ in 0..10 {
                refusals.extend(gtm_plugin::extended_json::canonical(&document).err());
            }
            let last = refusals.last().map(ToString::to_string).unwrap_or_default();
            log::info!("{} of 10 texts are refused: {last}", refusals.len());
            Ok(())
        }
        // Lines of 16 KB, as fast as they come.
        Some("log-wide") => loop {
            log::info!("{}", "x".repeat(16_000));
        },
        Some("hoard") => loop {
            hoard();
        },
        // Has the host keep what is never sent.
        Some("hoard-bodies") => loop {
            hoard_body();
        },
        // Has the host keep long names of methods, servers and paths.
        Some("hoard-texts") => {
            let (requests, refused) = hoard_texts();
            log::info!("{refused} of {} texts are refused", 3 * requests);
            Ok(())
        }
        Some("hoard-headers") => loop {
            hoard_headers();
        },
        // Asks the host to wait as long as it likes.
        Some("wait") => {
            wait();
            Ok(())
        }
        // Has the host wait for room where nobody makes any.
        Some("stall") => {
            stall();
            Ok(())
        }
        Some("reject") => Err(Failure::reject("not this one")),
        Some("retry") => Err(Failure::retry("not now")),
        _ => Ok(()),
    }
}

/// Opens so many listings of the directory that is granted, reads one entry of each, and then all of a last one.
fn list(count: usize) {
    #[cfg(target_family = "wasm")]
    {
        let mut open = Vec::new();
        for (directory, _) in wasip2::filesystem::preopens::get_directories() {
            for _ in 0..count {
                let listing = directory.read_directory().expect("the directory can be listed");
                listing.read_directory_entry().expect("it can be read").expect("it has an entry");
                open.push(listing);
            }
            let last = directory.read_directory().expect("the directory can be listed");
            let mut entries = 0_usize;
            while let Some(entry) = last.read_directory_entry().expect("it can be read") {
                entries += usize::from(entry.name.starts_with("entry-"));
            }
            log::info!("{entries} entries beside {} listings", open.len());
        }
    }
    #[cfg(not(target_family = "wasm"))]
    let _ = count;
}

/// Takes a resource of the host, and never gives it back.
fn hoard() {
    #[cfg(target_family = "wasm")]
    std::mem::forget(wasip2::clocks::monotonic_clock::subscribe_duration(u64::MAX));
}

fn hoard_body() {
    #[cfg(target_family = "wasm")]
    {
        use wasip2::http::types::{Fields, OutgoingRequest};
        let request = OutgoingRequest::new(Fields::new());
        if let Ok(body) = request.body()
            && let Ok(stream) = body.write()
        {
            while let Ok(room @ 1..) = stream.check_write() {
                let part = vec![1; usize::try_from(room).unwrap_or_default()];
                if stream.write(&part).is_err() {
                    break;
                }
            }
            std::mem::forget(stream);
            std::mem::forget(body);
        }
        std::mem::forget(request);
    }
}

/// Gives back how many requests there are, and how many of their texts were refused.
fn hoard_texts() -> (usize, usize) {
    #[cfg(target_family = "wasm")]
    {
        use wasip2::http::types::{Fields, Method, OutgoingRequest};
        let text = "x".repeat(4 << 20);
        let requests: Vec<_> = (0..50).map(|_| OutgoingRequest::new(Fields::new())).collect();
        let set = |request: &OutgoingRequest| {
            let all = [
                request.set_method(&Method::Other(text.clone())),
                request.set_authority(Some(&text)),
                request.set_path_with_query(Some(&format!("/{text}"))),
            ];
            all.iter().filter(|set| set.is_err()).count()
        };
        let refused = requests.iter().map(set).sum();
        let count = requests.len();
        std::mem::forget(requests);
        return (count, refused);
    }
    #[allow(unreachable_code, reason = "it is all there is for another target")]
    (0, 0)
}

fn hoard_headers() {
    #[cfg(target_family = "wasm")]
    {
        let fields = wasip2::http::types::Fields::new();
        let _ = fields.append("x", &vec![b'x'; 60 << 10]);
        std::mem::forget(fields);
    }
}

fn wait() {
    #[cfg(target_family = "wasm")]
    wasip2::clocks::monotonic_clock::subscribe_duration(u64::MAX / 2).block();
}

fn stall() {
    #[cfg(target_family = "wasm")]
    {
        use wasip2::http::types::{Fields, OutgoingRequest};
        let request = OutgoingRequest::new(Fields::new());
        if let Ok(body) = request.body()
            && let Ok(stream) = body.write()
        {
            while stream.blocking_write_and_flush(&[0; 4096]).is_ok() {}
        }
    }
}

#[allow(unconditional_recursion)]
fn recurse(depth: u32) -> u64 {
    u64::from(depth) + std::hint::black_box(recurse(std::hint::black_box(depth + 1)))
}

/// Tries to look out of the sandbox, and logs what it saw.
fn spy() {
    let file = std::fs::read_to_string("/etc/passwd").is_ok();
    let directory = std::fs::read_dir("/").is_ok();
    let environment = std::env::vars().count();
    let arguments = std::env::args().count();
    let network = std::net::TcpStream::connect("127.0.0.1:27017").is_ok();
    log::info!(
        "file {file}, directory {directory}, environment {environment}, arguments {arguments}, network {network}"
    );
}
