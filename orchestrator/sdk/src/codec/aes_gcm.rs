//! Encryption.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use millrace_core::Payload;
#[cfg(feature = "test")]
use millrace_engine::ports::Entropy;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::{Codec, CodecError, Content};

const NAME: &str = "aes-gcm/1";

/// Encrypts with AES-256-GCM: nobody without the key can read a payload, or change one unnoticed.
///
/// One key encodes; others may be there to decode what was encoded before. Each payload has a random nonce of 96 bits: use a
/// key for at most 2³² payloads, then rotate it. The id of the key goes along in the clear.
///
/// The length of what is encrypted can be seen; behind [`Zstd`](super::Zstd) it tells how well that compresses.
#[derive(Clone)]
pub struct AesGcm {
    encodes: String,
    keys: BTreeMap<String, Arc<LessSafeKey>>,
    nonces: Nonces,
}

/// Where nonces come from.
#[derive(Clone)]
enum Nonces {
    System,
    #[cfg(feature = "test")]
    Seed(Arc<dyn Entropy>),
}

impl Nonces {
    fn next(&self) -> Result<[u8; NONCE_LEN], CodecError> {
        let mut nonce = [0; NONCE_LEN];
        match self {
            Self::System => getrandom::fill(&mut nonce).map_err(|error| {
                CodecError::new(format!("the operating system gives no random bits for a nonce: {error}"))
            })?,
            #[cfg(feature = "test")]
            Self::Seed(entropy) => {
                nonce.iter_mut().zip(entropy.bits().to_le_bytes()).for_each(|(to, from)| *to = from);
            }
        }
        Ok(nonce)
    }
}

/// A key of 256 bits and the id that payloads name it by.
#[derive(Clone)]
pub struct Key {
    id: String,
    key: Arc<LessSafeKey>,
}

impl Key {
    /// A key of 32 bytes. Its id is 1 to 64 letters, digits or any of `-_.`, and no secret.
    pub fn new(id: impl Into<String>, bytes: [u8; 32]) -> Result<Self, CodecError> {
        let id = id.into();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if id.is_empty() || id.len() > 64 || !id.chars().all(is_plain) {
            return Err(CodecError::new(format!(
                "the key id `{id:.100}` is none; use 1 to 64 letters, digits or any of `-_.`"
            )));
        }
        let key = UnboundKey::new(&AES_256_GCM, &bytes)
            .map_err(|_| CodecError::new(format!("the key `{id}` cannot be used")))?;
        Ok(Self { id, key: Arc::new(LessSafeKey::new(key)) })
    }

    /// A key of 32 bytes in base64, as `openssl rand -base64 32` prints one.
    pub fn from_base64(id: impl Into<String>, text: &str) -> Result<Self, CodecError> {
        let id = id.into();
        let bytes = BASE64.decode(text.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let bytes = bytes.ok_or_else(|| {
            CodecError::new(format!(
                "the key `{id:.100}` is not 32 bytes in base64; `openssl rand -base64 32` makes one"
            ))
        })?;
        Self::new(id, bytes)
    }
}

impl AesGcm {
    /// Encodes with this key, and decodes what was encoded with it.
    pub fn new(key: Key) -> Self {
        let Key { id, key } = key;
        Self { encodes: id.clone(), keys: BTreeMap::from([(id, key)]), nonces: Nonces::System }
    }

    /// Takes its nonces from here instead of from the operating system, so that a test's every bit follows from its seed. Not
    /// for anything that is secret: a nonce that comes twice under one key gives away what it hides, and the key's seal.
    #[cfg(feature = "test")]
    #[must_use]
    pub fn nonces_from(self, entropy: Arc<dyn Entropy>) -> Self {
        Self { nonces: Nonces::Seed(entropy), ..self }
    }

    /// Also decodes what was encoded with this key. A second key of the same id replaces the first.
    #[must_use]
    pub fn also_decodes(mut self, key: Key) -> Self {
        self.keys.insert(key.id, key.key);
        self
    }

