//! All settings, in the order in which they are documented.

use super::Kind::{
    Choice, Count, Flag, FlagOrTable, List, Name, Path, Paths, Secret, Size, SizeOrZero, Start, Table, Text,
    Time,
};
use super::Setting;

const fn new(key: &'static str, kind: super::Kind, doc: &'static str) -> Setting {
    Setting::new(key, kind, doc)
}

const ORDERINGS: super::Kind = Choice(&[
    (
        "document",
        "Ops on the same document. A command waits for all ops before it, and all ops after it wait for it",
    ),
    ("namespace", "Ops in the same namespace"),
    ("oplog", "All ops"),
    ("none", "No ops: all are handled concurrently"),
]);

/// All settings.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    new("store.kind", Text, "Where the host keeps checkpoints, dead letters and snapshot progress: mongodb (in store.database on the \
        cluster), file:DIR (in a directory, for a single host), or none").value("STORE").short_name("store").default("mongodb"),
    new("store.database", Text, "The host's own database on the cluster, for checkpoints, dead letters and leases. All hosts of a cluster use \
        the same one, and plugins do not receive its changes").value("NAME").default("gtm"),

    new("name", Name, "The name of the pipeline. Hosts with the same name share checkpoints and dead letters").default("gtm-host"),
    new("cache_dir", Path, "The directory for compiled plugins. Other users must not be able to write to it").value("DIR")
        .otherwise("gtm-host in the user's cache directory"),
    new("plugin_dir", Path, "A directory of plugins. The host runs each .wasm file in it under the file's name, and follows files that are \
        added, changed or removed").value("DIR"),
    new("watch", Flag, "Whether the host swaps a plugin when its file changes, and rescans plugin_dir. SIGHUP and gtm-host swap work \
        either way").default("true"),
    new("shutdown_grace", Time, "How long after a signal the host keeps handling ops that it has already read. A second signal, at least one \
        second later, stops it immediately").default("30s"),

    new("source.uri", Secret, "The URI of the MongoDB deployment to follow. It is a replica set or a sharded cluster").value("URI").short_name("uri").short('u')
        .shared_variable(&["MONGODB_URI"]).instead_of(&["source.uri_file"]).default("mongodb://localhost:27017"),
    new("source.uri_file", Path, "A file that contains the URI, so that its password appears nowhere else").formerly("uri-file")
        .shared_variable(&["MONGODB_URI_FILE"]).instead_of(&["source.uri"]),
    new("source.kind", Choice(&[
            ("auto", "The oplog if the user may read it, otherwise a change stream"),
            ("oplog", "The oplog"),
            ("change-stream", "A change stream"),
        ]), "What to read: the oplog, a change stream, or auto, which reads the oplog if the user may read it").value("KIND").formerly("source")
        .default("auto"),
    new("source.oplog", Text, "The collection to tail as the oplog. If it is set, auto reads it").value("DB.COLL").formerly("oplog")
        .otherwise("local.oplog.rs"),
    new("source.start", Start, "Where to begin: now, oldest, a time like 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00, a span before \
        now like -10m, today or yesterday (at 00:00 UTC), after an oplog entry by its SECONDS.INCREMENT, after an op by its id, or after a resume token of a change \
        stream. A plugin that has a checkpoint resumes from it instead (see source.restart_from)").short_name("start").default("now"),
    new("source.restart_from", Start, "Where every plugin begins, even if it has a checkpoint. It takes the values of source.start. The host \
        does this once: if it is started again with the same value, it resumes. On the command line: --restart-from START").without_option(),
    new("source.snapshot", Flag, "Whether plugins first receive the existing documents, as inserts, and then all changes since. The host resumes \
        an interrupted snapshot, and does not repeat a complete one").short_name("snapshot").default("false"),
    new("source.on_history_lost", Choice(&[
            ("stop", "Stop, and log what is lost"),
            ("restart-from-oldest", "Log it, and continue with the oldest change that the server has"),
            ("restart-from-now", "Log it, and continue from now"),
            ("snapshot", "Log it, deliver all existing documents, and continue"),
        ]), "What to do if the server no longer has the changes to read next, because it discarded them or was restored")
        .value("POLICY").formerly("on-history-lost").default("stop"),

    new("mail.url", Secret, "The URL of the mail server through which plugins send mail. The scheme is smtp:// or smtps://, and \
        smtp://…?tls=required requires STARTTLS").value("URL").formerly("smtp").instead_of(&["mail.url_file"]).otherwise("plugins cannot send mail"),
    new("mail.url_file", Path, "A file that contains the URL of the mail server, so that its password appears nowhere else").formerly("smtp-file")
        .instead_of(&["mail.url"]),
    new("mail.from", Text, "The sender of messages that specify none").value("ADDRESS").otherwise("gtm-host@localhost"),

    new("limits.memory", Size, "How much linear memory each instance of a plugin may use").formerly("memory").default("256 MiB"),
    new("limits.host_memory", Size, "How much memory the host may hold for an instance at a time: arguments and results of calls, bodies of \
        requests, streams and output. A call that needs more fails").default("48 MiB"),
    new("limits.filter_timeout", Time, "How long one call of a plugin's filter may take").formerly("filter-timeout").default("1s"),
    new("limits.handle_timeout", Time, "How long one call of a plugin's handle may take, including everything that it waits for")
        .formerly("handle-timeout").default("30s"),
    new("limits.call_timeout", Time, "How long a plugin waits for one response of the cluster, the store, the mail server or an HTTP server")
        .formerly("call-timeout").default("20s"),
    new("limits.log_lines", Count, "How many lines a plugin may log per second. The host drops and counts the others").value("COUNT")
        .formerly("log-lines").default("10000"),
    new("limits.log_bytes", Size, "How many bytes a plugin may log per second, averaged over ten seconds. The host drops and counts the others")
        .formerly("log-bytes").default("8 MiB"),
    new("limits.http_requests", Count, "How many HTTP requests of a plugin may be in progress at the same time").value("COUNT").default("16"),
    new("limits.http_bytes", Size, "How large the body of a plugin's HTTP request may be, and that of the response").default("16 MiB"),
    new("limits.tcp_sockets", Count, "How many TCP sockets each instance of a plugin may hold at the same time").value("COUNT").default("16"),
    new("limits.state_keys", Count, "How many values a plugin may keep as its state. The host refuses more. 0: no limit").value("COUNT")
        .default("100000"),
    new("limits.state_bytes", SizeOrZero, "How large a plugin's state may be, including its keys. The host refuses more. 0: no limit")
        .default("256 MiB"),
    new("limits.recycle_calls", Count, "How many calls an instance of a plugin serves before a new instance replaces it").value("COUNT")
        .default("1000000"),

    new("delivery.ordering", ORDERINGS, "Which ops of a plugin are handled one after another. Others are handled concurrently").value("ORDER")
        .formerly("ordering").default("document"),
    new("delivery.lanes", Count, "How many ops of a plugin are handled concurrently, each by its own instance").formerly("lanes").default("4"),
    new("delivery.batch_ops", Count, "How many ops a plugin that takes batches receives per call, at most").default("500"),
    new("delivery.batch_wait", Time, "How long the host waits for more ops if a batch is not full").default("0s"),
    new("delivery.max_ops", Count, "How many ops the host reads ahead, counted from the oldest unfinished op").default("4096"),
    new("delivery.max_bytes", Size, "How much memory the ops that the host reads ahead may take").default("64 MiB"),
    new("delivery.checkpoint_interval", Time, "How often the host stores the checkpoint").default("1s"),

    new("breaker.failing_ops", Count, "After how many failed ops, with none handled in between, the host pauses a plugin. 0: never").default("5"),
    new("breaker.initial_delay", Time, "How long the host pauses a failing plugin before it tries again. Each further pause is twice as long")
        .default("1s"),
    new("breaker.max_delay", Time, "The longest pause of a failing plugin").default("1m"),

    new("retry.max_attempts", Count, "How many times the host tries an op, including the first time").formerly("max-attempts").default("8"),
    new("retry.initial_delay", Time, "The delay before the second attempt. Each further delay is twice as long").formerly("retry-delay")
        .default("500ms"),
    new("retry.max_delay", Time, "The longest delay between two attempts").default("30s"),
    new("retry.max_age", Time, "How long after the first attempt the host gives up on an op, even if attempts remain").default("1d"),
    new("retry.dead_letters", Count, "How many dead letters the host keeps for each plugin. At the limit, the plugin pauses until some are retried \
        or dropped. 0: no limit").value("COUNT").default("100000"),
    new("retry.dead_letter_bytes", SizeOrZero, "How large the dead letters of each plugin may be in total. At the limit, the plugin pauses until \
        some are retried or dropped. 0: no limit").default("1 GiB"),

    new("workers.name", Text, "The name of this host among the workers that share the work. Each document belongs to one worker")
        .value("NAME").formerly("worker"),
    new("workers.file", Path, "A file that lists all workers, the same on each host: JSON like {\"workers\": [\"Tom\", \"Dick\"]}, or TOML")
        .formerly("workers").instead_of(&["workers.from"]),
    new("workers.from", Text, "A document on the cluster that lists all workers: {_id: ID, workers: [\"Tom\", \"Dick\"]}").value("DB.COLL/ID")
        .instead_of(&["workers.file"]),
    new("lease.ttl", Time, "How long a standby host waits without a sign of life from the active host before it takes over. At least 1s")
        .default("10s"),

    new("admin.listen", Text, "Where a host serves its admin API, and where commands such as gtm-host status find it. HOST:PORT like \
        127.0.0.1:9797 adds TCP, with a token. The path of a socket replaces the usual socket. none: no API").value("HOST:PORT|PATH|none")
        .short_name("admin").otherwise("a Unix socket, by which commands of the same user find the host of a name"),
    new("admin.token", Secret, "The token that TCP requests need for GET /status and for everything that changes a host").value("TOKEN")
        .instead_of(&["admin.token_file"]).otherwise("the host creates one in a file that commands of the same user find"),
    new("admin.token_file", Path, "A file that contains the token").instead_of(&["admin.token"]),
    new("admin.ready_grace", Time, "How long MongoDB may fail to answer before GET /ready returns 503").formerly("ready-grace").default("30s"),
    new("admin.swap_from", Paths, "A directory from which gtm-host swap may take files, including its subdirectories. The directory of the \
        plugin's own file and plugin_dir are allowed anyway").formerly("swap-from"),

    new("log.format", Choice(&[("text", "Lines for people"), ("json", "One JSON object per line")]),
        "The format of the log on standard error").value("FORMAT").default("text"),
    new("log.filter", Text, "What to log: error, warn, info, debug, trace, or directives such as info,plugin=debug. The host always logs who \
        steered it").value("FILTER").short_name("log").default("warn,gtm_host=info,plugin=info"),

    new("plugins.*.path", Path, "The component of the plugin. On the command line: --plugin [NAME=]FILE").without_option()
        .otherwise("the file of this name in plugin_dir"),
    new("plugins.*.sha256", Text, "The SHA-256 of the component, as gtm-host check prints it. The host refuses any other version. On the command \
        line: --plugin FILE@sha256:DIGEST").without_option(),
    new("plugins.*.filters", Paths, "The filters that run before the filter of this plugin, in this order: components that only filter. A plugin may \
        share a filter with others. On the command line: --filter [NAME:]FILE").without_option(),
    new("plugins.*.snapshot", Flag, "Whether this plugin first receives the existing documents").without_option().otherwise("as source.snapshot"),
    new("plugins.*.restart_from", Start, "Where this plugin begins, once, even if it has a checkpoint. On the command line: --restart-from \
        NAME=START").without_option().otherwise("as source.restart_from"),
    new("plugins.*.ordering", ORDERINGS, "Which of its ops are handled one after another").without_option().otherwise("as delivery.ordering"),
    new("plugins.*.lanes", Count, "How many of its ops are handled concurrently").without_option().otherwise("as delivery.lanes"),
    new("plugins.*.batch_ops", Count, "How many ops it receives per call, if it takes batches").without_option().otherwise("as delivery.batch_ops"),
    new("plugins.*.batch_wait", Time, "How long the host waits for more ops if a batch is not full").without_option()
        .otherwise("as delivery.batch_wait"),
    new("plugins.*.limits", Table, "What this plugin may use. The keys are those of limits").without_option().otherwise("as limits"),
    new("plugins.*.config", Table, "What the plugin reads as its configuration. Each value is a text, a number, true, false, a list of texts, \
        { env = \"NAME\" } or { file = \"PATH\" }. On the command line: --set [NAME:]KEY=VALUE").without_option(),
    new("plugins.*.grants.mail", FlagOrTable, "Send mail through the server of mail.url: true, or a table with from, to and per_minute. On the \
        command line, for this and the other grants: --grant [NAME:]GRANT").without_option(),
    new("plugins.*.grants.state", Flag, "Keep values in the store").without_option(),
    new("plugins.*.grants.http", List, "Send requests to these servers: URLs, or tables with url, private, methods, paths, headers and \
         aws_sigv4").without_option(),
    new("plugins.*.grants.tcp", List, "Connect to these servers: texts like redis.example.com:6379, or tables with server, tls and private")
        .without_option(),
    new("plugins.*.grants.mongodb.read", List, "Read these collections of the cluster, such as shop.*").without_option(),
    new("plugins.*.grants.mongodb.write", List, "Write to these collections of the cluster").without_option(),
    new("plugins.*.grants.env", List, "Read these variables of the host's environment").without_option(),
    new("plugins.*.grants.dirs", List, "Use these directories: tables with host, guest and write").without_option(),

    new("filters.*.sha256", Text, "The SHA-256 of the filter, as gtm-host check prints it. The host refuses any other version. The name of a filter is \
        that of its file, without the ending").without_option(),
    new("filters.*.limits", Table, "What this filter may use. The keys are those of limits").without_option().otherwise("as limits"),
    new("filters.*.config", Table, "What the filter reads as its configuration, as under [plugins.NAME.config]. On the command line: --set \
        NAME:KEY=VALUE").without_option(),
];
