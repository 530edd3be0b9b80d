//! Attributes: the values that a run can be found by, given at its start.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use millrace_core::Payload;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Number, Value};

/// The values that a run can be found by: names with a text, a number, `true` or `false` each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(BTreeMap<String, AttributeValue>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
}

impl Attributes {
    /// How many names a run may have.
    pub const MOST_NAMES: usize = 32;
    /// How long all of them may be, as JSON.
    pub const MOST_BYTES: usize = 4_096;

    /// Checks what a start gives; the error names the attribute.
    pub fn check(given: &Payload) -> Result<Self, String> {
        let bytes = given.as_str().len();
        if bytes > Self::MOST_BYTES {
            return Err(format!("they have {bytes} bytes, at most {} are allowed", Self::MOST_BYTES));
        }
        let object: BTreeMap<String, Value> =
            given.read().map_err(|_| "they are an object, such as {\"customer\":\"ann\"}".to_owned())?;
        if object.len() > Self::MOST_NAMES {
            return Err(format!(
                "there are {} names, at most {} are allowed",
                object.len(),
                Self::MOST_NAMES
            ));
        }
        let all = object.into_iter().map(|(name, value)| {
            check_name(&name)?;
            let value = AttributeValue::of(value).ok_or_else(|| {
                format!("`{name}` is neither a text nor a number nor `true` or `false`; put it into the memo")
            })?;
            Ok((name, value))
        });
        all.collect::<Result<_, String>>().map(Self)
    }

    /// What is recorded of a run, as far as it can be found by: runs of before the check may have anything.
    pub fn of_recorded(recorded: Option<&Payload>) -> Self {
        recorded.and_then(|recorded| Self::check(recorded).ok()).unwrap_or_default()
    }

    /// The value under a name.
    pub fn get(&self, name: &str) -> Option<&AttributeValue> {
        self.0.get(name)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &AttributeValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl AttributeValue {
    fn of(value: Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(Self::Bool(value)),
            Value::Number(value) => Some(Self::Number(value)),
            Value::String(value) => Some(Self::Text(value)),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// As it is typed: JSON if it is a number, `true`, `false` or a text in quotes, else a text.
    fn typed(text: &str) -> Self {
        serde_json::from_str(text).ok().and_then(Self::of).unwrap_or_else(|| Self::Text(text.to_owned()))
    }

    /// `None` where the two cannot be compared.
    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Number(a), Self::Number(b)) => match (a.as_i128(), b.as_i128()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
            },
            _ => None,
        }
    }
}

impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            // A text that would be read as something else keeps its quotes.
            Self::Text(value) if Self::typed(value) == *self => f.write_str(value),
            Self::Text(value) => Value::String(value.clone()).fmt(f),
        }
    }
}

/// The characters that end a name in a condition.
const OPERATORS: [char; 4] = ['=', '!', '<', '>'];

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(OPERATORS) {
        return Err(format!("`{name}` is no name: it is empty or has one of = ! < >"));
    }
    Ok(())
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Comparison {
    /// The longer ones first: `>=` begins with `>`.
    const ALL: [(&str, Self); 6] = [
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        ("!=", Self::NotEqual),
        ("=", Self::Equal),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, comparison)| *comparison == self).map_or("=", |(text, _)| text)
    }

    fn holds(self, ordering: Option<Ordering>) -> bool {
        match self {
            Self::Equal => ordering == Some(Ordering::Equal),
            Self::NotEqual => ordering != Some(Ordering::Equal),
            Self::Less => ordering == Some(Ordering::Less),
            Self::Greater => ordering == Some(Ordering::Greater),
            Self::AtMost => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
            Self::AtLeast => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

/// What an attribute must be, as it is typed: `customer=ann`, `priority>=3`, `zip="0123"`. A run without the attribute
/// never matches, whatever the comparison; a text is never equal to a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeCondition {
    name: String,
    comparison: Comparison,
    value: AttributeValue,
}

impl AttributeCondition {
    /// Whether a run with these attributes is meant.
    pub fn holds(&self, attributes: &Attributes) -> bool {
        attributes.get(&self.name).is_some_and(|value| self.comparison.holds(value.compare(&self.value)))
    }
}

impl FromStr for AttributeCondition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let ways = "NAME=VALUE, or with != < <= > >= in the place of =";
            format!("`{text:.100}` is not a condition: {ways}")
        };
        let (name, rest) = text.find(OPERATORS).map(|at| text.split_at(at)).ok_or_else(wrong)?;
        let found = Comparison::ALL.iter().find_map(|(sign, c)| Some((*c, rest.strip_prefix(sign)?)));
        let (comparison, value) = found.filter(|_| !name.is_empty()).ok_or_else(wrong)?;
        let value = AttributeValue::typed(value);
        if matches!(value, AttributeValue::Bool(_))
            && !matches!(comparison, Comparison::Equal | Comparison::NotEqual)
        {
            return Err(format!(
                "`{text}`: only numbers and texts are less or greater; quote a text: \"true\""
            ));
        }
        Ok(Self { name: name.to_owned(), comparison, value })
    }
}

