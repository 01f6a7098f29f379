//! A JSON schema read off an example.

use serde_json::{Value, json};

/// The schema of what `sample` is an example of. Every field is required; whole and broken numbers are told
/// apart, so a sample of a time in seconds must have a broken part.
/// What is sent and never comes back is `password`.
pub fn of_sample(sample: &Value) -> Value {
    match sample {
        Value::Null => json!({}),
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(number) if number.is_f64() => json!({"type": "number"}),
        Value::Number(_) => json!({"type": "integer"}),
        Value::String(_) => json!({"type": "string"}),
        Value::Array(elements) => {
            json!({"type": "array", "items": elements.first().map_or(json!({}), of_sample)})
        }
        Value::Object(fields) => {
            let properties: serde_json::Map<String, Value> = fields
                .iter()
                .map(|(name, value)| (name.clone(), of_field(name, value)))
                .collect();
            json!({"type": "object", "properties": properties, "example": sample})
        }
    }
}

fn of_field(name: &str, value: &Value) -> Value {
    let mut schema = of_sample(value);
    if name == "password" {
        schema["writeOnly"] = json!(true);
    }
    schema
}
