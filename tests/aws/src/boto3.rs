//! boto3 as the judge that has never seen the simulator's code.

use tokio::process::Command;

use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn boto3_understands_every_answer() {
    let server = Server::manual().await;
    let python = std::env::var("TOLLKEEPER_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let judge = concat!(env!("CARGO_MANIFEST_DIR"), "/judge.py");
    let output =
        Command::new(&python).args([judge, &server.endpoint]).output().await.unwrap_or_else(|error| {
            panic!("cannot run {python} (TOLLKEEPER_TEST_PYTHON names another): {error}")
        });
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    println!("{said}");
}
