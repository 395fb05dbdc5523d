//! The demo: a member fails under load, comes back, and nobody notices.
#![cfg(feature = "cli")]
#![cfg(test)]

mod command_line;
mod support;

use command_line::{Running, command};
use serde_json::{Value, json};

/// Runs it with a load that a busy machine can serve, and returns its result.
async fn demo(fault: &str) -> (Value, Option<i32>) {
    let words = ["demo", "--fault", fault, "--rate", "300", "--workers", "8", "--keys", "4000", "-o", "json"];
    let mut running = Running::of(command(words));
    for says in
        ["load begins", " down: ", "filling (step 2)", "syncing (step 3)", "flipped", "whole again", "load ends"]
    {
        running.error_with(&[says]).await;
    }
    let result = running.line_with(&["\"events\""]).await;
    (serde_json::from_str(&result).unwrap(), running.ended().await.code())
}

#[tokio::test]
async fn a_member_that_is_killed_and_comes_back_empty_is_whole_again_and_nobody_has_noticed() {
    let (result, code) = demo("kill").await;
    let zeros = ["failed_reads", "failed_writes", "wrong_reads", "nil_reads", "lost_writes", "differing_copies"]
        .map(|name| &result[name]);
    assert_eq!(json!(zeros), json!([0, 0, 0, 0, 0, 0]), "{result}");
    assert_eq!(code, Some(0), "{result}");
    assert_eq!((&result["compared_keys"], &result["victim"]["back"]), (&json!(4000), &json!(true)));
    assert!(result["operations"].as_u64() > Some(1000) && result["whole_again_ms"].as_u64() > Some(0), "{result}");
    for field in ["longest_read_ms", "longest_write_ms", "capacity_lost", "seconds"] {
        assert!(result[field].is_number(), "{field}: {result}");
    }
    let events = result["events"].as_array().unwrap();
    let at = |what: &str| {
        events.iter().find(|e| e["what"].as_str().unwrap().contains(what)).unwrap()["at_ms"].as_u64().unwrap()
    };
    let order =
        ["SIGKILL", " is down", "started again, empty", " is joining", "filling", "syncing", "flipped", "whole again"]
            .map(at);
    assert!(order.is_sorted(), "{events:?}");
}
