//! Owns what history says of a job's seconds: in which rows they are.
//! It must not know what should be there.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::api::Api;
use super::{second_of, until};

/// The second of a row's own instant.
pub fn instant_of(row: &Value) -> i64 {
    second_of(row["scheduledTime"].as_str().expect("it is a text"))
}

/// The seconds a row of an every-second job stands for: its own, and those it covers.
pub fn span_of(row: &Value) -> RangeInclusive<i64> {
    let from = row["covers"]["from"].as_str().map_or(instant_of(row), second_of);
    from..=instant_of(row)
}

/// Waits until each of these seconds of an every-second job is in a row that is finished, and expects none in two.
/// The rows they are in.
pub fn settled(api: &Api, id: &str, seconds: RangeInclusive<i64>) -> Vec<Value> {
    until(&format!("every second of job {id} has a finished row"), || {
        let mut rows = api.executions(id);
        rows.retain(|row| seconds.contains(&instant_of(row)) || seconds.contains(span_of(row).start()));
        let mut within = HashMap::new();
        for row in &rows {
            for second in span_of(row) {
                let other = within.insert(second, row);
                assert!(other.is_none(), "{second} is in two rows: {row} and {}", other.unwrap_or(&Value::Null));
            }
        }
        let whole = seconds.clone().all(|second| within.contains_key(&second));
        (whole && rows.iter().all(|row| row["status"] != "PENDING")).then_some(rows)
    })
}
