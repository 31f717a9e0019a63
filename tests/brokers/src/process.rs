use std::collections::VecDeque;
use std::io::{BufRead, BufReader, PipeReader, pipe};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::sync::watch;
use tokio::time::timeout;

/// How many lines of a broker's output are kept for whoever asks what went wrong.
const LINES_KEPT: usize = 200;

/// A child process with all its own children: one process group, killed on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Pid,
    output: Arc<Output>,
    reader: Option<JoinHandle<()>>,
}

/// What the process has printed.
#[derive(Debug)]
struct Output {
    lines: Mutex<VecDeque<String>>,
    /// How many lines there were, and whether the end was reached.
    progress: watch::Sender<(usize, bool)>,
}

// === impl Process ===

impl Process {
    /// Starts `command` in a process group of its own, without standard input.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let (read, write) = pipe().expect("a pipe can be made");
        let also_write = write.try_clone().expect("a pipe can be shared");
        command.stdin(Stdio::null()).stdout(write).stderr(also_write).process_group(0);
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
        // Else the pipe's end would stay open in here, and the reader would never see it close.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let group = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("not zero");
        let output =
            Arc::new(Output { lines: Mutex::default(), progress: watch::Sender::default() });
        let reader = {
            let output = Arc::clone(&output);
            std::thread::spawn(move || output.read(read))
        };
        Self { child, group, output, reader: Some(reader) }
    }

    /// Waits until a line of its output contains `text`.
    ///
    /// # Panics
    ///
    /// If it ends before, or does not say so `within` that time: with what it printed last.
    pub async fn says(&self, text: &str, within: Duration) {
        let mut progress = self.output.progress.subscribe();
        let said = async {
            loop {
                let (_, ended) = *progress.borrow_and_update();
                if self.output.lines().iter().any(|line| line.contains(text)) {
                    return true;
                }
                if ended || progress.changed().await.is_err() {
                    return false;
                }
            }
        };
        match timeout(within, said).await {
            Ok(true) => {}
            Ok(false) => panic!("ended without saying {text:?}:\n{}", self.printed()),
            Err(_) => panic!("did not say {text:?} within {within:?}:\n{}", self.printed()),
        }
    }

    /// The last lines that it printed.
    pub fn printed(&self) -> String {
        Vec::from(self.output.lines().clone()).join("\n")
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it and its children (signal 9); returns once it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.reap();
    }

    /// Asks it to end (signal 15) and waits for it. Blocks.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
        self.reap();
    }

    /// Asks it to end (signal 15) and does not wait.
    pub fn ask_to_end(&self) {
        self.signal(Signal::TERM);
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    ///
    /// If the system cannot tell.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked for")
    }

    /// Stops it and its children where they are (SIGSTOP).
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets them go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // Once it has been waited for, its number may be somebody else's.
        if self.reader.is_none() {
            return;
        }
        // It may have ended by itself; then there is nobody to tell.
        kill_process_group(self.group, signal).ok();
    }

    fn reap(&mut self) {
        self.child.wait().expect("a child can be waited for");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading lines does not panic");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

// === impl Output ===

impl Output {
    fn read(&self, pipe: PipeReader) {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            line.clear();
            let mut lines = self.lines();
            if lines.len() == LINES_KEPT {
                lines.pop_front();
            }
            lines.push_back(text);
            drop(lines);
            self.progress.send_modify(|(count, _)| *count += 1);
        }
        self.progress.send_modify(|(_, ended)| *ended = true);
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, VecDeque<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::start(Command::new("bash").arg("-c").arg(script))
    }

    #[tokio::test]
    async fn waits_for_a_line() {
        let process = shell("echo not yet; echo now it is ready; exec sleep 60");
        process.says("it is ready", Duration::from_secs(10)).await;
    }

    #[tokio::test]
    #[should_panic(expected = "the last words")]
    async fn an_early_end_shows_what_was_printed() {
        shell("echo the last words").says("ready", Duration::from_secs(10)).await;
    }

    #[tokio::test]
    async fn children_of_the_child_are_killed_with_it() {
        let mut process = shell("sleep 60 & echo child $!; wait");
        process.says("child ", Duration::from_secs(10)).await;
        let printed = process.printed();
        let child = printed.split("child ").nth(1).unwrap().trim().to_owned();
        process.kill();
        // Killed with it, and an instant later gone.
        let is_gone = || {
            let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            state.is_empty() || state.contains(") Z ") || state.contains(") X ")
        };
        let gone = async {
            while !is_gone() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), gone).await.expect("the child's child ends with it");
    }
}
