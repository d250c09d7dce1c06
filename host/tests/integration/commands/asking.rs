//! A plugin that lacks something, at a terminal and without one.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use bson::doc;
use bson::oid::ObjectId;
use gtm_test_support::{Process, Server, SmtpSink, Venv};
use serde_json::json;

use crate::log;
use crate::support::{Database, Host, LIMIT, plugin, runtime_dir};

/// A host at a terminal, at which this is typed. Gives back its process and what the terminal shows.
fn at_a_terminal(answers: &serde_json::Value, arguments: &[&str]) -> (Process, mpsc::Receiver<String>) {
    let mut command: Command = Venv::ready().unwrap().script("host/tests/support/python/at_a_terminal.py");
    command.arg(answers.to_string()).arg(env!("CARGO_BIN_EXE_gtm-host")).args(arguments);
    command.env_remove("MONGODB_URI").env("GTM_NAME", ObjectId::new().to_hex());
    command.env("GTM_CACHE_DIR", gtm_test_support::target_dir().join("testbed/cache"));
    command.env("XDG_RUNTIME_DIR", runtime_dir());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = Process::start("gtm-host at a terminal", &mut command).unwrap();
    let output = process.child().stdout.take().unwrap();
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    (process, lines)
}

fn wait_for(lines: &mpsc::Receiver<String>, part: &str) -> String {
    let mut shown = String::new();
    loop {
        let line = lines.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("no {part:?} in\n{shown}"));
        if line.contains(part) {
            return line;
        }
        shown = format!("{shown}{line}\n");
    }
}

#[tokio::test]
async fn what_is_missing_is_asked_for_at_a_terminal_and_granted_for_the_run() {
    let (server, sink) = (Server::ready().unwrap(), SmtpSink::start().unwrap());
    let welcome = plugin("send_welcome_email");
    let answers = json!([["for this run? [y/N] ", "y"], ["mail server [", sink.url()]]);
    let (process, lines) = at_a_terminal(&answers, &["--plugin", &welcome, "--uri", server.uri()]);
    let asked = wait_for(&lines, "which it is not granted");
    assert!(
        asked.contains(
            "send_welcome_email asks for mail, which it is not granted (--grant send_welcome_email:mail), and there is no mail server \
             (--mail-url URL). Grant it for this run? [y/N] "
        ),
        "{asked}"
    );
    let granted = wait_for(&lines, "audit.grant");
    assert!(
        granted.contains("via") && granted.contains("terminal") && granted.contains("detail"),
        "{granted}"
    );
    wait_for(&lines, "source.tail");
    let own = Database::new(server.uri()).await;
    let users = own.client.database("users").collection("users");
    users.insert_one(doc! { "name": "Ada", "email": "asked@example.com" }).await.unwrap();
    // Others insert users, too.
    while sink.next(LIMIT).expect("the mail").to != ["asked@example.com"] {}
    drop(process);
}

#[tokio::test]
async fn a_no_is_a_no() {
    let server = Server::ready().unwrap();
    let welcome = plugin("send_welcome_email");
    let answers = json!([["for this run? [y/N] ", ""]]);
    let (_process, lines) = at_a_terminal(&answers, &["--plugin", &welcome, "--uri", server.uri()]);
    wait_for(&lines, "pass --grant send_welcome_email:mail");
    wait_for(&lines, "source.tail");
}

#[tokio::test]
async fn without_a_terminal_what_is_missing_is_said_once_with_the_flags() {
    let server = Server::ready().unwrap();
    let (welcome, index) = (plugin("send_welcome_email"), plugin("index_documents"));
    let url = "index_documents:url=http://localhost:1";
    let arguments = ["--plugin", &welcome, "--plugin", &index, "--uri", server.uri(), "--set", url];
    let host = Host::tailing(&arguments);
    let said: Vec<_> = host.logged().iter().filter(|line| line["event"] == "plugin.lack_grant").collect();
    assert_eq!(said.len(), 2, "{said:?}");
    let of = |name: &str| {
        let line = said.iter().find(|line| line["plugin"] == name).unwrap();
        (line["missing"].as_str().unwrap(), line["help"].as_str().unwrap())
    };
    let (missing, help) = of("send_welcome_email");
    assert_eq!(missing, "it asks for mail, which it is not granted; the host has no mail server");
    assert_eq!(
        help,
        "pass --grant send_welcome_email:mail, or set it under [plugins.send_welcome_email.grants] in gtm.toml; start it with \
         --mail-url URL, or set mail.url in gtm.toml"
    );
    assert!(of("index_documents").1.contains("pass --grant index_documents:http=SERVER"), "{said:?}");

    // Granted, and without a server.
    let host = Host::tailing(&["--plugin", &welcome, "--uri", server.uri(), "--grant", "mail"]);
    let said: Vec<_> = host.logged().iter().filter(|line| line["event"] == "plugin.lack_grant").collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(log::field(said[0], "missing").contains("the host has no mail server"), "{said:?}");
    // And with all that it asks for, nothing.
    let all =
        ["--plugin", &welcome, "--uri", server.uri(), "--grant", "mail", "--mail-url", "smtp://127.0.0.1:1"];
    let host = Host::tailing(&all);
    assert_eq!(host.count("plugin.lack_grant", &[]), 0);
}
