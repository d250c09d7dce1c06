//! What is linked of WASI beside HTTP.

use gtm_plugin::config;
use wasip2::cli::{environment, stderr, stdin, stdout, terminal_stdin, terminal_stdout};
use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::filesystem::preopens;
use wasip2::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, NewTimestamp, OpenFlags, PathFlags, filesystem_error_code,
};
use wasip2::io::poll;
use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::random::{insecure, insecure_seed, random};
use wasip2::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::tcp::ShutdownType;
use wasip2::sockets::{instance_network, ip_name_lookup, tcp_create_socket, udp_create_socket};

use super::shapes::{bytes, text, word};
use super::{Call, Random, ignore};

/// A time that a call may wait, in nanoseconds.
const SHORT: u64 = 20_000_000;
/// Random bytes that an instance gets at once; with more it is ended.
const RANDOM: u64 = 64 << 10;

pub(super) const CALLS: [Call; 22] = [
    ("cli.environment", |_| {
        ignore((environment::get_environment(), environment::get_arguments(), environment::initial_cwd()));
        ignore((terminal_stdin::get_terminal_stdin(), terminal_stdout::get_terminal_stdout()));
    }),
    ("cli.stdin", |random| read(random, &stdin::get_stdin())),
    ("cli.stdout", |random| write(random, &stdout::get_stdout())),
    ("cli.stderr", |random| write(random, &stderr::get_stderr())),
    ("cli.splice", |random| {
        let (out, length) = (stdout::get_stdout(), random.number());
        ignore(out.splice(&stdin::get_stdin(), length));
    }),
    ("clocks", |_| {
        ignore((wall_clock::now(), wall_clock::resolution()));
        ignore((monotonic_clock::now(), monotonic_clock::resolution()));
    }),
    ("clocks.subscribe", |random| {
        ignore(monotonic_clock::subscribe_instant(random.number()).ready());
        ignore(monotonic_clock::subscribe_duration(random.number()).ready());
    }),
    ("clocks.subscribe many", |random| {
        let count = random.below(200);
        ignore((0..count).map(|_| monotonic_clock::subscribe_duration(random.number())).collect::<Vec<_>>());
    }),
    ("io.poll", |random| {
        let times: Vec<_> = (0..=random.below(150)).map(|_| random.number()).collect();
        let mut all: Vec<_> = times.into_iter().map(monotonic_clock::subscribe_duration).collect();
        all.push(monotonic_clock::subscribe_duration(SHORT));
        // The same one again and again.
        let again = random.count();
        let all: Vec<_> = all.iter().chain(std::iter::repeat_n(&all[0], again)).collect();
        ignore(poll::poll(&all));
    }),
    ("io.block", |_| monotonic_clock::subscribe_duration(SHORT).block()),
    ("random.get-random-bytes", |random| {
        ignore(random::get_random_bytes(random.number() % (RANDOM + 1)));
    }),
    ("random.insecure", |random| {
        ignore(insecure::get_insecure_random_bytes(random.number() % (RANDOM + 1)));
        ignore((
            insecure::get_insecure_random_u64(),
            insecure_seed::insecure_seed(),
            random::get_random_u64(),
        ));
    }),
    // Too much of it ends the instance.
    ("random.too-much", |random| {
        if random.one_in(8) {
            ignore(random::get_random_bytes(random.number()));
        }
    }),
    ("filesystem.preopens", |_| ignore(preopens::get_directories())),
    ("filesystem.open-at", |random| {
        for (directory, _) in preopens::get_directories() {
            let opened = open(random, &directory);
            ignore(opened.map(|file| use_file(random, &file)));
        }
    }),
    ("filesystem.paths", |random| {
        for (directory, _) in preopens::get_directories() {
            paths(random, &directory);
        }
    }),
    ("filesystem.read-directory", |random| {
        for (directory, _) in preopens::get_directories() {
            let Ok(entries) = directory.read_directory() else { continue };
            for _ in 0..random.count() {
                if !matches!(entries.read_directory_entry(), Ok(Some(_))) {
                    break;
                }
            }
        }
    }),
    ("filesystem.streams", |random| {
        for (directory, _) in preopens::get_directories() {
            let Ok(file) = open(random, &directory) else { continue };
            if let Ok(stream) = file.write_via_stream(random.number() % (1 << 20)) {
                write(random, &stream);
            }
            if let Ok(stream) = file.read_via_stream(random.number()) {
                read(random, &stream);
            }
        }
    }),
    ("sockets.tcp", |random| {
        let family = random.pick(&[IpAddressFamily::Ipv4, IpAddressFamily::Ipv6]);
        let Ok(socket) = tcp_create_socket::create_tcp_socket(family) else { return };
        let network = instance_network::instance_network();
        ignore(socket.start_bind(&network, address(random)));
        ignore(socket.finish_bind());
        ignore(socket.start_connect(&network, server()));
        let pollable = socket.subscribe();
        if random.one_in(2) {
            pollable.block();
        }
        let connected = socket.finish_connect();
        if let Ok((input, output)) = &connected {
            ignore(input.read(random.number()));
            write_parts(random, output, false);
        }
        ignore((socket.start_listen(), socket.finish_listen(), socket.accept()));
        ignore(socket.set_listen_backlog_size(random.number()));
        ignore(socket.set_receive_buffer_size(random.number()));
        ignore(socket.set_keep_alive_idle_time(random.number()));
        ignore((socket.local_address(), socket.remote_address()));
        ignore(socket.shutdown(random.pick(&[
            ShutdownType::Receive,
            ShutdownType::Send,
            ShutdownType::Both,
        ])));
        drop((connected, pollable));
    }),
    ("sockets.tcp many", |random| {
        let count = random.below(100);
        let made = (0..count).map(|_| tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4));
        ignore(made.collect::<Vec<_>>());
    }),
    ("sockets.udp", |random| {
        let Ok(socket) = udp_create_socket::create_udp_socket(IpAddressFamily::Ipv4) else { return };
        ignore(socket.start_bind(&instance_network::instance_network(), address(random)));
        ignore(socket.finish_bind());
        ignore(socket.set_send_buffer_size(random.number()));
        let remote = random.maybe(address);
        if let Ok((incoming, outgoing)) = socket.stream(remote) {
            ignore((incoming.receive(random.number()), outgoing.check_send()));
        }
    }),
    ("sockets.resolve-addresses", |random| {
        let network = instance_network::instance_network();
        // A name that may be granted, or none.
        let name = if random.one_in(2) { "localhost".to_owned() } else { text(random) + " " };
        if let Ok(stream) = ip_name_lookup::resolve_addresses(&network, &name) {
            let pollable = stream.subscribe();
            if random.one_in(2) {
                pollable.block();
            }
            ignore(stream.resolve_next_address());
        }
    }),
];

