//! Waiting for a condition instead of for a time.

use std::cell::RefCell;
use std::fmt::Display;
use std::time::Duration;

use crate::{Failure, Result};

/// Short enough to cost no test a noticeable wait, long enough to leave the machine to the servers.
const INTERVAL: Duration = Duration::from_millis(50);

/// Asks until `condition` answers `Ok`; fails after `deadline` with `description` and what the last `Err` said.
pub async fn wait_until<T, S: Display>(
    description: impl Display,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> std::result::Result<T, S>,
) -> Result<T> {
    let last = RefCell::new(None);
    let asking = async {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            match condition().await {
                Ok(value) => return value,
                Err(seen) => *last.borrow_mut() = Some(seen.to_string()),
            }
        }
    };
    if let Ok(value) = tokio::time::timeout(deadline, asking).await {
        return Ok(value);
    }
    let last = last.take().unwrap_or_else(|| "nothing, the first look did not return".to_owned());
    Err(Failure::new(format!("not within {deadline:?}: {description}; last seen: {last}")))
}

/// One GET over plain HTTP: the status and the body.
pub async fn http_get(url: &str) -> Result<(u16, String)> {
    let response =
        reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?.get(url).send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_comes_true_ends_the_wait() -> Result {
        let mut looks = 0;
        let value = wait_until("the third look", Duration::from_secs(5), async || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err(looks) }
        })
        .await?;
        assert_eq!(value, 3);
        Ok(())
    }

    #[tokio::test]
    async fn a_condition_that_stays_false_fails_with_what_was_seen_last() {
        let failure =
            wait_until::<(), _>("the moon is blue", Duration::from_millis(120), async || Err("a grey moon"))
                .await
                .expect_err("it never comes true");
        let sentence = failure.to_string();
        assert!(sentence.contains("the moon is blue") && sentence.contains("a grey moon"), "{sentence}");
    }

    #[tokio::test]
    async fn a_look_that_hangs_does_not_outlive_the_deadline() {
        let hung: Result = wait_until("an answer", Duration::from_millis(50), async || {
            std::future::pending::<std::result::Result<(), String>>().await
        })
        .await;
        assert!(hung.is_err());
    }
}
