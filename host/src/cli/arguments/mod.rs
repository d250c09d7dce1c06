//! What can be said on the command line and in the environment, laid over the settings file.

mod admin;
mod author;
mod brief;
mod check;
mod checkpoints;
mod common;
mod dead_letters;
mod delivery;
mod files;
mod help;
mod plugins;
mod restart;
mod server;
mod store;
mod workers;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use gtm_host::config::Settings;
use gtm_host::op::OperationType;

use admin::{AdminArguments, ReadyArguments};
pub(super) use admin::{SeekArguments, StatusArguments, SteerArguments, SwapArguments};
pub(super) use author::{
    ComponentizeArguments, ConfigArguments, ConfigCommand, Language, NewArguments, TryArguments,
};
pub(super) use check::CheckArguments;
pub(super) use checkpoints::{
    ChangeArguments, CheckpointsArguments, CheckpointsCommand, LookArguments, SetArguments, WhoseArguments,
};
use common::CommonArguments;
pub(super) use common::Format;
pub(super) use dead_letters::{
    DeadLettersArguments, DeadLettersCommand, DropArguments, ListArguments, RetryArguments, ShowArguments,
    WhichArguments,
};
use delivery::DeliveryArguments;
pub(super) use files::FileArguments;
use help::{
    CHECK, CHECKPOINTS, COMPILE, COMPONENTIZE, DEAD_LETTERS, EXAMPLES, NEW, PAUSE, REPLAY, RESUME, SEEK,
    STATUS, SWAP, TAIL, TRY,
};
use plugins::PluginArguments;
use restart::RestartArguments;
use server::ServerArguments;
use store::StoreArguments;
use workers::WorkerArguments;

/// Runs sandboxed WebAssembly plugins on every change in MongoDB.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArguments,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, once")]
pub(super) enum Command {
    /// Run plugins on every change. This is what is done where no command is given
    #[command(after_help = EXAMPLES)]
    Run(RunArguments),
    /// Run plugins over files: dumps of an oplog or of collections
    #[command(after_help = REPLAY)]
    Replay(ReplayArguments),
    /// Print every change, as it comes by or from files, as a line of Extended JSON
    #[command(after_help = TAIL)]
    Tail(TailArguments),
    /// Look at the ops that plugins did not handle, and have them handled after all
    #[command(after_help = DEAD_LETTERS)]
    DeadLetters(Box<DeadLettersArguments>),
    /// See where the plugins of a pipeline resume, and move or reset those of one that is stopped
    #[command(after_help = CHECKPOINTS)]
    Checkpoints(Box<CheckpointsArguments>),
    /// Say what a plugin is before it runs: whether it fits, what it subscribes to and what it asks for
    #[command(after_help = CHECK)]
    Check(CheckArguments),
    /// Compile plugins into the cache, so that a host which starts with them need not
    #[command(after_help = COMPILE)]
    Compile(CheckArguments),
    /// What the host starts itself to compile a plugin
    #[command(hide = true)]
    CompileComponent(CompileComponentArguments),
    /// Hand ops to a plugin and show what it makes of them: mails, requests and writes are shown, not done
    #[command(after_help = TRY)]
    Try(TryArguments),
    /// Begin a plugin: a project that builds, with a test
    #[command(after_help = NEW)]
    New(NewArguments),
    /// Make a plugin of a core WebAssembly module, as compilers give it that know nothing of components
    #[command(after_help = COMPONENTIZE)]
    Componentize(ComponentizeArguments),
    /// Look at a settings file before a host starts with it
    Config(ConfigArguments),
    /// Show what a running host does: how far each plugin is, how fast, and what is wrong
    #[command(after_help = STATUS)]
    Status(StatusArguments),
    /// Hand no more ops to a plugin of a running host, or to any
    #[command(after_help = PAUSE)]
    Pause(SteerArguments),
    /// Go on with a plugin that was paused, or with all
    #[command(after_help = RESUME)]
    Resume(SteerArguments),
    /// Have a plugin of a running host go on from elsewhere, back or forth
    #[command(after_help = SEEK)]
    Seek(SeekArguments),
    /// Have a plugin of a running host go on with another version of it
    #[command(after_help = SWAP)]
    Swap(SwapArguments),
}

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    #[command(flatten)]
    common: CommonArguments,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    restart: RestartArguments,
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    plugins: PluginArguments,
    #[command(flatten)]
    delivery: DeliveryArguments,
    #[command(flatten)]
    workers: WorkerArguments,
    #[command(flatten)]
    admin: AdminArguments,
    #[command(flatten)]
    ready: ReadyArguments,
    /// Do nothing that plugins want done, and keep no checkpoints: what it would be is logged. Begins where --start says
    #[arg(long)]
    dry_run: bool,
    /// Do not swap a plugin when its file changes, nor look at --plugin-dir again; SIGHUP and gtm-host swap still do
    #[arg(long)]
    no_watch: bool,
}

