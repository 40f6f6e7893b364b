//! Programs that tests start for themselves.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use tollkeeper_kit::{Operator, Prometheus, Result, free_port, http_get, wait_until};

const PATIENCE: Duration = Duration::from_secs(30);

fn shell(script: &str) -> Result<Operator> {
    Operator::spawn("/bin/sh", &["-c", script], &[("GREETING", "hello")])
}

#[tokio::test]
async fn output_is_kept_in_memory_and_in_a_file() -> Result {
    let mut process = shell("echo \"$GREETING\"; echo 'oh dear' >&2; sleep 600")?;
    assert_eq!(process.wait_for_line("hello", PATIENCE).await?, "hello");
    process.wait_for_line("oh dear", PATIENCE).await?;
    assert_eq!(process.lines().len(), 2);
    assert!(std::fs::read_to_string(process.log())?.contains("oh dear"));
    Ok(())
}

#[tokio::test]
async fn a_line_that_never_comes_fails_with_the_output() -> Result {
    let mut process = shell("echo 'only this'; sleep 600")?;
    process.wait_for_line("only this", PATIENCE).await?;
    let failure = process.wait_for_line("something else", Duration::from_millis(100)).await.unwrap_err();
    assert!(failure.to_string().contains("only this"), "{failure}");
    Ok(())
}

#[tokio::test]
async fn an_early_end_is_not_waited_out() -> Result {
    let mut process = shell("echo 'bad flag' >&2; exit 2")?;
    let failure = process.wait_for_line("ready", Duration::from_secs(600)).await.unwrap_err();
    assert!(failure.to_string().contains("exit status: 2"), "{failure}");
    assert!(failure.to_string().contains("bad flag"), "{failure}");
    Ok(())
}

#[tokio::test]
async fn sigterm_lets_it_finish_and_kill_does_not() -> Result {
    let script = "trap 'echo finishing; exit 7' TERM; echo up; while :; do sleep 0.05; done";
    let mut polite = shell(script)?;
    polite.wait_for_line("up", PATIENCE).await?;
    assert_eq!(polite.terminate(PATIENCE).await?.code(), Some(7));
    polite.wait_for_line("finishing", PATIENCE).await?;

    let mut abrupt = shell(script)?;
    abrupt.wait_for_line("up", PATIENCE).await?;
    abrupt.kill()?;
    assert_eq!(abrupt.ended().and_then(|status| status.signal()), Some(9));
    assert!(!abrupt.lines().iter().any(|line| line == "finishing"));
    Ok(())
}

#[tokio::test]
async fn a_dropped_process_is_gone() -> Result {
    let process = shell("sleep 600")?;
    let entry = format!("/proc/{}", process.pid());
    assert!(Path::new(&entry).exists());
    drop(process);
    assert!(!Path::new(&entry).exists());
    Ok(())
}

#[tokio::test]
async fn a_program_that_is_not_built_is_named() {
    let failure = Operator::spawn("/nowhere/tollkeeper", &[], &[]).err().map(|failure| failure.to_string());
    assert!(failure.as_deref().is_some_and(|text| text.contains("/nowhere/tollkeeper")), "{failure:?}");
}

#[tokio::test]
async fn prometheus_scrapes_what_it_is_told_and_answers_queries() -> Result {
    let port = free_port()?;
    let script = format!(
        "import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'vecdb_stored_bytes 42\\n')
print('serving', flush=True)
http.server.HTTPServer(('127.0.0.1', {port}), Handler).serve_forever()"
    );
    let python = tollkeeper_kit::Program::Python.path()?;
    let mut exporter = Operator::spawn(python, &["-c", &script], &[])?;
    exporter.wait_for_http(&format!("http://127.0.0.1:{port}/metrics"), PATIENCE).await?;
    let prometheus = Prometheus::start(&format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs: [{{job_name: vecdb, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]"
    ))
    .await?;
    let query = format!("{}/api/v1/query?query=vecdb_stored_bytes", prometheus.url());
    wait_until("the scraped value", PATIENCE, async || match http_get(&query).await {
        Ok((200, body)) if body.contains("\"42\"") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
}
