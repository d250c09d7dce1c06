//! What `--help` says after the arguments. Each paragraph is one line, as it is wrapped where it is shown; a line of an example has two
//! spaces before it, and fits into 80 columns.

pub(super) const EXAMPLES: &str = "\
Examples:
  Send a welcome e-mail to each new user of the database on this machine:
    gtm-host --plugin send_welcome_email.wasm --grant mail \\
      --smtp smtp://localhost:1025

  See every change that comes by:
    gtm-host tail

  Follow a replica set with a password, which stays out of the command line:
    export MONGODB_URI='mongodb://user:password@db1,db2/?authSource=admin'
    gtm-host --plugin print_ops.wasm

  Run a plugin over a dump made by mongodump --oplog:
    gtm-host replay dump/oplog.bson --plugin print_ops.wasm

  Keep everything in a file (examples/gtm.toml is one with comments):
    gtm-host --config gtm.toml

A plugin is a WebAssembly component that exports filter and handle. It has no files, no network, no mail and no environment but for \
what is granted (--grant); an op that needs more waits. When its file changes it is swapped, without a pause. SIGHUP has the settings \
file read again. An op that fails is tried again; each op that is not handled in the end is logged with its id.

SIGINT (Ctrl-C) and SIGTERM stop the host when what it has read is handled; a second one, a second later or more, stops it immediately.

Exit status: 0 stopped by a signal, 1 failed, or a plugin did not run when the host was stopped, as it had failed or could not be \
loaded, 2 the command line, the environment or the settings file was not understood, 130 or 143 stopped immediately by a second signal.";

pub(super) const REPLAY: &str = "\
A FILE is an oplog (oplog.bson of mongodump --oplog, or a dumped oplog.rs.bson), a dumped collection (dump/DB/COLL.bson), an archive of \
mongodump --archive, or change events: as drivers and Kafka's connector write them, or as gtm-host tail prints them. It is BSON or \
Extended JSON, and may be compressed by gzip, zlib, zstd, lz4 or snappy; - is the standard input. The host sees from the contents what \
a file is. Each document of a collection is an insert.

A plugin that lacks a grant, or a mail server, ends the replay with a sentence that says what to grant. With --dry-run nothing is done, \
and an op that needs more is counted as not known.

