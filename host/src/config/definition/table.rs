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
        "Ops of one document. A command waits for all ops before it, and all ops after it wait for it",
    ),
    ("namespace", "Ops of one namespace"),
    ("oplog", "All ops"),
    ("none", "No ops: all are handled at the same time"),
]);

/// All settings.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    new("store.kind", Text, "Where the host keeps checkpoints, dead letters and the progress of snapshots: mongodb (the database of the cluster \
        that store.database names), file:DIR (a directory of one host alone), or none").value("STORE").named("store").default("mongodb"),
    new("store.database", Text, "The host's own database of the cluster, for checkpoints, dead letters and leases. Plugins get no changes of it. \
        All hosts of one cluster use the same").value("NAME").default("gtm"),

    new("name", Name, "The name of the pipeline: hosts with the same name share checkpoints and dead letters").default("gtm-host"),
    new("cache_dir", Path, "The directory for compiled plugins. No other user may write there").value("DIR")
        .otherwise("gtm-host in the user's cache directory"),
    new("plugin_dir", Path, "A directory whose .wasm files are plugins, each under the name of its file, as they come, change and go").value("DIR"),
    new("watch", Flag, "Whether the host swaps a plugin when its file changes, and looks at plugin_dir again. SIGHUP and gtm-host swap work \
        in any case").default("true"),
    new("shutdown_grace", Time, "After a signal, how long the host still handles ops that it has read. A second signal, a second later or more, \
        stops it immediately").default("30s"),

    new("source.uri", Secret, "The MongoDB to follow: a replica set or a sharded cluster").value("URI").named("uri").short('u')
        .variable("MONGODB_URI").instead_of(&["source.uri_file"]).default("mongodb://localhost:27017"),
    new("source.uri_file", Path, "A file that holds the URI, with its password").named("uri-file").variable("MONGODB_URI_FILE")
        .instead_of(&["source.uri"]),
    new("source.kind", Choice(&[
            ("auto", "The oplog if this user may read it, else a change stream"),
            ("oplog", "The oplog"),
            ("change-stream", "A change stream"),
        ]), "What to read: the oplog, or a change stream; auto takes the oplog if this user may read it").value("KIND").named("source").default("auto"),
    new("source.oplog", Text, "The collection to tail as the oplog. If it is set, auto reads it").value("DB.COLL").named("oplog")
        .otherwise("local.oplog.rs"),
    new("source.start", Start, "Where to begin: now, oldest, a time like 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00, a span before \
        now like -10m, today or yesterday (at 00:00 UTC), after the entry SECONDS.INCREMENT, such as the place at which a host says that it \
        stopped, or after an op, by its id. A plugin that has a checkpoint resumes from it instead: see restart_from").named("start").default("now"),
    new("source.restart_from", Start, "Where every plugin begins, as source.start has it, even if it has a checkpoint. It is done once: a \
        host that is started again with the same value resumes. On the command line: --restart-from START").without_option(),
    new("source.snapshot", Flag, "Whether plugins first get the documents that are there, as inserts; then all that changed since. The host resumes \
        a snapshot that was stopped, and does not repeat one that is complete").named("snapshot").default("false"),
    new("source.on_history_lost", Choice(&[
            ("stop", "Stop, and log what is lost"),
            ("restart-from-oldest", "Log it, and continue from the oldest change there is"),
            ("restart-from-now", "Log it, and continue from now"),
            ("snapshot", "Log it, deliver all documents that are there, and continue"),
        ]), "What to do when changes cannot be read any more, because the server rolled them off or was restored")
        .value("POLICY").named("on-history-lost").default("stop"),

    new("mail.url", Secret, "The mail server that plugins send through, if they are granted it. smtp://, smtps://, or smtp://…?tls=required for \
        STARTTLS").value("URL").named("smtp").instead_of(&["mail.url_file"]).otherwise("plugins cannot send mail"),
    new("mail.url_file", Path, "A file that holds the URL of the mail server, with its password").named("smtp-file").instead_of(&["mail.url"]),
    new("mail.from", Text, "The sender of messages that name none").value("ADDRESS").otherwise("gtm-host@localhost"),

    new("limits.memory", Size, "Linear memory of each instance of a plugin").named("memory").default("256 MiB"),
    new("limits.host_memory", Size, "Memory that the host keeps for an instance at a time: arguments and results of its calls, bodies of \
        requests, streams and output. A call that needs more fails").default("48 MiB"),
    new("limits.filter_timeout", Time, "Time for one call of a plugin's filter").named("filter-timeout").default("1s"),
    new("limits.handle_timeout", Time, "Time for one call of a plugin's handle, with all that it waits for").named("handle-timeout").default("30s"),
    new("limits.call_timeout", Time, "Time for one answer of the cluster, the store, the mail server or an HTTP server to a plugin")
        .named("call-timeout").default("20s"),
    new("limits.log_lines", Count, "Lines that a plugin may log in a second. The host counts more, and leaves them out").value("COUNT")
        .named("log-lines").default("10000"),
    new("limits.log_bytes", Size, "Bytes that a plugin may log in a second, on average over ten. The host counts more, and leaves them out")
        .named("log-bytes").default("8 MiB"),
    new("limits.http_requests", Count, "HTTP requests that a plugin may have under way at the same time").value("COUNT").default("16"),
    new("limits.http_bytes", Size, "The body of an HTTP request of a plugin, and that of its response").default("16 MiB"),
    new("limits.state_keys", Count, "Values that a plugin may keep as its state. The host refuses more. 0: no limit").value("COUNT").default("100000"),
    new("limits.state_bytes", SizeOrZero, "Bytes of a plugin's state, with those of its keys. The host refuses more. 0: no limit").default("256 MiB"),
    new("limits.recycle_calls", Count, "Calls after which a new instance replaces an instance of a plugin").value("COUNT").default("1000000"),

    new("delivery.ordering", ORDERINGS, "Which ops are handled one after another. Others are handled at the same time").value("ORDER")
        .named("ordering").default("document"),
    new("delivery.lanes", Count, "How many ops of a plugin are handled at the same time, each by an instance of its own").named("lanes").default("4"),
    new("delivery.batch_ops", Count, "How many ops a plugin that takes batches gets per call, at most").default("500"),
    new("delivery.batch_wait", Time, "How long the host waits for more ops if a batch has fewer").default("0s"),
    new("delivery.max_ops", Count, "How many ops the host reads ahead, from the first that is not done").default("4096"),
    new("delivery.max_bytes", Size, "Memory of the ops that the host reads ahead").default("64 MiB"),
    new("delivery.checkpoint_interval", Time, "How often the host stores the checkpoint").default("1s"),

    new("breaker.failing_ops", Count, "How many ops of a plugin fail, with none handled in between, until the host pauses it. 0: it never does")
        .default("5"),
    new("breaker.initial_delay", Time, "The pause before such a plugin is tried again. It doubles from there").default("1s"),
    new("breaker.max_delay", Time, "The longest pause of such a plugin").default("1m"),

    new("retry.max_attempts", Count, "How many times the host tries an op, the first time included").named("max-attempts").default("8"),
    new("retry.initial_delay", Time, "The pause before the second attempt. It doubles from there").named("retry-delay").default("500ms"),
    new("retry.max_delay", Time, "The longest pause between two attempts").default("30s"),
    new("retry.max_age", Time, "How long after the first attempt the host gives an op up, in any case").default("1d"),
    new("retry.dead_letters", Count, "Dead letters that the host keeps of each plugin. With more, the plugin pauses until some are retried or \
        dropped. 0: no limit").value("COUNT").default("100000"),
    new("retry.dead_letter_bytes", SizeOrZero, "Bytes of the dead letters of each plugin. With more, the plugin pauses until some are retried \
        or dropped. 0: no limit").default("1 GiB"),

    new("workers.name", Text, "The name of this host in the list of all workers, with which it shares the work. Each document is one worker's")
        .value("NAME").named("worker"),
    new("workers.file", Path, "The list of all workers, the same for each: a file like {\"workers\": [\"Tom\", \"Dick\"]}, or .toml")
        .named("workers").instead_of(&["workers.from"]),
    new("workers.from", Text, "The list of all workers, in a document on the cluster: {_id: ID, workers: [\"Tom\", \"Dick\"]}")
        .value("DB.COLL/ID").instead_of(&["workers.file"]),
    new("lease.ttl", Time, "Of two hosts with the same name, how long the standby waits without a sign of life before it takes over: 1s or more")
        .default("10s"),

    new("admin.listen", Text, "Where a running host is seen and steered over HTTP. Each host has a Unix socket, by which status, pause, resume, \
        seek and swap of the same user find it. HOST:PORT, like 127.0.0.1:9797, adds TCP, with a token; the path of a socket takes the place of \
        the usual one; none: no API at all").value("HOST:PORT|PATH|none").named("admin"),
    new("admin.token", Secret, "The token that requests by TCP need, for GET /status and all that steers").value("TOKEN")
        .instead_of(&["admin.token_file"]).otherwise("the host makes one in a file, in which commands of the same user find it"),
    new("admin.token_file", Path, "A file that holds the token").instead_of(&["admin.token"]),
    new("admin.ready_grace", Time, "How long MongoDB may not answer before GET /ready returns 503").named("ready-grace").default("30s"),
    new("admin.swap_from", Paths, "A directory from which gtm-host swap may take files, with those in it; beside that of the plugin's own file, \
        and plugin_dir").named("swap-from"),

    new("log.format", Choice(&[("text", "Lines for people"), ("json", "A JSON object a line")]),
        "The form of the log, on standard error: lines for people, or a JSON object each").value("FORMAT").default("text"),
    new("log.filter", Text, "What is logged: error, warn, info, debug, trace, or directives such as info,plugin=debug. The host logs who steered it \
        in any case").value("FILTER").named("log").default("warn,gtm_host=info,plugin=info"),

    new("plugins.*.path", Path, "The component of the plugin. On the command line: --plugin [NAME=]FILE").without_option()
        .otherwise("the file of this name in plugin_dir"),
    new("plugins.*.sha256", Text, "The SHA-256 of the component, as gtm-host check prints it. The host takes no other version. On the command line: \
        --plugin FILE@sha256:DIGEST").without_option(),
    new("plugins.*.snapshot", Flag, "Whether this plugin first gets the documents that are there").without_option().otherwise("as source.snapshot"),
    new("plugins.*.restart_from", Start, "Where this plugin begins even if it has a checkpoint, once. On the command line: --restart-from \
        NAME=START").without_option().otherwise("as source.restart_from"),
    new("plugins.*.ordering", ORDERINGS, "Which of its ops are handled one after another").without_option().otherwise("as delivery.ordering"),
    new("plugins.*.lanes", Count, "How many of its ops are handled at the same time").without_option().otherwise("as delivery.lanes"),
    new("plugins.*.batch_ops", Count, "How many ops it gets per call, if it takes batches").without_option().otherwise("as delivery.batch_ops"),
    new("plugins.*.batch_wait", Time, "How long the host waits for more ops if a batch has fewer").without_option().otherwise("as delivery.batch_wait"),
    new("plugins.*.limits", Table, "What this plugin may take: keys as under limits").without_option().otherwise("as limits"),
    new("plugins.*.config", Table, "What the plugin reads as its config: a text, a number, true or false, { env = \"NAME\" } or { file = \"PATH\" } \
        for each key. On the command line: --set [NAME:]KEY=VALUE").without_option(),
    new("plugins.*.grants.mail", FlagOrTable, "Send mail through the server of mail.url: true, or a table with from, to and per_minute. On the \
        command line, this and the other grants: --grant [NAME:]GRANT").without_option(),
    new("plugins.*.grants.state", Flag, "Keep values in the store").without_option(),
    new("plugins.*.grants.http", List, "Send requests to these servers: URLs, or tables with url, private, methods, paths and headers").without_option(),
    new("plugins.*.grants.mongodb.read", List, "Read these collections of the cluster, such as shop.*").without_option(),
    new("plugins.*.grants.mongodb.write", List, "Write to these collections of the cluster").without_option(),
    new("plugins.*.grants.env", List, "See these variables of the host's environment").without_option(),
    new("plugins.*.grants.dirs", List, "Use these directories: tables with host, guest and write").without_option(),
];
