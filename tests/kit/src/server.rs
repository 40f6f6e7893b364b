//! One server process, tied to the life of another process.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::wait::wait_until;
use crate::{Failure, Result};

/// Long, because the tests of a whole workspace may be compiling beside it.
const START: Duration = Duration::from_secs(120);

/// A port that was free a moment ago; whoever binds it must bear that it is taken in between.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Wraps a program so that it is killed when the thread that starts it ends, even by `kill -9`.
pub(crate) fn tied(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// A server under `supervise.sh`.
pub(crate) struct Server {
    recipe: Recipe,
    supervisor: Child,
}

/// How a server is started, the first time and again.
struct Recipe {
    name: &'static str,
    program: PathBuf,
    args: Vec<String>,
    log: PathBuf,
    watched: u32,
    removes: Option<PathBuf>,
}

impl Recipe {
    fn spawn(&self) -> Result<Child> {
        let out = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new("sh");
        command.args(["-c", include_str!("supervise.sh"), "supervise.sh", &self.watched.to_string()]);
        command.arg(self.removes.as_deref().unwrap_or(Path::new("")));
        let tied = tied(&self.program);
        command.arg(tied.get_program()).args(tied.get_args()).args(&self.args);
        // Its own group: the test runner kills the group of a test that ends.
        let command = command.process_group(0).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        Ok(command.spawn()?)
    }
}

impl Server {
    /// Starts `program`, to be killed when the process `watched` is gone; `removes` is deleted then.
    pub(crate) fn start(
        name: &'static str,
        program: &Path,
        args: &[String],
        log: PathBuf,
        watched: u32,
        removes: Option<&Path>,
    ) -> Result<Self> {
        let recipe = Recipe {
            name,
            program: program.to_owned(),
            args: args.to_owned(),
            log,
            watched,
            removes: removes.map(Path::to_owned),
        };
        Ok(Self { supervisor: recipe.spawn()?, recipe })
    }

    /// What it was called at its start.
    pub(crate) fn name(&self) -> &'static str {
        self.recipe.name
    }

    /// Starts it again as it was started before, after it was stopped.
    pub(crate) fn start_again(&mut self) -> Result {
        self.supervisor = self.recipe.spawn()?;
        Ok(())
    }

    /// Waits until `ready` answers; fails at once if the server has ended.
    pub(crate) async fn until_ready(&mut self, mut ready: impl AsyncFnMut() -> Result) -> Result {
        let name = self.recipe.name;
        let waiting = wait_until(format!("{name} is ready"), START, async || {
            match ready().await {
                Ok(()) => Ok(Ok(())),
                // The outer error asks again, the inner one gives up.
                Err(not_yet) => match self.supervisor.try_wait() {
                    Ok(Some(_)) => Ok(Err(Failure::new(format!("{name} ended while it started")))),
                    _ => Err(not_yet),
                },
            }
        });
        let outcome = waiting.await.and_then(|inner| inner);
        outcome.map_err(|failure| {
            Failure::new(format!("{failure}; the end of its log:\n{}", tail(&self.recipe.log, 25)))
        })
    }

    /// `kill -9`, through the supervisor, which ends with it.
    pub(crate) fn stop(&mut self) {
        if let Some(pid) = i32::try_from(self.supervisor.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ended_before = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ended_before = self.supervisor.wait();
    }
}

/// Starts a server on new ports until it gets them: a free port may be taken between the look and the bind.
pub(crate) async fn on_free_ports<T>(mut start: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let mut tries = 1;
    loop {
        match start().await {
            Err(failure) if tries < 5 && failure.to_string().contains("address already in use") => tries += 1,
            outcome => return outcome,
        }
    }
}

/// The last lines of a log, for the message of a failure.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    async fn gone(pid: &str) -> Result {
        wait_until(format!("process {pid} is gone"), PATIENCE, async || {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // Whoever inherits it has yet to take note of its end.
            if state.is_empty() || state.contains(") Z ") { Ok(()) } else { Err(state) }
        })
        .await
    }

    /// A server whose log says its process id.
    async fn sleeper(folder: &Path, watched: u32, removes: &Path) -> Result<(Server, String)> {
        let log = folder.join("log");
        let args = ["-c".to_owned(), "echo $$; exec sleep 600".to_owned()];
        let server =
            Server::start("sleeper", Path::new("/bin/sh"), &args, log.clone(), watched, Some(removes))?;
        let pid = wait_until("its process id", PATIENCE, async || {
            std::fs::read_to_string(&log).ok().filter(|text| text.ends_with('\n')).ok_or("no line")
        })
        .await?;
        Ok((server, pid.trim().to_owned()))
    }

    #[tokio::test]
    async fn a_server_ends_with_the_process_that_it_is_for_and_so_does_its_folder() -> Result {
        let folder = tempfile::tempdir()?;
        let removed = folder.path().join("removed");
        std::fs::create_dir(&removed)?;
        let mut watched = Command::new("sleep").arg("600").process_group(0).spawn()?;
        let (_server, pid) = sleeper(folder.path(), watched.id(), &removed).await?;
        watched.kill()?;
        watched.wait()?;
        gone(&pid).await?;
        wait_until("the folder is removed", PATIENCE, async || {
            if removed.exists() { Err("it is there") } else { Ok(()) }
        })
        .await
    }

    #[tokio::test]
    async fn a_server_ends_with_its_supervisor_even_if_that_is_killed() -> Result {
        let folder = tempfile::tempdir()?;
        let kept = folder.path().join("kept");
        std::fs::create_dir(&kept)?;
        let (mut server, pid) = sleeper(folder.path(), std::process::id(), &kept).await?;
        server.supervisor.kill()?;
        server.supervisor.wait()?;
        gone(&pid).await
    }

    #[tokio::test]
    async fn a_stopped_server_is_gone_and_leaves_the_folder_to_the_run() -> Result {
        let folder = tempfile::tempdir()?;
        let kept = folder.path().join("kept");
        std::fs::create_dir(&kept)?;
        let (mut server, pid) = sleeper(folder.path(), std::process::id(), &kept).await?;
        server.stop();
        gone(&pid).await?;
        assert!(kept.exists());
        Ok(())
    }

    #[tokio::test]
    async fn a_port_that_was_taken_in_between_is_replaced() -> Result {
        let mut tries = 0;
        let port = on_free_ports(async || {
            tries += 1;
            if tries < 3 {
                Err(Failure::new("listen tcp: bind: address already in use"))
            } else {
                free_port()
            }
        })
        .await?;
        assert_eq!(tries, 3);
        assert_ne!(port, 0);
        Ok(())
    }
}