    /// The keys that an environment variable holds: `ID:BASE64`, or several of them with commas between. The first one
    /// encodes, so that a rotation is a change of the variable.
    pub fn from_env(variable: &str) -> Result<Self, CodecError> {
        let text = std::env::var(variable).map_err(|_| {
            CodecError::new(format!("{variable}: is not set; it holds the keys, ID:BASE64,…"))
        })?;
        Self::from_text(&text).map_err(|error| CodecError::new(format!("{variable}: {error}")))
    }

    fn from_text(text: &str) -> Result<Self, CodecError> {
        let mut keys = text.split(',').map(|key| {
            let (id, base64) = key.trim().split_once(':').ok_or_else(|| {
                CodecError::new("a key is written ID:BASE64, such as 2026-11:$(openssl rand -base64 32)")
            })?;
            Key::from_base64(id, base64)
        });
        let first = keys.next().ok_or_else(|| CodecError::new("there is no key"))??;
        keys.try_fold(Self::new(first), |codec, key| Ok(codec.also_decodes(key?)))
    }
}

/// What else the seal covers: the steps, so that none can be taken away or added. No id of a run or workflow: payloads move
/// into others.
fn covered(steps: &str) -> Aad<String> {
    Aad::from(format!("millrace:{steps}"))
}

impl Codec for AesGcm {
    fn name(&self) -> &str {
        NAME
    }

    fn encode(&self, payload: &Payload) -> Result<Option<Payload>, CodecError> {
        let id = &self.encodes;
        let failed = || CodecError::new(format!("a payload could not be encrypted with the key `{id}`"));
        let key = self.keys.get(id).ok_or_else(failed)?;
        let plain = Content::of(payload)?;
        let nonce = self.nonces.next()?;
        let mut sealed = plain.then(&format!("{NAME}:{id}"), Vec::new());
        let mut bytes = plain.bytes().to_vec();
        let (covered, unique) = (covered(sealed.steps()), Nonce::assume_unique_for_key(nonce));
        key.seal_in_place_append_tag(unique, covered, &mut bytes).map_err(|_| failed())?;
        sealed = plain.then(&format!("{NAME}:{id}"), [nonce.as_slice(), &bytes].concat());
        sealed.into_payload().map(Some)
    }

    fn decode(&self, payload: &Payload) -> Result<Option<Payload>, CodecError> {
        let sealed = Content::of(payload)?;
        let Some(id) = sealed.last().and_then(|step| step.strip_prefix(NAME)?.strip_prefix(':')) else {
            return Ok(None);
        };
        let key = self.keys.get(id).ok_or_else(|| self.lacks(id))?;
        let changed = || {
            CodecError::new(format!(
                "the key `{id}` does not open a payload that names it: the process has another key under this id, or the \
                 payload was changed; give it the key that the payload was encrypted with"
            ))
        };
        let (nonce, bytes) = sealed.bytes().split_at_checked(NONCE_LEN).ok_or_else(changed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| changed())?;
        let mut bytes = bytes.to_vec();
        let plain = key.open_in_place(nonce, covered(sealed.steps()), &mut bytes).map_err(|_| changed())?;
        sealed.before(plain.to_vec()).into_payload().map(Some)
    }
}

impl AesGcm {
    fn lacks(&self, id: &str) -> CodecError {
        let known: Vec<_> = self.keys.keys().map(|id| format!("`{id}`")).collect();
        CodecError::new(format!(
            "a payload is encrypted with the key `{id:.100}`, and this process has only {}; add that key with \
             `AesGcm::also_decodes`, or to the variable that the keys come from",
            known.join(", ")
        ))
    }
}

impl fmt::Debug for AesGcm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AesGcm")
            .field("encodes", &self.encodes)
            .field("keys", &self.keys.keys())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(id: &str, byte: u8) -> AesGcm {
        AesGcm::new(Key::new(id, [byte; 32]).unwrap())
    }