/// Numbers as they are, for the host itself.
#[derive(Debug, Args)]
pub(super) struct CompileComponentArguments {
    /// The file to be made
    pub(super) to: PathBuf,
    /// Bytes of memory
    pub(super) memory: u64,
    /// Seconds of processor time
    pub(super) processor_seconds: u64,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArguments {
    /// The files, in the order in which they are read. - is the standard input
    #[arg(required = true, value_name = "FILE")]
    pub(super) paths: Vec<PathBuf>,
    /// The form of the summary, on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) output: Format,
    #[command(flatten)]
    common: CommonArguments,
    #[command(flatten)]
    pub(super) files: FileArguments,
    #[command(flatten)]
    plugins: PluginArguments,
    #[command(flatten)]
    delivery: DeliveryArguments,
}

#[derive(Debug, Args)]
pub(super) struct TailArguments {
    /// Files to read instead of a server, as gtm-host replay takes them
    #[arg(value_name = "FILE")]
    pub(super) paths: Vec<PathBuf>,
    /// Only changes in these namespaces: DB.COLL, in which * stands for any characters, or a regular
    /// expression between slashes. May be given more than once
    #[arg(short, long = "namespace", value_name = "PATTERN")]
    pub(super) namespaces: Vec<String>,
    /// Only these operations: insert, update, replace, delete, create, drop, rename, dropDatabase,
    /// createIndexes, dropIndexes, modify, other
    #[arg(short = 'O', long = "operation", value_name = "TYPE", value_delimiter = ',')]
    pub(super) operations: Vec<OperationType>,
    /// Write numbers and dates with their types
    #[arg(long)]
    pub(super) canonical: bool,
    /// The form of the summary, on standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) output: Format,
    #[command(flatten)]
    common: CommonArguments,
    #[command(flatten)]
    pub(super) files: FileArguments,
    #[command(flatten)]
    server: ServerArguments,
}

/// Whether an argument was typed, and is not of the environment.
type Typed<'a> = &'a dyn Fn(&str) -> bool;

/// Lays what was said over a setting.
fn overlay<T: Clone>(setting: &mut Option<T>, said: &Option<T>) {
    if said.is_some() {
        setting.clone_from(said);
    }
}

impl Arguments {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    /// They are not understood, or ask for help.
    pub(super) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
        let command = brief::brief(Self::command(), "gtm-host");
        let matches = command.try_get_matches_from(words).map_err(brief::with_hint)?;
        let Self { command, run } = Self::from_arg_matches(&matches)?;
        let mut command = command.unwrap_or(Command::Run(run));
        let said: &ArgMatches = matches.subcommand().map_or(&matches, |(_, said)| said);
        let typed = |name: &str| said.value_source(name) == Some(ValueSource::CommandLine);
        match &mut command {
            Command::Run(RunArguments { server, plugins, workers, admin, .. }) => {
                server.prefer_typed(&typed);
                admin.prefer_typed(&typed);
                plugins.prefer_typed(&typed);
                workers.prefer_typed(&typed);
            }
            Command::Replay(ReplayArguments { plugins, .. }) => plugins.prefer_typed(&typed),
            Command::Tail(TailArguments { server, .. }) => server.prefer_typed(&typed),
            Command::DeadLetters(arguments) => {
                let said = said.subcommand().map_or(said, |(_, said)| said);
                arguments.prefer_typed(&|name| said.value_source(name) == Some(ValueSource::CommandLine));
            }
            Command::Checkpoints(arguments) => {
                let said = said.subcommand().map_or(said, |(_, said)| said);
                arguments.prefer_typed(&|name| said.value_source(name) == Some(ValueSource::CommandLine));
            }
            Command::Check(_)
            | Command::Compile(_)
            | Command::CompileComponent(_)
            | Command::Try(_)
            | Command::New(_)
            | Command::Componentize(_)
            | Command::Config(_) => {}
            Command::Status(StatusArguments { asked, .. })
            | Command::Swap(SwapArguments { asked, .. })
            | Command::Pause(SteerArguments { asked, .. })
            | Command::Resume(SteerArguments { asked, .. })
            | Command::Seek(SeekArguments { steer: SteerArguments { asked, .. }, .. }) => {
                asked.admin.prefer_typed(&typed);
            }
        }
        Ok(command)
    }
}