fn address(random: &mut Random) -> IpSocketAddress {
    let [a, b, c, d, ..] = random.any().to_le_bytes();
    let address = random.pick(&[(127, 0, 0, 1), (0, 0, 0, 0), (a, b, c, d)]);
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port: u16::from_le_bytes([a, b]), address })
}

/// The server of the setting `url`, which may be granted.
fn server() -> IpSocketAddress {
    let port = config::get("url").and_then(|url| url.rsplit(':').next()?.parse().ok()).unwrap_or(1);
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) })
}

/// What is wrong with a stream is looked at, too.
fn look<T>(result: Result<T, StreamError>) {
    if let Err(StreamError::LastOperationFailed(error)) = result {
        ignore((error.to_debug_string(), filesystem_error_code(&error)));
    }
}

pub(super) fn read(random: &mut Random, stream: &InputStream) {
    for _ in 0..random.below(5) {
        let length = random.number();
        match random.below(5) {
            0 => look(stream.read(length)),
            1 => look(stream.skip(length)),
            2 => look(stream.blocking_skip(length)),
            3 => ignore(stream.subscribe().ready()),
            _ => look(stream.blocking_read(length)),
        }
    }
}

pub(super) fn write(random: &mut Random, stream: &OutputStream) {
    write_parts(random, stream, true);
}

/// The same. Where nobody takes what is written, it may not wait.
pub(super) fn write_parts(random: &mut Random, stream: &OutputStream, may_wait: bool) {
    for _ in 0..random.below(5) {
        let Ok(room) = stream.check_write() else { return };
        let mut part = bytes(random);
        // More than there is room for ends the instance.
        if !random.one_in(40) {
            part.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        }
        match random.below(5) {
            0 => look(stream.write_zeroes(room)),
            1 => look(stream.flush()),
            2 => ignore(stream.subscribe().ready()),
            3 if may_wait => look(stream.blocking_write_and_flush(&part[..part.len().min(4096)])),
            _ => look(stream.write(&part)),
        }
    }
}

/// One of a few files, or any path.
fn path(random: &mut Random) -> String {
    match random.below(6) {
        0 => text(random),
        1 => word(random),
        2 => random.pick(&["..", "/etc/passwd", ".", "", "a/../../etc/passwd", "/proc/self/mem"]).to_owned(),
        _ => format!("file{}", random.below(6)),
    }
}

fn open(
    random: &mut Random,
    directory: &Descriptor,
) -> Result<Descriptor, wasip2::filesystem::types::ErrorCode> {
    let how = random.pick(&[
        OpenFlags::CREATE,
        OpenFlags::CREATE | OpenFlags::TRUNCATE,
        OpenFlags::DIRECTORY,
        OpenFlags::empty(),
    ]);
    let flags = random.pick(&[DescriptorFlags::all(), DescriptorFlags::READ | DescriptorFlags::WRITE]);
    directory.open_at(PathFlags::empty(), &path(random), how, flags)
}

fn use_file(random: &mut Random, file: &Descriptor) {
    let offset = random.number();
    match random.below(9) {
        0 => ignore(file.read(random.number(), offset)),
        1 => ignore(file.write(&bytes(random), offset % (1 << 20))),
        2 => ignore(file.set_size(random.number() % (1 << 24))),
        3 => ignore(file.advise(offset, random.number(), Advice::WillNeed)),
        4 => ignore((file.sync(), file.sync_data())),
        5 => ignore((file.stat(), file.get_flags(), file.get_type(), file.metadata_hash())),
        6 => ignore(file.set_times(NewTimestamp::Now, NewTimestamp::NoChange)),
        7 => {
            if let Ok(stream) = file.append_via_stream() {
                write(random, &stream);
            }
        }
        _ => ignore(file.is_same_object(file)),
    }
}

fn paths(random: &mut Random, directory: &Descriptor) {
    let (one, other) = (path(random), path(random));
    match random.below(9) {
        0 => ignore(directory.stat_at(PathFlags::SYMLINK_FOLLOW, &one)),
        1 => ignore(directory.create_directory_at(&one)),
        2 => ignore(directory.link_at(PathFlags::empty(), &one, directory, &other)),
        3 => ignore(directory.symlink_at(&one, &other)),
        4 => ignore(directory.readlink_at(&one)),
        5 => ignore(directory.rename_at(&one, directory, &other)),
        6 => ignore(directory.unlink_file_at(&one)),
        7 => ignore(directory.remove_directory_at(&one)),
        _ => ignore(directory.metadata_hash_at(PathFlags::empty(), &one)),
    }
}