Examples:
  gtm-host replay dump/oplog.bson --plugin index_documents.wasm
  gtm-host replay dump/shop/*.bson.gz --plugin webhook.wasm --output json
  zcat oplog.bson.gz | gtm-host replay - --plugin print_ops.wasm \\
    --from 2026-01-31T12:00:00Z

Exit status: 0 every op that was wanted was handled, 1 some were not, or a file is damaged or could not be read to its end, 2 the \
command line, the environment or the settings file was not understood, 130 stopped by a signal. What could not be read is passed over, \
and counted in the summary.";

pub(super) const TAIL: &str = "\
Each op is a line of Extended JSON on the standard output: what a plugin would get. The log, and the summary at the end, go to the \
standard error. It ends when nobody reads the standard output any more.

Examples:
  gtm-host tail --namespace 'shop.*' --operation insert,update
  gtm-host tail dump/oplog.bson --to 2026-01-31T12:00:00Z > ops.jsonl
  gtm-host tail --start oldest \\
    | jq -c 'select(.operationType == \"delete\") | .documentKey'

Exit status: 0 the files were read, or the server was followed until a signal or until nobody read any more, 1 failed, or a file is \
damaged (the summary counts what is), 2 the command line, the environment or the settings file was not understood, 130 the files were \
not read to their end because of a signal.";

pub(super) const DEAD_LETTERS: &str = "\
A dead letter is an op that a plugin rejected, or that failed at every attempt. retry hands each to the plugin as it is now, once; its \
filter is not asked. The plugin is the one that the settings file (--config) has under its name, or --file. A file store \
(--store file:DIR) is open in one gtm-host at a time.

Examples:
  gtm-host dead-letters list --kind failed --error 'connection refused'
  gtm-host dead-letters list --output json | jq .op.fullDocument
  gtm-host dead-letters show 6553f10000000007-0123456789abcdef
  gtm-host dead-letters show 1699999999.7.0 --plugin index_documents
  gtm-host dead-letters retry --config gtm.toml --plugin index_documents
  gtm-host dead-letters retry --file index_documents.wasm --namespace 'shop.*'
  gtm-host dead-letters drop --plugin webhook --until 2026-01-31T12:00:00Z

Exit status: 0 done, 1 letters were left that were to be retried, some cannot be read (the others are listed, retried or dropped), or it \
failed, 2 the command line, the environment or the settings \
file was not understood, 130 stopped by a signal.";

pub(super) const CHECKPOINTS: &str = "\
A checkpoint says up to where a plugin has done everything. A host resumes there, and then --start is ignored. Positions are typed as \
--start takes them. A position of a change stream also starts the oplog, and one of the oplog a change stream: by their time, at which \
some ops may repeat.

set and reset are for a stopped pipeline: they are refused while a host renews its lease. After a crash on this machine they see \
immediately that the host has ended; elsewhere that takes up to --lease-ttl. A running host is moved by gtm-host seek. A file store \
(--store file:DIR) is open in one gtm-host at a time.

Examples:
  gtm-host checkpoints list
  gtm-host checkpoints show --plugin index_documents --output json
  gtm-host checkpoints set 2026-01-31T12:00:00Z --plugin index_documents
  gtm-host checkpoints set oldest --plugin added_tomorrow --new
  gtm-host checkpoints reset --all --name shop

Exit status: 0 done, 1 it failed or was refused, 2 the command line, the environment or the settings file was not understood, 130 \
stopped by a signal.";

pub(super) const COMPILE: &str = "\
A plugin in Python takes seconds to compile, one in Rust or C milliseconds. A host does that by itself, once for each version, and a \
swap does it beside the version that runs. In an image or a package it can be done before, by the user that runs the host: another user \
may not read what is kept.

Examples:
  gtm-host compile plugins/*.wasm --cache-dir /var/cache/gtm-host

Exit status: 0 each is compiled, 1 one is not, 2 the command line, the environment or the settings file was not understood.";

pub(super) const CHECK: &str = "\
Each plugin is compiled as it would be to run, and asked for its subscriptions, in the sandbox. It has the config, the limits and the \
grants that the settings file (--config) has for the plugin of this path, or else of the file's name, with --set and --grant. Its sha256 can pin it: \
gtm-host --plugin FILE@sha256:DIGEST, or sha256 in the settings file. What it asks for beside the log and its \
config is a capability of the host, such as mail; beside it stands what is granted. Of WASI, nothing is behind it without a grant that reaches out of the sandbox.

Examples:
  gtm-host check target/wasm32-wasip2/release/my_plugin.wasm
  gtm-host check my_plugin.wasm --grant mail --grant http=api.example.com
  gtm-host check my_plugin.wasm --config gtm.toml --set namespace=shop.orders
  gtm-host check plugins/*.wasm --output json | jq 'select(.plugin | not)'

Exit status: 0 each is a plugin, 1 one is not, 2 the command line, the environment or the settings file was not understood.";

pub(super) const CONFIG: &str = "\
A host that starts with the same file, arguments and environment looks at the same things, in the same way, before it asks a server for \
anything. All that is wrong is printed, not only the first. Whether MongoDB and the mail server answer is not looked at, and neither is \
the store.

Examples:
  gtm-host config check gtm.toml
  gtm-host config check --plugin print_ops.wasm --uri \"$MONGODB_URI\"
  gtm-host config show gtm.toml --origin

Exit status: 0 a host can start with it, 1 it cannot, or not with each plugin, 2 the command line, the environment or the settings file \
was not understood: a value such as a URI, too.";

pub(super) const STATUS: &str = "\
LAG is how old the oldest op is that was read and is not done. READER is shared where the plugin keeps up with the others, and own \
where it reads by itself until it has caught up. A plugin is failing while op after op fails: it is tried now and then, and its \
position stays.

The host is found by its socket: it runs on this machine and as this user, with the name that --name gives. Of several \
hosts of one name it is the active one. --admin names another address, or the path of a socket.

Examples:
  gtm-host status
  gtm-host status --name shop
  gtm-host status --watch
  gtm-host status --output json | jq '.plugins[] | {plugin, lagSeconds}'

Exit status: 0 done, 1 no host answered, or it refused, 2 the command line, the environment or the settings file was not understood.";

pub(super) const PAUSE: &str = "\
The ops in work are finished, and the checkpoint stays where the plugin stands. A host that is restarted is not paused.

Examples:
  gtm-host pause
  gtm-host pause --plugin index_documents
  gtm-host resume --plugin index_documents

Exit status: 0 done, 1 no host answered, or it refused, 2 the command line, the environment or the settings file was not understood.";

pub(super) const RESUME: &str = "\
The plugin goes on where it stood. It reads by itself until it has caught up with the others.

Examples:
  gtm-host resume
  gtm-host resume --plugin index_documents

Exit status: 0 done, 1 no host answered, or it refused, 2 the command line, the environment or the settings file was not understood.";

pub(super) const SEEK: &str = "\
The ops in work are finished, those that wait are dropped, and the plugin goes on from START: back, to have changes handled again, or \
forth, to pass over some. The checkpoint moves there. Where the server has no changes of that time any more, nothing is changed. A \
plugin that is paused stays paused.

Examples:
  gtm-host seek 2026-01-31T12:00:00Z --plugin index_documents
  gtm-host seek -10m
  gtm-host seek oldest
  gtm-host seek now --plugin index_documents

Exit status: 0 done, 1 no host answered, or it refused, 2 the command line, the environment or the settings file was not understood.";

pub(super) const SWAP: &str = "\
The file is compiled and started beside the version that runs. If it is a plugin, ops in work are finished by the old version and the \
next begin on the new one; the position stays. If one of its first 10 calls traps or takes too much, the old version comes back. A file \
that has another name, or subscribes to something else, is swapped with a warning. A host that is restarted begins with the file that \
it was started with.

A host also does this by itself when the file of a plugin changes, unless it was started with --no-watch.

The file is in the directory of the plugin's own file, in the host's --plugin-dir, or below a directory that the host \
was started with as --swap-from. If the plugin is pinned by its digest (sha256 in gtm.toml), no other version is taken.

Examples:
  gtm-host swap index_documents other/index_documents.wasm

Exit status: 0 done, 1 no host answered, or it refused, 2 the command line, the environment or the settings file was not understood.";

pub(super) const TRY: &str = "\
The plugin runs as a host runs it, in its sandbox. What it logs goes to the standard error. An HTTP request that has no --answer is \
answered by an empty 200, which is made up: where the plugin fails after it, what becomes of the op is not known.

Nothing that the plugin wants done is done. So without --grant, and without grants in the settings file, it is granted everything but \
variables and directories. With them it is granted these alone, and an op that needs more ends the command with a sentence that says \
what to grant.

Examples:
  gtm-host try my_plugin.wasm --insert shop.orders '{\"_id\":1,\"total\":120}'
  gtm-host try my_plugin.wasm --set subject=Hello \\
    --insert users.users '{\"_id\":1,\"email\":\"ada@example.com\"}'
  gtm-host try my_plugin.wasm --update shop.orders '{\"_id\":1,\"total\":9}' \\
    --changed '{\"updatedFields\":{\"total\":9}}'
  gtm-host try my_plugin.wasm --op ops.jsonl \\
    --answer 'GET https://api.example.com/users/1' user.json
  gtm-host try my_plugin.wasm --op ops.jsonl \\
    --answer 'POST https://api.example.com/* 503' '{}'
  gtm-host tail --namespace shop.orders > ops.jsonl
  gtm-host try my_plugin.wasm --op ops.jsonl --output json

Exit status: 0 each op was handled, or not wanted, 1 one was not, or that is not known, 2 the command line, the environment or the \
settings file was not understood, 130 stopped by a signal.";

pub(super) const NEW: &str = "\
Examples:
  gtm-host new count_orders
  cd count_orders && cargo test && cargo plugin

Exit status: 0 done, 1 failed, 2 the command line, the environment or the settings file was not understood.";

pub(super) const COMPONENTIZE: &str = "\
The module exports filter, handle and cabi_realloc, and what else of the contract it has, and imports what it uses by the names of the \
contract, such as log of gtm:plugin/log@0.1.0, in the canonical ABI. What it imports of wasi_snapshot_preview1 is adapted.

Examples:
  gtm-host componentize core.wasm -o my_plugin.wasm
  gtm-host check my_plugin.wasm

Exit status: 0 done, 1 failed, 2 the command line, the environment or the settings file was not understood.";
