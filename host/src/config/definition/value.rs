//! Parses values of the command line and the environment.

use serde::Deserialize;
use toml::Value;

use super::{Kind, Setting};
use crate::config::hint::in_words;
use crate::config::{Settings, layers};

/// Words for true.
const TRUE: [&str; 6] = ["true", "t", "yes", "y", "on", "1"];
/// Words for false.
const FALSE: [&str; 6] = ["false", "f", "no", "n", "off", "0"];

impl Setting {
    /// Parses a value.
    ///
    /// # Errors
    /// The value is not valid. The error is a sentence.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        let value = match self.kind {
            Kind::Flag | Kind::FlagOrTable => Value::Boolean(flag(text)?),
            Kind::Count => Value::Integer(count(text)?),
            Kind::SizeOrZero if text.trim() == "0" => Value::Integer(0),
            Kind::Name if text.is_empty() => return Err("it is empty: write a name".to_owned()),
            Kind::Paths | Kind::List => Value::Array(vec![Value::String(text.to_owned())]),
            _ => Value::String(text.to_owned()),
        };
        let mut alone = toml::Table::new();
        layers::insert(&mut alone, self.key, value.clone());
        match Settings::deserialize(alone) {
            Ok(_) => Ok(value),
            Err(error) => Err(in_words(error.message(), &format!("\"{text}\""), self.key)),
        }
    }
}

fn flag(text: &str) -> Result<bool, String> {
    let text = text.to_lowercase();
    match (TRUE.contains(&text.as_str()), FALSE.contains(&text.as_str())) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

fn count(text: &str) -> Result<i64, String> {
    match text.trim().parse() {
        Ok(count) if count >= 0 => Ok(count),
        _ => Err(format!("{text} is not a count: write a whole number that is not negative")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(key: &str, text: &str) -> Result<Value, String> {
        Setting::find(key).unwrap().parse(text)
    }

    #[test]
    fn a_text_becomes_a_value_of_its_type() {
        assert_eq!(parse("delivery.lanes", "8"), Ok(Value::Integer(8)));
        assert_eq!(parse("watch", "no"), Ok(Value::Boolean(false)));
        assert_eq!(parse("limits.state_bytes", "0"), Ok(Value::Integer(0)));
        assert_eq!(parse("limits.memory", "1 MiB"), Ok(Value::String("1 MiB".to_owned())));
    }

    #[test]
    fn an_invalid_value_is_a_sentence() {
        for (key, text, expected) in [
            ("delivery.lanes", "0", "0 is too few: write 1 or more"),
            ("delivery.lanes", "-1", "-1 is not a count: write a whole number"),
            ("limits.memory", "256", "256 has no unit: write \"256 MiB\""),
            ("limits.memory", "much", "\"much\" is not a size"),
            ("limits.handle_timeout", "30", "\"30\" is not a time"),
            ("lease.ttl", "999ms", "at least 1s"),
            ("source.start", "soon", "expected now, oldest"),
            ("store.kind", "redis", "expected mongodb, file:DIR or none"),
            ("store.database", "admin", "the server's own"),
            ("watch", "maybe", "expected true or false"),
            ("name", "", "write a name"),
        ] {
            let refused = parse(key, text).unwrap_err();
            assert!(refused.contains(expected), "{key}: {refused}");
        }
    }
}