impl Command {
    /// The settings: the file's, if there is one, with what was said here over them.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let common = match self {
            Self::Run(RunArguments { common, .. })
            | Self::Replay(ReplayArguments { common, .. })
            | Self::Tail(TailArguments { common, .. }) => common,
            Self::DeadLetters(arguments) => return arguments.settings(),
            Self::Checkpoints(arguments) => return arguments.settings(),
            Self::Check(arguments) | Self::Compile(arguments) => return arguments.settings(),
            Self::Try(arguments) => return arguments.settings(),
            Self::Config(arguments) => return arguments.settings(),
            Self::CompileComponent(_) => return Ok(Settings::default()),
            Self::New(NewArguments { common, .. })
            | Self::Componentize(ComponentizeArguments { common, .. }) => return common.settings(),
            Self::Status(StatusArguments { asked, .. })
            | Self::Swap(SwapArguments { asked, .. })
            | Self::Pause(SteerArguments { asked, .. })
            | Self::Resume(SteerArguments { asked, .. })
            | Self::Seek(SeekArguments { steer: SteerArguments { asked, .. }, .. }) => {
                return asked.settings();
            }
        };
        let mut settings = common.settings()?;
        if let Self::Run(RunArguments { server, .. }) | Self::Tail(TailArguments { server, .. }) = self {
            server.lay_over(&mut settings);
        }
        if let Self::Run(RunArguments { store, admin, ready, dry_run, no_watch, .. }) = self {
            store.lay_over(&mut settings);
            admin.lay_over(&mut settings);
            ready.lay_over(&mut settings);
            settings.dry_run = *dry_run;
            if *no_watch {
                settings.watch = Some(false);
            }
        }
        if let Self::Run(RunArguments { plugins, delivery, .. })
        | Self::Replay(ReplayArguments { plugins, delivery, .. }) = self
        {
            plugins.lay_over(&mut settings)?;
            delivery.lay_over(&mut settings);
        }
        if let Self::Run(RunArguments { workers, restart, .. }) = self {
            workers.lay_over(&mut settings)?;
            restart.lay_over(&mut settings)?;
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use gtm_host::config::ConfigValue;
    use gtm_host::plugin::Grant;
    use gtm_host::source::Start;

    use super::*;

    fn settings(arguments: &[&str]) -> Result<Settings, String> {
        let all = std::iter::once("gtm-host").chain(arguments.iter().copied());
        let command = Arguments::read(all.map(OsString::from)).map_err(|error| error.to_string())?;
        command.settings().map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_start_may_be_a_span_before_now() {
        for start in ["--start=-10m", "--start=yesterday", "--start=2026-01-31T14:00:00+02:00"] {
            let settings = settings(&["-p", "x.wasm", start]).unwrap();
            assert!(matches!(settings.source.start, Some(Start::After(_))), "{start}");
        }
        let apart = settings(&["-p", "x.wasm", "--start", "-10m"]).unwrap();
        assert!(matches!(apart.source.start, Some(Start::After(_))));
        let seek = |arguments: &[&str]| match Arguments::try_parse_from(arguments).unwrap().command {
            Some(Command::Seek(SeekArguments { to, steer })) => (to, steer.plugin),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            seek(&["gtm-host", "seek", "-10m", "--plugin", "x"]),
            ("-10m".to_owned(), Some("x".to_owned()))
        );
        assert_eq!(
            seek(&["gtm-host", "seek", "--plugin", "x", "-1h 30m"]),
            ("-1h 30m".to_owned(), Some("x".to_owned()))
        );
        let set = Arguments::try_parse_from(["gtm-host", "checkpoints", "set", "-10m", "--plugin", "x"]);
        let Some(Command::Checkpoints(checkpoints)) = set.unwrap().command else { panic!() };
        let CheckpointsCommand::Set(SetArguments { to, change }) = checkpoints.command else { panic!() };
        assert!(matches!(to, Start::After(_)));
        assert_eq!(change.whose.plugin.as_deref(), Some("x"));
    }

    #[test]
    fn plugins_have_names_and_values() {
        let settings =
            settings(&["-p", "a/mail.wasm", "-p", "x=b.wasm", "-s", "k=1", "-s", "x:k=a=b"]).unwrap();
        assert_eq!(settings.plugins["mail"].path.as_deref(), Some(Path::new("a/mail.wasm")));
        assert_eq!(settings.plugins["mail"].config["k"], ConfigValue::from("1".to_owned()));
        assert_eq!(settings.plugins["x"].config["k"], ConfigValue::from("a=b".to_owned()));
    }

    #[test]
    fn a_path_with_an_equals_sign_is_a_path() {
        let directory = tempfile::tempdir().unwrap();
        let there = directory.path().join("a=b.wasm");
        std::fs::write(&there, "").unwrap();
        let there = there.to_str().unwrap();
        let settings = settings(&["-p", "/srv/env=prod/x.wasm", "-p", there, "-p", "y=c=d.wasm"]).unwrap();
        for (name, path) in [("x", "/srv/env=prod/x.wasm"), ("a=b", there), ("y", "c=d.wasm")] {
            assert_eq!(settings.plugins[name].path.as_deref(), Some(Path::new(path)));
        }
    }

    #[test]
    fn a_value_in_another_form_is_a_sentence() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("gtm.toml");
        for (text, said) in [
            ("[delivery]\nlanes = 0\n", "line 2: 0 is too few: write 1 or more"),
            ("[delivery]\nlanes = -1\n", "line 2: -1 is not a count: write a whole number"),
            ("[plugins.x]\nlanes = 0\n", "line 2: 0 is too few: write 1 or more"),
            ("[retry]\nmax_attempts = 0\n", "line 2: 0 is too few: write 1 or more"),
            ("[limits]\nmemory = 256\n", "line 2: 256 has no unit: write \"256 MiB\""),
            ("[limits]\nmemory = \"256\"\n", "line 2: 256 has no unit: write \"256 MiB\""),
            ("[limits]\nstate_bytes = 256\n", "line 2: 256 has no unit: write \"256 MiB\""),
            ("[retry]\ndead_letter_bytes = 1\n", "line 2: 1 has no unit: write \"1 MiB\""),
            ("[limits]\nhandle_timeout = 30\n", "line 2: 30 is not a time: write it in quotes with its unit"),
            (
                "[source]\nstart = 2026-01-31T12:00:00Z\n",
                "line 2: 2026-01-31T12:00:00Z is to stand in quotes: \"2026-01-31T12:00:00Z\"",
            ),
            ("[source]\nstart = 1795761409.5\n", "line 2: 1795761409.5 is to stand in quotes"),
        ] {
            std::fs::write(&file, text).unwrap();
            let refused = settings(&["-p", "x.wasm", "--config", file.to_str().unwrap()]).unwrap_err();
            assert!(refused.contains(said), "{text}: {refused}");
        }
        std::fs::write(&file, "[limits]\nstate_bytes = 0\n[retry]\ndead_letter_bytes = 0\n").unwrap();
        assert!(settings(&["-p", "x.wasm", "--config", file.to_str().unwrap()]).is_ok());
        assert!(settings(&["-p", "x.wasm", "--memory", "256"]).unwrap_err().contains("256 has no unit"));
        let apart = settings(&["-p", "x.wasm", "--start", "2026-01-31", "12:00:00"]).unwrap_err();
        assert!(apart.contains("put it in quotes, as in --start '2026-01-31 12:00:00'"), "{apart}");
    }

    #[test]
    fn what_is_granted_is_said_of_one_plugin_or_of_all() {
        let said = ["-p", "x.wasm", "-p", "y.wasm", "-g", "state", "-g", "y:http=http://localhost:1"];
        let settings = settings(&said).unwrap();
        let (x, y) = (&settings.plugins["x"].grants, &settings.plugins["y"].grants);
        assert!(x.state && y.state && x.http.is_empty());
        let mut expected = x.clone();
        expected.add(Grant::parse("http", Some("http://localhost:1")).unwrap());
        assert_eq!(*y, expected);
        let of_dir =
            super::tests::settings(&["--plugin-dir", "d", "-g", "mail", "-g", "later:state"]).unwrap();
        assert!(of_dir.every_plugin.grants.mail.is_some() && of_dir.plugins["later"].grants.mail.is_some());
        assert!(of_dir.plugins["later"].grants.state && !of_dir.every_plugin.grants.state);
        let unknown = super::tests::settings(&["-p", "x.wasm", "-g", "z:mail"]).unwrap_err();
        assert!(unknown.contains("--grant z:…: there is no plugin z; there are: x"), "{unknown}");
        let odd = super::tests::settings(&["-p", "x.wasm", "-g", "root"]).unwrap_err();
        assert!(odd.contains("what can be granted is mail, state"), "{odd}");
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("gtm.toml");
        let text = "[source]\nuri = \"mongodb://file\"\noplog = \"a.b\"\n[plugins.x]\npath = \"x.wasm\"\nconfig.n = 3\n";
        std::fs::write(&file, text).unwrap();
        let settings = settings(&["--config", file.to_str().unwrap(), "--uri", "mongodb://said"]).unwrap();
        assert_eq!(settings.source.uri.as_deref(), Some("mongodb://said"));
        assert_eq!(settings.source.oplog.as_deref(), Some("a.b"));
        assert_eq!(settings.plugins["x"].path, Some(directory.path().join("x.wasm")));
        assert_eq!(settings.plugins["x"].config["n"].to_string(), "3");
    }

    #[test]
    fn a_restart_is_of_one_plugin_or_of_all() {
        let said = ["-p", "x.wasm", "-p", "y.wasm"];
        let of = |more: &[&str]| settings(&[&said, more].concat());
        let words = |settings: &Settings, name: &str| {
            settings.plugins[name].restart_from.as_ref().map(|restart| restart.words().to_owned())
        };
        let all = of(&["--restart-from", "y=oldest", "--restart-from", "2026-01-31T12:00:00Z"]).unwrap();
        assert_eq!(words(&all, "x").as_deref(), Some("2026-01-31T12:00:00Z"));
        assert_eq!(words(&all, "y").as_deref(), Some("oldest"));
        let token = r#"{"_data":"82AB","_typeBits":{"$binary":{"base64":"Aw==","subType":"00"}}}"#;
        assert_eq!(words(&of(&["--restart-from", token]).unwrap(), "x").as_deref(), Some(token));
        assert!(
            of(&["--restart-from", "z=now"]).unwrap_err().contains("there is no plugin z; there are: x, y")
        );
        assert!(of(&["--restart-from", "x=soon"]).unwrap_err().contains("expected now, oldest"));
        assert!(of(&["--restart-from", "soon"]).unwrap_err().contains("expected now, oldest"));
    }

    #[test]
    fn a_worker_has_a_list_and_a_list_a_worker() {
        let said = |arguments: &[&str]| settings(&[&["-p", "x.wasm"], arguments].concat());
        let shared =
            said(&["--worker", "Tom", "--workers-from", "gtm.lists/1", "--lease-ttl", "2s"]).unwrap();
        assert_eq!(shared.workers.name.as_deref(), Some("Tom"));
        assert_eq!(shared.workers.from.unwrap().to_string(), "gtm.lists/1");
        assert_eq!(shared.lease.ttl, std::time::Duration::from_secs(2));
        assert!(said(&["--worker", "Tom"]).unwrap_err().contains("worker Tom has no list"));
        assert!(said(&["--workers", "w.json"]).unwrap_err().contains("say by --worker NAME"));
        assert!(said(&["--workers-from", "gtm.lists/1"]).unwrap_err().contains("say by --worker NAME"));
        let both = ["--worker", "Tom", "--workers", "w.json", "--workers-from", "gtm.lists/1"];
        assert!(said(&both).unwrap_err().contains("two lists of workers"));
        assert!(said(&["--workers-from", "gtm.lists"]).unwrap_err().contains("expected DB.COLL/ID"));
        assert!(said(&["--lease-ttl", "999ms"]).unwrap_err().contains("1s at least"));
    }

    #[test]
    fn a_list_that_is_said_goes_before_that_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("gtm.toml");
        let text = "[workers]\nname = \"Tom\"\nfile = \"w.json\"\n[lease]\nttl = \"3s\"\n[plugins.x]\npath = \"x.wasm\"\n";
        std::fs::write(&file, text).unwrap();
        let read = settings(&["--config", file.to_str().unwrap()]).unwrap();
        assert_eq!(read.workers.file, Some(directory.path().join("w.json")));
        assert_eq!(read.lease.ttl, std::time::Duration::from_secs(3));
        let said = settings(&["--config", file.to_str().unwrap(), "--workers-from", "gtm.lists/1"]).unwrap();
        assert_eq!(said.workers.file, None);
        assert_eq!(said.workers.name.as_deref(), Some("Tom"));
        std::fs::write(&file, text.replace("3s", "0s")).unwrap();
        let refused = settings(&["--config", file.to_str().unwrap()]).unwrap_err();
        assert!(refused.contains("line 5: a lease lives for 1s at least"), "{refused}");
    }

    #[test]
    fn mistakes_are_named() {
        assert!(settings(&[]).unwrap_err().contains("no plugin to run"));
        assert!(
            settings(&["-p", "a/x.wasm", "-p", "b/x.wasm"]).unwrap_err().contains("two plugins are called x")
        );
        assert!(settings(&["-p", "x.wasm", "-s", "y:k=1"]).unwrap_err().contains("there are: x"));
        assert!(settings(&["-p", "x.wasm", "-s", "k"]).unwrap_err().contains("expected KEY=VALUE"));
        assert!(settings(&["-p", "x.wasm", "--memory", "much"]).unwrap_err().contains("--memory"));
        assert!(settings(&["-p", "x.wasm", "--max-attempts", "0"]).unwrap_err().contains("--max-attempts"));
    }
}
