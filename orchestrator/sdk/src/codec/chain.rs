//! The one place where values become payloads, and payloads values.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use millrace_core::{ApplicationFailure, Fault, Payload};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::content::{MARK, is_marked, unwrapped, wrapped};
use super::{Codec, CodecError, Content};

/// No payload goes through more steps than this.
const MOST_STEPS: usize = 32;

/// The codecs of an app, in their order. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Codecs {
    chain: Arc<Vec<Arc<dyn Codec>>>,
    /// What goes out stays as it is.
    only_reads: bool,
}

/// A value that cannot leave the process.
pub(crate) enum Unwritten {
    /// It has no JSON form, and never will.
    Json(serde_json::Error),
    /// It could not be encoded here and now.
    Codec(CodecError),
}

/// A payload that cannot be read; the text says which, and why.
#[derive(Debug)]
pub(crate) enum Unread {
    /// Its JSON is another's.
    Shape(String),
    /// Its JSON cannot be had here.
    Codec(String),
}

impl Codecs {
    /// For built-in workflows: what they say are the engine's own words, in which the user's payloads lie encoded already. What
    /// clients tell them may be encoded.
    pub(crate) fn only_reading(&self) -> Self {
        Self { only_reads: true, ..self.clone() }
    }

    pub(crate) fn push(&mut self, codec: impl Codec) {
        Arc::make_mut(&mut self.chain).push(Arc::new(codec));
    }

    #[cfg(feature = "embedded")]
    pub(crate) fn push_front(&mut self, codec: impl Codec) {
        Arc::make_mut(&mut self.chain).insert(0, Arc::new(codec));
    }

    #[cfg(feature = "embedded")]
    pub(crate) fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    /// Whether values are to be kept from the eyes of those who read histories.
    fn hides(&self) -> bool {
        !self.chain.is_empty()
    }

    /// A value on its way out.
    pub(crate) fn write<T: Serialize + ?Sized>(&self, value: &T) -> Result<Payload, Unwritten> {
        let plain = Payload::of(value).map_err(Unwritten::Json)?;
        self.encode(plain).map_err(Unwritten::Codec)
    }

    /// JSON on its way out.
    pub(crate) fn encode(&self, plain: Payload) -> Result<Payload, CodecError> {
        if self.only_reads {
            return Ok(plain);
        }
        let mut payload = if is_marked(&plain) { wrapped(&plain)? } else { plain };
        for codec in self.chain.iter() {
            if let Some(next) = codec.encode(&payload)? {
                payload = next;
            }
        }
        Ok(payload)
    }

