//! x
use serde_json::{Value as Json, json};
pub fn gas() -> Json {
    json!({})
}