impl fmt::Display for AttributeCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.name, self.comparison.as_str(), self.value)
    }
}

impl Serialize for AttributeCondition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AttributeCondition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(json: &str) -> Result<Attributes, String> {
        Attributes::check(&Payload::parse(json).unwrap())
    }

    #[test]
    fn what_is_no_attribute_is_named() {
        let many: BTreeMap<String, u32> = (0..33).map(|n| (format!("a{n}"), n)).collect();
        for (json, said) in [
            ("[1]", "an object"),
            ("null", "an object"),
            (r#"{"a":null}"#, "`a` is neither"),
            (r#"{"a":[1]}"#, "`a` is neither"),
            (r#"{"a":{"b":1}}"#, "`a` is neither"),
            (r#"{"":1}"#, "`` is no name"),
            (r#"{"a=b":1}"#, "`a=b` is no name"),
            (&serde_json::to_string(&many).unwrap(), "33 names"),
            (&format!(r#"{{"a":"{}"}}"#, "x".repeat(4_090)), "4098 bytes"),
        ] {
            let error = attributes(json).unwrap_err();
            assert!(error.contains(said), "{json:.40}: {error}");
        }
        assert!(attributes(&format!(r#"{{"a":"{}"}}"#, "x".repeat(4_088))).is_ok());
        assert!(attributes("{}").unwrap().is_empty());
    }

    #[test]
    fn conditions_compare_what_is_of_one_kind() {
        let run =
            attributes(r#"{"customer":"ann","priority":3,"vip":true,"zip":"0123","share":0.5}"#).unwrap();
        for holds in [
            "customer=ann",
            "customer!=bob",
            "customer<bob",
            "priority=3",
            "priority=3.0",
            "priority>=3",
            "priority<=3",
            "priority>2.5",
            "priority<1e3",
            "priority!=4",
            "priority!=three",
            "vip=true",
            "vip!=false",
            "zip=\"0123\"",
            "zip=0123",
            "share<1",
        ] {
            assert!(holds.parse::<AttributeCondition>().unwrap().holds(&run), "{holds}");
        }
        for fails in [
            "customer=bob",
            "priority>3",
            "priority=\"3\"",
            "priority<x",
            "none=1",
            "none!=1",
            "vip=\"true\"",
        ] {
            assert!(!fails.parse::<AttributeCondition>().unwrap().holds(&run), "{fails}");
        }
        for wrong in ["", "customer", "=ann", "!=3", "vip<true", "a!b"] {
            assert!(wrong.parse::<AttributeCondition>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_condition_is_read_as_it_was_written() {
        for text in [
            "customer=ann",
            "n>=3",
            "n!=-1.5",
            "zip=\"12\"",
            "vip=true",
            "odd=\"true\"",
            "q=\"\\\"a\"",
            "e=",
            "a=b=c",
        ] {
            let condition: AttributeCondition = text.parse().unwrap();
            assert_eq!(condition.to_string().parse::<AttributeCondition>().unwrap(), condition, "{text}");
        }
    }
}