    /// A value on its way in; `what` says in whose place it stands.
    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        payload: &Payload,
        what: impl FnOnce() -> String,
    ) -> Result<T, Unread> {
        let plain = match self.decode(payload) {
            Ok(plain) => plain,
            Err(error) => return Err(Unread::Codec(format!("{} cannot be decoded: {error}", what()))),
        };
        self.read_plain(&plain, what).map_err(Unread::Shape)
    }

    /// The same for what has been decoded.
    pub(crate) fn read_plain<T: DeserializeOwned>(
        &self,
        plain: &Payload,
        what: impl FnOnce() -> String,
    ) -> Result<T, String> {
        plain.read().map_err(|error| {
            let (what, is) = (what(), std::any::type_name::<T>());
            // serde's own words, and the path where keys are the user's, show the value.
            if self.hides() {
                let (line, column) = (error.line(), error.column());
                return format!(
                    "{what} is not a `{is}`: it does not fit at line {line} column {column} of its JSON"
                );
            }
            format!("{what} is not a `{is}`: {}{error}", field::<T>(plain))
        })
    }

    /// JSON on its way in.
    pub(crate) fn decode(&self, payload: &Payload) -> Result<Payload, CodecError> {
        let mut payload = payload.clone();
        for _ in 0..MOST_STEPS {
            match self.step_back(&payload)? {
                Some(next) => payload = next,
                None => return self.plain(payload),
            }
        }
        Err(CodecError::new(format!("a payload went through more than {MOST_STEPS} steps")))
    }

    /// By whichever codec made it: their order may have changed since then.
    fn step_back(&self, payload: &Payload) -> Result<Option<Payload>, CodecError> {
        self.chain.iter().rev().find_map(|codec| codec.decode(payload).transpose()).transpose()
    }

    /// What no codec has made: plain, wrapped, or of a codec that is not here.
    fn plain(&self, payload: Payload) -> Result<Payload, CodecError> {
        if !is_marked(&payload) {
            return Ok(payload);
        }
        let content = Content::of(&payload)?;
        if let Some(value) = unwrapped(&content)? {
            return Ok(value);
        }
        let known: Vec<_> = self.chain.iter().map(|codec| codec.name()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let step = content.last().unwrap_or_default();
        Err(CodecError::new(format!(
            "it is encoded by `{step:.100}`, and this process has no such codec ({known}); set it with `.codec(..)` on the App \
             or the Client"
        )))
    }

    /// A failure on its way out: its details are the user's.
    pub(crate) fn seal(&self, mut fault: Fault) -> Result<Fault, CodecError> {
        if let Some(failure) = application(&mut fault)
            && let Some(details) = failure.details.take()
        {
            failure.details = Some(self.encode(details)?);
        }
        Ok(fault)
    }

    /// A failure on its way in.
    pub(crate) fn open(&self, mut fault: Fault) -> Result<Fault, CodecError> {
        if let Some(failure) = application(&mut fault)
            && let Some(details) = &failure.details
        {
            failure.details = Some(self.decode(details)?);
        }
        Ok(fault)
    }

    /// A text of ours for people, every payload in it decoded that can be. The others stay as they are.
    pub(crate) fn shown<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let begin = format!("{{\"{MARK}\":\"");
        if !self.hides() || !text.contains(&begin) {
            return Cow::Borrowed(text);
        }
        let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(at) = rest.find(&begin) {
            let (before, from) = rest.split_at(at);
            shown.push_str(before);
            let encoded = first_value(from).unwrap_or(&from[..begin.len()]);
            shown.push_str(self.legible(encoded).as_ref().map_or(encoded, Payload::as_str));
            rest = &from[encoded.len()..];
        }
        shown.push_str(rest);
        Cow::Owned(shown)
    }

    /// The value of an encoded payload; none of one that would be taken for encoded if it were read again.
    fn legible(&self, text: &str) -> Option<Payload> {
        let plain = self.decode(&Payload::parse(text).ok()?).ok()?;
        Some(plain).filter(|plain| !is_marked(plain))
    }

    /// Any value of ours for people.
    pub(crate) fn show<T: Serialize + DeserializeOwned>(&self, value: T) -> T {
        let text =
            if self.hides() { serde_json::to_string(&value).unwrap_or_default() } else { return value };
        match self.shown(&text) {
            Cow::Borrowed(_) => value,
            Cow::Owned(text) => serde_json::from_str(&text).unwrap_or(value),
        }
    }
}

/// The JSON value that a text begins with. The mark's quotes are bare, so it is not within a JSON string.
fn first_value(text: &str) -> Option<&str> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&serde_json::value::RawValue>();
    values.next()?.ok().map(serde_json::value::RawValue::get)
}

fn application(fault: &mut Fault) -> Option<&mut ApplicationFailure> {
    match fault {
        Fault::Application(failure) | Fault::TimedOut { cause: Some(failure), .. } => Some(failure),
        Fault::TimedOut { cause: None, .. } | Fault::Canceled { .. } | Fault::Terminated { .. } => None,
    }
}

/// The path to the bad field, looked for only when there is one.
fn field<T: DeserializeOwned>(payload: &Payload) -> String {
    let located =
        serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_str(payload.as_str()));
    let field = located.err().map(|error| error.path().to_string()).filter(|path| path != ".");
    field.map(|path| format!("field `{path}`: ")).unwrap_or_default()
}

impl Unread {
    pub(crate) fn into_message(self) -> String {
        match self {
            Self::Shape(message) | Self::Codec(message) => message,
        }
    }
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "has no JSON form: {error}"),
            Self::Codec(error) => write!(f, "cannot be encoded: {error}"),
        }
    }
}

