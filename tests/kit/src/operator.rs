//! A process under test, whose output can be waited for and which can be killed at any moment.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::server::tied;
use crate::wait::{http_get, wait_until};
use crate::{Failure, Result};

/// A running program; it is killed when this is dropped, or when the thread that started it ends.
pub struct Operator {
    child: Child,
    output: Arc<Mutex<Output>>,
    folder: TempDir,
}

struct Output {
    lines: Vec<String>,
    file: File,
    /// Pipes that have not been read to their end.
    open: usize,
}

impl Operator {
    /// Starts `program` with these arguments and, beside the environment of the test, these variables.
    pub fn spawn(program: impl AsRef<Path>, args: &[&str], env: &[(&str, &str)]) -> Result<Self> {
        let program = program.as_ref();
        if !program.is_file() {
            return Err(Failure::new(format!("{} is no program; is it built?", program.display())));
        }
        let folder = tempfile::tempdir()?;
        let file = File::create(folder.path().join(LOG))?;
        let mut command = tied(program);
        command.args(args).envs(env.iter().copied());
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child =
            spawned.map_err(|error| Failure::from(error).while_doing("cannot run setpriv of util-linux"))?;
        let output = Arc::new(Mutex::new(Output { lines: Vec::new(), file, open: 2 }));
        if let Some(stdout) = child.stdout.take() {
            follow(stdout, Arc::clone(&output));
        }
        if let Some(stderr) = child.stderr.take() {
            follow(stderr, Arc::clone(&output));
        }
        Ok(Self { child, output, folder })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Every line that it has written so far, standard output and standard error in the order of their arrival.
    pub fn lines(&self) -> Vec<String> {
        locked(&self.output).lines.clone()
    }

    /// The file with those lines; it goes with this value.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join(LOG)
    }

    /// Waits for a line that contains `text`, and returns the first one.
    pub async fn wait_for_line(&mut self, text: &str, deadline: Duration) -> Result<String> {
        let found = wait_until(format!("a line with {text:?}"), deadline, async || {
            // Asked before the lines are read: what a process wrote before its end must still be found.
            let ended = self.over();
            match locked(&self.output).lines.iter().find(|line| line.contains(text)) {
                Some(line) => Ok(Ok(line.clone())),
                None => gave_up(ended),
            }
        });
        found.await.and_then(|inner| inner).map_err(|failure| self.explain(failure))
    }

    /// Waits until a GET of `url` answers 200, and returns the body.
    pub async fn wait_for_http(&mut self, url: &str, deadline: Duration) -> Result<String> {
        let answered =
            wait_until(format!("200 from {url}"), deadline, async || match http_get(url).await {
                Ok((200, body)) => Ok(Ok(body)),
                other => match gave_up::<String>(self.over()) {
                    Ok(ended) => Ok(ended),
                    Err(_) => Err(other
                        .map_or_else(|error| error.to_string(), |(status, body)| format!("{status} {body}"))),
                },
            });
        answered.await.and_then(|inner| inner).map_err(|failure| self.explain(failure))
    }

    /// The status it ended with, or nothing while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The status it ended with, once everything that it has written was read.
    fn over(&mut self) -> Option<ExitStatus> {
        self.ended().filter(|_| locked(&self.output).open == 0)
    }

    /// `kill -9`: no chance to finish anything.
    pub fn kill(&mut self) -> Result {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends a signal, and nothing more.
    pub fn signal(&self, signal: Signal) -> Result {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.ok_or_else(|| Failure::new("the process has no id"))?, signal)?;
        Ok(())
    }

    /// SIGTERM, then waits for the end as Kubernetes would, and returns the status.
    pub async fn terminate(&mut self, deadline: Duration) -> Result<ExitStatus> {
        if self.ended().is_none() {
            self.signal(Signal::TERM)?;
        }
        self.wait(deadline).await
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let ended =
            wait_until("the process ends", deadline, async || self.ended().ok_or("it is still running"));
        ended.await.map_err(|failure| self.explain(failure))
    }

    fn explain(&self, failure: Failure) -> Failure {
        let lines = self.lines();
        let tail = lines.get(lines.len().saturating_sub(25)..).unwrap_or_default().join("\n");
        Failure::new(format!("{failure}; the end of its output:\n{tail}"))
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ended_before = self.kill();
        if std::thread::panicking() {
            // The runner shows it with the failed test.
            let _nobody_listens =
                writeln!(std::io::stderr(), "{}", self.explain(Failure::new("the process under test")));
        }
    }
}

const LOG: &str = "output.log";

fn follow(pipe: impl Read + Send + 'static, output: Arc<Mutex<Output>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(std::result::Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            let mut output = locked(&output);
            let _the_lines_in_memory_remain = writeln!(output.file, "{line}");
            output.lines.push(line);
        }
        locked(&output).open -= 1;
    });
}

fn locked(output: &Mutex<Output>) -> MutexGuard<'_, Output> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The outer error asks again, the inner one gives up: a process that has ended writes and serves nothing more.
fn gave_up<T>(ended: Option<ExitStatus>) -> std::result::Result<Result<T>, &'static str> {
    match ended {
        Some(status) => Ok(Err(Failure::new(format!("the process ended first, {status}")))),
        None => Err("no such line"),
    }
}