    fn secret() -> Payload {
        Payload::of(&"secret").unwrap()
    }

    #[test]
    fn a_nonce_is_fresh_each_time_and_the_text_the_same() {
        let codec = keys("a", 1);
        let [one, other] = [(); 2].map(|()| codec.encode(&secret()).unwrap().unwrap());
        assert_ne!(one, other);
        for encoded in [one, other] {
            assert!(encoded.as_str().starts_with(r#"{"$millrace":"aes-gcm/1:a","data":""#), "{encoded}");
            assert_eq!(codec.decode(&encoded).unwrap(), Some(secret()));
        }
    }

    #[cfg(feature = "test")]
    #[test]
    fn nonces_may_come_from_a_seed() {
        struct Seven;
        impl Entropy for Seven {
            fn bits(&self) -> u128 {
                7
            }
        }
        let codec = keys("a", 1).nonces_from(Arc::new(Seven));
        let [one, other] = [(); 2].map(|()| codec.encode(&secret()).unwrap().unwrap());
        assert_eq!(one, other);
        assert_eq!(keys("a", 1).decode(&one).unwrap(), Some(secret()));
    }

    #[test]
    fn keys_rotate() {
        let old = keys("old", 1).encode(&secret()).unwrap().unwrap();
        let rotated = keys("new", 2).also_decodes(Key::new("old", [1; 32]).unwrap());
        assert_eq!(rotated.decode(&old).unwrap(), Some(secret()));
        let new = rotated.encode(&secret()).unwrap().unwrap();
        let error = keys("old", 1).decode(&new).unwrap_err().to_string();
        assert!(
            error.starts_with("a payload is encrypted with the key `new`, and this process has only `old`"),
            "{error}"
        );
    }

    #[test]
    fn another_key_of_the_same_id_or_another_label_or_byte_does_not_open_it() {
        let encoded = keys("a", 1).encode(&secret()).unwrap().unwrap();
        let relabeled = Payload::parse(&encoded.as_str().replace("gcm/1:a", "gcm/1:b")).unwrap();
        let stripped = Payload::parse(&encoded.as_str().replace("aes-gcm", "zstd/1+aes-gcm")).unwrap();
        let content = Content::of(&encoded).unwrap();
        let mut bytes = content.bytes().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        let flipped = Content::of(&secret()).unwrap().then("aes-gcm/1:a", bytes).into_payload().unwrap();
        let short = Content::of(&secret()).unwrap().then("aes-gcm/1:a", vec![1; 11]).into_payload().unwrap();
        let both = keys("a", 1).also_decodes(Key::new("b", [1; 32]).unwrap());
        for (codec, payload) in [
            (&keys("a", 2), &encoded),
            (&both, &relabeled),
            (&both, &stripped),
            (&both, &flipped),
            (&both, &short),
        ] {
            let error = codec.decode(payload).unwrap_err().to_string();
            assert!(error.contains("does not open a payload that names it"), "{error}");
        }
    }

    #[test]
    fn keys_are_read_from_text() {
        let base64 = |byte: u8| BASE64.encode([byte; 32]);
        let codec = AesGcm::from_text(&format!("new:{}, old:{}", base64(2), base64(1))).unwrap();
        assert_eq!(codec.encodes, "new");
        let old = keys("old", 1).encode(&secret()).unwrap().unwrap();
        assert_eq!(codec.decode(&old).unwrap(), Some(secret()));
        for (text, expected) in [
            ("", "a key is written ID:BASE64"),
            ("a:b", "the key `a` is not 32 bytes in base64"),
            (&format!("a b:{}", base64(1)), "the key id `a b` is none"),
        ] {
            let error = AesGcm::from_text(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
            assert!(!error.contains(&base64(1)), "{error}");
        }
        assert!(!format!("{codec:?}").contains(&base64(2)));
    }
}
