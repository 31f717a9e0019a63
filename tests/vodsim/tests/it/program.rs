//! The program `vodsim`: what it says, with what it ends.

use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;
use vodbridge_vod::api::Action;

use crate::client::Client;

const WITHIN: Duration = Duration::from_secs(60);

/// One that runs, until it is dropped at the latest.
struct Running {
    child: Child,
    stderr: Lines<BufReader<ChildStderr>>,
    /// `127.0.0.1:PORT`
    address: String,
}

fn vodsim(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vodsim"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn ended(arguments: &[&str]) -> Output {
    timeout(WITHIN, vodsim(arguments).output()).await.expect("it ends").expect("it can be run")
}

// === impl Running ===

impl Running {
    /// Starts one on a free port and waits until it listens.
    async fn start(arguments: &[&str]) -> Self {
        let mut command = vodsim(&["--listen", "127.0.0.1:0"]);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it can be run");
        let mut stderr = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let line = timeout(WITHIN, stderr.next_line()).await.expect("it speaks");
        let line = line.expect("UTF-8").expect("a first line");
        let (_, address) = line.split_once("http://").expect(&line);
        Self { child, address: address.to_owned(), stderr }
    }

    async fn client(&self) -> Client {
        Client::connect(&self.address).await
    }

    fn terminate(&self) {
        let id = self.child.id().expect("it runs").to_string();
        let done = std::process::Command::new("kill").args(["-TERM", &id]).status();
        assert!(done.expect("kill can be run").success());
    }

    /// Its exit code and its standard output, once it has ended.
    async fn end(mut self) -> (Option<i32>, String) {
        let mut stdout = self.child.stdout.take().expect("it is piped");
        let ending = async {
            let mut text = String::new();
            stdout.read_to_string(&mut text).await.expect("UTF-8");
            // It must be able to write, to the last.
            while let Ok(Some(_)) = self.stderr.next_line().await {}
            (self.child.wait().await.expect("it is ours").code(), text)
        };
        timeout(WITHIN, ending).await.expect("it ends")
    }
}

/// The handles of what there is to be pulled, which is something: it may still be happening.
async fn pulled(client: &mut Client) -> Vec<String> {
    let answer = timeout(WITHIN, client.call(Action::PullEvents, "{}")).await;
    answer.expect("an answer").handles()
}

#[tokio::test]
async fn help_shows_how_to_begin_and_every_option() {
    let output = ended(&["--help"]).await;
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    for word in [
        "vodsim --rate 10",
        "--listen",
        "--sub-app-id",
        "--secret-id",
        "--secret-key",
        "--count",
        "--types",
        "--push",
        "--sign-key",
        "--faults",
        "lost_confirm",
        "--calls-per-second",
        "--time-scale",
        "--until-confirmed",
        "--summary",
    ] {
        assert!(help.contains(word), "{word} in:\n{help}");
    }
}

#[tokio::test]
async fn wrong_arguments_end_it_with_64_and_a_sentence() {
    for (arguments, sentence) in [
        (&["--rate", "-1"][..], "--rate"),
        (&["--rate", "fast"], "--rate"),
        (&["--rate", "0"], "--count"),
        (&["--time-scale", "0"], "--time-scale"),
        (&["--types", "NewFile"], "known are all, AigcHunyuan3DTaskComplete,"),
        (&["--push", "https://example.com/"], "expected http://host:port/path"),
        (&["--faults", "cut=2"], "expected NAME=PART"),
        (&["--listen", "here"], "--listen"),
        (&["--until-confirmed"], "--count"),
        (&["--wrong"], "--wrong"),
        (&["--listen", "192.0.2.1:1"], "cannot listen on 192.0.2.1:1"),
    ] {
        let output = ended(arguments).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {said}");
        assert!(said.contains(sentence), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn it_ends_with_0_once_everything_is_confirmed() {
    let arguments =
        ["--rate", "0", "--count", "20", "--types", "all", "--until-confirmed", "--summary=json"];
    let running = Running::start(&arguments).await;
    let mut client = running.client().await;
    let mut left = 20;
    while left > 0 {
        let handles = pulled(&mut client).await;
        left -= handles.len();
        let body = json!({ "EventHandles": handles }).to_string();
        // The last one is answered before it ends.
        assert_eq!(client.call(Action::ConfirmEvents, &body).await.code(), "");
    }
    let (code, said) = running.end().await;
    assert_eq!(code, Some(0), "{said}");
    let summary: Value = serde_json::from_str(&said).expect(&said);
    let expected = json!({
        "issued": 20, "delivered": 20, "redelivered": 0, "confirmed": 20, "unconfirmed": 0,
    });
    assert_eq!(summary, expected);
}

#[tokio::test]
async fn sigterm_ends_it_with_its_numbers() {
    for (arguments, code) in [(&[][..], 0), (&["--until-confirmed"], 1)] {
        let running = Running::start(&[&["--rate", "0", "--count", "3"], arguments].concat()).await;
        let mut client = running.client().await;
        let mut left = 3;
        while left > 0 {
            left -= pulled(&mut client).await.len();
        }
        running.terminate();
        let (ended, said) = running.end().await;
        assert_eq!(ended, Some(code), "{said}");
        let numbers = "3 issued, 3 delivered, 0 delivered again, 0 confirmed, 3 not in ";
        assert!(said.starts_with(numbers), "{said}");
    }
}

#[tokio::test]
async fn it_sends_callbacks_until_all_are_confirmed() {
    use tokio::io::AsyncWriteExt as _;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/vod", listener.local_addr().unwrap());
    let arguments = ["--push", &url, "--rate", "0", "--count", "2", "--until-confirmed"];
    let running = Running::start(&arguments).await;
    for _ in 0..2 {
        let (mut stream, _) = timeout(WITHIN, listener.accept()).await.unwrap().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        // Closed before all is read, the answer could be lost.
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    }
    let (code, said) = running.end().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("2 issued, 2 delivered, 0 delivered again, 2 confirmed, 0 not"));
}
