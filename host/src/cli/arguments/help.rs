//! The end of each command's `--help`, after its options. Each paragraph is one line, as it is wrapped when it is shown. A line of an
//! example begins with two spaces and fits into 80 columns.

pub(super) const EXAMPLES: &str = "\
Examples:
  Send a welcome e-mail to each new user of the database on this machine:
    gtm-host --plugin send_welcome_email.wasm --grant mail \\
      --mail-url smtp://localhost:1025

  Print every change:
    gtm-host tail

  Follow a replica set with a password, which stays out of the command line:
    export MONGODB_URI='mongodb://user:password@db1,db2/?authSource=admin'
    gtm-host --plugin print_ops.wasm

  Run a plugin over a dump made by mongodump --oplog:
    gtm-host replay dump/oplog.bson --plugin print_ops.wasm

  Keep all settings in a file (examples/gtm.toml is one with comments):
    gtm-host --config gtm.toml

A plugin is a WebAssembly component that exports filter and handle. It can use files, the network, mail and the environment only as far \
as it is granted (--grant). An op that needs more waits. When the plugin's file changes, the host swaps the plugin without a pause. On \
SIGHUP, the host reads the settings file again. The host retries an op that fails, and logs each op that it gives up, with its id.

Each option is also a setting of the file and a variable: --limits-memory is memory under [limits], and GTM_LIMITS_MEMORY. gtm-host \
config show prints them all.

SIGINT (Ctrl-C) and SIGTERM stop the host when it has handled what it has read. A second signal, at least one second later, stops it \
immediately.

Exit status: 0 stopped by a signal, 1 failed, or a plugin was not running when the host stopped because it had failed or could not be \
loaded, 2 the command line, the environment or the settings file is not valid, 130 or 143 stopped immediately by a second signal.";

pub(super) const REPLAY: &str = "\
A FILE is an oplog (oplog.bson of mongodump --oplog, or a dumped oplog.rs.bson), a dumped collection (dump/DB/COLL.bson), an archive of \
mongodump --archive, or change events: as drivers and Kafka's connector write them, or as gtm-host tail prints them. It is BSON or \
Extended JSON, and may be compressed with gzip, zlib, zstd, lz4 or snappy. - is the standard input. The host recognizes the type of a \
file by its contents. It delivers each document of a collection as an insert.

If a plugin lacks a grant or a mail server, the replay ends with an error that names the missing grant. With --dry-run, the host performs no \
side effect, and counts an op that needs more as unknown.