impl fmt::Debug for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.chain.iter().map(|codec| codec.name())).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::codec::{AesGcm, Key, Zstd};

    fn codecs() -> Codecs {
        let mut codecs = Codecs::default();
        codecs.push(Zstd::new().threshold(64));
        codecs.push(AesGcm::new(Key::new("k", [7; 32]).unwrap()));
        codecs
    }

    fn payload(value: &Value) -> Payload {
        Payload::of(value).unwrap()
    }

    fn values() -> Vec<Value> {
        vec![
            json!(null),
            json!("a"),
            json!({ "a": "b".repeat(500) }),
            json!({ "$millrace": "aes-gcm/1:k", "data": "AAAA" }),
            json!({ "$millrace": 7 }),
            json!({ "z": [1, { "$millrace": "x" }], "$millrace": "y".repeat(500) }),
            json!([{ "$millrace": "zstd/1", "data": "" }]),
        ]
    }

    #[test]
    fn whatever_goes_out_comes_back_with_codecs_or_without_or_when_they_come_later() {
        for value in values() {
            let plain = payload(&value);
            let encoded = codecs().encode(plain.clone()).unwrap();
            assert!(encoded.as_str().starts_with(r#"{"$millrace":""#), "{encoded}");
            assert_eq!(codecs().decode(&encoded).unwrap(), plain);
            let without = Codecs::default().encode(plain.clone()).unwrap();
            assert_eq!(Codecs::default().decode(&without).unwrap(), plain);
            assert_eq!(codecs().decode(&without).unwrap(), plain, "written before the codec was set");
        }
    }

    #[test]
    fn steps_are_named_in_their_order_and_base64_is_made_once() {
        let plain = payload(&json!("x".repeat(5_000)));
        let encoded = codecs().encode(plain).unwrap();
        assert!(encoded.as_str().starts_with(r#"{"$millrace":"zstd/1+aes-gcm/1:k","data":""#), "{encoded}");
        assert!(encoded.as_str().len() < 200, "{encoded}");
    }

    #[test]
    fn the_order_of_the_codecs_may_change_later() {
        let mut other = Codecs::default();
        other.push(AesGcm::new(Key::new("k", [7; 32]).unwrap()));
        other.push(Zstd::new());
        let plain = payload(&json!("x".repeat(5_000)));
        assert_eq!(other.decode(&codecs().encode(plain.clone()).unwrap()).unwrap(), plain);
    }

    #[test]
    fn a_codec_that_is_not_set_and_a_mark_that_is_none_are_told() {
        let encoded = codecs().encode(payload(&json!("x"))).unwrap();
        let error = Codecs::default().decode(&encoded).unwrap_err().to_string();
        assert!(
            error.starts_with("it is encoded by `aes-gcm/1:k`, and this process has no such codec (none)"),
            "{error}"
        );
        for bad in [
            json!({ "$millrace": 7 }),
            json!({ "$millrace": "json/1", "data": "%" }),
            json!({ "$millrace": "a", "x": 1 }),
        ] {
            let error = codecs().decode(&payload(&bad)).unwrap_err().to_string();
            assert!(error.starts_with("a payload has the reserved key `$millrace`"), "{error}");
        }
    }

    #[test]
    fn no_value_shows_in_what_is_said_about_one_that_does_not_fit() {
        let encoded = codecs().encode(payload(&json!({ "secret-key": "secret" }))).unwrap();
        let read = |codecs: Codecs, payload: &Payload| {
            let unread =
                codecs.read::<std::collections::BTreeMap<String, u32>>(payload, || "the input".into());
            unread.unwrap_err().into_message()
        };
        let error = read(codecs(), &encoded);
        assert!(error.starts_with("the input is not a `") && !error.contains("secret"), "{error}");
        assert!(
            read(Codecs::default(), &payload(&json!({ "a": "b" })))
                .contains("field `a`: invalid type: string \"b\"")
        );
    }

    #[test]
    fn what_is_shown_is_decoded_wherever_it_stands() {
        let encode = |value: Value| codecs().encode(payload(&value)).unwrap();
        let (one, big) = (encode(json!("one")), encode(json!({ "$millrace": 1 })));
        let foreign = r#"{"$millrace":"other/1","data":"AA=="}"#;
        let text =
            format!(r#"{{"n":1,"t":"{{\"$millrace\":\"x","items":[{one},{foreign},{big}],"x":{one}}}"#);
        let expected =
            format!(r#"{{"n":1,"t":"{{\"$millrace\":\"x","items":["one",{foreign},{big}],"x":"one"}}"#);
        assert_eq!(codecs().shown(&text), expected);
        assert_eq!(codecs().shown(r#"{"$millrace":"#), r#"{"$millrace":"#);
        assert_eq!(codecs().shown(r#"{"$millrace":"cut"#), r#"{"$millrace":"cut"#);
    }

    #[test]
    fn details_of_failures_are_the_users_and_their_messages_are_not() {
        let failure = ApplicationFailure::new("Boom", "message").details(&"secret");
        let sealed = codecs().seal(Fault::TimedOut {
            kind: millrace_core::TimeoutKind::StartToClose,
            cause: Some(failure.clone()),
        });
        let text = serde_json::to_string(&sealed.clone().unwrap()).unwrap();
        assert!(text.contains("message") && !text.contains("secret"), "{text}");
        assert_eq!(codecs().open(sealed.unwrap()).unwrap().details::<String>().as_deref(), Some("secret"));
        assert_eq!(codecs().open(Fault::Application(failure.clone())).unwrap(), Fault::Application(failure));
    }
}