Examples:
  gtm-host replay dump/oplog.bson --plugin index_documents.wasm
  gtm-host replay dump/shop/*.bson.gz --plugin webhook.wasm --output json
  zcat oplog.bson.gz | gtm-host replay - --plugin print_ops.wasm \\
    --from 2026-01-31T12:00:00Z

Exit status: 0 every op that a plugin wanted was handled, 1 some were not, or a file is damaged or could not be read completely, 2 the \
command line, the environment or the settings file is not valid, 130 stopped by a signal. The host skips what it cannot read, and counts \
it in the summary.";

pub(super) const TAIL: &str = "\
Each op is a line of Extended JSON on standard output, as a plugin would receive it. The log, and the summary at the end, go to standard \
error. The command ends when nobody reads its standard output any more.

Examples:
  gtm-host tail --namespace 'shop.*' --operation insert,update
  gtm-host tail dump/oplog.bson --to 2026-01-31T12:00:00Z > ops.jsonl
  gtm-host tail --start oldest \\
    | jq -c 'select(.operationType == \"delete\") | .documentKey'

Exit status: 0 the files were read, or the server was followed until a signal or until nobody read the output, 1 failed, or a file is \
damaged (the summary counts the damages), 2 the command line, the environment or the settings file is not valid, 130 a signal stopped the \
command before it had read all files.";

pub(super) const DEAD_LETTERS: &str = "\
A dead letter is an op that a plugin rejected, or that failed in every attempt. retry passes each op to the current version of the \
plugin, once, without calling its filter. The plugin is the one of this name in the settings file (--config), or --file. Only one gtm-host \
at a time can open a file store (--store file:DIR).

Examples:
  gtm-host dead-letters list --kind failed --error 'connection refused'
  gtm-host dead-letters list --output json | jq .op.fullDocument
  gtm-host dead-letters show 6553f10000000007-0123456789abcdef
  gtm-host dead-letters show 1699999999.7.0 --plugin index_documents
  gtm-host dead-letters retry --config gtm.toml --plugin index_documents
  gtm-host dead-letters retry --file index_documents.wasm --namespace 'shop.*'
  gtm-host dead-letters drop --plugin webhook --until 2026-01-31T12:00:00Z

Exit status: 0 done, 1 failed, or some letters to retry are left, or some cannot be read (the others are listed, retried or dropped), 2 \
the command line, the environment or the settings file is not valid, 130 stopped by a signal.";

pub(super) const CHECKPOINTS: &str = "\
A checkpoint records up to where a plugin has done everything. The host resumes there, and then ignores --start. Positions are typed as \
for --start. A change stream can resume from a position of the oplog, and the oplog from one of a change stream: by its time, at which \
some ops may repeat.

set and reset are for a stopped pipeline: gtm-host refuses them while a host renews its lease. After a crash on this machine, it notices \
immediately that the host has ended; after one on another machine, that takes up to --lease-ttl. To move a running host, use gtm-host seek. \
Only one gtm-host at a time can open a file store (--store file:DIR).

Examples:
  gtm-host checkpoints list
  gtm-host checkpoints show --plugin index_documents --output json
  gtm-host checkpoints set 2026-01-31T12:00:00Z --plugin index_documents
  gtm-host checkpoints set oldest --plugin added_tomorrow --new
  gtm-host checkpoints reset --all --name shop

Exit status: 0 done, 1 failed or refused, 2 the command line, the environment or the settings file is not valid, 130 stopped by a signal.";

pub(super) const COMPILE: &str = "\
A plugin in Python takes seconds to compile, one in Rust or C milliseconds. The host compiles each version once, and compiles a new version \
while the old one runs. In an image or a package, you can compile plugins in advance. Do this as the user that runs the host: the cache of \
another user may not be readable.

Examples:
  gtm-host compile plugins/*.wasm --cache-dir /var/cache/gtm-host

Exit status: 0 every plugin is compiled, 1 one is not, 2 the command line, the environment or the settings file is not valid.";

pub(super) const CHECK: &str = "\
gtm-host compiles each plugin as if to run it, and asks it for its subscriptions, in the sandbox. The plugin has the config, the limits and \
the grants that the settings file (--config) has for a plugin with this path, or else with the file's name, together with --set and --grant. \
To check a new file as a version of a plugin that has another path, specify the plugin's name: gtm-host check NAME=FILE. \
You can pin a plugin to the sha256 that is printed: gtm-host --plugin FILE@sha256:DIGEST, or sha256 in the settings file. A plugin asks for a \
capability, such as mail, by importing it; the log and its config need no grant. The output shows beside each capability what is granted. Without \
a grant, the interfaces of WASI reach nothing outside the sandbox.

Examples:
  gtm-host check target/wasm32-wasip2/release/my_plugin.wasm
  gtm-host check my_plugin.wasm --grant mail --grant http=api.example.com
  gtm-host check my_plugin.wasm --config gtm.toml --set namespace=shop.orders
  gtm-host check notify=notify-2.wasm --config gtm.toml
  gtm-host check plugins/*.wasm --output json | jq 'select(.plugin | not)'

Exit status: 0 every file is a plugin, 1 one is not, 2 the command line, the environment or the settings file is not valid.";

pub(super) const CONFIG: &str = "\
The command checks what a host with the same file, arguments and environment checks before it contacts a server. It prints all problems, \
not only the first, including errors that plugins log when the command loads them. It does not check whether MongoDB and the mail \
server answer, and does not open the store.

Examples:
  gtm-host config check gtm.toml
  gtm-host config check --plugin print_ops.wasm --uri \"$MONGODB_URI\"
  gtm-host config show gtm.toml --origin

Exit status: 0 a host can start with these settings, 1 it cannot, or not with every plugin, 2 the command line, the environment or the \
settings file is not valid, including values such as a URI.";

pub(super) const SHOW: &str = "\
The output is a settings file, except that (hidden) stands for each secret.

Examples:
  gtm-host config show gtm.toml --origin
  gtm-host config show --output json | jq 'select(.origin != \"default\")'

Exit status: 0 done, 1 failed, 2 the command line, the environment or the settings file is not valid.";

pub(super) const SCHEMA: &str = "\
Editors that read TOML schemas complete the keys of a settings file whose first line names the schema:
  #:schema ./gtm.schema.json

Examples:
  gtm-host config schema > gtm.schema.json

Exit status: 0 done, 1 failed, 2 the command line is not valid.";

pub(super) const STATUS: &str = "\
LAG is the age of the oldest change that the plugin has not done, read or not. READER is shared if the plugin keeps up with the others, and own while it \
reads by itself to catch up. A plugin is failing while op after op fails: the host tries it from time to time, and its position does not \
move.

The command finds a host by its socket: on this machine, of this user, with the name of --name. If several hosts have the name, it asks \
the active one. --admin is another address, or the path of a socket.

Examples:
  gtm-host status
  gtm-host status --name shop
  gtm-host status --watch
  gtm-host status --output json | jq '.plugins[] | {plugin, lagSeconds}'

Exit status: 0 done, 1 no host answered, or it refused, 2 the command line, the environment or the settings file is not valid.";

pub(super) const PAUSE: &str = "\
The plugin finishes the ops in progress, and its checkpoint stays there. A host that is restarted is not paused.

Examples:
  gtm-host pause
  gtm-host pause --plugin index_documents
  gtm-host resume --plugin index_documents

Exit status: 0 done, 1 no host answered, or it refused, 2 the command line, the environment or the settings file is not valid.";

pub(super) const RESUME: &str = "\
The plugin continues at its position. It reads by itself until it has caught up with the others.

Examples:
  gtm-host resume
  gtm-host resume --plugin index_documents

Exit status: 0 done, 1 no host answered, or it refused, 2 the command line, the environment or the settings file is not valid.";

pub(super) const SEEK: &str = "\
The plugin finishes the ops in progress, drops those that wait, and continues at START: backward, to handle changes again, or forward, to \
skip some. Its checkpoint moves there. If the server no longer has the changes of that time, nothing happens. A paused plugin stays \
paused.

Examples:
  gtm-host seek 2026-01-31T12:00:00Z --plugin index_documents
  gtm-host seek -10m
  gtm-host seek oldest
  gtm-host seek now --plugin index_documents

Exit status: 0 done, 1 no host answered, or it refused, 2 the command line, the environment or the settings file is not valid.";

pub(super) const SWAP: &str = "\
The host compiles and starts the new version while the old one runs. Then the old version finishes the ops in progress, and the new one gets \
the next. The position stays. If one of the first 10 calls traps or exceeds a limit, the host returns to the old version. The host warns \
if the file's name or its subscriptions differ from those of the old version. A host that is restarted begins with the file that it was \
started with.

A host also swaps a plugin when its file changes, unless it was started with --no-watch.

The file must be in the directory of the plugin's own file, in the host's --plugin-dir, or in a directory that the host was started with as \
--admin-swap-from. If the plugin is pinned by its digest (sha256 in gtm.toml), the host refuses any other version.

Examples:
  gtm-host swap index_documents other/index_documents.wasm

Exit status: 0 done, 1 no host answered, or it refused, 2 the command line, the environment or the settings file is not valid.";

pub(super) const TRY: &str = "\
The plugin runs in its sandbox, as under a host. Its log goes to standard error. An HTTP request without an --answer gets an empty 200, \
which is made up: if the plugin fails after it, the outcome of the op is unknown. A TCP connection is shown and refused, because nobody \
knows what the server would send: if the plugin fails after it, the outcome is unknown, too.

A file has no ticks: an op with the operation tick has the type other. To try a timer, pass --tick.

The command performs none of the plugin's side effects. The plugin's state is in memory, and lasts until the command ends. So without --grant, and without grants in the settings file, the plugin has every \
grant but those for variables and directories. With them, it has only these, and an op that needs more ends the command with an error that \
names the missing grant.

Examples:
  gtm-host try my_plugin.wasm --insert shop.orders '{\"_id\":1,\"total\":120}'
  gtm-host try my_plugin.wasm --set subject=Hello \\
    --insert users.users '{\"_id\":1,\"email\":\"ada@example.com\"}'
  gtm-host try my_plugin.wasm --update shop.orders '{\"_id\":1,\"total\":9}' \\
    --changed '{\"updatedFields\":{\"total\":9}}'
  gtm-host try my_plugin.wasm --op ops.jsonl \\
    --answer 'GET https://api.example.com/users/1' user.json
  gtm-host try my_plugin.wasm --op ops.jsonl \\
    --answer 'POST https://api.example.com/* 503' '{}' \\
    --answer-header 'Retry-After: 5'
  gtm-host tail --namespace shop.orders > ops.jsonl
  gtm-host try my_plugin.wasm --op ops.jsonl --output json

Exit status: 0 each op was handled, passed by a filter, or not wanted, 1 one was not handled, or its outcome is unknown, 2 the command line, the environment or \
the settings file is not valid, 130 stopped by a signal.";

pub(super) const NEW: &str = "\
Each project builds, has tests, declares its settings, and says in its README which grants the plugin needs and how to run it.

Examples:
  gtm-host new count_orders --template aggregate
  cd count_orders && cargo test && cargo plugin
  gtm-host new notify --lang python --template webhook

Exit status: 0 done, 1 failed, 2 the command line, the environment or the settings file is not valid.";

pub(super) const COMPONENTIZE: &str = "\
The module exports filter, handle and cabi_realloc, and any other functions of the contract that it has. It imports what it uses by the names \
of the contract, such as log of gtm:plugin/log@0.1.0, in the canonical ABI. The command adapts imports of wasi_snapshot_preview1.

Examples:
  gtm-host componentize core.wasm -o my_plugin.wasm
  gtm-host check my_plugin.wasm

Exit status: 0 done, 1 failed, 2 the command line, the environment or the settings file is not valid.";

pub(super) const COMPLETIONS: &str = "\
The directory for zsh must be in fpath.

Examples:
  gtm-host completions bash \\
    > ~/.local/share/bash-completion/completions/gtm-host
  gtm-host completions zsh > ~/.zfunc/_gtm-host
  gtm-host completions fish > ~/.config/fish/completions/gtm-host.fish

Exit status: 0 done, 1 failed, 2 the command line is not valid.";

pub(super) const MAN: &str = "\
Examples:
  gtm-host man > gtm-host.1 && man ./gtm-host.1
  gtm-host man --dir /usr/local/share/man/man1

Exit status: 0 done, 1 failed, 2 the command line is not valid.";
